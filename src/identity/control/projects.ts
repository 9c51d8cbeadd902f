// Projects as a tree, for whoever needs to know what is above or below one. A domain is the root of its tree: a project that acts as one.
import { type Selectable, sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type { DB } from '../../database/types.ts'

export type ProjectRow = Selectable<DB['identity.project']>

/** Whether there is such a project (no domain). */
export async function projectExists(tx: Tx, id: string): Promise<boolean> {
  const row = await tx.selectFrom('identity.project').select('id').where('id', '=', id).where('is_domain', '=', false).executeTakeFirst()
  return row !== undefined
}

/** From the parent up to the domain. */
export async function projectsAbove(tx: Tx, id: string): Promise<ProjectRow[]> {
  const { rows } = await sql<ProjectRow>`
    with recursive line as (
      select p.*, 0 as depth from identity.project p where p.id = ${id}
      union all
      select p.*, line.depth + 1 from identity.project p join line on p.id = line.parent_id
    )
    select * from line where depth > 0 order by depth`.execute(tx)
  return rows
}

/** Everything below, parents before their children. */
export async function projectsBelow(tx: Tx, id: string): Promise<ProjectRow[]> {
  const { rows } = await sql<ProjectRow>`
    with recursive tree as (
      select p.*, 1 as depth from identity.project p where p.parent_id = ${id}
      union all
      select p.*, tree.depth + 1 from identity.project p join tree on p.parent_id = tree.id
    )
    select * from tree order by depth, id`.execute(tx)
  return rows
}

/**
 * Forgets who could do what on these projects and domains, which the caller deletes next: they are locked, so that nothing is written about
 * them meanwhile. What other services keep for a project is theirs.
 */
export async function forgetTargets(tx: Tx, ids: string[]): Promise<void> {
  if (ids.length === 0) return
  await tx.selectFrom('identity.project').select('id').where('id', 'in', ids).orderBy('id').forUpdate().execute()
  await tx.deleteFrom('identity.assignment').where('target_type', 'in', ['project', 'domain']).where('target_id', 'in', ids).execute()
  await tx.deleteFrom('identity.credential').where('project_id', 'in', ids).execute()
  await tx.updateTable('identity.user').set({ default_project_id: null }).where('default_project_id', 'in', ids).execute()
}

/** Forgets what users and groups could do that the caller deletes next; they are locked, as above. */
export async function forgetActors(tx: Tx, type: 'user' | 'group', ids: string[]): Promise<void> {
  if (ids.length === 0) return
  await tx.selectFrom(`identity.${type}`).select('id').where('id', 'in', ids).orderBy('id').forUpdate().execute()
  await tx.deleteFrom('identity.assignment').where('actor_type', '=', type).where('actor_id', 'in', ids).execute()
}
