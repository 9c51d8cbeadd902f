// Unified limits: what a service's resource is limited to for everybody (registered limits) and for single projects and domains, and how
// these must fit together in the enforcement model that the cloud has chosen (WISP_LIMIT_MODEL).
import { sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import { forbidden } from '../../http/fault.ts'

/** The depth of the tree of projects below a domain, where a model needs one (keystone/limit/models). */
export const limitModels = {
  flat: {
    description: 'Limit enforcement and validation does not take project hierarchy into consideration.',
    depth: undefined,
  },
  strict_two_level: {
    description: 'This model requires project hierarchy never exceeds a depth of two',
    depth: 2,
  },
} as const
export type LimitModel = keyof typeof limitModels

/** Where quotas find it: they are checked in single statements, by services that know nothing of this setting. */
export async function setLimitModel(tx: Tx, model: LimitModel): Promise<void> {
  await tx
    .insertInto('wisp.fact')
    .values({ name: 'limit model', value: json(model) })
    .onConflict((on) => on.column('name').doUpdateSet({ value: json(model) }))
    .execute()
}

export interface LimitRow {
  id: string
  project_id: string | null
  domain_id: string | null
  service_id: string
  region_id: string | null
  resource_name: string
  resource_limit: number
  description: string | null
}

/** All limits with what their registered limits say, as a table `l`. */
export const limitTable = sql<LimitRow>`(
  select l.id, l.project_id, l.domain_id, r.service_id, r.region_id, r.resource_name, l.resource_limit, l.description
  from identity."limit" l join identity.registered_limit r on r.id = l.registered_limit_id)`

/** The limits of several projects, by the project's id. */
export async function limitsOf(tx: Tx, projectIds: string[]): Promise<Map<string | null, LimitRow[]>> {
  const { rows } = await sql<LimitRow>`select l.* from ${limitTable} l where l.project_id = any(${projectIds}) order by l.id`.execute(tx)
  return Map.groupBy(rows, ({ project_id }) => project_id)
}

export type WantedLimit = Pick<LimitRow, 'project_id' | 'domain_id' | 'service_id' | 'region_id' | 'resource_name' | 'resource_limit'>

const unlimited = (limit: number) => (limit < 0 ? Number.POSITIVE_INFINITY : limit)

/**
 * With two levels no project may have more than its domain has, be it in the database or asked for in the same request. In the flat model
 * everything fits.
 * @throws Fault 403
 */
export async function checkModel(tx: Tx, model: LimitModel, wanted: WantedLimit[]): Promise<void> {
  if (model === 'flat') return
  for (const limit of wanted) {
    const most = unlimited(limit.resource_limit)
    const fits = limit.project_id
      ? most <= unlimited(await limitOfDomainOf(tx, limit.project_id, limit, wanted))
      : most >= Math.max(0, ...(await limitsInDomain(tx, limit.domain_id ?? '', limit)).map(unlimited))
    if (!fits) throw doesNotFit(limit)
  }
}

const doesNotFit = ({ project_id, domain_id, resource_name, resource_limit, service_id, region_id }: WantedLimit) =>
  forbidden(
    `Invalid resource limit: The resource limit (${project_id ? 'project_id' : 'domain_id'}: ${project_id ?? domain_id}, resource_name: ${resource_name}, resource_limit: ${resource_limit}, service_id: ${service_id}, region_id: ${region_id}) doesn't satisfy current hierarchy model.`,
  )

type Resource = Pick<LimitRow, 'service_id' | 'region_id' | 'resource_name'>
const sameResource = (a: Resource, b: Resource) =>
  a.service_id === b.service_id && a.region_id === b.region_id && a.resource_name === b.resource_name

/** What the domain above a project has: as asked for in the same request, else its own limit, else the registered one; -1 for none at all. */
async function limitOfDomainOf(tx: Tx, projectId: string, resource: Resource, wanted: WantedLimit[]): Promise<number> {
  const { rows } = await sql<{ domain_id: string; stored: number | null }>`
    select p.domain_id, coalesce(l.resource_limit, r.default_limit) as stored
    from identity.project p
    left join identity.registered_limit r on r.service_id = ${resource.service_id} and r.resource_name = ${resource.resource_name}
      and r.region_id is not distinct from ${resource.region_id}
    left join identity."limit" l on l.registered_limit_id = r.id and l.domain_id = p.domain_id
    where p.id = ${projectId}`.execute(tx)
  const asked = wanted.find((other) => other.domain_id === rows[0]?.domain_id && sameResource(other, resource))
  return asked?.resource_limit ?? rows[0]?.stored ?? -1
}

async function limitsInDomain(tx: Tx, domainId: string, resource: Resource): Promise<number[]> {
  const { rows } = await sql<{ resource_limit: number }>`
    select l.resource_limit from ${limitTable} l join identity.project p on p.id = l.project_id
    where p.domain_id = ${domainId} and l.service_id = ${resource.service_id} and l.resource_name = ${resource.resource_name}
      and l.region_id is not distinct from ${resource.region_id}`.execute(tx)
  return rows.map(({ resource_limit }) => resource_limit)
}
