// GET /servers and /servers/detail: filters, order and pages in Nova's dialect, in one query, and one more for the addresses of all of them.
import { type SelectQueryBuilder, sql } from 'kysely'
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import type { DB } from '../../database/types.ts'
import { badRequest, forbidden } from '../../http/fault.ts'
import { type Listing, listPage, novaLinks, novaPage } from '../../http/page.ts'
import { type Call, changed, lives, row, since } from '../../http/table.ts'
import { addressesOf } from '../../network/control/server-ports.ts'
import { downAfter } from '../../wire/stream.ts'
import { statesBehind } from '../control/state.ts'
import { briefView, detailView, type HostStatus, viewed } from './server-view.ts'

const Many = t.Optional(t.Array(t.String({ maxLength: 255 })))

/** What Nova accepts; before 2.75 anything else is ignored. */
const ListQuery = t.Object(
  {
    limit: Many,
    marker: Many,
    sort_key: Many,
    sort_dir: Many,
    all_tenants: Many,
    name: Many,
    status: Many,
    image: Many,
    flavor: Many,
    host: Many,
    ip: Many,
    ip6: Many,
    reservation_id: Many,
    tenant_id: Many,
    project_id: Many,
    user_id: Many,
    uuid: Many,
    vm_state: Many,
    task_state: Many,
    power_state: Many,
    availability_zone: Many,
    config_drive: Many,
    key_name: Many,
    hostname: Many,
    description: Many,
    launch_index: Many,
    deleted: Many,
    soft_deleted: Many,
    not_deleted: Many,
    node: Many,
    progress: Many,
    access_ip_v4: Many,
    access_ip_v6: Many,
    auto_disk_config: Many,
    block_device_mapping: Many,
    created_at: Many,
    changes_since: Many,
    'changes-since': Many,
    disable_terminate: Many,
    display_description: Many,
    display_name: Many,
    instance_type_id: Many,
    internal_id: Many,
    kernel_id: Many,
    launched_at: Many,
    locked_by: Many,
    ramdisk_id: Many,
    root_device_name: Many,
    services: Many,
    tags: since('2.26', Many),
    'tags-any': since('2.26', Many),
    'not-tags': since('2.26', Many),
    'not-tags-any': since('2.26', Many),
    'changes-before': since('2.66', Many),
    locked: since('2.73', Many),
  },
  { additionalProperties: changed('2.75', true, false) },
)
type Asked = Record<string, string[] | undefined>

const listing: Listing = {
  id: 'compute.server.id',
  columns: {
    uuid: 'compute.server.id',
    display_name: 'compute.server.name',
    created_at: 'compute.server.created_at',
    updated_at: 'compute.server.updated_at',
    vm_state: 'compute.server.vm_state',
    power_state: 'compute.server.power_state',
    project_id: 'compute.server.project_id',
    user_id: 'compute.server.user_id',
    hostname: 'compute.server.hostname',
    launch_index: 'compute.server.launch_index',
    config_drive: 'compute.server.config_drive',
    access_ip_v4: 'compute.server.access_ip_v4',
    access_ip_v6: 'compute.server.access_ip_v6',
    task_state: { ref: 'compute.server.task_state', nullable: true },
    host: { ref: 'compute.server.host', nullable: true },
    node: { ref: 'compute.server.host', nullable: true },
    image_ref: { ref: 'compute.server.image_id', nullable: true },
    key_name: { ref: 'compute.server.key_name', nullable: true },
    availability_zone: { ref: 'compute.server.availability_zone', nullable: true },
    launched_at: { ref: 'compute.server.launched_at', nullable: true },
    terminated_at: { ref: 'compute.server.terminated_at', nullable: true },
    display_description: { ref: 'compute.server.description', nullable: true },
    locked_by: { ref: 'compute.server.locked_by', nullable: true },
  },
  sort: [{ key: 'created_at', direction: 'desc' }],
}

type Query<O> = SelectQueryBuilder<DB, 'compute.server', O>

/** What is connected of the host, as `host_status` says it since 2.16. */
export const hostStatus = sql<HostStatus>`(
  select case when c.disabled and not c.forced_down and h.seen_at > now() - ${downAfter} then 'MAINTENANCE'
    when not c.forced_down and h.seen_at > now() - ${downAfter} then 'UP' else 'DOWN' end
  from compute.service c join wire.host h on h.name = c.host where c.host = compute.server.host)`

