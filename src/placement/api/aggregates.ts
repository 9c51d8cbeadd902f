// The aggregates that a provider belongs to: ids that mean something to whoever made them.
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { changed, row } from '../../http/table.ts'
import { atLeast, findProvider, fresh, lockProvider, mustBeAt, raise } from './find.ts'

const ids = t.Array(t.String({ format: 'uuid' }), { uniqueItems: true })
const withGeneration = t.Object({ aggregates: ids, resource_provider_generation: t.Integer() }, { additionalProperties: false })

const aggregatesOf = async (tx: Tx, provider: string) =>
  (
    await tx
      .selectFrom('placement.provider_aggregate')
      .select('aggregate_id')
      .where('provider_id', '=', provider)
      .orderBy('aggregate_id')
      .execute()
  ).map(({ aggregate_id }) => aggregate_id)

export const aggregates = [
  row({
    route: 'GET /resource_providers/:uuid/aggregates',
    policy: 'placement:resource_providers:aggregates:list',
    since: '1.1',
    reply: 200,
    summary: "List a provider's aggregates",
    async run(call) {
      const { id, generation } = await findProvider(call.tx, call.params.uuid)
      fresh(call)
      return { aggregates: await aggregatesOf(call.tx, id), ...(atLeast(call, '1.19') && { resource_provider_generation: generation }) }
    },
  }),
  row({
    route: 'PUT /resource_providers/:uuid/aggregates',
    policy: 'placement:resource_providers:aggregates:update',
    since: '1.1',
    body: changed('1.19', ids, withGeneration),
    reply: 200,
    summary: "Replace a provider's aggregates",
    async run(call) {
      const { body, params, tx } = call
      const { provider } = await lockProvider(tx, params.uuid)
      const wanted = Array.isArray(body) ? body : body.aggregates
      if (!Array.isArray(body)) mustBeAt(provider, body.resource_provider_generation)
      await tx.deleteFrom('placement.provider_aggregate').where('provider_id', '=', provider.id).execute()
      const rows = wanted.map((aggregate_id) => ({ provider_id: provider.id, aggregate_id }))
      if (rows.length > 0) await tx.insertInto('placement.provider_aggregate').values(rows).execute()
      fresh(call)
      if (Array.isArray(body)) return { aggregates: await aggregatesOf(tx, provider.id) }
      return { aggregates: await aggregatesOf(tx, provider.id), resource_provider_generation: await raise(tx, provider) }
    },
  }),
]
