// The one engine of quotas: how much of each thing a project has and may have, for every service. What a project has is in identity.usage,
// raised and lowered by triggers on the rows that count (identity.count_row, or a function of the service's own): so no statement can forget
// it, counts never drift, and a check costs the same with ten things and ten thousand. A changed count is locked until commit: whoever has
// made something asks `over`, and throws if it was too much.
//
// A new service names its resources (`Quota`), puts triggers on its tables, and asks here. Of limits the first that is there holds:
//   1. of the project, set by the service's own quota API    2. of the project, set in Keystone (a limit)
//   3. of the cloud, set in Keystone (a registered limit)    4. of the cloud, set by the service's own quota API    5. the program's
// With two levels (WISP_LIMIT_MODEL) the domain's limit holds for all its projects together, too.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'

/** What a service counts. Limits are in units of `unit` (1 by default), usage always in ones: image sizes are limited in MiB, counted in bytes. */
export interface Quota<R extends string = string> {
  /** The service's type, as in the catalog: limits are registered for services. */
  service: string
  /** Under their names as unified limits. `limit` holds where none is set; -1 for no limit. */
  resources: Record<R, { limit: number; unit?: number }>
}

export interface Standing {
  /** In units of the limit, whole ones. */
  used: number
  /** -1 for none. */
  limit: number
}

export interface UserStanding extends Standing {
  /** What a user may have of it in this project, where that is set. */
  userLimit: number | null
}

/** A resource of which the project (or with two levels its domain as a whole) has too much. */
export interface Over<R extends string = string> extends Standing {
  service: string
  resource: R
}

/** Some resources of one service. */
export interface Asked<R extends string = string> {
  quota: Quota<R>
  names: readonly R[]
}

interface Row {
  service: string
  resource: string
  used: number
  hard_limit: number
  domain_id: string | null
  /** Null unless the cloud's limits have two levels and one is registered. */
  domain_limit: number | null
  user_limit: number | null
  unit: number
}

/** Whose limits hold for projects that have none of their own, in identity.quota. */
export const everyProject = 'default'

/**
 * What the project has too much of. Asked by a transaction that has changed these counts, the answer holds until its commit; else it is a
 * glance, enough where a service only looks whether there is room before it knows how much is wanted. The service says so in its own words,
 * by throwing: only the end of the transaction undoes what was made.
 */
export async function over<R extends string>(tx: Tx, projectId: string, ...asked: Asked<R>[]): Promise<Over<R>[]> {
  return tooMuch(tx, await read(tx, projectId, asked))
}

/** The same, and in the same statement what the user may have of these resources in the project, where that is set. */
export async function overForUser<R extends string>(
  tx: Tx,
  projectId: string,
  userId: string,
  ...asked: Asked<R>[]
): Promise<{ exceeded: Over<R>[]; userLimits: Map<string, number> }> {
  const rows = await read(tx, projectId, asked, userId)
  const userLimits = rows.flatMap(({ resource, user_limit }): [string, number][] => (user_limit === null ? [] : [[resource, user_limit]]))
  return { exceeded: await tooMuch(tx, rows), userLimits: new Map(userLimits) }
}

async function tooMuch<R extends string>(tx: Tx, rows: Row[]): Promise<Over<R>[]> {
  const own = rows.flatMap((row) => beyond(row, row.used, row.hard_limit))
  return (own.length > 0 ? own : await overInDomain(tx, rows)) as Over<R>[]
}

/** The project's usage and limit of each resource. @param userId whose own limits shall be told beside those of the project */
export async function standings<R extends string>(
  tx: Tx,
  projectId: string,
  quota: Quota<R>,
  userId = '',
): Promise<Record<R, UserStanding>> {
  const rows = await read(tx, projectId, [{ quota, names: Object.keys(quota.resources) as R[] }], userId)
  const of = ({ used, unit, hard_limit, user_limit }: Row) => ({ used: Math.floor(used / unit), limit: hard_limit, userLimit: user_limit })
  return Object.fromEntries(rows.map((row) => [row.resource, of(row)])) as Record<R, UserStanding>
}

/** Locks these counts until the end of the transaction: what `standings` says next stays true. */
export async function hold<R extends string>(tx: Tx, projectId: string, { quota, names }: Asked<R>): Promise<void> {
  await sql`
    insert into identity.usage as u (project_id, service, resource)
    select ${projectId}, ${quota.service}, resource from unnest(${[...names]}::text[]) asked(resource) order by resource
    on conflict (project_id, service, resource) do update set used = u.used`.execute(tx)
}

/** How many things of this size still fit, at most `most`: for requests that are content with fewer. What `now` says nothing of is not limited. */
export function roomFor<R extends string>(
  quota: Quota<R>,
  size: Partial<Record<R, number>>,
  now: Partial<Record<R, Standing>>,
  most: number,
): number {
  const rooms = (Object.keys(size) as R[]).map((name) => {
    const { used, limit } = now[name] ?? { used: 0, limit: -1 }
    const each = (size[name] ?? 0) / (quota.resources[name].unit ?? 1)
    return limit < 0 || each === 0 ? most : Math.floor((limit - used) / each)
  })
  return Math.max(0, Math.min(most, ...rooms))
}

