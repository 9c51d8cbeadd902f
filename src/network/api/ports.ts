// Ports: where a server (or anything else) meets a network, with its MAC, its addresses and its security groups.
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { type Static, Type } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { pickFields } from '../../http/filter.ts'
import { type Call, row, type Target } from '../../http/table.ts'
import { normalIp, normalMac } from '../control/address.ts'
import { blankPort, type FixedIpInput, type NewPort } from '../control/allocate.ts'
import { invalidField, networkNotFound, portNotFound } from '../control/faults.ts'
import {
  checkPort,
  createPorts,
  deletePort,
  groupIds,
  type PortFacts,
  type PortInput,
  readPortFacts,
  updatePort,
} from '../control/ports.ts'
import { defaultGroup } from '../control/security-groups.ts'
import {
  Flag,
  flagOf,
  given,
  Id,
  known,
  mustSet,
  Name,
  oneOrMany,
  ownerTarget,
  projectOf,
  standard,
  Tags,
  wantedRevision,
} from './attributes.ts'
import { list, type Resource } from './list.ts'
import { isAdmin, networkTarget, ownedOrInOwn, ownProject } from './visible.ts'

const closed = { additionalProperties: false }
const Text = Type.String({ maxLength: 255 })
const FixedIp = Type.Object(
  { subnet_id: Type.Optional(Type.Union([Id, Type.Null()])), ip_address: Type.Optional(Type.Union([Text, Type.Null()])) },
  closed,
)
const Pair = Type.Object({ ip_address: Text, mac_address: Type.Optional(Type.Union([Text, Type.Null()])) }, closed)
const Option = Type.Object(
  {
    opt_name: Type.String({ minLength: 1, maxLength: 64 }),
    opt_value: Type.Optional(Type.Union([Text, Type.Null()])),
    ip_version: Type.Optional(Type.Union([Type.Literal(4), Type.Literal(6), Type.Literal('4'), Type.Literal('6')])),
  },
  closed,
)
const orNull = <T extends Parameters<typeof Type.Optional>[0]>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]))
const changeable = {
  name: Type.Optional(Name),
  description: Type.Optional(Name),
  admin_state_up: Type.Optional(Flag),
  mac_address: orNull(Text),
  fixed_ips: orNull(Type.Array(FixedIp)),
  device_id: orNull(Text),
  device_owner: orNull(Text),
  security_groups: orNull(Type.Array(Id)),
  port_security_enabled: Type.Optional(Flag),
  allowed_address_pairs: orNull(Type.Array(Pair)),
  extra_dhcp_opts: orNull(Type.Array(Option)),
  'binding:host_id': orNull(Text),
  'binding:vnic_type': orNull(Type.Union([Type.Literal('normal'), Type.Literal('virtio-forwarder')])),
  'binding:profile': orNull(Type.Object({})),
}
const NewPortBody = Type.Object(
  { ...changeable, network_id: Id, project_id: Type.Optional(Id), tenant_id: Type.Optional(Id), tags: Type.Optional(Tags) },
  closed,
)
const Create = Type.Object(
  { port: Type.Optional(NewPortBody), ports: Type.Optional(Type.Array(NewPortBody, { minItems: 1, maxItems: 100 })) },
  closed,
)
const Update = Type.Object({ port: Type.Object(changeable, closed) }, closed)
type Item = Static<typeof NewPortBody>

const selectPorts = (tx: Tx) =>
  tx
    .selectFrom('network.port as p')
    .innerJoin('network.network as n', 'n.id', 'p.network_id')
    .selectAll('p')
    .select([
      'n.project_id as network_project_id',
      'n.shared',
      'n.external',
      sql<{ subnet_id: string; ip_address: string }[]>`(
        select coalesce(jsonb_agg(jsonb_build_object('subnet_id', f.subnet_id, 'ip_address', host(f.ip)) order by f.position, f.ip), '[]')
        from network.fixed_ip f where f.port_id = p.id)`.as('fixed_ips'),
      sql<string[]>`array(select m.security_group_id from network.port_security_group m where m.port_id = p.id order by 1)`.as(
        'security_groups',
      ),
    ])
