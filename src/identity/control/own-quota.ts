// Limits that services keep by quota APIs of their own, such as Nova's quota sets: for a project, for every project, for a user in a project.
// How they stand to the limits that Keystone keeps is said in quota.ts.
import type { Tx } from '../../database/connect.ts'
import { everyProject, type Quota } from './quota.ts'

export type Limits<R extends string = string> = Partial<Record<R, number>>

/** Of whom: a project, or a user in it. */
export interface Owner {
  project: string
  user?: string
}

/** Those that are not named stay. */
export async function setLimits<R extends string>(
  tx: Tx,
  { service }: Quota<R>,
  { project, user = '' }: Owner,
  limits: Limits<R>,
): Promise<void> {
  const values = Object.entries(limits).map(([resource, limit]) => ({
    service,
    project_id: project,
    user_id: user,
    resource,
    hard_limit: Number(limit),
  }))
  if (values.length === 0) return
  await tx
    .insertInto('identity.quota')
    .values(values)
    .onConflict((on) =>
      on.columns(['project_id', 'service', 'resource', 'user_id']).doUpdateSet((e) => ({ hard_limit: e.ref('excluded.hard_limit') })),
    )
    .execute()
}

/** Of a project all go, also those of its users. */
export async function forgetLimits<R extends string>(tx: Tx, { service }: Quota<R>, { project, user }: Owner): Promise<void> {
  const all = tx.deleteFrom('identity.quota').where('service', '=', service).where('project_id', '=', project)
  await (user === undefined ? all : all.where('user_id', '=', user)).execute()
}

/** Those resources whose limit for every project is registered in Keystone: there it is changed. */
export async function registered<R extends string>(tx: Tx, { service }: Quota<R>, names: R[]): Promise<R[]> {
  if (names.length === 0) return []
  const rows = await tx
    .selectFrom('identity.registered_limit as r')
    .innerJoin('identity.service as s', 's.id', 'r.service_id')
    .select('r.resource_name')
    .distinct()
    .where('s.type', '=', service)
    .where('r.resource_name', 'in', names)
    .orderBy('r.resource_name')
    .execute()
  return rows.map(({ resource_name }) => resource_name as R)
}

/** The projects that have limits of their own, with these, by project. */
export async function projectsWithLimits<R extends string>(
  tx: Tx,
  { service }: Quota<R>,
  only: string | null,
): Promise<Map<string, Limits<R>>> {
  const all = tx
    .selectFrom('identity.quota')
    .select(['project_id', 'resource', 'hard_limit'])
    .where('service', '=', service)
    .where('user_id', '=', '')
    .where('project_id', '<>', everyProject)
    .orderBy('project_id')
  const rows = await (only === null ? all : all.where('project_id', '=', only)).execute()
  const limitsOf = (own: typeof rows) => Object.fromEntries(own.map(({ resource, hard_limit }) => [resource, hard_limit])) as Limits<R>
  return new Map([...Map.groupBy(rows, ({ project_id }) => project_id)].map(([project, own]) => [project, limitsOf(own)]))
}