// For members; administrators may use all of them (`allow_all_filters`).
const forMembers = new Set([
  'reservation_id',
  'name',
  'status',
  'image',
  'flavor',
  'ip',
  'ip6',
  'changes-since',
  'changes_since',
  'changes-before',
])
const tagFilters = new Set(['tags', 'tags-any', 'not-tags', 'not-tags-any', 'locked'])
const forMembersSince283 = new Set(
  'availability_zone config_drive key_name created_at launched_at terminated_at power_state task_state vm_state progress user_id'.split(
    ' ',
  ),
)

function usable(call: Call, asked: Asked): Asked {
  if (call.may('os_compute_api:servers:allow_all_filters')) return asked
  const allowed = (name: string) =>
    forMembers.has(name) || tagFilters.has(name) || (lives({ since: '2.83' }, call.version) && forMembersSince283.has(name))
  return Object.fromEntries(Object.entries(asked).filter(([name]) => allowed(name)))
}

/** True, false or a 400 in Nova's words; an empty value means yes, as in `?all_tenants`. */
function flag(name: string, value: string | undefined): boolean {
  if (value === undefined) return false
  if (/^(|1|t|true|on|y|yes)$/i.test(value)) return true
  if (/^(0|f|false|off|n|no)$/i.test(value)) return false
  throw badRequest(`Invalid input for query parameters ${name}. Value: ${value}. '${value}' is not a boolean`)
}

const columns: Record<string, string> = {
  host: 'host',
  node: 'host',
  reservation_id: 'reservation_id',
  user_id: 'user_id',
  uuid: 'id',
  vm_state: 'vm_state',
  task_state: 'task_state',
  key_name: 'key_name',
  hostname: 'hostname',
  access_ip_v4: 'access_ip_v4',
  access_ip_v6: 'access_ip_v6',
  image: 'image_id',
}
const patterns: Record<string, string> = {
  name: 'name',
  display_name: 'name',
  description: 'description',
  display_description: 'description',
}
const last = (text: string) => text.slice(text.lastIndexOf('/') + 1)

function filtered<O>(query: Query<O>, asked: Asked): Query<O> {
  let select = query
  const add = (condition: ReturnType<typeof sql<boolean>>) => {
    select = select.where(condition)
  }
  const column = (name: string) => sql.ref(`compute.server.${name}`)
  for (const [name, values] of Object.entries(asked)) {
    const [value] = values ?? []
    if (value === undefined) continue
    if (Object.hasOwn(columns, name)) add(sql`${column(columns[name]!)} = any(${name === 'image' ? values!.map(last) : values!}::text[])`)
    else if (Object.hasOwn(patterns, name)) add(sql`${column(patterns[name]!)} ~ ${value}`)
    else if (name === 'flavor') add(sql`compute.server.flavor ->> 'id' = ${last(value)}`)
    else if (name === 'power_state') add(sql`compute.server.power_state::text = any(${values!}::text[])`)
    else if (name === 'launch_index') add(sql`compute.server.launch_index::text = ${value}`)
    else if (name === 'config_drive') add(sql`compute.server.config_drive = ${flag(name, value)}`)
    else if (name === 'locked') add(sql`(compute.server.locked_by is not null) = ${flag(name, value)}`)
    else if (name === 'locked_by') add(sql`compute.server.locked_by = ${value}`)
    else if (name === 'availability_zone') add(sql`coalesce(compute.server.availability_zone, 'nova') = ${value}`)
    else if (name === 'status') add(byStatus(values!))
    else if (name === 'ip' || name === 'ip6') add(byAddress(value, name === 'ip' ? 4 : 6))
    else if (name === 'changes-since' || name === 'changes_since') add(sql`compute.server.updated_at >= ${timeOf(name, value)}`)
    else if (name === 'changes-before') add(sql`compute.server.updated_at <= ${timeOf(name, value)}`)
    else if (name === 'tags') add(sql`compute.server.tags @> ${value.split(',')}::text[]`)
    else if (name === 'tags-any') add(sql`compute.server.tags && ${value.split(',')}::text[]`)
    else if (name === 'not-tags') add(sql`not compute.server.tags @> ${value.split(',')}::text[]`)
    else if (name === 'not-tags-any') add(sql`not compute.server.tags && ${value.split(',')}::text[]`)
    // No deleted server is kept.
    else if ((name === 'deleted' || name === 'soft_deleted') && flag(name, value)) add(sql`false`)
  }
  return select
}

