// Service providers: other clouds that take our word for our users. Tokens name the enabled ones, so that clients find them.
import { Type as t } from 'typebox'
import type { Tx } from '../../../database/connect.ts'
import { notFound } from '../../../http/fault.ts'
import { type Call, row } from '../../../http/table.ts'
import { identityChanged } from '../../control/changed.ts'
import { enabled, taken, text, wrapped } from '../fields.ts'
import { collection, limitOf, matching, selfLink } from '../list.ts'
import { checkId } from './find.ts'

const url = t.String({ maxLength: 225, pattern: '^[a-zA-Z0-9+.-]+:.+' })
const properties = { auth_url: url, sp_url: url, description: text, enabled, relay_state_prefix: text }
/** Keystone's [saml]relay_state_prefix. */
const defaultPrefix = 'ss:mem:'

const peek = (tx: Tx, id: string) => tx.selectFrom('identity.service_provider').selectAll().where('id', '=', id).executeTakeFirst()
type ServiceProviderRow = NonNullable<Awaited<ReturnType<typeof peek>>>

/** @throws Fault 404 */
export async function findServiceProvider(tx: Tx, id: string): Promise<ServiceProviderRow> {
  const provider = await peek(tx, id)
  if (!provider) throw notFound(`Could not find Service Provider: ${id}.`)
  return provider
}

const view = (call: Pick<Call, 'url'>, provider: ServiceProviderRow) => ({
  ...provider,
  links: selfLink(call, 'OS-FEDERATION', 'service_providers', provider.id),
})

export const serviceProviders = [
  row({
    route: 'GET /OS-FEDERATION/service_providers',
    policy: 'identity:list_service_providers',
    reply: 200,
    summary: 'List service providers',
    async run(call) {
      const rows = await call.tx
        .selectFrom('identity.service_provider as s')
        .selectAll()
        .where(matching(call.query, { id: 'text', enabled: 'boolean' }, 's'))
        .orderBy('id')
        .limit(limitOf(call.query))
        .execute()
      return collection(call, 'service_providers', rows, (provider) => view(call, provider))
    },
  }),
  row({
    route: 'PUT /OS-FEDERATION/service_providers/:sp_id',
    policy: 'identity:create_service_provider',
    body: wrapped('service_provider', t.Object(properties, { additionalProperties: false })),
    reply: 201,
    summary: 'Register a service provider',
    async run(call) {
      const { tx, body } = call
      const id = checkId(call.params.sp_id)
      const { auth_url, sp_url, description = null, enabled = false, relay_state_prefix } = body.service_provider
      const provider = await tx
        .insertInto('identity.service_provider')
        .values({ id, auth_url, sp_url, description, enabled, relay_state_prefix: relay_state_prefix ?? defaultPrefix })
        .returningAll()
        .executeTakeFirstOrThrow()
        .catch(taken('service_provider', `Duplicate entry found with ID ${id}`))
      await identityChanged(tx)
      return { service_provider: view(call, provider) }
    },
  }),
  row({
    route: 'GET /OS-FEDERATION/service_providers/:sp_id',
    policy: 'identity:get_service_provider',
    reply: 200,
    summary: 'Show a service provider',
    run: async (call) => ({ service_provider: view(call, await findServiceProvider(call.tx, call.params.sp_id)) }),
  }),
  row({
    route: 'PATCH /OS-FEDERATION/service_providers/:sp_id',
    policy: 'identity:update_service_provider',
    body: wrapped('service_provider', t.Partial(t.Object(properties), { additionalProperties: false, minProperties: 1 })),
    reply: 200,
    summary: 'Change a service provider',
    async run(call) {
      const { tx, body, params } = call
      const old = await findServiceProvider(tx, params.sp_id)
      const { relay_state_prefix, ...changes } = body.service_provider
      const provider = await tx
        .updateTable('identity.service_provider')
        .set({ ...old, ...changes, relay_state_prefix: relay_state_prefix ?? old.relay_state_prefix })
        .where('id', '=', old.id)
        .returningAll()
        .executeTakeFirstOrThrow()
      await identityChanged(tx)
      return { service_provider: view(call, provider) }
    },
  }),
  row({
    route: 'DELETE /OS-FEDERATION/service_providers/:sp_id',
    policy: 'identity:delete_service_provider',
    reply: 204,
    summary: 'Delete a service provider',
    async run({ tx, params }) {
      const { id } = await findServiceProvider(tx, params.sp_id)
      await tx.deleteFrom('identity.service_provider').where('id', '=', id).execute()
      await identityChanged(tx)
    },
  }),
]
