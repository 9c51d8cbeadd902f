// What placement does when a host says hello: it becomes a resource provider with the inventory that it reported.
import type { Tx } from '../../database/connect.ts'
import type { Hello } from '../../wire/documents.ts'
import type { Host } from '../../wire/observe.ts'
import { reportInventory } from './provider.ts'
import { ensureTraits } from './traits.ts'

export async function hello(tx: Tx, host: Host, { inventory, traits }: Hello): Promise<void> {
  const { vcpus, memory_mb, disk_gb, reserved_memory_mb, reserved_disk_gb, cpu_ratio, ram_ratio, disk_ratio } = inventory
  await ensureTraits(tx)
  await reportInventory(
    tx,
    host,
    {
      VCPU: { total: vcpus, reserved: 0, allocation_ratio: cpu_ratio },
      MEMORY_MB: { total: memory_mb, reserved: reserved_memory_mb, allocation_ratio: ram_ratio },
      DISK_GB: { total: disk_gb, reserved: reserved_disk_gb, allocation_ratio: disk_ratio },
    },
    traits,
  )
}