function byStatus(statuses: string[]) {
  const states = statuses.flatMap(statesBehind)
  if (states.length === 0) return sql<boolean>`false`
  const each = states.map(({ vm_state, task, except }) =>
    task === null
      ? sql`(compute.server.vm_state = ${vm_state} and coalesce(compute.server.task_state, '') <> all(${except}::text[]))`
      : sql`(compute.server.vm_state = ${vm_state} and compute.server.task_state = ${task})`,
  )
  return sql<boolean>`(${sql.join(each, sql` or `)})`
}

/** The address matches a pattern, as Nova does it; read from the ports, where the truth is. */
const byAddress = (pattern: string, family: 4 | 6) => sql<boolean>`exists (
  select from network.port p join network.fixed_ip f on f.port_id = p.id
  where p.device_id = compute.server.id and family(f.ip) = ${family} and host(f.ip) ~ ${pattern})`

function timeOf(name: string, text: string): Date {
  const date = new Date(/[zZ]|[+-]\d\d:?\d\d$/.test(text) ? text : `${text}Z`)
  if (!/^\d{4}-\d\d-\d\d/.test(text) || Number.isNaN(date.getTime())) throw badRequest(`Invalid filter field: ${name}.`)
  return date
}

/** Everything that this caller may list with these words, filtered. */
async function list<O>(call: Call, asked: Asked, rule: string, shown: (servers: Query<object>) => Query<O>) {
  const everyone = flag('all_tenants', asked.all_tenants?.[0])
  if (everyone) call.must(`${rule}:get_all_tenants`)
  if (!everyone && !call.who.project) throw forbidden('Listing servers needs a token that is scoped to a project, or all_tenants.')
  const tenants = asked.tenant_id ?? asked.project_id
  const visible = (tx: Tx) => {
    const all: Query<object> = tx.selectFrom('compute.server')
    if (!everyone) return all.where('compute.server.project_id', '=', call.who.project!.id)
    return tenants ? all.where('compute.server.project_id', 'in', tenants) : all
  }
  const page = novaPage(asked, listing)
  return listPage(filtered(shown(visible(call.tx)), usable(call, asked)), page, listing, visible(call.tx)).catch((error) => {
    // 2201B: a pattern that is no regular expression.
    if ((error as { code?: string }).code !== '2201B') throw error
    const names = Object.keys(asked).filter((name) => Object.hasOwn(patterns, name) || name === 'ip' || name === 'ip6')
    throw badRequest(`Invalid input for query parameters ${names.join(', ')}: this is no valid regular expression.`)
  })
}

export const serverLists = [
  row({
    route: 'GET /servers',
    policy: 'os_compute_api:servers:index',
    query: ListQuery,
    reply: 200,
    summary: 'List servers',
    run: async (call) => {
      const { rows, more } = await list(call as never, call.query as Asked, 'os_compute_api:servers:index', (servers) =>
        servers.select(['compute.server.id', 'compute.server.name']),
      )
      return { servers: rows.map((server) => briefView(call, server)), ...novaLinks('servers', call.url, more, rows.at(-1)?.id) }
    },
  }),
  row({
    route: 'GET /servers/detail',
    policy: 'os_compute_api:servers:detail',
    query: ListQuery,
    reply: 200,
    summary: 'List servers with details',
    run: async (call) => {
      const { rows, more } = await list(call as never, call.query as Asked, 'os_compute_api:servers:detail', (servers) =>
        servers.select(viewed.map((name) => `compute.server.${name}` as const)).select(hostStatus.as('host_status')),
      )
      const ids = rows.map(({ id }) => id)
      const addresses = ids.length > 0 ? await addressesOf(call.tx, ids) : new Map()
      return {
        servers: rows.map((server) =>
          detailView(call, server, { addresses: addresses.get(server.id) ?? [], hostStatus: server.host_status ?? '' }),
        ),
        ...novaLinks('servers', call.url, more, rows.at(-1)?.id),
      }
    },
  }),
]