type PortRow = Awaited<ReturnType<ReturnType<typeof selectPorts>['executeTakeFirstOrThrow']>>

const view = (call: Pick<Call, 'may'>, port: PortRow) => ({
  ...standard(port),
  network_id: port.network_id,
  mac_address: port.mac_address,
  admin_state_up: port.admin_state_up,
  status: port.status,
  device_id: port.device_id,
  device_owner: port.device_owner,
  fixed_ips: port.fixed_ips,
  security_groups: port.security_groups,
  port_security_enabled: port.port_security_enabled,
  allowed_address_pairs: (port.allowed_address_pairs as { ip_address: string; mac_address?: string | null }[]).map(
    ({ ip_address, mac_address }) => ({
      ip_address,
      mac_address: mac_address ?? port.mac_address,
    }),
  ),
  extra_dhcp_opts: port.extra_dhcp_opts,
  'binding:vnic_type': port.vnic_type,
  ...(call.may('get_port:binding:host_id', targetOf(port)) && {
    'binding:host_id': port.host,
    'binding:profile': port.binding_profile,
    'binding:vif_type': port.host === '' ? 'unbound' : port.status === 'ERROR' ? 'binding_failed' : 'bridge',
    'binding:vif_details': port.host === '' ? {} : { port_filter: true, connectivity: 'l2' },
  }),
})

const targetOf = (port: PortRow): Target => ({
  ...networkTarget({ project_id: port.network_project_id, shared: port.shared, external: port.external }),
  ...ownerTarget(port.project_id),
  device_owner: port.device_owner,
})

async function load(call: Pick<Call, 'tx' | 'may' | 'who'>, id: string): Promise<PortRow> {
  const port = await selectPorts(call.tx).where('p.id', '=', id).where(ownedOrInOwn(call, 'p')).executeTakeFirst()
  if (!port) throw portNotFound(id)
  return port
}

const resource: Resource = {
  name: 'ports',
  id: 'p.id',
  tags: 'p.tags',
  also: ['fixed_ips', 'security_groups'],
  columns: {
    id: { ref: 'p.id' },
    name: { ref: 'p.name' },
    description: { ref: 'p.description' },
    project_id: { ref: 'p.project_id' },
    tenant_id: { ref: 'p.project_id' },
    network_id: { ref: 'p.network_id' },
    mac_address: { ref: 'p.mac_address' },
    admin_state_up: { ref: 'p.admin_state_up', type: 'boolean' },
    status: { ref: 'p.status' },
    device_id: { ref: 'p.device_id' },
    device_owner: { ref: 'p.device_owner' },
    port_security_enabled: { ref: 'p.port_security_enabled', type: 'boolean' },
    'binding:host_id': { ref: 'p.host' },
    'binding:vnic_type': { ref: 'p.vnic_type' },
    revision_number: { ref: 'p.revision', type: 'integer' },
    created_at: { ref: 'p.created_at' },
    updated_at: { ref: 'p.updated_at' },
  },
}

type Columns = Omit<PortInput, 'security_groups' | 'tags' | 'fixed_ips' | 'mac_address'>

/** What a body says about a port, in the database's terms; null means "as if not given", and on update the empty value. */
function inputOf(item: Item | Static<typeof Update>['port']): Partial<Columns> & { fixed_ips?: FixedIpInput[]; mac_address?: string } {
  const mac = item.mac_address == null ? undefined : normalMac(item.mac_address)
  if (item.mac_address != null && mac === undefined) throw invalidField('mac_address', `'${item.mac_address}' is not a valid MAC address`)
  return known({
    name: item.name,
    description: item.description,
    admin_state_up: given(item.admin_state_up, flagOf),
    mac_address: mac,
    device_id: item.device_id ?? (item.device_id === null ? '' : undefined),
    device_owner: item.device_owner ?? (item.device_owner === null ? '' : undefined),
    host: item['binding:host_id'] ?? (item['binding:host_id'] === null ? '' : undefined),
    vnic_type: item['binding:vnic_type'] ?? undefined,
    binding_profile: (item['binding:profile'] ?? undefined) as Record<string, unknown> | undefined,
    port_security_enabled: given(item.port_security_enabled, flagOf),
    allowed_address_pairs: item.allowed_address_pairs === null ? [] : item.allowed_address_pairs?.map(pairOf),
    extra_dhcp_opts: item.extra_dhcp_opts === null ? [] : given(item.extra_dhcp_opts, optionsOf),
    fixed_ips: item.fixed_ips?.map(({ subnet_id, ip_address }) =>
      known({ subnet_id: subnet_id ?? undefined, ip_address: ip_address ?? undefined }),
    ),
  })
}

