// Compute v2.1 at microversion 2.96: servers and what can be done to them, flavors, key pairs, limits, hypervisors.
import { command, request } from './http.ts'

export type Address = { addr: string; version: 4 | 6; 'OS-EXT-IPS:type'?: string; 'OS-EXT-IPS-MAC:mac_addr'?: string }

export type Server = {
  id: string
  name: string
  status: string
  created: string
  updated: string
  tenant_id: string
  user_id: string
  metadata: Record<string, string>
  addresses: Record<string, Address[]>
  image: { id: string } | '' | null
  flavor: { original_name: string; vcpus: number; ram: number; disk: number; ephemeral?: number; swap?: number }
  key_name: string | null
  security_groups?: { name: string }[]
  config_drive: string
  description?: string | null
  locked?: boolean
  tags?: string[]
  progress?: number
  fault?: { code: number; message: string; details?: string; created: string }
  'OS-EXT-STS:task_state': string | null
  'OS-EXT-STS:vm_state': string
  'OS-EXT-STS:power_state': number
  'OS-EXT-AZ:availability_zone'?: string
  'OS-EXT-SRV-ATTR:hypervisor_hostname'?: string | null
  'OS-EXT-SRV-ATTR:instance_name'?: string
  'OS-SRV-USG:launched_at'?: string | null
}

export const serverSortKeys = { name: 'display_name', created: 'created_at', status: 'vm_state' } as const
export type ServerSort = keyof typeof serverSortKeys

export type ServerListQuery = {
  name?: string
  status?: string
  sort: ServerSort
  dir: 'asc' | 'desc'
  limit: number
  after?: string
  before?: string
  allProjects?: boolean
}

/** One page of servers; `hasNext` and `hasPrevious` say whether there is more on either side. */
export type ServerPage = { servers: Server[]; hasNext: boolean; hasPrevious: boolean }

/** Compute takes a name for a regular expression; people mean what they type. */
const literally = (text: string) => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')

const turned = { asc: 'desc', desc: 'asc' } as const

/** Reads one page. One more than asked for is fetched, to know whether another page follows; a page before a marker is read in the turned order. */
export async function listServers(query: ServerListQuery, signal?: AbortSignal): Promise<ServerPage> {
  const backwards = query.before !== undefined
  const { servers } = await request<{ servers: Server[] }>('compute', '/servers/detail', {
    signal,
    query: {
      name: query.name === undefined ? undefined : literally(query.name),
      status: query.status,
      sort_key: serverSortKeys[query.sort],
      sort_dir: backwards ? turned[query.dir] : query.dir,
      limit: query.limit + 1,
      marker: query.before ?? query.after,
      all_tenants: query.allProjects === true ? 1 : undefined,
    },
  })
  const more = servers.length > query.limit
  const page = servers.slice(0, query.limit)
  if (backwards) return { servers: page.reverse(), hasNext: true, hasPrevious: more }
  return { servers: page, hasNext: more, hasPrevious: query.after !== undefined }
}

export async function getServer(id: string, signal?: AbortSignal): Promise<Server> {
  return (await request<{ server: Server }>('compute', `/servers/${encodeURIComponent(id)}`, { signal })).server
}

export type ServerCreate = {
  name: string
  imageRef: string
  flavorRef: string
  networks: { uuid: string }[] | 'none'
  security_groups?: { name: string }[]
  key_name?: string
  user_data?: string
  config_drive?: boolean
  min_count?: number
  max_count?: number
}

export async function createServer(server: ServerCreate): Promise<{ id: string }> {
  return (await request<{ server: { id: string } }>('compute', '/servers', { method: 'POST', body: { server } })).server
}

export async function deleteServer(id: string): Promise<void> {
  await command('compute', `/servers/${id}`, { method: 'DELETE' })
}

export type ServerAction = 'start' | 'stop' | 'soft-reboot' | 'hard-reboot'

const actionBodies: Record<ServerAction, unknown> = {
  start: { 'os-start': null },
  stop: { 'os-stop': null },
  'soft-reboot': { reboot: { type: 'SOFT' } },
  'hard-reboot': { reboot: { type: 'HARD' } },
}

export async function actOnServer(id: string, action: ServerAction): Promise<void> {
  await command('compute', `/servers/${id}/action`, { method: 'POST', body: actionBodies[action] })
}

/** The serial console's log, whole. */
export async function getConsoleLog(id: string, signal?: AbortSignal): Promise<string> {
  const body = { 'os-getConsoleOutput': {} }
  return (await request<{ output: string }>('compute', `/servers/${id}/action`, { method: 'POST', body, signal })).output
}

