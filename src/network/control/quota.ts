// How much a project may have of each resource. Exact under any concurrency: whoever creates takes an advisory lock on
// (project, resource) until its transaction ends and counts after that. An advisory lock rather than a row: most projects have no
// quota row, the lock needs none to exist and leaves none behind, and different resources of a project do not wait for each other.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { quotaExceeded } from './faults.ts'

/** Neutron's own defaults; -1 = no limit. Taken in this order where a transaction needs several. */
export const quotaDefaults = { network: 100, subnet: 100, port: 500, security_group: 10, security_group_rule: 100 } as const
export type QuotaResource = keyof typeof quotaDefaults
export const quotaResources = Object.keys(quotaDefaults) as QuotaResource[]

const tables: Record<QuotaResource, string> = {
  network: 'network.network',
  subnet: 'network.subnet',
  port: 'network.port',
  security_group: 'network.security_group',
  security_group_rule: 'network.security_group_rule',
}

/** An expression that takes the lock; for use inside a statement that comes before the one that counts. */
export const quotaLock = (project: string, resource: QuotaResource) =>
  sql`pg_advisory_xact_lock(hashtextextended(${`network quota ${resource} ${project}`}, 0))`

/** An expression: how many the project has. */
export const quotaUsed = (project: string, resource: QuotaResource) =>
  sql<number>`(select count(*)::int from ${sql.table(tables[resource])} where project_id = ${project})`

/** An expression: the project's limit. */
export const quotaLimit = (project: string, resource: QuotaResource) =>
  sql<number>`coalesce((select hard_limit from network.quota where project_id = ${project} and resource = ${resource}), ${quotaDefaults[resource]}::int)`

/** @throws Fault 409 OverQuota if `more` would be too many */
export function withinQuota(resource: QuotaResource, used: number, more: number, limit: number): void {
  if (limit >= 0 && used + more > limit) throw quotaExceeded([resource])
}

/** Makes sure that the project may have `more` of the resource, until the end of the transaction. Two statements: the second one must see what others committed before the lock was got. */
export async function claimQuota(tx: Tx, project: string, resource: QuotaResource, more = 1): Promise<void> {
  await sql`select ${quotaLock(project, resource)}`.execute(tx)
  const { rows } = await sql<{
    used: number
    most: number
  }>`select ${quotaUsed(project, resource)} as used, ${quotaLimit(project, resource)} as most`.execute(tx)
  withinQuota(resource, rows[0]!.used, more, rows[0]!.most)
}

/** The limits of the projects that have their own, or of one project with the defaults filled in. */
export async function limitsOf(tx: Tx, project: string): Promise<Record<QuotaResource, number>> {
  const rows = await tx.selectFrom('network.quota').select(['resource', 'hard_limit']).where('project_id', '=', project).execute()
  return { ...quotaDefaults, ...Object.fromEntries(rows.map(({ resource, hard_limit }) => [resource, hard_limit])) }
}

export async function usageOf(tx: Tx, project: string): Promise<Record<QuotaResource, number>> {
  const columns = quotaResources.map((resource) => sql`${quotaUsed(project, resource)} as ${sql.ref(resource)}`)
  const { rows } = await sql<Record<QuotaResource, number>>`select ${sql.join(columns)}`.execute(tx)
  return rows[0]!
}
