// os-hypervisors: the machines that carry servers, for operators.
import { Type as t } from 'typebox'
import { badRequest, notBuilt, notFound } from '../../http/fault.ts'
import { type Call, changed, lives, row, since } from '../../http/table.ts'
import { type ComputeHost, computeHosts, numberOf } from '../control/hosts.ts'

type AnyCall = Pick<Call, 'tx' | 'version' | 'params' | 'url'>
const at = (call: Pick<Call, 'version'>, version: string) => lives({ since: version }, call.version)
const idOf = (call: AnyCall, id: string) => (at(call, '2.53') ? id : numberOf(id))

const brief = (call: AnyCall, host: ComputeHost) => ({
  id: idOf(call, host.id),
  hypervisor_hostname: host.name,
  state: host.up ? 'up' : 'down',
  status: host.disabled ? 'disabled' : 'enabled',
})

type Listed = { uuid: string; name: string }[]
async function serversOf(call: AnyCall, hosts: ComputeHost[]): Promise<Map<string, Listed>> {
  const rows = await call.tx
    .selectFrom('compute.server')
    .select(['id', 'name', 'host'])
    .where(
      'host',
      'in',
      hosts.map(({ name }) => name),
    )
    .orderBy('created_at')
    .execute()
  return Map.groupBy(
    rows.map(({ id, name, host }) => ({ uuid: id, name, host: host! })),
    ({ host }) => host,
  ) as Map<string, Listed>
}
const listed = (servers: Listed | undefined) => (servers ?? []).map(({ uuid, name }) => ({ uuid, name }))

function detail(call: AnyCall, host: ComputeHost, uptime: boolean) {
  const { hypervisor, host_ip } = host.hello
  const cpu = {
    arch: hypervisor?.arch ?? '',
    model: hypervisor?.cpu_model ?? '',
    vendor: '',
    features: [],
    topology: { cores: host.vcpus, threads: 1, sockets: 1 },
  }
  return {
    ...brief(call, host),
    hypervisor_type: hypervisor?.type ?? 'QEMU',
    hypervisor_version: hypervisor?.version ?? 0,
    host_ip: host_ip ?? '',
    service: { id: idOf(call, host.service_id), host: host.name, disabled_reason: host.disabled_reason },
    ...(uptime && at(call, '2.88') && { uptime: null }),
    ...(!at(call, '2.88') && {
      vcpus: host.vcpus,
      vcpus_used: host.vcpus_used,
      memory_mb: host.memory_mb,
      memory_mb_used: host.memory_mb_used,
      free_ram_mb: host.memory_mb - host.memory_mb_used,
      local_gb: host.local_gb,
      local_gb_used: host.local_gb_used,
      free_disk_gb: host.local_gb - host.local_gb_used,
      disk_available_least: host.local_gb - host.local_gb_used,
      running_vms: host.running_vms,
      current_workload: 0,
      cpu_info: at(call, '2.28') ? cpu : JSON.stringify(cpu),
    }),
  }
}

const ListQuery = t.Object(
  {
    limit: t.Optional(since('2.33', t.String({ pattern: '^[0-9]+$' }))),
    marker: t.Optional(since('2.33', t.String())),
    hypervisor_hostname_pattern: t.Optional(since('2.53', t.String({ minLength: 1 }))),
    with_servers: t.Optional(since('2.53', t.String())),
  },
  { additionalProperties: changed('2.53', true, false) },
)
interface Asked {
  limit?: string
  marker?: string
  hypervisor_hostname_pattern?: string
  with_servers?: string
}

async function list(call: AnyCall & { query: Asked }, view: (host: ComputeHost) => Record<string, unknown>, link: string) {
  const { limit, marker, hypervisor_hostname_pattern: pattern, with_servers } = call.query
  if (pattern !== undefined && (limit !== undefined || marker !== undefined))
    throw badRequest('Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported.')
  const most = Math.min(Number(limit ?? 1000), 1000)
  let hosts: ComputeHost[]
  if (pattern !== undefined) {
    hosts = (await computeHosts(call.tx)).filter(({ name }) => name.includes(pattern))
    if (hosts.length === 0) throw notFound(`No hypervisor matching '${pattern}' could be found.`)
  } else {
    const before = marker === undefined ? undefined : await byId(call, marker)
    if (marker !== undefined && !before) throw badRequest(`marker [${marker.slice(0, 60)}] not found`)
    hosts = await computeHosts(call.tx, { ...(before && { after: before.name }), ...(at(call, '2.33') && { limit: most + 1 }) })
  }
  const page = hosts.slice(0, most)
  const servers = /^(true|1|yes|on|t|y)$/i.test(with_servers ?? '') && page.length > 0 ? await serversOf(call, page) : undefined
  const more = at(call, '2.33') && hosts.length > most && page.length > 0
  return {
    hypervisors: page.map((host) => ({ ...view(host), ...(servers && { servers: listed(servers.get(host.name)) }) })),
    ...(more && {
      hypervisors_links: [{ rel: 'next', href: `${call.url.origin}${link}?limit=${most}&marker=${idOf(call, page.at(-1)!.id)}` }],
    }),
  }
}

