// Networks: local, flat and vxlan. How a network is carried (provider:*) is the administrator's to say and to see.
import { sql } from 'kysely'
import { type Static, Type } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, notBuilt } from '../../http/fault.ts'
import { pickFields } from '../../http/filter.ts'
import { type Call, row } from '../../http/table.ts'
import { networkNotFound } from '../control/faults.ts'
import { createNetwork, deleteNetwork, type NetworkInput, updateNetwork } from '../control/networks.ts'
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
  projectOf,
  standard,
  Tags,
  Whole,
  wantedRevision,
} from './attributes.ts'
import { list, type Resource } from './list.ts'
import { networkTarget, networkVisible } from './visible.ts'

const changeable = {
  name: Type.Optional(Name),
  description: Type.Optional(Name),
  admin_state_up: Type.Optional(Flag),
  shared: Type.Optional(Flag),
  'router:external': Type.Optional(Flag),
  is_default: Type.Optional(Flag),
  port_security_enabled: Type.Optional(Flag),
  mtu: Type.Optional(Whole),
}
const provider = {
  'provider:network_type': Type.Optional(Type.Union([Type.String({ maxLength: 64 }), Type.Null()])),
  'provider:physical_network': Type.Optional(Type.Union([Type.String({ maxLength: 64 }), Type.Null()])),
  'provider:segmentation_id': Type.Optional(Type.Union([Whole, Type.Null()])),
}
const closed = { additionalProperties: false }
const NewNetwork = Type.Object(
  {
    ...changeable,
    ...provider,
    project_id: Type.Optional(Id),
    tenant_id: Type.Optional(Id),
    tags: Type.Optional(Tags),
    availability_zone_hints: Type.Optional(Type.Array(Type.String({ maxLength: 255 }))),
  },
  closed,
)
const Create = Type.Object({ network: Type.Optional(NewNetwork), networks: Type.Optional(Type.Array(NewNetwork, { minItems: 1 })) }, closed)
const Update = Type.Object({ network: Type.Object({ ...changeable, ...provider }, closed) }, closed)

const selectNetworks = (tx: Tx) =>
  tx
    .selectFrom('network.network as n')
    .selectAll('n')
    .select([
      sql<string[]>`array(select s.id from network.subnet s where s.network_id = n.id order by s.created_at, s.id)`.as('subnets'),
      sql<boolean>`exists (select from network.port p where p.network_id = n.id and p.host <> '')`.as('used'),
    ])
type NetworkRow = Awaited<ReturnType<ReturnType<typeof selectNetworks>['executeTakeFirstOrThrow']>>

const zone = 'nova'

const view = (call: Pick<Call, 'may'>, network: NetworkRow) => ({
  ...standard(network),
  status: 'ACTIVE',
  admin_state_up: network.admin_state_up,
  shared: network.shared,
  'router:external': network.external,
  is_default: network.is_default,
  port_security_enabled: network.port_security_enabled,
  mtu: network.mtu,
  subnets: network.subnets,
  availability_zone_hints: [],
  availability_zones: network.used ? [zone] : [],
  ...(call.may('get_network:provider:network_type', targetOf(network)) && {
    'provider:network_type': network.network_type,
    'provider:physical_network': network.physical_network,
    'provider:segmentation_id': network.segmentation_id,
  }),
})

const targetOf = (network: NetworkRow) => ({ ...ownerTarget(network.project_id), ...networkTarget(network) })

async function load(call: Pick<Call, 'tx' | 'may' | 'who'>, id: string): Promise<NetworkRow> {
  const network = await selectNetworks(call.tx).where('n.id', '=', id).where(networkVisible(call)).executeTakeFirst()
  if (!network) throw networkNotFound(id)
  return network
}

const resource: Resource = {
  name: 'networks',
  id: 'n.id',
  tags: 'n.tags',
  also: ['status', 'tenant_id', 'subnets'],
  columns: {
    id: { ref: 'n.id' },
    name: { ref: 'n.name' },
    description: { ref: 'n.description' },
    project_id: { ref: 'n.project_id' },
    tenant_id: { ref: 'n.project_id' },
    admin_state_up: { ref: 'n.admin_state_up', type: 'boolean' },
    shared: { ref: 'n.shared', type: 'boolean' },
    'router:external': { ref: 'n.external', type: 'boolean' },
    is_default: { ref: 'n.is_default', type: 'boolean' },
    port_security_enabled: { ref: 'n.port_security_enabled', type: 'boolean' },
    mtu: { ref: 'n.mtu', type: 'integer' },
    'provider:network_type': { ref: 'n.network_type' },
    'provider:physical_network': { ref: 'n.physical_network', nullable: true },
    'provider:segmentation_id': { ref: 'n.segmentation_id', type: 'integer', nullable: true },
    revision_number: { ref: 'n.revision', type: 'integer' },
    created_at: { ref: 'n.created_at' },
    updated_at: { ref: 'n.updated_at' },
  },
}