/** The same of all projects of the domain together, where limits have two levels. Who asks holds the counts; what is answered stays true, too. */
export async function roomInDomain<R extends string>(
  tx: Tx,
  projectId: string,
  quota: Quota<R>,
  size: Partial<Record<R, number>>,
  most: number,
): Promise<number> {
  const rows = await read(tx, projectId, [{ quota, names: Object.keys(size) as R[] }])
  const now = (await inDomain(tx, rows)).map(({ row, used }) => [
    row.resource,
    { used: Math.floor(used / row.unit), limit: row.domain_limit },
  ])
  return roomFor(quota, size, Object.fromEntries(now) as Partial<Record<R, Standing>>, most)
}

interface Fact {
  what: 'used' | 'user' | 'own' | 'every' | 'registered' | 'project' | 'domain' | 'domain id' | 'model'
  service: string
  resource: string
  value: number
  text: string
}

/**
 * One statement, of probes alone: where little is set it reads little, and what follows from it is found here. Joins by resource would cost
 * a launch more than all its other reads.
 */
async function read(tx: Tx, projectId: string, asked: Asked[], userId = ''): Promise<Row[]> {
  const services = sql`${asked.map(({ quota }) => quota.service)}::text[]`
  const { rows } = await sql<Fact>`
    with registered as (
      select distinct on (s.type, r.resource_name) r.id, s.type as service, r.resource_name as resource, r.default_limit
      from identity.registered_limit r join identity.service s on s.id = r.service_id
      where s.type = any(${services})
        and (r.region_id is null or r.region_id in (select region_id from identity.endpoint where service_id = s.id))
      order by s.type, r.resource_name, r.region_id nulls last
    ), project as (select domain_id from identity.project where id = ${projectId})
    select 'used' as what, service, resource, used as value, '' as text
    from identity.usage where project_id = ${projectId} and service = any(${services})
    union all select case when user_id <> '' then 'user' else 'own' end, service, resource, hard_limit, ''
    from identity.quota where project_id = nullif(${projectId}, ${everyProject}) and service = any(${services}) and user_id in ('', ${userId})
    union all select 'every', service, resource, hard_limit, ''
    from identity.quota where project_id = ${everyProject} and service = any(${services}) and user_id = ''
    union all select 'registered', service, resource, default_limit, '' from registered
    union all select case when l.project_id is null then 'domain' else 'project' end, r.service, r.resource, l.resource_limit, ''
    from registered r join identity."limit" l on l.registered_limit_id = r.id
    where l.project_id = ${projectId} or l.domain_id = (select domain_id from project)
    union all select 'domain id', '', '', 0, domain_id from project where domain_id is not null
    union all select 'model', '', '', 0, value #>> '{}' from wisp.fact where name = 'limit model'`.execute(tx)
  const key = (what: Fact['what'], service = '', resource = '') => `${what} ${service} ${resource}`
  const facts = new Map(rows.map((fact) => [key(fact.what, fact.service, fact.resource), fact]))
  const twoLevels = facts.get(key('model'))?.text === 'strict_two_level'
  const domain_id = facts.get(key('domain id'))?.text ?? null
  return asked.flatMap(({ quota: { service, resources }, names }) =>
    [...names].sort().map((resource): Row => {
      const { limit, unit = 1 } = resources[resource]!
      const of = (what: Fact['what']) => facts.get(key(what, service, resource))?.value
      return {
        service,
        resource,
        unit,
        used: of('used') ?? 0,
        hard_limit: of('own') ?? of('project') ?? of('registered') ?? of('every') ?? limit,
        user_limit: of('user') ?? null,
        domain_id,
        domain_limit: twoLevels ? (of('domain') ?? of('registered') ?? null) : null,
      }
    }),
  )
}

const beyond = ({ service, resource, unit }: Row, used: number, limit: number): Over[] =>
  limit >= 0 && used > limit * unit ? [{ service, resource, used: Math.floor(used / unit), limit }] : []

const overInDomain = async (tx: Tx, rows: Row[]): Promise<Over[]> =>
  (await inDomain(tx, rows)).flatMap(({ row, used }) => beyond(row, used, row.domain_limit!))

/**
 * What all projects of the domain have together, of that of which the domain may have so much. Those who change counts of different projects
 * wait for each other here, and look only then, in a statement of its own, that sees what was committed meanwhile.
 */
async function inDomain(tx: Tx, rows: Row[]): Promise<{ row: Row; used: number }[]> {
  const limited = rows.filter((row) => row.domain_id !== null && row.domain_limit !== null)
  if (limited.length === 0) return []
  const domain = limited[0]!.domain_id
  const services = [...new Set(limited.map(({ service }) => service))].sort()
  for (const service of services) await sql`select pg_advisory_xact_lock(hashtextextended(${`quota ${service} ${domain}`}, 0))`.execute(tx)
  const { rows: sums } = await sql<{ service: string; resource: string; used: number }>`
    select u.service, u.resource, sum(u.used)::bigint as used from identity.usage u join identity.project p on p.id = u.project_id
    where p.domain_id = ${domain} and u.service = any(${services}::text[]) group by 1, 2`.execute(tx)
  const used = new Map(sums.map((sum) => [`${sum.service} ${sum.resource}`, sum.used]))
  return limited.map((row) => ({ row, used: used.get(`${row.service} ${row.resource}`) ?? 0 }))
}