/** Numbers, before 2.53, are known only by counting all. */
const byId = async (call: AnyCall, id: string): Promise<ComputeHost | undefined> =>
  (await computeHosts(call.tx, at(call, '2.53') ? { id } : {})).find((host) => String(idOf(call, host.id)) === id)

async function find(call: AnyCall): Promise<ComputeHost> {
  const { id } = call.params
  const found = await byId(call, id!)
  if (!found) throw notFound(`Hypervisor with ID '${id}' could not be found.`)
  return found
}

async function matching(call: AnyCall) {
  const { id } = call.params
  const hosts = (await computeHosts(call.tx)).filter(({ name }) => name.includes(id!))
  if (hosts.length === 0) throw notFound(`No hypervisor matching '${id}' could be found.`)
  return hosts
}

const sum = (
  hosts: ComputeHost[],
  field: 'vcpus' | 'vcpus_used' | 'memory_mb' | 'memory_mb_used' | 'local_gb' | 'local_gb_used' | 'running_vms',
) => hosts.reduce((total, host) => total + host[field], 0)

export const hypervisors = [
  row({
    route: 'GET /os-hypervisors',
    policy: 'os_compute_api:os-hypervisors:list',
    query: ListQuery,
    reply: 200,
    run: (call) => list(call, (host) => brief(call, host), call.url.path),
  }),
  row({
    route: 'GET /os-hypervisors/detail',
    policy: 'os_compute_api:os-hypervisors:list-detail',
    query: ListQuery,
    reply: 200,
    run: (call) => list(call, (host) => detail(call, host, true), call.url.path),
  }),
  row({
    route: 'GET /os-hypervisors/statistics',
    until: '2.87',
    policy: 'os_compute_api:os-hypervisors:statistics',
    reply: 200,
    run: async (call) => {
      const hosts = await computeHosts(call.tx)
      return {
        hypervisor_statistics: {
          count: hosts.length,
          vcpus: sum(hosts, 'vcpus'),
          vcpus_used: sum(hosts, 'vcpus_used'),
          memory_mb: sum(hosts, 'memory_mb'),
          memory_mb_used: sum(hosts, 'memory_mb_used'),
          free_ram_mb: sum(hosts, 'memory_mb') - sum(hosts, 'memory_mb_used'),
          local_gb: sum(hosts, 'local_gb'),
          local_gb_used: sum(hosts, 'local_gb_used'),
          free_disk_gb: sum(hosts, 'local_gb') - sum(hosts, 'local_gb_used'),
          disk_available_least: sum(hosts, 'local_gb') - sum(hosts, 'local_gb_used'),
          running_vms: sum(hosts, 'running_vms'),
          current_workload: 0,
        },
      }
    },
  }),
  row({
    route: 'GET /os-hypervisors/:id',
    policy: 'os_compute_api:os-hypervisors:show',
    reply: 200,
    run: async (call) => {
      const host = await find(call)
      const with_servers = (call.query as Record<string, string>).with_servers
      const servers =
        at(call, '2.53') && /^(true|1|yes|on|t|y)$/i.test(with_servers ?? '')
          ? { servers: listed((await serversOf(call, [host])).get(host.name)) }
          : {}
      return { hypervisor: { ...detail(call, host, true), ...servers } }
    },
  }),
  row({
    route: 'GET /os-hypervisors/:id/uptime',
    until: '2.87',
    policy: 'os_compute_api:os-hypervisors:uptime',
    reply: 200,
    run: async (call) => {
      await find(call)
      throw notBuilt('The uptime of hypervisors') // which clients know from drivers of Nova's, and leave it out
    },
  }),
  row({
    route: 'GET /os-hypervisors/:id/search',
    until: '2.52',
    policy: 'os_compute_api:os-hypervisors:search',
    reply: 200,
    run: async (call) => ({ hypervisors: (await matching(call)).map((host) => brief(call, host)) }),
  }),
  row({
    route: 'GET /os-hypervisors/:id/servers',
    until: '2.52',
    policy: 'os_compute_api:os-hypervisors:servers',
    reply: 200,
    run: async (call) => {
      const hosts = await matching(call)
      const servers = await serversOf(call, hosts)
      return {
        hypervisors: hosts.map((host) => ({
          ...brief(call, host),
          ...(servers.has(host.name) && { servers: listed(servers.get(host.name)) }),
        })),
      }
    },
  }),
]
