// Subnets: the ranges of a network from which its ports get their addresses, and what DHCP tells about them. IPv6 modes are kept and
// shown, and addresses follow them (EUI-64 for slaac and stateless); router advertisements come with routers.
import { sql } from 'kysely'
import { type Static, Type } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, notBuilt } from '../../http/fault.ts'
import { pickFields } from '../../http/filter.ts'
import { type Call, row } from '../../http/table.ts'
import { networkNotFound, subnetNotFound } from '../control/faults.ts'
import { createSubnet, deleteSubnet, type HostRoute, type SubnetInput, updateSubnet } from '../control/subnets.ts'
import {
  Flag,
  flagOf,
  given,
  Id,
  known,
  mustSet,
  Name,
  numberOf,
  oneOrMany,
  ownerTarget,
  standard,
  Tags,
  wantedRevision,
} from './attributes.ts'
import { list, type Resource } from './list.ts'
import { networkTarget, networkVisible } from './visible.ts'

const closed = { additionalProperties: false }
const Ip = Type.String({ minLength: 2, maxLength: 45 })
const Cidr = Type.String({ maxLength: 64 })
const orNull = <T extends Parameters<typeof Type.Optional>[0]>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]))
const Mode = Type.Union([Type.Literal('slaac'), Type.Literal('dhcpv6-stateful'), Type.Literal('dhcpv6-stateless')])
const changeable = {
  name: Type.Optional(Name),
  description: Type.Optional(Name),
  enable_dhcp: Type.Optional(Flag),
  gateway_ip: orNull(Ip),
  allocation_pools: orNull(Type.Array(Type.Object({ start: Ip, end: Ip }, closed))),
  dns_nameservers: orNull(Type.Array(Type.String({ maxLength: 255 }))),
  host_routes: orNull(Type.Array(Type.Object({ destination: Cidr, nexthop: Ip }, closed))),
  service_types: Type.Optional(Type.Array(Type.String({ maxLength: 255, pattern: '^(network|compute):' }))),
}
const NewSubnet = Type.Object(
  {
    ...changeable,
    network_id: Id,
    cidr: orNull(Cidr),
    ip_version: Type.Union([Type.Literal(4), Type.Literal(6), Type.Literal('4'), Type.Literal('6')]),
    ipv6_ra_mode: orNull(Mode),
    ipv6_address_mode: orNull(Mode),
    project_id: Type.Optional(Id),
    tenant_id: Type.Optional(Id),
    tags: Type.Optional(Tags),
    subnetpool_id: orNull(Id),
    use_default_subnetpool: Type.Optional(Flag),
    prefixlen: Type.Optional(Type.Union([Type.Integer(), Type.String()])),
  },
  closed,
)
const Create = Type.Object({ subnet: Type.Optional(NewSubnet), subnets: Type.Optional(Type.Array(NewSubnet, { minItems: 1 })) }, closed)
const Update = Type.Object({ subnet: Type.Object(changeable, closed) }, closed)

const selectSubnets = (tx: Tx) =>
  tx
    .selectFrom('network.subnet as s')
    .innerJoin('network.network as n', 'n.id', 's.network_id')
    .selectAll('s')
    .select([
      'n.project_id as network_project_id',
      'n.shared',
      'n.external',
      sql<string | null>`host(s.gateway_ip)`.as('gateway_ip'),
      sql<{ start: string; end: string }[]>`(
        select coalesce(jsonb_agg(jsonb_build_object('start', host(a.first_ip), 'end', host(a.last_ip)) order by a.first_ip), '[]')
        from network.allocation_pool a where a.subnet_id = s.id)`.as('allocation_pools'),
    ])
type SubnetRow = Awaited<ReturnType<ReturnType<typeof selectSubnets>['executeTakeFirstOrThrow']>>

const view = (subnet: SubnetRow) => ({
  ...standard(subnet),
  network_id: subnet.network_id,
  ip_version: subnet.ip_version,
  cidr: subnet.cidr,
  gateway_ip: subnet.gateway_ip,
  enable_dhcp: subnet.enable_dhcp,
  allocation_pools: subnet.allocation_pools,
  dns_nameservers: subnet.dns_nameservers,
  host_routes: subnet.host_routes,
  ipv6_ra_mode: subnet.ipv6_ra_mode,
  ipv6_address_mode: subnet.ipv6_address_mode,
  service_types: subnet.service_types,
  subnetpool_id: null,
})

const targetOf = (subnet: SubnetRow) => ({
  ...networkTarget({ project_id: subnet.network_project_id, shared: subnet.shared, external: subnet.external }),
  ...ownerTarget(subnet.project_id),
})

async function load(call: Pick<Call, 'tx' | 'may' | 'who'>, id: string): Promise<SubnetRow> {
  const subnet = await selectSubnets(call.tx).where('s.id', '=', id).where(networkVisible(call)).executeTakeFirst()
  if (!subnet) throw subnetNotFound(id)
  return subnet
}

