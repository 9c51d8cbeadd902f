// Usages: how much is taken, of one provider or by one project.
import { Type as t } from 'typebox'
import { row, since } from '../../http/table.ts'
import { atLeast, findProvider, fresh } from './find.ts'

const id = t.String({ minLength: 1, maxLength: 255 })

export const usages = [
  row({
    route: 'GET /resource_providers/:uuid/usages',
    policy: 'placement:resource_providers:usages',
    reply: 200,
    summary: 'Show how much of a provider is taken',
    async run(call) {
      const provider = await findProvider(call.tx, call.params.uuid)
      const rows = await call.tx
        .selectFrom('placement.inventory')
        .select(['resource_class', 'used'])
        .where('provider_id', '=', provider.id)
        .orderBy('resource_class')
        .execute()
      fresh(call)
      return {
        resource_provider_generation: provider.generation,
        usages: Object.fromEntries(rows.map(({ resource_class, used }) => [resource_class, used])),
      }
    },
  }),
  row({
    route: 'GET /usages',
    policy: 'placement:usages',
    target: ({ query }) => ({ project_id: query.project_id }),
    since: '1.9',
    query: t.Object(
      {
        project_id: id,
        user_id: t.Optional(id),
        consumer_type: since('1.38', t.Optional(t.String({ pattern: '^([A-Z0-9_]+|all|unknown)$' }))),
      },
      { additionalProperties: false },
    ),
    reply: 200,
    summary: 'Show how much a project holds',
    async run(call) {
      const { query, tx } = call
      const { consumer_type: type } = query
      const rows = await tx
        .selectFrom('placement.allocation as a')
        .innerJoin('placement.consumer as c', 'c.id', 'a.consumer_id')
        .select(['c.type', 'a.resource_class', 'a.consumer_id', 'a.used'])
        .where('c.project_id', '=', query.project_id)
        .$if(query.user_id !== undefined, (q) => q.where('c.user_id', '=', query.user_id!))
        .$if(type === 'unknown', (q) => q.where('c.type', 'is', null))
        .$if(type !== undefined && type !== 'unknown' && type !== 'all', (q) => q.where('c.type', '=', type!))
        .execute()
      fresh(call)
      if (!atLeast(call, '1.38')) return { usages: sums(rows) }
      const groups = Map.groupBy(rows, (one) => (type === 'all' ? 'all' : (one.type ?? 'unknown')))
      return {
        usages: Object.fromEntries(
          [...groups].map(([name, group]) => [
            name,
            { ...sums(group), consumer_count: new Set(group.map(({ consumer_id }) => consumer_id)).size },
          ]),
        ),
      }
    },
  }),
]

function sums(rows: { resource_class: string; used: number }[]): Record<string, number> {
  const total: Record<string, number> = {}
  for (const { resource_class, used } of rows) total[resource_class] = (total[resource_class] ?? 0) + used
  return total
}
