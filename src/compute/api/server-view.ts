// How a server looks to clients at each microversion, as nova/api/openstack/compute/views/servers.py shows it.
import { createHash } from 'node:crypto'
import type { Selectable } from 'kysely'
import type { ComputeServer } from '../../database/types.ts'
import type { Call } from '../../http/table.ts'
import { lives } from '../../http/table.ts'
import type { ServerAddress } from '../../network/control/server-ports.ts'
import { defaultZone, type ServerFault, type ServerFlavor } from '../control/facts.ts'
import { statusOf } from '../control/state.ts'
import { targetOf } from './target.ts'

/** What the views show: the rest of a server, such as its key and the whole image, is not read for them. */
export const viewed = [
  'id',
  'name',
  'project_id',
  'user_id',
  'hostname',
  'description',
  'vm_state',
  'task_state',
  'power_state',
  'host',
  'flavor',
  'image_id',
  'key_name',
  'user_data',
  'config_drive',
  'metadata',
  'tags',
  'fault',
  'access_ip_v4',
  'access_ip_v6',
  'availability_zone',
  'security_groups',
  'reservation_id',
  'launch_index',
  'locked_by',
  'locked_reason',
  'created_at',
  'updated_at',
  'launched_at',
  'terminated_at',
] as const
export type Row = Pick<Selectable<ComputeServer>, (typeof viewed)[number]>
type ViewCall = Pick<Call, 'version' | 'url' | 'may'>

export const time = (date: Date) => date.toISOString().replace(/\.\d+Z$/, 'Z')
/** As Nova writes launched_at: microseconds and no zone. */
const exactTime = (date: Date | null) => (date ? date.toISOString().replace(/\.(\d+)Z$/, '.$1000') : null)

/** The service as the client reached it: https://cloud:5000/compute/v2.1 */
export const base = ({ url }: Pick<Call, 'url'>) => `${url.origin}/compute/v2.1`
export const links = (call: Pick<Call, 'url'>, path: string) => [
  { rel: 'self', href: `${base(call)}/${path}` },
  { rel: 'bookmark', href: `${call.url.origin}/compute/${path}` },
]
const bookmark = (call: Pick<Call, 'url'>, path: string) => [{ rel: 'bookmark', href: `${call.url.origin}/compute/${path}` }]

export const briefView = (call: ViewCall, { id, name }: Pick<Row, 'id' | 'name'>) => ({ id, name, links: links(call, `servers/${id}`) })

const hostIds = new Map<string, string>()
const manyHostIds = 10_000

/** Identifies a host to users without naming it; another value in each project. A list asks for few of them again and again. */
export function hostIdOf(projectId: string, host: string | null): string {
  if (!host) return ''
  const both = projectId + host
  let id = hostIds.get(both)
  if (id === undefined) {
    id = createHash('sha224').update(both).digest('hex')
    if (hostIds.size >= manyHostIds) hostIds.clear()
    hostIds.set(both, id)
  }
  return id
}

/** `{private: [{version, addr, OS-EXT-IPS-MAC:mac_addr, OS-EXT-IPS:type}]}` */
export function addressesView(addresses: ServerAddress[]): Record<string, unknown[]> {
  // A map, for a network may be called 'constructor'.
  const view = new Map<string, unknown[]>()
  for (const { network, mac, ips } of addresses) {
    const list = view.get(network) ?? []
    view.set(network, list)
    for (const { ip, version } of ips) list.push({ version, addr: ip, 'OS-EXT-IPS:type': 'fixed', 'OS-EXT-IPS-MAC:mac_addr': mac })
  }
  return Object.fromEntries(view)
}

function flavorView(call: ViewCall, row: Row): unknown {
  const flavor = row.flavor as unknown as ServerFlavor
  if (!lives({ since: '2.47' }, call.version)) return { id: flavor.id, links: bookmark(call, `flavors/${flavor.id}`) }
  return {
    vcpus: flavor.vcpus,
    ram: flavor.memory_mb,
    disk: flavor.root_gb,
    ephemeral: flavor.ephemeral_gb,
    swap: flavor.swap_mb,
    original_name: flavor.name,
    ...(call.may('os_compute_api:os-flavor-extra-specs:index', targetOf(row)) && { extra_specs: flavor.extra_specs }),
  }
}

// Nova counts only in resizes; clients print what is not 0 (`openstack server delete --wait`).
const withProgress = ['ACTIVE', 'BUILD', 'REBUILD', 'RESIZE', 'VERIFY_RESIZE', 'MIGRATING']

function faultView(call: ViewCall, row: Row, status: string): Record<string, unknown> {
  const fault = row.fault as unknown as ServerFault | null
  if (!fault || status !== 'ERROR') return {}
  const details = fault.details && call.may('context_is_admin') ? { details: fault.details } : {}
  return { fault: { code: fault.code, created: fault.created.replace(/\.\d+Z$/, 'Z'), message: fault.message, ...details } }
}

