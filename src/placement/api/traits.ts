// Traits: what a provider is able to do. The standard ones are fixed, those of operators begin with CUSTOM_.

import { sql } from 'kysely'
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, conflict, notFound } from '../../http/fault.ts'
import { row } from '../../http/table.ts'
import { address, findProvider, fresh, lockProvider, mustBeAt, raise } from './find.ts'

const noTrait = (name: string) => notFound(`No such trait(s): ${name.slice(0, 255)}.`)

const traitsOf = async (tx: Tx, provider: string) =>
  (await tx.selectFrom('placement.provider_trait').select('trait').where('provider_id', '=', provider).orderBy('trait').execute()).map(
    ({ trait }) => trait,
  )

export const traits = [
  row({
    route: 'GET /traits',
    policy: 'placement:traits:list',
    since: '1.6',
    query: t.Object({ name: t.Optional(t.String()), associated: t.Optional(t.String()) }, { additionalProperties: false }),
    reply: 200,
    summary: 'List traits, with ?name=in:A,B or startswith:A, ?associated=true for those that a provider has',
    async run(call) {
      const { query, tx } = call
      const [, operator, value = ''] = /^(in|startswith):(.*)$/s.exec(query.name ?? '') ?? []
      if (query.name !== undefined && !operator) {
        throw badRequest(
          `Badly formatted name parameter. Expected name query string parameter in form: ?name=[in|startswith]:[name1,name2|prefix]. Got: "${query.name.slice(0, 100)}"`,
        )
      }
      const associated = query.associated?.toLowerCase()
      if (associated !== undefined && associated !== 'true' && associated !== 'false') {
        throw badRequest('The query parameter "associated" only accepts "true" or "false"')
      }
      const bound = sql<boolean>`exists (select from placement.provider_trait p where p.trait = t.name)`
      const rows = await tx
        .selectFrom('placement.trait as t')
        .select('name')
        .$if(operator === 'in', (q) => q.where('name', 'in', value.split(',')))
        .$if(operator === 'startswith', (q) => q.where(sql<boolean>`starts_with(t.name, ${value})`))
        .$if(associated === 'true', (q) => q.where(bound))
        .$if(associated === 'false', (q) => q.where((e) => e.not(bound)))
        .orderBy('name')
        .execute()
      fresh(call)
      return { traits: rows.map(({ name }) => name) }
    },
  }),
  row({
    route: 'GET /traits/:name',
    policy: 'placement:traits:show',
    since: '1.6',
    reply: 204,
    summary: 'Say whether a trait exists',
    async run(call) {
      const { params, tx } = call
      const trait = await tx.selectFrom('placement.trait').select('name').where('name', '=', params.name).executeTakeFirst()
      if (!trait) throw noTrait(params.name)
      fresh(call)
    },
  }),
  row({
    route: 'PUT /traits/:name',
    policy: 'placement:traits:update',
    since: '1.6',
    reply: 201,
    summary: 'Create a trait; 204 if it is there already',
    async run(call) {
      const { header, params, status, tx, url } = call
      if (!/^CUSTOM_[A-Z0-9_]+$/.test(params.name) || params.name.length > 255) {
        throw badRequest(
          'The trait is invalid. A valid trait must be no longer than 255 characters, start with the prefix "CUSTOM_" and use following characters: "A"-"Z", "0"-"9" and "_"',
        )
      }
      const { numInsertedOrUpdatedRows } = await tx
        .insertInto('placement.trait')
        .values({ name: params.name })
        .onConflict((on) => on.doNothing())
        .executeTakeFirst()
      if (!numInsertedOrUpdatedRows) status(204)
      header('location', url.origin + address('traits', params.name))
      fresh(call)
    },
  }),
  row({
    route: 'DELETE /traits/:name',
    policy: 'placement:traits:delete',
    since: '1.6',
    reply: 204,
    summary: 'Delete a trait that no provider has',
    async run({ params, tx }) {
      const trait = await tx.selectFrom('placement.trait').select('name').where('name', '=', params.name).forUpdate().executeTakeFirst()
      if (!trait) throw noTrait(params.name)
      if (!trait.name.startsWith('CUSTOM_')) throw badRequest(`Cannot delete standard trait ${trait.name}.`)
      const used = await tx.selectFrom('placement.provider_trait').select('trait').where('trait', '=', trait.name).executeTakeFirst()
      if (used) throw conflict(`The trait ${trait.name} is in use by a resource provider.`)
      await tx.deleteFrom('placement.trait').where('name', '=', trait.name).execute()
    },
  }),
  row({
    route: 'GET /resource_providers/:uuid/traits',
    policy: 'placement:resource_providers:traits:list',
    since: '1.6',
    reply: 200,
    summary: "List a provider's traits",
    async run(call) {
      const { id, generation } = await findProvider(call.tx, call.params.uuid)
      fresh(call)
      return { traits: await traitsOf(call.tx, id), resource_provider_generation: generation }
    },
  }),
  row({
    route: 'PUT /resource_providers/:uuid/traits',
    policy: 'placement:resource_providers:traits:update',
    since: '1.6',
    body: t.Object(
      {
        traits: t.Array(t.String({ pattern: '^[A-Z0-9_]+$', maxLength: 255 }), { uniqueItems: true }),
        resource_provider_generation: t.Integer(),
      },
      { additionalProperties: false },
    ),
    reply: 200,
    summary: "Replace a provider's traits",
    async run(call) {
      const { body, params, tx } = call
      const { provider } = await lockProvider(tx, params.uuid)
      mustBeAt(provider, body.resource_provider_generation)
      const { rows: missing } = await sql<{ name: string }>`
        select name from unnest(${body.traits}::text[]) name where name not in (select t.name from placement.trait t)`.execute(tx)
      if (missing.length > 0) throw badRequest(`No such trait ${missing.map(({ name }) => name).join(', ')}`)
      await tx.deleteFrom('placement.provider_trait').where('provider_id', '=', provider.id).execute()
      const rows = body.traits.map((trait) => ({ provider_id: provider.id, trait }))
      if (rows.length > 0) await tx.insertInto('placement.provider_trait').values(rows).execute()
      fresh(call)
      return { traits: await traitsOf(tx, provider.id), resource_provider_generation: await raise(tx, provider) }
    },
  }),
  row({
    route: 'DELETE /resource_providers/:uuid/traits',
    policy: 'placement:resource_providers:traits:delete',
    since: '1.6',
    reply: 204,
    summary: "Remove all of a provider's traits",
    async run({ params, tx }) {
      const { provider } = await lockProvider(tx, params.uuid)
      await tx.deleteFrom('placement.provider_trait').where('provider_id', '=', provider.id).execute()
      await raise(tx, provider)
    },
  }),
]
