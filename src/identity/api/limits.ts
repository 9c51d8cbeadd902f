// Limits: how much of a service's resource one project or domain may have, where that is not what is registered for all.
import { type RawBuilder, sql } from 'kysely'
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, forbidden, notFound } from '../../http/fault.ts'
import { type Call, row, type Who } from '../../http/table.ts'
import { newId } from '../control/changed.ts'
import { expecting } from '../control/faults.ts'
import { checkModel, type LimitModel, type LimitRow, limitModels, limitTable, type WantedLimit } from '../control/limits.ts'
import { nullable, taken, text, wrapped } from './fields.ts'
import { peekProject } from './find.ts'
import { collection, limitOf, matching, selfLink } from './list.ts'
import { amount, checkResource, resource } from './registered-limits.ts'

const owner = t.Optional(nullable(t.String()))
const newLimit = t.Object(
  { ...resource, project_id: owner, domain_id: owner, resource_limit: amount, description: text },
  { additionalProperties: false },
)
const change = t.Object({ resource_limit: t.Optional(amount), description: text }, { additionalProperties: false })

async function peek(tx: Tx, id: string): Promise<LimitRow | undefined> {
  const { rows } = await sql<LimitRow>`select l.* from ${limitTable} l where l.id = ${id}`.execute(tx)
  return rows[0]
}

/** @throws Fault 404 */
async function findLimit(tx: Tx, id: string): Promise<LimitRow> {
  const limit = await peek(tx, id)
  if (!limit) throw notFound(`Could not find limit for ${id}.`)
  return limit
}

const view = (call: Pick<Call, 'url'>, limit: LimitRow) => ({ ...limit, links: selfLink(call, 'limits', limit.id) })

/** Who looks after the whole cloud sees every limit; tokens of a domain see those within it, tokens of a project its own. */
function visibleTo({ system, roles, domain, project }: Who): RawBuilder<boolean> {
  if (system || roles.includes('admin') || roles.includes('service')) return sql`true`
  if (domain) return sql`(l.domain_id = ${domain.id} or l.project_id in (select id from identity.project where domain_id = ${domain.id}))`
  return sql`l.project_id is not distinct from ${project?.id ?? ''}`
}

/** The project or domain of a new limit; a project that acts as a domain has the domain's. @throws Fault 400 */
async function ownerOf(tx: Tx, limit: { project_id?: string | null; domain_id?: string | null }) {
  const { project_id, domain_id } = limit
  if (!project_id === !domain_id) throw badRequest("Invalid input for field 'limits': each needs either project_id or domain_id, not both.")
  const found = await peekProject(tx, project_id ?? domain_id ?? '')
  if (!found || (domain_id && !found.is_domain)) throw expecting(project_id ? 'project_id' : 'domain_id', 'limit')
  return found.is_domain ? { project_id: null, domain_id: found.id } : { project_id: found.id, domain_id: null }
}

/** @throws Fault 403 without a registered limit for the same, 409 if there is one already */
async function insert(tx: Tx, { service_id, region_id, resource_name, ...limit }: WantedLimit & { description: string | null }) {
  const registered = await tx
    .selectFrom('identity.registered_limit')
    .select('id')
    .where('service_id', '=', service_id)
    .where('resource_name', '=', resource_name)
    .where('region_id', 'is not distinct from', region_id)
    .executeTakeFirst()
  if (!registered) throw forbidden('Unable to create a limit that has no corresponding registered limit.')
  const id = newId()
  await tx
    .insertInto('identity.limit')
    .values({ id, registered_limit_id: registered.id, ...limit })
    .execute()
    .catch(taken('limit', 'Duplicate entry'))
  return id
}

export const limits = (model: LimitModel) => [
  row({
    route: 'GET /limits/model',
    policy: 'identity:get_limit_model',
    reply: 200,
    summary: 'Show how limits are enforced',
    run: () => ({ model: { name: model, description: limitModels[model].description } }),
  }),
  row({
    route: 'GET /limits',
    policy: 'identity:list_limits',
    reply: 200,
    summary: 'List the limits that one may see',
    async run(call) {
      const columns = { service_id: 'text', region_id: 'text', resource_name: 'text', project_id: 'text', domain_id: 'text' } as const
      const { rows } = await sql<LimitRow>`
        select l.* from ${limitTable} l where ${visibleTo(call.who)} and ${matching(call.query, columns, 'l')}
        order by l.id limit ${limitOf(call.query)}`.execute(call.tx)
      return collection(call, 'limits', rows, (limit) => view(call, limit))
    },
  }),
  row({
    route: 'POST /limits',
    policy: 'identity:create_limits',
    body: wrapped('limits', t.Array(newLimit, { minItems: 1 })),
    reply: 201,
    summary: 'Set limits of projects and domains, several at once',
    async run(call) {
      const { body, tx } = call
      const wanted: (WantedLimit & { description: string | null })[] = []
      for (const { service_id, region_id = null, resource_name, resource_limit, description = null, ...rest } of body.limits) {
        await checkResource(tx, 'limit', { service_id, region_id })
        wanted.push({ service_id, region_id, resource_name, resource_limit, description, ...(await ownerOf(tx, rest)) })
      }
      await checkModel(tx, model, wanted)
      const made: LimitRow[] = []
      for (const limit of wanted) made.push({ id: await insert(tx, limit), ...limit })
      return { limits: made.map((limit) => view(call, limit)) }
    },
  }),
  row({
    route: 'GET /limits/:limit_id',
    policy: 'identity:get_limit',
    target: async ({ tx, params }) => {
      const limit = await peek(tx, params.limit_id)
      if (!limit) return {}
      const project = await peekProject(tx, limit.project_id ?? limit.domain_id ?? '')
      return { target: { limit: { ...limit, [limit.project_id ? 'project' : 'domain']: project } } }
    },
    reply: 200,
    summary: 'Show a limit',
    async run(call) {
      return { limit: view(call, await findLimit(call.tx, call.params.limit_id)) }
    },
  }),
  row({
    route: 'PATCH /limits/:limit_id',
    policy: 'identity:update_limit',
    body: wrapped('limit', change),
    reply: 200,
    summary: 'Change how much a limit allows',
    async run(call) {
      const { body, tx } = call
      const old = await findLimit(tx, call.params.limit_id)
      const { resource_limit = old.resource_limit, description = old.description } = body.limit
      await checkModel(tx, model, [{ ...old, resource_limit }])
      await tx.updateTable('identity.limit').set({ resource_limit, description }).where('id', '=', old.id).execute()
      return { limit: view(call, { ...old, resource_limit, description }) }
    },
  }),
  row({
    route: 'DELETE /limits/:limit_id',
    policy: 'identity:delete_limit',
    reply: 204,
    summary: 'Delete a limit; what is registered counts again',
    async run({ tx, params }) {
      const { id } = await findLimit(tx, params.limit_id)
      await tx.deleteFrom('identity.limit').where('id', '=', id).execute()
    },
  }),
]
