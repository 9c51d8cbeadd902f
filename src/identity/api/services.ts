// Services: what kinds of things this cloud offers. Their endpoints say where; both together are the catalog.
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { identityChanged, newId } from '../control/changed.ts'
import { enabled, extraOf, partial, sameId, text, wrapped } from './fields.ts'
import { lock, orGone } from './find.ts'
import { collection, limitOf, matching, selfLink } from './list.ts'

const word = t.String({ minLength: 1, maxLength: 255 })
const properties = { type: word, name: t.Optional(word), description: text, enabled }
const known = Object.keys(properties)

const peek = (tx: Tx, id: string) => tx.selectFrom('identity.service').selectAll().where('id', '=', id).executeTakeFirst()
type ServiceRow = NonNullable<Awaited<ReturnType<typeof peek>>>

/** @throws Fault 404 */
export async function findService(tx: Tx, id: string): Promise<ServiceRow> {
  const service = await peek(tx, id)
  if (!service) throw notFound(`Could not find service: ${id}.`)
  return service
}

const view = (call: Pick<Call, 'url'>, service: ServiceRow) => ({
  ...(service.extra as object),
  id: service.id,
  type: service.type,
  name: service.name ?? '',
  ...(service.description !== null && { description: service.description }),
  enabled: service.enabled,
  links: selfLink(call, 'services', service.id),
})

export const services = [
  row({
    route: 'GET /services',
    policy: 'identity:list_services',
    reply: 200,
    summary: 'List services',
    async run(call) {
      const rows = await call.tx
        .selectFrom('identity.service as s')
        .selectAll()
        .where(matching(call.query, { type: 'text', name: 'text' }, 's'))
        .orderBy('id')
        .limit(limitOf(call.query))
        .execute()
      return collection(call, 'services', rows, (service) => view(call, service))
    },
  }),
  row({
    route: 'POST /services',
    policy: 'identity:create_service',
    body: wrapped('service', t.Object(properties, { additionalProperties: true })),
    reply: 201,
    summary: 'Create a service',
    async run(call) {
      const { body, tx } = call
      const { type, name = null, description = null, enabled = true } = body.service
      const service = await tx
        .insertInto('identity.service')
        .values({ id: newId(), type, name, description, enabled, extra: extraOf(body.service, known) })
        .returningAll()
        .executeTakeFirstOrThrow()
      await identityChanged(tx)
      return { service: view(call, service) }
    },
  }),
  row({
    route: 'GET /services/:service_id',
    policy: 'identity:get_service',
    reply: 200,
    summary: 'Show a service',
    async run(call) {
      return { service: view(call, await findService(call.tx, call.params.service_id)) }
    },
  }),
  row({
    route: 'PATCH /services/:service_id',
    policy: 'identity:update_service',
    body: wrapped('service', partial(properties)),
    reply: 200,
    summary: 'Change a service',
    async run(call) {
      const { body, tx } = call
      await lock(tx, 'service', call.params.service_id)
      const old = await findService(tx, call.params.service_id)
      sameId(body.service, old.id)
      const { type = old.type, name = old.name, description = old.description, enabled = old.enabled } = body.service
      const service = await tx
        .updateTable('identity.service')
        .set({ type, name, description, enabled, extra: extraOf(body.service, known, old.extra) })
        .where('id', '=', old.id)
        .returningAll()
        .executeTakeFirstOrThrow(orGone('service', old.id))
      await identityChanged(tx)
      return { service: view(call, service) }
    },
  }),
  row({
    route: 'DELETE /services/:service_id',
    policy: 'identity:delete_service',
    reply: 204,
    summary: 'Delete a service with its endpoints',
    async run({ tx, params }) {
      const { id } = await findService(tx, params.service_id)
      await tx.deleteFrom('identity.service').where('id', '=', id).execute()
      await identityChanged(tx)
    },
  }),
]
