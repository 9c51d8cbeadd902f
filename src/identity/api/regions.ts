// Regions: parts of a cloud that have endpoints of their own. Their ids are names that the operator chooses.
import { sql } from 'kysely'
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, forbidden, notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { identityChanged, newId } from '../control/changed.ts'
import { extraOf, nullable, partial, sameId, taken, text, wrapped } from './fields.ts'
import { lock, orGone } from './find.ts'
import { collection, limitOf, matching, selfLink } from './list.ts'

const regionId = t.String({ minLength: 1, maxLength: 255 })
const properties = { description: text, parent_region_id: t.Optional(nullable(regionId)) }
const known = Object.keys(properties)
const newRegion = wrapped(
  'region',
  t.Object({ ...properties, id: t.Optional(nullable(t.String({ maxLength: 255 }))) }, { additionalProperties: true }),
)

const peek = (tx: Tx, id: string) => tx.selectFrom('identity.region').selectAll().where('id', '=', id).executeTakeFirst()
type RegionRow = NonNullable<Awaited<ReturnType<typeof peek>>>

/** @throws Fault 404 */
export async function findRegion(tx: Tx, id: string): Promise<RegionRow> {
  const region = await peek(tx, id)
  if (!region) throw notFound(`Could not find region: ${id}.`)
  return region
}

const view = (call: Pick<Call, 'url'>, region: RegionRow) => ({
  ...(region.extra as object),
  id: region.id,
  description: region.description,
  parent_region_id: region.parent_region_id,
  links: selfLink(call, 'regions', region.id),
})

interface Wanted {
  description?: string | null | undefined
  parent_region_id?: string | null | undefined
}

async function create(call: Pick<Call, 'tx' | 'url'>, id: string, body: Wanted) {
  const { tx } = call
  const { description, parent_region_id = null } = body
  if (parent_region_id !== null) await findRegion(tx, parent_region_id)
  const region = await tx
    .insertInto('identity.region')
    .values({ id, parent_region_id, description: description ?? '', extra: extraOf(body, known) })
    .returningAll()
    .executeTakeFirstOrThrow()
    .catch(taken('region', `Duplicate ID, ${id}`))
  await identityChanged(tx)
  return { region: view(call, region) }
}

/** @throws Fault 400 if the region would be above itself */
async function refuseCircle(tx: Tx, id: string, parent: string): Promise<void> {
  for (let above: string | null = parent; above !== null; above = (await findRegion(tx, above)).parent_region_id) {
    if (above === id) throw badRequest(`The specified parent region ${parent} would create a circular region hierarchy.`)
  }
}

export const regions = [
  row({
    route: 'GET /regions',
    policy: 'identity:list_regions',
    reply: 200,
    summary: 'List regions',
    async run(call) {
      const rows = await call.tx
        .selectFrom('identity.region as r')
        .selectAll()
        .where(matching(call.query, { parent_region_id: 'text' }, 'r'))
        .orderBy('id')
        .limit(limitOf(call.query))
        .execute()
      return collection(call, 'regions', rows, (region) => view(call, region))
    },
  }),
  row({
    route: 'POST /regions',
    policy: 'identity:create_region',
    body: newRegion,
    reply: 201,
    summary: 'Create a region',
    run: (call) => create(call, call.body.region.id || newId(), call.body.region),
  }),
  row({
    route: 'PUT /regions/:region_id',
    policy: 'identity:create_region',
    body: newRegion,
    reply: 201,
    summary: 'Create a region with this id',
    run(call) {
      const { id } = call.body.region
      const { region_id } = call.params
      if (id && id !== region_id) throw badRequest(`Conflicting region IDs specified: "${region_id}" != "${id}"`)
      return create(call, region_id, call.body.region)
    },
  }),
  row({
    route: 'GET /regions/:region_id',
    policy: 'identity:get_region',
    reply: 200,
    summary: 'Show a region',
    async run(call) {
      return { region: view(call, await findRegion(call.tx, call.params.region_id)) }
    },
  }),
  row({
    route: 'PATCH /regions/:region_id',
    policy: 'identity:update_region',
    body: wrapped('region', partial(properties)),
    reply: 200,
    summary: 'Change a region',
    async run(call) {
      const { body, tx } = call
      await lock(tx, 'region', call.params.region_id)
      const old = await findRegion(tx, call.params.region_id)
      sameId(body.region, old.id)
      const { description, parent_region_id = old.parent_region_id } = body.region
      if (parent_region_id !== null) await refuseCircle(tx, old.id, parent_region_id)
      const region = await tx
        .updateTable('identity.region')
        .set({ parent_region_id, description: description === undefined ? old.description : (description ?? '') })
        .set({ extra: extraOf(body.region, known, old.extra) })
        .where('id', '=', old.id)
        .returningAll()
        .executeTakeFirstOrThrow(orGone('region', old.id))
      await identityChanged(tx)
      return { region: view(call, region) }
    },
  }),
  row({
    route: 'DELETE /regions/:region_id',
    policy: 'identity:delete_region',
    reply: 204,
    summary: 'Delete a region and those below it, if none has endpoints',
    async run({ tx, params }) {
      const { id } = await findRegion(tx, params.region_id)
      const below = sql<string>`(
        with recursive below(id) as (
          select ${id}::text union select r.id from identity.region r join below b on r.parent_region_id = b.id
        ) select id from below)`
      const endpoint = await tx.selectFrom('identity.endpoint').select('id').where('region_id', 'in', below).executeTakeFirst()
      if (endpoint) throw forbidden(`Unable to delete region ${id} because it or its child regions have associated endpoints.`)
      await tx.deleteFrom('identity.region').where('id', 'in', below).execute()
      await identityChanged(tx)
    },
  }),
]
