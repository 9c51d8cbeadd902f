// Allocations: what consumers hold of providers. Each change replaces everything that the consumers named in it hold.
import { type TSchema, Type as t } from 'typebox'
import { badRequest, notBuilt, notFound } from '../../http/fault.ts'
import { type Call, changed, row, since } from '../../http/table.ts'
import { type Replacement, replaceAllocations } from '../control/allocate.ts'
import { type Resources, release } from '../control/claim.ts'
import { atLeast, findProvider, fresh } from './find.ts'

/** Who holds what was allocated before 1.8, when nobody asked. */
const unknown = '00000000-0000-0000-0000-000000000000'
const uuid = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i

const keyed = <T>(pattern: string, schema: TSchema, more: object = {}) =>
  t.Unsafe<Record<string, T>>({ type: 'object', patternProperties: { [pattern]: schema }, additionalProperties: false, ...more })

const resources = keyed<number>('^[A-Z0-9_]+$', t.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }), { minProperties: 1 })
const listForm = t.Array(
  t.Object(
    { resource_provider: t.Object({ uuid: t.String({ format: 'uuid' }) }, { additionalProperties: false }), resources },
    { additionalProperties: false },
  ),
  { minItems: 1 },
)
const byProvider = (more: object = {}) =>
  keyed<{ resources: Resources }>(
    '^[0-9a-fA-F-]{36}$',
    t.Object({ generation: t.Optional(t.Integer()), resources }, { additionalProperties: false }),
    more,
  )
const id = t.String({ minLength: 1, maxLength: 255 })
const about = {
  consumer_generation: since('1.28', t.Union([t.Integer(), t.Null()])),
  mappings: since(
    '1.34',
    t.Optional(keyed<string[]>('^[a-zA-Z0-9_-]{0,64}$', t.Array(t.String({ format: 'uuid' }), { minItems: 1 }), { minProperties: 1 })),
  ),
  consumer_type: since('1.38', t.String({ pattern: '^[A-Z0-9_]+$', minLength: 1, maxLength: 255 })),
}
const putBody = t.Object(
  {
    allocations: changed('1.12', listForm, changed('1.28', byProvider({ minProperties: 1 }), byProvider())),
    project_id: since('1.8', id),
    user_id: since('1.8', id),
    ...about,
  },
  { additionalProperties: false },
)
const postOne = t.Object({ allocations: byProvider(), project_id: id, user_id: id, ...about }, { additionalProperties: false })

interface Asked {
  allocations: Record<string, { resources: Resources }> | { resource_provider: { uuid: string }; resources: Resources }[]
  project_id?: string
  user_id?: string
  consumer_generation?: number | null
  consumer_type?: string
}

function replacementOf(call: Pick<Call, 'version'>, consumer: string, asked: Asked): Replacement {
  const { allocations, project_id = unknown, user_id = unknown, consumer_generation, consumer_type } = asked
  const pairs: [string, Resources][] = Array.isArray(allocations)
    ? allocations.map(({ resource_provider, resources }) => [resource_provider.uuid, resources])
    : Object.entries(allocations).map(([provider, { resources }]) => [provider, resources])
  return {
    consumer,
    project_id,
    user_id,
    type: consumer_type ?? null,
    ...(atLeast(call, '1.28') && { generation: consumer_generation }),
    allocations: Object.fromEntries(pairs),
  }
}

const held = (tx: Call['tx']) =>
  tx
    .selectFrom('placement.allocation as a')
    .innerJoin('placement.consumer as c', 'c.id', 'a.consumer_id')
    .innerJoin('placement.provider as p', 'p.id', 'a.provider_id')
    .select(['a.consumer_id', 'a.provider_id', 'a.resource_class', 'a.used'])
    .select(['c.project_id', 'c.user_id', 'c.type', 'c.generation as consumer_generation', 'p.generation'])
    .orderBy('a.provider_id')
    .orderBy('a.resource_class')

export const allocations = [
  row({
    route: 'GET /allocations/:consumer',
    policy: 'placement:allocations:list',
    reply: 200,
    summary: 'List what a consumer holds',
    async run(call) {
      const rows = await held(call.tx).where('a.consumer_id', '=', call.params.consumer).execute()
      const byProvider: Record<string, { generation: number; resources: Resources }> = {}
      for (const { provider_id, resource_class, used, generation } of rows) {
        byProvider[provider_id] ??= { generation, resources: {} }
        byProvider[provider_id].resources[resource_class] = used
      }
      fresh(call)
      const [one] = rows
      return {
        allocations: byProvider,
        ...(one && atLeast(call, '1.12') && { project_id: one.project_id, user_id: one.user_id }),
        ...(one && atLeast(call, '1.28') && { consumer_generation: one.consumer_generation }),
        ...(one && atLeast(call, '1.38') && { consumer_type: one.type ?? 'unknown' }),
      }
    },
  }),
  row({
    route: 'PUT /allocations/:consumer',
    policy: 'placement:allocations:update',
    body: putBody,
    reply: 204,
    summary: 'Replace what a consumer holds',
    async run(call) {
      const { body, params, tx } = call
      if (!uuid.test(params.consumer)) throw badRequest(`Malformed consumer_uuid: ${params.consumer.slice(0, 100)}`)
      await replaceAllocations(tx, [replacementOf(call, params.consumer, body as Asked)])
    },
  }),
  row({
    route: 'POST /allocations',
    policy: 'placement:allocations:manage',
    since: '1.13',
    body: keyed<Asked>('^[0-9a-fA-F-]{36}$', postOne, { minProperties: 1 }),
    reply: 204,
    summary: 'Replace what several consumers hold, all or none',
    async run(call) {
      await replaceAllocations(
        call.tx,
        Object.entries(call.body).map(([consumer, asked]) => replacementOf(call, consumer, asked)),
      )
    },
  }),
  row({
    route: 'DELETE /allocations/:consumer',
    policy: 'placement:allocations:delete',
    reply: 204,
    summary: 'Give back everything that a consumer holds',
    async run({ params, tx }) {
      const consumer = await tx
        .selectFrom('placement.consumer')
        .select('id')
        .where('id', '=', params.consumer)
        .forUpdate()
        .executeTakeFirst()
      if (!consumer) throw notFound(`No allocations for consumer '${params.consumer.slice(0, 100)}'`)
      await release(tx, consumer.id)
    },
  }),
  row({
    route: 'GET /resource_providers/:uuid/allocations',
    policy: 'placement:resource_providers:allocations:list',
    reply: 200,
    summary: 'List what is held of a provider',
    async run(call) {
      const provider = await findProvider(call.tx, call.params.uuid)
      const rows = await held(call.tx).where('a.provider_id', '=', provider.id).execute()
      const byConsumer: Record<string, { resources: Resources; consumer_generation?: number }> = {}
      for (const { consumer_id, resource_class, used, consumer_generation } of rows) {
        byConsumer[consumer_id] ??= { resources: {}, ...(atLeast(call, '1.28') && { consumer_generation }) }
        byConsumer[consumer_id].resources[resource_class] = used
      }
      fresh(call)
      return { allocations: byConsumer, resource_provider_generation: provider.generation }
    },
  }),
  row({
    route: 'POST /reshaper',
    policy: 'placement:reshaper:reshape',
    since: '1.30',
    reply: 501,
    summary: 'Move inventories and allocations between providers: not available in this version',
    run: () => {
      throw notBuilt('Reshaping of resource providers')
    },
  }),
]