function pairOf({ ip_address, mac_address }: Static<typeof Pair>) {
  if (mac_address == null) return { ip_address, mac_address: null }
  const mac = normalMac(mac_address)
  if (mac === undefined) throw invalidField('allowed_address_pairs', `'${mac_address}' is not a valid MAC address`)
  return { ip_address, mac_address: mac }
}

const optionsOf = (options: Static<typeof Option>[]) =>
  options.map(({ opt_name, opt_value = null, ip_version = 4 }) => ({ opt_name, opt_value, ip_version: Number(ip_version) }))

/** The rules about parts of an attribute: who may name an address, who only a subnet. */
function mustSetParts(
  call: Pick<Call, 'must'>,
  action: string,
  item: Pick<Item, 'fixed_ips' | 'allowed_address_pairs'>,
  target: Target,
): void {
  if (item.fixed_ips?.some(({ ip_address }) => ip_address != null)) call.must(`${action}:fixed_ips:ip_address`, target)
  if (item.fixed_ips?.some(({ subnet_id }) => subnet_id != null)) call.must(`${action}:fixed_ips:subnet_id`, target)
}

const defaults = {
  device_id: '',
  device_owner: '',
  mac_address: null,
  fixed_ips: null,
  allowed_address_pairs: [],
  'binding:host_id': '',
  'binding:vnic_type': 'normal',
  'binding:profile': {},
}

/** A port of the body, checked against policy and what is known of its network. */
async function newPort(call: Call, item: Item, project: string, { networks, groups }: PortFacts): Promise<NewPort> {
  const network = networks.find(({ id }) => id === item.network_id)
  if (!network) throw networkNotFound(item.network_id)
  const target = { ...networkTarget(network), ...ownerTarget(project), device_owner: item.device_owner ?? '' }
  call.must('create_port', target)
  mustSet(call, 'create_port', item, target, defaults)
  mustSetParts(call, 'create_port', item, target)
  const input = inputOf(item)
  const secure = input.port_security_enabled ?? network.port_security_enabled
  const asked = item.security_groups ?? undefined
  const admin = isAdmin(call)
  const named = groupIds(asked ?? [], groups, (group) => admin || group.project_id === project)
  checkPort(input, secure, named)
  const standing = groups.find(({ is_default, project_id }) => is_default && project_id === project)
  const trusted = item.device_owner?.startsWith('network:') ?? false
  const security_groups = asked !== undefined || !secure || trusted ? named : [standing?.id ?? (await defaultGroup(call.tx, project))]
  return {
    ...blankPort(network, project),
    id: randomUUID(),
    ...input,
    mac_address: input.mac_address,
    fixed_ips: input.fixed_ips,
    security_groups,
    tags: item.tags ?? [],
  }
}

