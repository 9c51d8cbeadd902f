// Resource providers: hosts, which come by themselves, and whatever operators and other services add.
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, conflict } from '../../http/fault.ts'
import { type Call, row, since } from '../../http/table.ts'
import { fits } from '../control/fits.ts'
import { address, atLeast, findProvider, fresh, lockProvider, type ProviderRow } from './find.ts'
import { mustBeKnown, readAggregates, readResources, readTraits } from './query.ts'

const related: [rel: string, since: string][] = [
  ['inventories', '1.0'],
  ['usages', '1.0'],
  ['aggregates', '1.1'],
  ['traits', '1.6'],
  ['allocations', '1.11'],
]

const providerView = (call: Pick<Call, 'version'>, { id, name, generation, parent_id, root_id }: ProviderRow) => ({
  uuid: id,
  name,
  generation,
  links: [
    { rel: 'self', href: address('resource_providers', id) },
    ...related.filter(([, first]) => atLeast(call, first)).map(([rel]) => ({ rel, href: address('resource_providers', id, rel) })),
  ],
  ...(atLeast(call, '1.14') && { parent_provider_uuid: parent_id, root_provider_uuid: root_id }),
})

const name = t.String({ minLength: 1, maxLength: 200 })
const uuid = t.String({ format: 'uuid' })
const parent = since('1.14', t.Optional(t.Union([uuid, t.Null()])))

const taken = (what: string) => conflict(`Conflicting resource provider ${what} already exists.`, { type: 'placement.duplicate_name' })

export const resourceProviders = [
  row({
    route: 'GET /resource_providers',
    policy: 'placement:resource_providers:list',
    query: t.Object(
      {
        name: t.Optional(t.String()),
        uuid: t.Optional(uuid),
        member_of: since('1.3', t.Optional(t.Array(t.String()))),
        resources: since('1.4', t.Optional(t.String())),
        in_tree: since('1.14', t.Optional(uuid)),
        required: since('1.18', t.Optional(t.Array(t.String()))),
      },
      { additionalProperties: false },
    ),
    reply: 200,
    summary: 'List resource providers',
    async run(call) {
      const { query, tx } = call
      const resources = query.resources === undefined ? {} : readResources(query.resources)
      const traits = readTraits(call, query.required ?? [])
      const aggregates = readAggregates(call, query.member_of ?? [])
      await mustBeKnown(tx, resources, traits)
      const rows = await tx
        .selectFrom('placement.provider as p')
        .selectAll()
        .where(fits({ resources, traits, aggregates, ...(query.in_tree !== undefined && { inTree: query.in_tree }) }, 'p'))
        .$if(query.name !== undefined, (q) => q.where('name', '=', query.name!))
        .$if(query.uuid !== undefined, (q) => q.where('id', '=', query.uuid!))
        .orderBy('name')
        .execute()
      fresh(call)
      return { resource_providers: rows.map((provider) => providerView(call, provider)) }
    },
  }),
  row({
    route: 'POST /resource_providers',
    policy: 'placement:resource_providers:create',
    body: t.Object({ name, uuid: t.Optional(uuid), parent_provider_uuid: parent }, { additionalProperties: false }),
    reply: 201,
    summary: 'Create a resource provider',
    async run(call) {
      const { body, header, status, tx, url } = call
      const id = body.uuid ?? randomUUID()
      const above = body.parent_provider_uuid ? await parentOf(tx, body.parent_provider_uuid) : undefined
      const provider = await tx
        .insertInto('placement.provider')
        .values({ id, name: body.name, parent_id: above?.id ?? null, root_id: above?.root_id ?? id })
        .onConflict((on) => on.doNothing())
        .returningAll()
        .executeTakeFirst()
      if (!provider) throw taken(`name: ${body.name} or uuid: ${id}`)
      header('location', url.origin + address('resource_providers', id))
      if (!atLeast(call, '1.20')) return undefined
      status(200)
      fresh(call)
      return providerView(call, provider)
    },
  }),
  row({
    route: 'GET /resource_providers/:uuid',
    policy: 'placement:resource_providers:show',
    reply: 200,
    summary: 'Show a resource provider',
    async run(call) {
      fresh(call)
      return providerView(call, await findProvider(call.tx, call.params.uuid))
    },
  }),
  row({
    route: 'PUT /resource_providers/:uuid',
    policy: 'placement:resource_providers:update',
    body: t.Object({ name, parent_provider_uuid: parent }, { additionalProperties: false }),
    reply: 200,
    summary: 'Rename a resource provider, or put it under another',
    async run(call) {
      const { body, params, tx } = call
      const { provider } = await lockProvider(tx, params.uuid)
      const other = await tx
        .selectFrom('placement.provider')
        .select('id')
        .where('name', '=', body.name)
        .where('id', '<>', provider.id)
        .executeTakeFirst()
      if (other) throw taken(body.name)
      await tx.updateTable('placement.provider').set({ name: body.name }).where('id', '=', provider.id).execute()
      if (body.parent_provider_uuid !== undefined) await move(call, provider, body.parent_provider_uuid)
      fresh(call)
      return providerView(call, await findProvider(tx, provider.id))
    },
  }),
  row({
    route: 'DELETE /resource_providers/:uuid',
    policy: 'placement:resource_providers:delete',
    reply: 204,
    summary: 'Delete a resource provider of which nothing is allocated',
    async run({ params, tx }) {
      const { provider, inventories } = await lockProvider(tx, params.uuid)
      const { id } = provider
      const child = await tx.selectFrom('placement.provider').select('id').where('parent_id', '=', id).executeTakeFirst()
      if (child) {
        throw conflict(`Unable to delete parent resource provider ${id}: It has child resource providers.`, {
          type: 'placement.resource_provider.cannot_delete_parent',
        })
      }
      if (inventories.some(({ used }) => used > 0)) {
        throw conflict(`Unable to delete resource provider ${id}: Resource provider has allocations.`, {
          type: 'placement.resource_provider.inuse',
        })
      }
      await tx.deleteFrom('placement.provider').where('id', '=', id).execute()
    },
  }),
]

async function parentOf(tx: Tx, id: string): Promise<ProviderRow> {
  const provider = await tx.selectFrom('placement.provider').selectAll().where('id', '=', id).forShare().executeTakeFirst()
  if (!provider) throw badRequest(`Unable to save resource provider: parent provider UUID ${id} does not exist.`)
  return provider
}

/** Puts a provider, and all below it, under another one or at the top. */
async function move(call: Pick<Call, 'tx' | 'version'>, provider: ProviderRow, to: string | null): Promise<void> {
  const { tx } = call
  if (to === provider.parent_id) return
  if (provider.parent_id !== null && !atLeast(call, '1.37')) {
    throw badRequest(`Unable to save resource provider ${provider.id}: re-parenting a provider is not currently allowed.`)
  }
  const root = to === null ? provider.id : (await parentOf(tx, to)).root_id
  const below = sql<{ id: string }>`
    with recursive below (id) as (
      select id from placement.provider where id = ${provider.id}
      union select p.id from placement.provider p join below on p.parent_id = below.id)
    select id from below`
  const ids = (await below.execute(tx)).rows.map(({ id }) => id)
  if (to !== null && ids.includes(to))
    throw badRequest(`Unable to save resource provider ${provider.id}: creating loop in the provider tree is not allowed.`)
  await tx.updateTable('placement.provider').set({ parent_id: to }).where('id', '=', provider.id).execute()
  await tx.updateTable('placement.provider').set({ root_id: root }).where('id', 'in', ids).execute()
}
