// The one engine of quotas: how much of each thing a project has (identity.usage) and may have (limits.ts), for every service. Usage is
// raised in the transaction that makes the thing, by `claim` or by the service's own trigger, and the row's lock is held until commit; so
// counts are exact whoever races, never drift, and a check costs the same with ten things and ten thousand.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'

/** What a service counts. Limits are in units of `unit` (1 by default), usage always in ones: image sizes are limited in MiB, counted in bytes. */
export interface Quota<R extends string = string> {
  /** The service's type, as in the catalog: limits are registered for services. */
  service: string
  /** `limit` holds where none is registered or set for the project; -1 for no limit. */
  resources: Record<R, { limit: number; unit?: number }>
}

export interface Standing {
  /** In units of the limit, whole ones. */
  used: number
  /** -1 for none. */
  limit: number
}

/** A resource of which the project (or with two levels its domain as a whole) would have too much. */
export interface Over<R extends string = string> extends Standing {
  resource: R
}

type Amounts<R extends string> = Partial<Record<R, number>>

/** Limits that a service keeps itself, such as those of its own quota API; they go before the unified ones. */
export type Own<R extends string> = Partial<Record<R, number>>

interface Row<R extends string> {
  resource: R
  used: number
  hard_limit: number
  domain_id: string | null
  /** Null unless the cloud's limits have two levels and one is registered. */
  domain_limit: number | null
}

/**
 * Takes so much of each for the project, or nothing if anything would be over; give back with negative amounts.
 * @returns what would be over, and by what it is limited; none if all of it was taken. The service says so in its own words, by throwing:
 * only the end of the transaction undoes what was taken beside.
 */
export async function claim<R extends string>(
  tx: Tx,
  quota: Quota<R>,
  projectId: string,
  amounts: Amounts<R>,
  own: Own<R> = {},
): Promise<Over<R>[]> {
  const names = Object.keys(amounts).filter((name) => amounts[name as R] !== 0) as R[]
  if (names.length === 0) return []
  const { rows } = await sql<Row<R>>`
    with taken as (
      insert into identity.usage as u (project_id, service, resource, used)
      select ${projectId}, ${quota.service}, resource, amount
      from unnest(${names}::text[], ${names.map((name) => amounts[name])}::bigint[]) asked(resource, amount) order by resource
      on conflict (project_id, service, resource) do update set used = u.used + excluded.used
      returning resource, used
    ) ${withLimits(quota, projectId, names, own, sql`taken`)}`.execute(tx)
  const below = rows.find(({ used }) => used < 0)
  if (below) throw new Error(`Project ${projectId} would give back more ${below.resource} than it took: ${below.used} would be left`)
  const raised = rows.filter(({ resource }) => (amounts[resource] ?? 0) > 0)
  return await exceeding(tx, quota, raised)
}

/**
 * What the project has too much of right now. Asked by a transaction that has changed these counts, the answer holds until its commit;
 * else it is a glance, enough where a service only looks whether there is room before it knows how much is wanted.
 */
export async function over<R extends string>(tx: Tx, quota: Quota<R>, projectId: string, names: R[], own: Own<R> = {}): Promise<Over<R>[]> {
  return await exceeding(tx, quota, await read(tx, quota, projectId, names, own))
}

/** Usage and limit of each resource, for people. */
export async function standings<R extends string>(
  tx: Tx,
  quota: Quota<R>,
  projectId: string,
  own: Own<R> = {},
): Promise<Record<R, Standing>> {
  const rows = await read(tx, quota, projectId, Object.keys(quota.resources) as R[], own)
  const of = ({ resource, used, hard_limit }: Row<R>) => ({ used: Math.floor(used / unitOf(quota, resource)), limit: hard_limit })
  return Object.fromEntries(rows.map((row) => [row.resource, of(row)])) as Record<R, Standing>
}

/** How many things of this size still fit, at most `most`: for requests that are content with fewer. */
export function roomFor<R extends string>(quota: Quota<R>, size: Amounts<R>, now: Record<R, Standing>, most: number): number {
  const rooms = (Object.keys(size) as R[]).map((name) => {
    const { used, limit } = now[name]
    const each = (size[name] ?? 0) / unitOf(quota, name)
    return limit < 0 || each === 0 ? most : Math.floor((limit - used) / each)
  })
  return Math.max(0, Math.min(most, ...rooms))
}

