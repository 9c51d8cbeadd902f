// Networks as rows: made, changed and removed in the caller's transaction.
import { randomInt, randomUUID } from 'node:crypto'
import type { Tx } from '../../database/connect.ts'
import { notBuilt } from '../../http/fault.ts'
import { poke, pokeAll } from '../../work/engine.ts'
import { hintChanged } from '../../work/hint.ts'
import {
  flatNetworkInUse,
  invalidField,
  invalidInput,
  networkInUse,
  networkNotFound,
  noNetworkAvailable,
  sharedInUse,
  tunnelIdInUse,
} from './faults.ts'
import { mustHaveRoom } from './quota.ts'
import { changedRevision, matchRevision } from './revision.ts'

export interface NetworkInput {
  name: string
  description: string
  admin_state_up: boolean
  shared: boolean
  external: boolean
  is_default: boolean
  port_security_enabled: boolean
  mtu: number
}

/** What an administrator may say about how a network is carried. */
export interface ProviderInput {
  network_type?: string
  physical_network?: string
  segmentation_id?: number
}

interface Segment {
  network_type: 'local' | 'flat' | 'vxlan'
  physical_network: string | null
  segmentation_id: number | null
}

const maxVni = 2 ** 24 - 1
/** vxlan's headers take 50 bytes of the 1,500 that the machines' own network carries. */
export const largestMtu = (type: string) => (type === 'vxlan' ? 1450 : 1500)
const smallestMtu = 68

/** What the network shall be carried by. Pure; vxlan where nothing is asked for. @throws Fault 400, 501 */
export function segmentOf({ network_type: type = 'vxlan', physical_network, segmentation_id }: ProviderInput): Segment {
  if (type === 'vlan') throw notBuilt('VLAN networks')
  if (type !== 'local' && type !== 'flat' && type !== 'vxlan') throw invalidInput(`provider:network_type ${type} not supported`)
  if (type === 'flat') {
    if (!physical_network) throw invalidInput('physical_network required for flat provider network')
    if (segmentation_id !== undefined) throw invalidInput('segmentation_id prohibited for flat provider network')
    return { network_type: type, physical_network, segmentation_id: null }
  }
  if (physical_network) throw invalidInput(`provider:physical_network specified for ${type} network`)
  if (type === 'local') {
    if (segmentation_id !== undefined) throw invalidInput('segmentation_id prohibited for local provider network')
    return { network_type: type, physical_network: null, segmentation_id: null }
  }
  if (segmentation_id !== undefined && (segmentation_id < 1 || segmentation_id > maxVni))
    throw invalidInput(`segmentation_id out of range (1 through ${maxVni})`)
  return { network_type: type, physical_network: null, segmentation_id: segmentation_id ?? null }
}

export function checkMtu(mtu: number | undefined, type: string): number {
  const most = largestMtu(type)
  // 0 asks for the default, as in Neutron.
  if (mtu === undefined || mtu === 0) return most
  if (mtu < smallestMtu) throw invalidField('mtu', `'${mtu}' is too small - must be at least '${smallestMtu}'`)
  if (mtu > most) throw invalidInput(`Requested MTU is too big, maximum is ${most}`)
  return mtu
}

/** @returns its id. @throws Fault 409 for a segment that is taken, or OverQuota */
export async function createNetwork(
  tx: Tx,
  project: string,
  { mtu, ...input }: Partial<NetworkInput>,
  provider: ProviderInput = {},
): Promise<string> {
  const segment = segmentOf(provider)
  const values = { ...input, ...segment, id: randomUUID(), project_id: project, mtu: checkMtu(mtu, segment.network_type) }
  // The unique index decides which tunnel ids are free; a random one rarely meets another.
  for (let attempt = 0; attempt < 20; attempt++) {
    const made = await tx
      .insertInto('network.network')
      .values(
        segment.network_type === 'vxlan' ? { ...values, segmentation_id: segment.segmentation_id ?? randomInt(1, maxVni + 1) } : values,
      )
      .onConflict((conflict) => conflict.doNothing())
      .returning('id')
      .executeTakeFirst()
    if (made) {
      await mustHaveRoom(tx, project, 'network')
      hintChanged(tx, 'network', made.id, project)
      return made.id
    }
    if (segment.physical_network !== null) throw flatNetworkInUse(segment.physical_network)
    if (segment.segmentation_id !== null) throw tunnelIdInUse(segment.segmentation_id)
  }
  throw noNetworkAvailable()
}

export async function updateNetwork(tx: Tx, id: string, change: Partial<NetworkInput>, revision?: number): Promise<void> {
  const network = await tx
    .selectFrom('network.network')
    .select(['project_id', 'network_type', 'shared', 'mtu', 'revision'])
    .where('id', '=', id)
    .forNoKeyUpdate()
    .executeTakeFirst()
  if (!network) throw networkNotFound(id)
  matchRevision(network.revision, revision)
  const mtu = change.mtu === undefined ? undefined : checkMtu(change.mtu, network.network_type)
  if (change.shared === false && network.shared) {
    const foreign = await tx
      .selectFrom('network.port')
      .select('id')
      .where('network_id', '=', id)
      .where('project_id', 'not in', [network.project_id, ''])
      .limit(1)
      .executeTakeFirst()
    if (foreign) throw sharedInUse(id)
  }
  await tx
    .updateTable('network.network')
    .set({ ...change, ...(mtu !== undefined && { mtu }), ...changedRevision })
    .where('id', '=', id)
    .execute()
  if (mtu !== undefined && mtu !== network.mtu) {
    const ports = await tx.selectFrom('network.port').select('id').where('network_id', '=', id).where('host', '<>', '').execute()
    await pokeAll(
      tx,
      'port',
      ports.map((port) => port.id),
    )
  }
  if (mtu !== undefined || change.admin_state_up !== undefined) await poke(tx, 'network', id)
  hintChanged(tx, 'network', id, network.project_id)
}

/** Its DHCP port and its subnets go with it. @throws Fault 409 NetworkInUse */
export async function deleteNetwork(tx: Tx, id: string, revision?: number): Promise<void> {
  // Nobody can add a port after this lock is got, and those added before are seen by the next statement.
  const network = await tx
    .selectFrom('network.network')
    .select(['project_id', 'revision'])
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  if (!network) throw networkNotFound(id)
  matchRevision(network.revision, revision)
  const port = await tx
    .selectFrom('network.port')
    .select('id')
    .where('network_id', '=', id)
    .where('device_owner', '<>', 'network:dhcp')
    .limit(1)
    .executeTakeFirst()
  if (port) throw networkInUse(id)
  // Subnets before ports, as where subnets are made: in that order they are counted for the project, and whoever is counted is waited for.
  const subnets = tx.selectFrom('network.subnet').select('id').where('network_id', '=', id)
  await Promise.all([
    tx.deleteFrom('network.fixed_ip').where('subnet_id', 'in', subnets).execute(),
    tx.deleteFrom('network.subnet').where('network_id', '=', id).execute(),
    tx.deleteFrom('network.port').where('network_id', '=', id).execute(),
    tx.deleteFrom('network.network').where('id', '=', id).execute(),
  ])
  await poke(tx, 'network', id)
  hintChanged(tx, 'network', id, network.project_id)
}
