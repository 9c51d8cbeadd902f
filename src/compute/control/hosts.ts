// The compute hosts as an operator sees them: what each has and uses, whether it is connected, whether it takes servers.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type { Hello } from '../../wire/documents.ts'
import { downAfter } from '../../wire/stream.ts'

export interface ComputeHost {
  /** Of the host; also the hypervisor's id and the resource provider's. */
  id: string
  /** Of its compute service. */
  service_id: string
  name: string
  disabled: boolean
  disabled_reason: string | null
  forced_down: boolean
  up: boolean
  seen_at: Date | null
  hello: Partial<Hello>
  vcpus: number
  vcpus_used: number
  memory_mb: number
  memory_mb_used: number
  local_gb: number
  local_gb_used: number
  running_vms: number
}

interface Which {
  id?: string
  name?: string
  service?: string
  /** Of a page: only those whose name comes behind this one, and so many of them. */
  after?: string
  limit?: number
}

/** The hosts that carry the compute service, by name: all, the one of this id or name, or a page. */
export async function computeHosts(tx: Tx, only: Which = {}): Promise<ComputeHost[]> {
  const amount = (name: string, column: string) =>
    sql`coalesce((select ${sql.ref(column)} from placement.inventory where provider_id = h.id and resource_class = ${sql.lit(name)}), 0)`
  const { rows } = await sql<ComputeHost>`
    select h.id, c.id as service_id, h.name, c.disabled, c.disabled_reason, c.forced_down, h.seen_at, h.hello,
      coalesce(h.seen_at > now() - ${downAfter} and not c.forced_down, false) as up,
      ${amount('VCPU', 'total')} as vcpus, ${amount('VCPU', 'used')} as vcpus_used,
      ${amount('MEMORY_MB', 'total')} as memory_mb, ${amount('MEMORY_MB', 'used')} as memory_mb_used,
      ${amount('DISK_GB', 'total')} as local_gb, ${amount('DISK_GB', 'used')} as local_gb_used,
      (select count(*) from compute.server s where s.host = h.name) as running_vms
    from compute.service c join wire.host h on h.name = c.host
    where (${only.id ?? null}::text is null or h.id = ${only.id ?? null})
      and (${only.name ?? null}::text is null or h.name = ${only.name ?? null})
      and (${only.service ?? null}::text is null or c.id = ${only.service ?? null})
      and h.name > ${only.after ?? ''}
    order by h.name limit ${only.limit ?? null}`.execute(tx)
  return rows
}

/** Before 2.53 hypervisors and services have numbers for ids; these follow from the UUIDs. */
export const numberOf = (id: string): number => Number.parseInt(id.slice(0, 7), 16)
