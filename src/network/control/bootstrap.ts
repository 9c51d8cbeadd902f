// What a new cloud has: a network of its own for the demo project, so that the first server gets an address.
import type { Tx } from '../../database/connect.ts'
import { createNetwork } from './networks.ts'
import { defaultGroup } from './security-groups.ts'
import { createSubnet } from './subnets.ts'

// Rarely used at home or in offices, so that a guest still reaches what its machine's own network calls 10.0.0.0/24.
const cidr = '10.180.0.0/24'

/** Makes network `private` with `private-subnet` in the demo project, unless a network of that name is there. */
export async function bootstrapNetwork(tx: Tx, { demoProjectId }: { demoProjectId: string }): Promise<{ networkId: string }> {
  await defaultGroup(tx, demoProjectId)
  const known = await tx
    .selectFrom('network.network')
    .select('id')
    .where('project_id', '=', demoProjectId)
    .where('name', '=', 'private')
    .executeTakeFirst()
  if (known) return { networkId: known.id }
  const networkId = await createNetwork(tx, demoProjectId, { name: 'private', description: 'The first network of this cloud' })
  await createSubnet(tx, demoProjectId, { network_id: networkId, name: 'private-subnet', cidr, ip_version: 4 })
  return { networkId }
}