export const ports = [
  row({
    route: 'GET /v2.0/ports',
    policy: 'get_port',
    reply: 200,
    summary: 'List ports',
    run: (call) =>
      list(
        call,
        selectPorts(call.tx).where(ownedOrInOwn(call, 'p')),
        resource,
        (port) => view(call, port),
        (select) => {
          const { fixed_ips, security_groups } = call.query
          let wanted = select
          for (const [part, values] of Map.groupBy(given(fixed_ips, (asked) => [asked].flat()) ?? [], (text) => text.split('=', 1)[0]!)) {
            wanted = wanted.where(
              byFixedIp(
                part,
                values.map((text) => text.slice(part.length + 1)),
              ),
            )
          }
          if (security_groups === undefined) return wanted
          const groups = [security_groups].flat()
          return wanted.where(
            sql<boolean>`exists (select from network.port_security_group m where m.port_id = p.id and m.security_group_id = any(${groups}::text[]))`,
          )
        },
      ),
  }),
  row({
    route: 'GET /v2.0/ports/:id',
    policy: 'get_port',
    target: 'loaded',
    reply: 200,
    summary: 'Show a port',
    run: async (call) => {
      const port = await load(call, call.params.id)
      call.must('get_port', targetOf(port))
      return { port: pickFields(view(call, port), call.query.fields) }
    },
  }),
  row({
    route: 'POST /v2.0/ports',
    policy: 'create_port',
    target: 'loaded',
    body: Create,
    reply: 201,
    summary: 'Create ports',
    run: async (call) => {
      const { items, bulk } = oneOrMany(call.body.port, call.body.ports, 'port')
      const byProject = Map.groupBy(items.entries(), ([, item]) => projectOf(call, item))
      const ids: string[] = []
      for (const [project, own] of [...byProject].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const networks = [...new Set(own.map(([, { network_id }]) => network_id))]
        const visible = isAdmin(call) ? sql`true` : sql`(n.project_id = ${ownProject(call)} or n.shared or n.external)`
        const facts = await readPortFacts(
          call.tx,
          project,
          sql`n.id = any(${networks}::text[]) and ${visible}`,
          own.flatMap(([, { security_groups }]) => security_groups ?? []),
        )
        const made: NewPort[] = []
        for (const [index, item] of own) {
          const port = await newPort(call, item, project, facts)
          ids[index] = port.id
          made.push(port)
        }
        await createPorts(call.tx, made)
      }
      const rows = await selectPorts(call.tx).where('p.id', 'in', ids).execute()
      const views = ids.map((id) => view(call, rows.find((port) => port.id === id)!))
      return bulk ? { ports: views } : { port: views[0] }
    },
  }),
  row({
    route: 'PUT /v2.0/ports/:id',
    policy: 'update_port',
    target: 'loaded',
    body: Update,
    reply: 200,
    summary: 'Change a port',
    run: async (call) => {
      const port = await load(call, call.params.id)
      const { port: item } = call.body
      const target = { ...targetOf(port), device_owner: item.device_owner ?? port.device_owner }
      call.must('update_port', target)
      mustSet(call, 'update_port', item, target)
      mustSetParts(call, 'update_port', item, target)
      const asked = item.security_groups === null ? [] : item.security_groups
      const change: Partial<PortInput> = inputOf(item)
      if (asked !== undefined) {
        const { groups } = await readPortFacts(call.tx, port.project_id, sql`false`, asked)
        change.security_groups = groupIds(asked, groups, ({ project_id }) => isAdmin(call) || project_id === port.project_id)
      }
      await updatePort(call.tx, port.id, change, wantedRevision(call))
      return { port: view(call, await load(call, port.id)) }
    },
  }),
  row({
    route: 'DELETE /v2.0/ports/:id',
    policy: 'delete_port',
    target: 'loaded',
    reply: 204,
    summary: 'Delete a port',
    run: async (call) => {
      const port = await load(call, call.params.id)
      call.must('delete_port', targetOf(port))
      await deletePort(call.tx, port.id, wantedRevision(call))
    },
  }),
]

/** `ip_address=10.0.0.5`, `subnet_id=…` or `ip_address_substr=10.0`, as the query names parts of an address; one of the values must fit. */
function byFixedIp(part: string, values: string[]) {
  const holds = (condition: ReturnType<typeof sql>) =>
    sql<boolean>`exists (select from network.fixed_ip f where f.port_id = p.id and ${condition})`
  switch (part) {
    case 'ip_address':
      return holds(sql`host(f.ip) = any(${values.map((ip) => normalIp(ip) ?? ip)}::text[])`)
    case 'subnet_id':
    case 'subnet':
      return holds(sql`f.subnet_id = any(${values}::text[])`)
    case 'ip_address_substr':
      return holds(sql`exists (select from unnest(${values}::text[]) piece where position(piece in host(f.ip)) > 0)`)
    default:
      throw invalidField('fixed_ips', `'${part.slice(0, 60)}' is neither ip_address, subnet_id nor ip_address_substr`)
  }
}
