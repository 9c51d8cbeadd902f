// What a provider has of each resource class. Every change names the generation that it was made from.
import { type Static, Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, conflict, notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { address, atLeast, findProvider, fresh, type InventoryRow, lockProvider, mustBeAt, type ProviderRow, raise } from './find.ts'

const most = 2_147_483_647
const count = (minimum: number) => t.Optional(t.Integer({ minimum, maximum: most }))
const fields = {
  total: t.Integer({ minimum: 1, maximum: most }),
  reserved: count(0),
  min_unit: count(1),
  max_unit: count(1),
  step_size: count(1),
  allocation_ratio: t.Optional(t.Number({ minimum: 0, maximum: 3.40282e38 })),
}
const generation = t.Integer()
const inventory = t.Object({ ...fields, resource_provider_generation: t.Optional(generation) }, { additionalProperties: false })
type Asked = Static<typeof inventory>

const resourceClass = t.String({ pattern: '^[A-Z0-9_]+$', maxLength: 255 })

type Inventory = Omit<InventoryRow, 'provider_id' | 'resource_class' | 'used'>

const complete = ({ total, reserved = 0, min_unit = 1, max_unit = most, step_size = 1, allocation_ratio = 1 }: Asked): Inventory => ({
  total,
  reserved,
  min_unit,
  max_unit,
  step_size,
  allocation_ratio,
})

const inventoryView = ({ total, reserved, min_unit, max_unit, step_size, allocation_ratio }: Inventory): Inventory => ({
  total,
  reserved,
  min_unit,
  max_unit,
  step_size,
  allocation_ratio,
})

const inventoriesView = (rows: InventoryRow[], { generation }: { generation: number }) => ({
  resource_provider_generation: generation,
  inventories: Object.fromEntries(rows.map((one) => [one.resource_class, inventoryView(one)])),
})

/** Since 1.26 all may be reserved. */
function refuseEmpty(call: Pick<Call, 'version'>, provider: string, name: string, { total, reserved, allocation_ratio }: Inventory): void {
  const capacity = Math.trunc((total - reserved) * allocation_ratio)
  const all = atLeast(call, '1.26')
  if (capacity > 0 || (all && capacity === 0)) return
  throw badRequest(
    `Unable to update inventory for resource provider ${provider}: Invalid inventory for '${name}' on resource provider '${provider}'. ` +
      `The reserved value is greater than ${all ? '' : 'or equal to '}total.`,
  )
}

async function mustBeClasses(tx: Tx, provider: string, names: string[]): Promise<void> {
  if (names.length === 0) return
  const known = await tx.selectFrom('placement.resource_class').select('name').where('name', 'in', names).execute()
  const missing = names.find((name) => !known.some((one) => one.name === name))
  if (missing) throw badRequest(`Unknown resource class in inventory for resource provider ${provider}: No such resource class ${missing}.`)
}

const inUse = (rows: InventoryRow[]) => {
  const names = rows.map(({ resource_class }) => `'${resource_class}'`).join(', ')
  return conflict(`update conflict: Inventory for ${names} on resource provider '${rows[0]?.provider_id}' in use.`, {
    type: 'placement.inventory.inuse',
  })
}

/** Makes these the provider's inventories; what is not among them goes, unless it is in use. */
async function replace(tx: Tx, provider: ProviderRow, old: InventoryRow[], wanted: Record<string, Inventory>): Promise<number> {
  const gone = old.filter(({ resource_class }) => !Object.hasOwn(wanted, resource_class))
  const used = gone.filter((one) => one.used > 0)
  if (used.length > 0) throw inUse(used)
  if (gone.length > 0) {
    const names = gone.map(({ resource_class }) => resource_class)
    await tx.deleteFrom('placement.inventory').where('provider_id', '=', provider.id).where('resource_class', 'in', names).execute()
  }
  for (const [resource_class, one] of Object.entries(wanted)) {
    await tx
      .insertInto('placement.inventory')
      .values({ provider_id: provider.id, resource_class, ...one })
      .onConflict((on) => on.columns(['provider_id', 'resource_class']).doUpdateSet(one))
      .execute()
  }
  return raise(tx, provider)
}

const listOf = async (tx: Tx, id: string) =>
  tx.selectFrom('placement.inventory').selectAll().where('provider_id', '=', id).orderBy('resource_class').execute()

export const inventories = [
  row({
    route: 'GET /resource_providers/:uuid/inventories',
    policy: 'placement:resource_providers:inventories:list',
    reply: 200,
    summary: "List a provider's inventories",
    async run(call) {
      const provider = await findProvider(call.tx, call.params.uuid)
      fresh(call)
      return inventoriesView(await listOf(call.tx, provider.id), provider)
    },
  }),
  row({
    route: 'PUT /resource_providers/:uuid/inventories',
    policy: 'placement:resource_providers:inventories:update',
    body: t.Object(
      { resource_provider_generation: generation, inventories: t.Record(resourceClass, inventory) },
      { additionalProperties: false },
    ),
    reply: 200,
    summary: "Replace all of a provider's inventories",
    async run(call) {
      const { body, params, tx } = call
      const { provider, inventories: old } = await lockProvider(tx, params.uuid)
      mustBeAt(provider, body.resource_provider_generation)
      const wanted = Object.fromEntries(Object.entries(body.inventories).map(([name, one]) => [name, complete(one)]))
      await mustBeClasses(tx, provider.id, Object.keys(wanted))
      for (const [name, one] of Object.entries(wanted)) refuseEmpty(call, provider.id, name, one)
      const raised = await replace(tx, provider, old, wanted)
      fresh(call)
      return inventoriesView(await listOf(tx, provider.id), { generation: raised })
    },
  }),
  row({
    route: 'POST /resource_providers/:uuid/inventories',
    policy: 'placement:resource_providers:inventories:create',
    body: t.Object(
      { ...fields, resource_provider_generation: t.Optional(generation), resource_class: resourceClass },
      { additionalProperties: false },
    ),
    reply: 201,
    summary: 'Add an inventory to a provider',
    async run(call) {
      const { body, header, params, tx, url } = call
      const { provider, inventories: old } = await lockProvider(tx, params.uuid)
      if (body.resource_provider_generation !== undefined) mustBeAt(provider, body.resource_provider_generation)
      const name = body.resource_class
      await mustBeClasses(tx, provider.id, [name])
      const wanted = complete(body)
      refuseEmpty(call, provider.id, name, wanted)
      if (old.some(({ resource_class }) => resource_class === name)) {
        throw conflict(`Update conflict: the provider ${provider.id} has an inventory of class ${name} already.`, {
          type: 'placement.concurrent_update',
        })
      }
      await tx
        .insertInto('placement.inventory')
        .values({ provider_id: provider.id, resource_class: name, ...wanted })
        .execute()
      header('location', url.origin + address('resource_providers', provider.id, 'inventories', name))
      fresh(call)
      return { ...wanted, resource_provider_generation: await raise(tx, provider) }
    },
  }),
  row({
    route: 'DELETE /resource_providers/:uuid/inventories',
    policy: 'placement:resource_providers:inventories:delete',
    since: '1.5',
    reply: 204,
    summary: "Delete all of a provider's inventories",
    async run({ params, tx }) {
      const { provider, inventories: old } = await lockProvider(tx, params.uuid)
      await replace(tx, provider, old, {})
    },
  }),
  row({
    route: 'GET /resource_providers/:uuid/inventories/:resource_class',
    policy: 'placement:resource_providers:inventories:show',
    reply: 200,
    summary: "Show a provider's inventory of one class",
    async run(call) {
      const { params, tx } = call
      const provider = await findProvider(tx, params.uuid)
      const one = (await listOf(tx, provider.id)).find(({ resource_class }) => resource_class === params.resource_class)
      if (!one) throw notFound(`No inventory of class ${params.resource_class} for ${provider.id}`)
      fresh(call)
      return { ...inventoryView(one), resource_provider_generation: provider.generation }
    },
  }),
  row({
    route: 'PUT /resource_providers/:uuid/inventories/:resource_class',
    policy: 'placement:resource_providers:inventories:update',
    body: t.Object({ ...fields, resource_provider_generation: generation }, { additionalProperties: false }),
    reply: 200,
    summary: "Change a provider's inventory of one class",
    async run(call) {
      const { body, params, tx } = call
      const { provider, inventories: old } = await lockProvider(tx, params.uuid)
      mustBeAt(provider, body.resource_provider_generation)
      const name = params.resource_class
      if (!old.some(({ resource_class }) => resource_class === name)) {
        throw badRequest(`No inventory record with resource class ${name} for resource provider ${provider.id}.`)
      }
      const wanted = complete(body)
      refuseEmpty(call, provider.id, name, wanted)
      await tx
        .updateTable('placement.inventory')
        .set(wanted)
        .where('provider_id', '=', provider.id)
        .where('resource_class', '=', name)
        .execute()
      fresh(call)
      return { ...wanted, resource_provider_generation: await raise(tx, provider) }
    },
  }),
  row({
    route: 'DELETE /resource_providers/:uuid/inventories/:resource_class',
    policy: 'placement:resource_providers:inventories:delete',
    reply: 204,
    summary: "Delete a provider's inventory of one class",
    async run({ params, tx }) {
      const { provider, inventories: old } = await lockProvider(tx, params.uuid)
      const name = params.resource_class
      const one = old.find(({ resource_class }) => resource_class === name)
      if (!one) throw notFound(`No inventory of class ${name} found for delete: the provider ${provider.id} has none.`)
      if (one.used > 0) throw inUse([one])
      await tx.deleteFrom('placement.inventory').where('provider_id', '=', provider.id).where('resource_class', '=', name).execute()
      await raise(tx, provider)
    },
  }),
]
