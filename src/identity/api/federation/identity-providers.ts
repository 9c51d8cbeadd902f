// Identity providers: who may vouch for people of another organisation, and the domain in which those are users here.
import { type Static, Type as t } from 'typebox'
import type { Tx } from '../../../database/connect.ts'
import { conflict } from '../../../http/fault.ts'
import { type Call, row } from '../../../http/table.ts'
import { identityChanged, newId } from '../../control/changed.ts'
import { enabled, id, nullable, taken, text, wrapped } from '../fields.ts'
import { findDomain } from '../find.ts'
import { collection, limitOf, matching, selfLink } from '../list.ts'
import { checkId, findProvider, type ProviderRow, readProviders } from './find.ts'

// keystone/federation/schema.py
const properties = {
  enabled,
  description: text,
  authorization_ttl: t.Optional(nullable(t.Integer({ minimum: 0, maximum: 5_256_000 }))),
  remote_ids: t.Optional(nullable(t.Array(t.String({ maxLength: 64 }), { uniqueItems: true }))),
}
const newProvider = t.Object({ ...properties, domain_id: t.Optional(nullable(id)) }, { additionalProperties: false })
const changes = t.Object(properties, { additionalProperties: false, minProperties: 1 })

const view = (call: Pick<Call, 'url'>, provider: ProviderRow) => {
  const links = selfLink(call, 'OS-FEDERATION', 'identity_providers', provider.id)
  return {
    id: provider.id,
    domain_id: provider.domain_id,
    enabled: provider.enabled,
    description: provider.description,
    remote_ids: provider.remote_ids,
    authorization_ttl: provider.authorization_ttl,
    links: { ...links, protocols: `${links.self}/protocols` },
  }
}

/** @throws Fault 409 if one of them is another provider's */
async function setRemoteIds(tx: Tx, providerId: string, remoteIds: string[]): Promise<void> {
  await tx.deleteFrom('identity.identity_provider_remote_id').where('identity_provider_id', '=', providerId).execute()
  if (remoteIds.length === 0) return
  const stored = await tx
    .insertInto('identity.identity_provider_remote_id')
    .values(remoteIds.map((remote_id) => ({ remote_id, identity_provider_id: providerId })))
    .onConflict((c) => c.doNothing())
    .returning('remote_id')
    .execute()
  const foreign = remoteIds.find((remoteId) => !stored.some((row) => row.remote_id === remoteId))
  if (foreign !== undefined) throw conflict(`Conflict occurred attempting to store identity_provider - Duplicate remote ID: ${foreign}.`)
}

/** A domain for the users of one provider, where the operator names none; as Keystone's, it is named by its id. */
async function makeDomain(tx: Tx, providerId: string): Promise<string> {
  const domainId = newId()
  const description = `Auto generated federated domain for Identity Provider: ${providerId}`
  await tx.insertInto('identity.project').values({ id: domainId, name: domainId, is_domain: true, description }).execute()
  return domainId
}

async function create(tx: Tx, providerId: string, wanted: Static<typeof newProvider>): Promise<ProviderRow> {
  const { description = null, authorization_ttl = null, remote_ids, enabled = false } = wanted
  if (wanted.domain_id) await findDomain(tx, wanted.domain_id)
  const domain_id = wanted.domain_id ?? (await makeDomain(tx, providerId))
  await tx
    .insertInto('identity.identity_provider')
    .values({ id: providerId, domain_id, description, authorization_ttl, enabled })
    .execute()
    .catch(taken('identity_provider', `Duplicate entry found with ID ${providerId}`))
  await setRemoteIds(tx, providerId, remote_ids ?? [])
  await identityChanged(tx)
  return await findProvider(tx, providerId)
}

export const identityProviders = [
  row({
    route: 'GET /OS-FEDERATION/identity_providers',
    policy: 'identity:list_identity_providers',
    reply: 200,
    summary: 'List identity providers',
    async run(call) {
      const rows = await readProviders(call.tx)
        .where(matching(call.query, { id: 'text', enabled: 'boolean' }, 'i'))
        .orderBy('i.id')
        .limit(limitOf(call.query))
        .execute()
      return collection(call, 'identity_providers', rows, (provider) => view(call, provider))
    },
  }),
  row({
    route: 'PUT /OS-FEDERATION/identity_providers/:idp_id',
    policy: 'identity:create_identity_provider',
    body: t.Object({ identity_provider: t.Optional(newProvider) }, { additionalProperties: false }),
    reply: 201,
    summary: 'Register an identity provider; it gets a domain of its own unless one is named',
    run: async (call) => ({
      identity_provider: view(call, await create(call.tx, checkId(call.params.idp_id), call.body.identity_provider ?? {})),
    }),
  }),
  row({
    route: 'GET /OS-FEDERATION/identity_providers/:idp_id',
    policy: 'identity:get_identity_provider',
    reply: 200,
    summary: 'Show an identity provider',
    run: async (call) => ({ identity_provider: view(call, await findProvider(call.tx, call.params.idp_id)) }),
  }),
  row({
    route: 'PATCH /OS-FEDERATION/identity_providers/:idp_id',
    policy: 'identity:update_identity_provider',
    body: wrapped('identity_provider', changes),
    reply: 200,
    summary: 'Change an identity provider; while it is disabled, tokens of its users are void',
    async run(call) {
      const { tx, body, params } = call
      const old = await findProvider(tx, params.idp_id)
      const { enabled = old.enabled, description = old.description, remote_ids } = body.identity_provider
      const { authorization_ttl = old.authorization_ttl } = body.identity_provider
      await tx.updateTable('identity.identity_provider').set({ enabled, description, authorization_ttl }).where('id', '=', old.id).execute()
      // Whoever came in by it stays out, also when it is enabled again.
      if (!enabled) await tx.deleteFrom('identity.federated_context').where('identity_provider_id', '=', old.id).execute()
      if (remote_ids !== undefined) await setRemoteIds(tx, old.id, remote_ids ?? [])
      await identityChanged(tx)
      return { identity_provider: view(call, await findProvider(tx, old.id)) }
    },
  }),
  row({
    route: 'DELETE /OS-FEDERATION/identity_providers/:idp_id',
    policy: 'identity:delete_identity_provider',
    reply: 204,
    summary: 'Delete an identity provider; tokens of its users are void, and memberships that it vouched for end',
    async run({ tx, params }) {
      const { id } = await findProvider(tx, params.idp_id)
      await tx
        .deleteFrom('identity.group_member as m')
        .using('identity.federated_user as f')
        .whereRef('m.user_id', '=', 'f.user_id')
        .where('f.identity_provider_id', '=', id)
        .where('m.expires_at', 'is not', null)
        .execute()
      await tx.deleteFrom('identity.identity_provider').where('id', '=', id).execute()
      await identityChanged(tx)
    },
  }),
]