const inputOf = (item: Static<typeof NewNetwork> | Static<typeof Update>['network']): Partial<NetworkInput> =>
  known({
    name: item.name,
    description: item.description,
    admin_state_up: given(item.admin_state_up, flagOf),
    shared: given(item.shared, flagOf),
    external: given(item['router:external'], flagOf),
    is_default: given(item.is_default, flagOf),
    port_security_enabled: given(item.port_security_enabled, flagOf),
    mtu: given(item.mtu, numberOf),
  })

const defaults = {
  shared: false,
  'router:external': false,
  is_default: false,
  'provider:network_type': null,
  'provider:physical_network': null,
  'provider:segmentation_id': null,
}

async function create(call: Call, item: Static<typeof NewNetwork>): Promise<string> {
  const project = projectOf(call, item)
  const target = ownerTarget(project)
  call.must('create_network', target)
  mustSet(call, 'create_network', item, target, defaults)
  if (item.availability_zone_hints?.length) throw notBuilt('Availability zone hints of networks (DHCP runs on every host of a network)')
  const id = await createNetwork(call.tx, project, inputOf(item), {
    network_type: item['provider:network_type'] ?? undefined,
    physical_network: item['provider:physical_network'] ?? undefined,
    segmentation_id: given(item['provider:segmentation_id'] ?? undefined, numberOf),
  })
  if (item.tags?.length) await call.tx.updateTable('network.network').set({ tags: item.tags }).where('id', '=', id).execute()
  return id
}

export const networks = [
  row({
    route: 'GET /v2.0/networks',
    policy: 'get_network',
    reply: 200,
    summary: 'List networks',
    run: (call) =>
      list(
        call,
        selectNetworks(call.tx).where(networkVisible(call)),
        resource,
        (network) => view(call, network),
        (select) => {
          const { status, subnets } = call.query
          const one = status === undefined || [status].flat().includes('ACTIVE') ? select : select.where(sql<boolean>`false`)
          return subnets === undefined
            ? one
            : one.where(
                sql<boolean>`exists (select from network.subnet s where s.network_id = n.id and s.id = any(${[subnets].flat()}::text[]))`,
              )
        },
      ),
  }),
  row({
    route: 'GET /v2.0/networks/:id',
    policy: 'get_network',
    target: 'loaded',
    reply: 200,
    summary: 'Show a network',
    run: async (call) => {
      const network = await load(call, call.params.id)
      call.must('get_network', targetOf(network))
      return { network: pickFields(view(call, network), call.query.fields) }
    },
  }),
  row({
    route: 'POST /v2.0/networks',
    policy: 'create_network',
    target: 'loaded',
    body: Create,
    reply: 201,
    summary: 'Create networks',
    run: async (call) => {
      const { items, bulk } = oneOrMany(call.body.network, call.body.networks, 'network')
      const ids: string[] = []
      for (const item of items) ids.push(await create(call, item))
      const rows = await selectNetworks(call.tx).where('n.id', 'in', ids).execute()
      const views = ids.map((id) => view(call, rows.find((network) => network.id === id)!))
      return bulk ? { networks: views } : { network: views[0] }
    },
  }),
  row({
    route: 'PUT /v2.0/networks/:id',
    policy: 'update_network',
    target: 'loaded',
    body: Update,
    reply: 200,
    summary: 'Change a network',
    run: async (call) => {
      const network = await load(call, call.params.id)
      const target = targetOf(network)
      call.must('update_network', target)
      mustSet(call, 'update_network', call.body.network, target)
      if (Object.keys(call.body.network).some((name) => name.startsWith('provider:'))) {
        throw badRequest('Invalid input for operation: Plugin does not support updating the following provider network attributes.', {
          type: 'InvalidInput',
        })
      }
      await updateNetwork(call.tx, network.id, inputOf(call.body.network), wantedRevision(call))
      return { network: view(call, await load(call, network.id)) }
    },
  }),
  row({
    route: 'DELETE /v2.0/networks/:id',
    policy: 'delete_network',
    target: 'loaded',
    reply: 204,
    summary: 'Delete a network with its subnets',
    run: async (call) => {
      const network = await load(call, call.params.id)
      call.must('delete_network', targetOf(network))
      await deleteNetwork(call.tx, network.id, wantedRevision(call))
    },
  }),
]