const resource: Resource = {
  name: 'subnets',
  id: 's.id',
  tags: 's.tags',
  also: ['subnetpool_id', 'segment_id'],
  columns: {
    id: { ref: 's.id' },
    name: { ref: 's.name' },
    description: { ref: 's.description' },
    project_id: { ref: 's.project_id' },
    tenant_id: { ref: 's.project_id' },
    network_id: { ref: 's.network_id' },
    ip_version: { ref: 's.ip_version', type: 'integer' },
    enable_dhcp: { ref: 's.enable_dhcp', type: 'boolean' },
    ipv6_ra_mode: { ref: 's.ipv6_ra_mode', nullable: true },
    ipv6_address_mode: { ref: 's.ipv6_address_mode', nullable: true },
    'router:external': { ref: 'n.external', type: 'boolean', unsorted: true },
    shared: { ref: 'n.shared', type: 'boolean', unsorted: true },
    revision_number: { ref: 's.revision', type: 'integer' },
    cidr: { ref: 's.cidr' },
    gateway_ip: { ref: 's.gateway_ip', nullable: true },
    created_at: { ref: 's.created_at' },
    updated_at: { ref: 's.updated_at' },
  },
}

const inputOf = (item: Static<typeof NewSubnet> | Static<typeof Update>['subnet']): Partial<SubnetInput> =>
  known({
    name: item.name,
    description: item.description,
    enable_dhcp: given(item.enable_dhcp, flagOf),
    gateway_ip: item.gateway_ip,
    allocation_pools: item.allocation_pools ?? undefined,
    dns_nameservers: item.dns_nameservers === null ? [] : item.dns_nameservers,
    host_routes: item.host_routes === null ? [] : (item.host_routes as HostRoute[] | undefined),
    service_types: item.service_types,
  })

async function create(call: Call, item: Static<typeof NewSubnet>): Promise<string> {
  const network = await call.tx
    .selectFrom('network.network as n')
    .select(['n.project_id', 'n.shared', 'n.external'])
    .where('n.id', '=', item.network_id)
    .where(networkVisible(call))
    .executeTakeFirst()
  if (!network) throw networkNotFound(item.network_id)
  const project = item.project_id ?? item.tenant_id ?? call.who.project?.id ?? network.project_id
  const target = { ...networkTarget(network), ...ownerTarget(project) }
  call.must('create_subnet', target)
  mustSet(call, 'create_subnet', item, target, { service_types: [] })
  if (item.subnetpool_id || given(item.use_default_subnetpool, flagOf)) throw notBuilt('Subnet pools')
  if (!item.cidr) throw badRequest('Bad subnets request: a subnetpool must be specified in the absence of a cidr.', { type: 'BadRequest' })
  const id = await createSubnet(call.tx, project, {
    ...inputOf(item),
    network_id: item.network_id,
    cidr: item.cidr,
    ip_version: numberOf(item.ip_version) as 4 | 6,
    ipv6_ra_mode: item.ipv6_ra_mode ?? null,
    ipv6_address_mode: item.ipv6_address_mode ?? null,
  })
  if (item.tags?.length) await call.tx.updateTable('network.subnet').set({ tags: item.tags }).where('id', '=', id).execute()
  return id
}

export const subnets = [
  row({
    route: 'GET /v2.0/subnets',
    policy: 'get_subnet',
    reply: 200,
    summary: 'List subnets',
    run: (call) =>
      list(call, selectSubnets(call.tx).where(networkVisible(call)), resource, view, (select) =>
        call.query.subnetpool_id === undefined && call.query.segment_id === undefined ? select : select.where(sql<boolean>`false`),
      ),
  }),
  row({
    route: 'GET /v2.0/subnets/:id',
    policy: 'get_subnet',
    target: 'loaded',
    reply: 200,
    summary: 'Show a subnet',
    run: async (call) => {
      const subnet = await load(call, call.params.id)
      call.must('get_subnet', targetOf(subnet))
      return { subnet: pickFields(view(subnet), call.query.fields) }
    },
  }),
  row({
    route: 'POST /v2.0/subnets',
    policy: 'create_subnet',
    target: 'loaded',
    body: Create,
    reply: 201,
    summary: 'Create subnets',
    run: async (call) => {
      const { items, bulk } = oneOrMany(call.body.subnet, call.body.subnets, 'subnet')
      const ids: string[] = []
      for (const item of items) ids.push(await create(call, item))
      const rows = await selectSubnets(call.tx).where('s.id', 'in', ids).execute()
      const views = ids.map((id) => view(rows.find((subnet) => subnet.id === id)!))
      return bulk ? { subnets: views } : { subnet: views[0] }
    },
  }),
  row({
    route: 'PUT /v2.0/subnets/:id',
    policy: 'update_subnet',
    target: 'loaded',
    body: Update,
    reply: 200,
    summary: 'Change a subnet',
    run: async (call) => {
      const subnet = await load(call, call.params.id)
      const target = targetOf(subnet)
      call.must('update_subnet', target)
      mustSet(call, 'update_subnet', call.body.subnet, target)
      await updateSubnet(call.tx, subnet.id, inputOf(call.body.subnet), wantedRevision(call))
      return { subnet: view(await load(call, subnet.id)) }
    },
  }),
  row({
    route: 'DELETE /v2.0/subnets/:id',
    policy: 'delete_subnet',
    target: 'loaded',
    reply: 204,
    summary: 'Delete a subnet that no port has an address of',
    run: async (call) => {
      const subnet = await load(call, call.params.id)
      call.must('delete_subnet', targetOf(subnet))
      await deleteSubnet(call.tx, subnet.id, wantedRevision(call))
    },
  }),
]
