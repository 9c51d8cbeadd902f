// What compute needs on the first start: the flavors that DevStack has, under DevStack's ids, so that scripts written for it work here.
import type { Tx } from '../../database/connect.ts'

const flavors = [
  { id: '42', name: 'm1.nano', vcpus: 1, memory_mb: 128, root_gb: 1 },
  { id: '84', name: 'm1.micro', vcpus: 1, memory_mb: 192, root_gb: 1 },
  { id: '1', name: 'm1.tiny', vcpus: 1, memory_mb: 512, root_gb: 1 },
  { id: '2', name: 'm1.small', vcpus: 1, memory_mb: 2048, root_gb: 20 },
  { id: '3', name: 'm1.medium', vcpus: 2, memory_mb: 4096, root_gb: 40 },
  { id: '4', name: 'm1.large', vcpus: 4, memory_mb: 8192, root_gb: 80 },
]

/** Makes the default flavors; to be called on the first start only, so that one an operator deleted stays deleted. */
export async function bootstrapCompute(tx: Tx): Promise<void> {
  await tx
    .insertInto('compute.flavor')
    .values(flavors)
    .onConflict((on) => on.doNothing())
    .execute()
}
