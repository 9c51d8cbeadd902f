// Registered limits: how much of a service's resource every project may have that has no limit of its own.
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { forbidden, notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { newId } from '../control/changed.ts'
import { expecting } from '../control/faults.ts'
import { name, nullable, taken, text, wrapped } from './fields.ts'
import { orGone } from './find.ts'
import { collection, limitOf, matching, selfLink } from './list.ts'

/** -1 for no limit. */
export const amount = t.Integer({ minimum: -1, maximum: 0x7fffffff })
export const resource = { service_id: t.String(), region_id: t.Optional(nullable(t.String({ maxLength: 255 }))), resource_name: name() }
const properties = { ...resource, default_limit: amount, description: text }

const peek = (tx: Tx, id: string) => tx.selectFrom('identity.registered_limit').selectAll().where('id', '=', id).executeTakeFirst()
type RegisteredLimitRow = NonNullable<Awaited<ReturnType<typeof peek>>>

/** @throws Fault 404 */
async function findRegisteredLimit(tx: Tx, id: string): Promise<RegisteredLimitRow> {
  const limit = await peek(tx, id)
  if (!limit) throw notFound(`Could not find registered limit for ${id}.`)
  return limit
}

/** @throws Fault 400 if the service or the region does not exist */
export async function checkResource(tx: Tx, of: string, { service_id, region_id }: { service_id?: string; region_id?: string | null }) {
  const exists = (table: 'identity.service' | 'identity.region', id: string) =>
    tx.selectFrom(table).select('id').where('id', '=', id).executeTakeFirst()
  if (service_id !== undefined && !(await exists('identity.service', service_id))) throw expecting('service_id', of)
  if (typeof region_id === 'string' && !(await exists('identity.region', region_id))) throw expecting('region_id', of)
}

/** A registered limit is what limits refer to, so it stays as it is while there are any. @throws Fault 403 */
async function refuseInUse(tx: Tx, id: string): Promise<void> {
  const limit = await tx.selectFrom('identity.limit').select('id').where('registered_limit_id', '=', id).limit(1).executeTakeFirst()
  if (limit) throw forbidden(`Unable to update or delete registered limit ${id} because there are project limits associated with it.`)
}

const duplicate = taken('registered_limit', 'Duplicate entry')

const view = (call: Pick<Call, 'url'>, limit: RegisteredLimitRow) => ({ ...limit, links: selfLink(call, 'registered_limits', limit.id) })

export const registeredLimits = [
  row({
    route: 'GET /registered_limits',
    policy: 'identity:list_registered_limits',
    reply: 200,
    summary: 'List registered limits',
    async run(call) {
      const rows = await call.tx
        .selectFrom('identity.registered_limit as r')
        .selectAll()
        .where(matching(call.query, { service_id: 'text', region_id: 'text', resource_name: 'text' }, 'r'))
        .orderBy('id')
        .limit(limitOf(call.query))
        .execute()
      return collection(call, 'registered_limits', rows, (limit) => view(call, limit))
    },
  }),
  row({
    route: 'POST /registered_limits',
    policy: 'identity:create_registered_limits',
    body: wrapped('registered_limits', t.Array(t.Object(properties, { additionalProperties: false }), { minItems: 1 })),
    reply: 201,
    summary: 'Register limits, several at once',
    async run(call) {
      const { body, tx } = call
      const made: RegisteredLimitRow[] = []
      for (const wanted of body.registered_limits) {
        const { service_id, region_id = null, resource_name, default_limit, description = null } = wanted
        await checkResource(tx, 'registered_limit', { service_id, region_id })
        const values = { id: newId(), service_id, region_id, resource_name, default_limit, description }
        const limit = tx.insertInto('identity.registered_limit').values(values).returningAll()
        made.push(await limit.executeTakeFirstOrThrow().catch(duplicate))
      }
      return { registered_limits: made.map((limit) => view(call, limit)) }
    },
  }),
  row({
    route: 'GET /registered_limits/:registered_limit_id',
    policy: 'identity:get_registered_limit',
    reply: 200,
    summary: 'Show a registered limit',
    async run(call) {
      return { registered_limit: view(call, await findRegisteredLimit(call.tx, call.params.registered_limit_id)) }
    },
  }),
  row({
    route: 'PATCH /registered_limits/:registered_limit_id',
    policy: 'identity:update_registered_limit',
    body: wrapped('registered_limit', t.Partial(t.Object(properties), { additionalProperties: false })),
    reply: 200,
    summary: 'Change a registered limit that no limit refers to',
    async run(call) {
      const { body, tx } = call
      const old = await findRegisteredLimit(tx, call.params.registered_limit_id)
      const { service_id = old.service_id, region_id = old.region_id, resource_name = old.resource_name } = body.registered_limit
      await checkResource(tx, 'registered_limit', { service_id, region_id })
      await refuseInUse(tx, old.id)
      const { default_limit = old.default_limit, description = old.description } = body.registered_limit
      const limit = await tx
        .updateTable('identity.registered_limit')
        .set({ service_id, region_id, resource_name, default_limit, description })
        .where('id', '=', old.id)
        .returningAll()
        .executeTakeFirstOrThrow(orGone('registered limit for', old.id))
        .catch(duplicate)
      return { registered_limit: view(call, limit) }
    },
  }),
  row({
    route: 'DELETE /registered_limits/:registered_limit_id',
    policy: 'identity:delete_registered_limit',
    reply: 204,
    summary: 'Delete a registered limit that no limit refers to',
    async run({ tx, params }) {
      const { id } = await findRegisteredLimit(tx, params.registered_limit_id)
      await refuseInUse(tx, id)
      await tx.deleteFrom('identity.registered_limit').where('id', '=', id).execute()
    },
  }),
]