const unitOf = <R extends string>(quota: Quota<R>, resource: R) => quota.resources[resource].unit ?? 1

async function read<R extends string>(tx: Tx, quota: Quota<R>, projectId: string, names: R[], own: Own<R>): Promise<Row<R>[]> {
  const counts = sql`counts as (
    select asked.resource, coalesce(u.used, 0) as used
    from unnest(${names}::text[]) asked(resource)
    left join identity.usage u on u.project_id = ${projectId} and u.service = ${quota.service} and u.resource = asked.resource
  )`
  const { rows } = await sql<Row<R>>`with ${counts} ${withLimits(quota, projectId, names, own, sql`counts`)}`.execute(tx)
  return rows
}

/** The end of a statement whose `counts` has (resource, used): limits of the project and, where the cloud has two levels, of its domain. */
function withLimits<R extends string>(quota: Quota<R>, projectId: string, names: R[], own: Own<R>, counts: ReturnType<typeof sql>) {
  return sql`
    , known(resource, own, fallback) as (
      select * from unnest(${names}::text[], ${names.map((name) => own[name] ?? null)}::int[], ${names.map((name) => quota.resources[name].limit)}::int[])
    ), registered as (
      select distinct on (r.resource_name) r.id, r.resource_name, r.default_limit
      from identity.registered_limit r join identity.service s on s.id = r.service_id
      where s.type = ${quota.service} and r.resource_name = any(${names})
        and (r.region_id is null or r.region_id in (select region_id from identity.endpoint where service_id = s.id))
      order by r.resource_name, r.region_id nulls last
    )
    select counts.resource, counts.used, p.domain_id,
           coalesce(known.own, mine.resource_limit, r.default_limit, known.fallback) as hard_limit,
           case when m.value = '"strict_two_level"' then coalesce(theirs.resource_limit, r.default_limit) end as domain_limit
    from ${counts} counts
    join known using (resource)
    left join identity.project p on p.id = ${projectId}
    left join registered r on r.resource_name = counts.resource
    left join identity."limit" mine on mine.registered_limit_id = r.id and mine.project_id = ${projectId}
    left join identity."limit" theirs on theirs.registered_limit_id = r.id and theirs.domain_id = p.domain_id
    left join wisp.fact m on m.name = 'limit model'
    order by counts.resource`
}

async function exceeding<R extends string>(tx: Tx, quota: Quota<R>, rows: Row<R>[]): Promise<Over<R>[]> {
  const tooMuch = (resource: R, used: number, limit: number): Over<R>[] =>
    limit >= 0 && used > limit * unitOf(quota, resource) ? [{ resource, used: Math.floor(used / unitOf(quota, resource)), limit }] : []
  const own = rows.flatMap(({ resource, used, hard_limit }) => tooMuch(resource, used, hard_limit))
  const limited = rows.filter((row) => row.domain_id !== null && row.domain_limit !== null)
  if (own.length > 0 || limited.length === 0) return own
  const inDomain = await usedInDomain(tx, quota.service, limited[0]!.domain_id!)
  return limited.flatMap(({ resource, domain_limit }) => tooMuch(resource, inDomain.get(resource) ?? 0, domain_limit!))
}

/**
 * What all projects of a domain have. Those who change counts of different projects wait for each other here, and look only then, in a
 * statement of its own, that sees what was committed meanwhile.
 */
async function usedInDomain(tx: Tx, service: string, domainId: string): Promise<Map<string, number>> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`quota ${service} ${domainId}`}, 0))`.execute(tx)
  const { rows } = await sql<{ resource: string; used: number }>`
    select u.resource, sum(u.used)::bigint as used from identity.usage u join identity.project p on p.id = u.project_id
    where p.domain_id = ${domainId} and u.service = ${service} group by u.resource`.execute(tx)
  return new Map(rows.map(({ resource, used }) => [resource, used]))
}