/** The screen, or the serial port. */
export type ConsoleProtocol = 'vnc' | 'serial'

/** The token of a one-time address of a console. */
export async function createConsoleToken(id: string, protocol: ConsoleProtocol): Promise<string> {
  const body = { remote_console: { protocol, type: protocol === 'vnc' ? 'novnc' : 'serial' } }
  const answer = await request<{ remote_console: { url: string } }>('compute', `/servers/${id}/remote-consoles`, { method: 'POST', body })
  return new URL(answer.remote_console.url, location.href).searchParams.get('token') ?? ''
}

export type ActionEvent = {
  event: string
  start_time: string
  finish_time: string | null
  result: string | null
  traceback?: string | null
  details?: string | null
  host?: string
}

export type InstanceAction = {
  action: string
  request_id: string
  start_time: string
  updated_at: string | null
  user_id: string
  message: string | null
  events?: ActionEvent[]
}

/** What was done to a server, newest first, each with its events. The list carries no events, so each action is read once more, side by side. */
export async function listServerActions(id: string, signal?: AbortSignal): Promise<InstanceAction[]> {
  const path = `/servers/${id}/os-instance-actions`
  const { instanceActions } = await request<{ instanceActions: InstanceAction[] }>('compute', path, { signal })
  return Promise.all(
    instanceActions.map(
      async ({ request_id }) =>
        (await request<{ instanceAction: InstanceAction }>('compute', `${path}/${request_id}`, { signal })).instanceAction,
    ),
  )
}

export type Flavor = {
  id: string
  name: string
  vcpus: number
  ram: number
  disk: number
  'OS-FLV-EXT-DATA:ephemeral'?: number
  'OS-FLV-DISABLED:disabled'?: boolean
}

export async function listFlavors(signal?: AbortSignal): Promise<Flavor[]> {
  const { flavors } = await request<{ flavors: Flavor[] }>('compute', '/flavors/detail', { signal })
  return flavors.toSorted((a, b) => a.ram - b.ram || a.vcpus - b.vcpus || a.disk - b.disk)
}

export type KeyPair = { name: string; fingerprint: string; public_key: string; type?: string; created_at?: string }

export async function listKeyPairs(signal?: AbortSignal): Promise<KeyPair[]> {
  const { keypairs } = await request<{ keypairs: { keypair: KeyPair }[] }>('compute', '/os-keypairs', { signal })
  return keypairs.map(({ keypair }) => keypair)
}

export async function importKeyPair(name: string, publicKey: string): Promise<KeyPair> {
  const body = { keypair: { name, public_key: publicKey, type: 'ssh' } }
  return (await request<{ keypair: KeyPair }>('compute', '/os-keypairs', { method: 'POST', body })).keypair
}

/** Lets compute generate a key; its private half is only ever in this answer. 2.91 is the last microversion that still generates keys. */
export async function generateKeyPair(name: string): Promise<KeyPair & { private_key: string }> {
  const body = { keypair: { name, type: 'ssh' } }
  const options = { method: 'POST', body, microversion: '2.91' } as const
  return (await request<{ keypair: KeyPair & { private_key: string } }>('compute', '/os-keypairs', options)).keypair
}

export async function deleteKeyPair(name: string): Promise<void> {
  await command('compute', `/os-keypairs/${encodeURIComponent(name)}`, { method: 'DELETE' })
}

export type ComputeLimits = {
  maxTotalInstances: number
  totalInstancesUsed: number
  maxTotalCores: number
  totalCoresUsed: number
  maxTotalRAMSize: number
  totalRAMUsed: number
  maxTotalKeypairs?: number
}

export async function getComputeLimits(signal?: AbortSignal): Promise<ComputeLimits> {
  return (await request<{ limits: { absolute: ComputeLimits } }>('compute', '/limits', { signal })).limits.absolute
}

export type Hypervisor = {
  id: string
  hypervisor_hostname: string
  hypervisor_type: string
  hypervisor_version: number
  host_ip: string
  state: 'up' | 'down'
  status: 'enabled' | 'disabled'
  service?: { disabled_reason: string | null; host: string }
  vcpus?: number
  vcpus_used?: number
  memory_mb?: number
  memory_mb_used?: number
  local_gb?: number
  local_gb_used?: number
  running_vms?: number
}

/** All hypervisors with their use, in one request: 2.87 is the last microversion whose list carries the figures. */
export async function listHypervisors(signal?: AbortSignal): Promise<Hypervisor[]> {
  const { hypervisors } = await request<{ hypervisors: Hypervisor[] }>('compute', '/os-hypervisors/detail', {
    signal,
    microversion: '2.87',
  })
  return hypervisors
}