function locked(row: Row, at: (version: string) => boolean): Record<string, unknown> {
  return { ...(at('2.9') && { locked: row.locked_by !== null }), ...(at('2.73') && { locked_reason: row.locked_reason }) }
}

/** What every detailed answer has, also the one to an update before 2.75. */
function coreView(call: ViewCall, row: Row, addresses: ServerAddress[]): Record<string, unknown> {
  const at = (since: string) => lives({ since }, call.version)
  const status = statusOf(row)
  return {
    id: row.id,
    name: row.name,
    status,
    tenant_id: row.project_id,
    user_id: row.user_id,
    metadata: row.metadata,
    hostId: hostIdOf(row.project_id, row.host),
    image: row.image_id ? { id: row.image_id, links: bookmark(call, `images/${row.image_id}`) } : '',
    flavor: flavorView(call, row),
    created: time(row.created_at),
    updated: time(row.updated_at),
    addresses: addressesView(addresses),
    accessIPv4: row.access_ip_v4,
    accessIPv6: row.access_ip_v6,
    links: links(call, `servers/${row.id}`),
    'OS-DCF:diskConfig': 'MANUAL',
    ...(withProgress.includes(status) && { progress: 0 }),
    ...faultView(call, row, status),
    ...locked(row, at),
    ...(at('2.19') && { description: row.description }),
    ...(at('2.26') && { tags: row.tags }),
    ...(at('2.63') && { trusted_image_certificates: null }),
    ...(at('2.90') && { 'OS-EXT-SRV-ATTR:hostname': row.hostname }),
  }
}

function adminView(call: ViewCall, row: Row): Record<string, unknown> {
  if (!call.may('os_compute_api:os-extended-server-attributes', targetOf(row))) return {}
  return {
    'OS-EXT-SRV-ATTR:host': row.host,
    'OS-EXT-SRV-ATTR:hypervisor_hostname': row.host,
    'OS-EXT-SRV-ATTR:instance_name': `instance-${row.id.slice(0, 8)}`,
    ...(lives({ since: '2.3' }, call.version) && {
      'OS-EXT-SRV-ATTR:reservation_id': row.reservation_id,
      'OS-EXT-SRV-ATTR:launch_index': row.launch_index,
      'OS-EXT-SRV-ATTR:hostname': row.hostname,
      'OS-EXT-SRV-ATTR:kernel_id': '',
      'OS-EXT-SRV-ATTR:ramdisk_id': '',
      'OS-EXT-SRV-ATTR:root_device_name': '/dev/vda',
      'OS-EXT-SRV-ATTR:user_data': row.user_data,
    }),
  }
}

/** Whether the host is connected, for those who may know. */
export type HostStatus = '' | 'UP' | 'DOWN' | 'MAINTENANCE' | 'UNKNOWN'

export interface Detail {
  addresses: ServerAddress[]
  hostStatus: HostStatus
}

/** The whole server. `show` = the answer is about this one, which has what lists leave out. */
export function detailView(call: ViewCall, row: Row, { addresses, hostStatus }: Detail, show = false): Record<string, unknown> {
  const at = (since: string) => lives({ since }, call.version)
  const groups = [...new Set(addresses.flatMap(({ security_groups }) => security_groups.map(({ name }) => name)))]
  return {
    ...coreView(call, row, addresses),
    'OS-EXT-AZ:availability_zone': row.host ? defaultZone : (row.availability_zone ?? ''),
    config_drive: row.config_drive ? 'True' : '',
    key_name: row.key_name,
    'OS-SRV-USG:launched_at': exactTime(row.launched_at),
    'OS-SRV-USG:terminated_at': exactTime(row.terminated_at),
    ...((groups.length > 0 || addresses.length === 0) && {
      security_groups: (groups.length > 0 ? groups : row.security_groups).map((name) => ({ name })),
    }),
    ...adminView(call, row),
    'OS-EXT-STS:task_state': row.task_state,
    'OS-EXT-STS:vm_state': row.vm_state,
    'OS-EXT-STS:power_state': row.power_state,
    'os-extended-volumes:volumes_attached': [],
    ...(at('2.16') && call.may('os_compute_api:servers:show:host_status', targetOf(row)) && { host_status: hostStatus }),
    ...(show && at('2.71') && { server_groups: [] }),
    ...(at('2.96') && { pinned_availability_zone: row.availability_zone }),
  }
}

/** The answer to an update: since 2.75 all that `show` has. */
export const updatedView = (call: ViewCall, row: Row, detail: Detail) =>
  lives({ since: '2.75' }, call.version) ? detailView(call, row, detail, true) : coreView(call, row, detail.addresses)
