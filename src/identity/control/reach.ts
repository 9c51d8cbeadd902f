// Where a user can go: the projects, the domains and the system that they have some role in, by themselves or through a group.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type { ProjectRow } from './projects.ts'

// `groups` are those of a federated token: its user is in them for as long as it is valid.
const held = (userId: string, groups: string[]) => sql`
  held as (
    select a.target_type, a.target_id, a.inherited
    from identity.assignment a join (
      select 'user' as type, ${userId}::text as id
      union all select 'group', unnest(${groups}::text[])
      union all select 'group', group_id from identity.group_member where user_id = ${userId}
    ) actor on a.actor_id = actor.id and a.actor_type = actor.type
  )`

/** By id; inherited roles count for everything below. */
export async function projectsOf(tx: Tx, userId: string, groups: string[] = []): Promise<ProjectRow[]> {
  const { rows } = await sql<ProjectRow>`
    with recursive ${held(userId, groups)},
    below(id) as (
      select p.id from identity.project p where p.parent_id in (select target_id from held where inherited)
      union
      select p.id from identity.project p join below on p.parent_id = below.id
    )
    select * from identity.project
    where not is_domain and id in (select id from below union select target_id from held where target_type = 'project' and not inherited)
    order by id`.execute(tx)
  return rows
}

export async function domainsOf(tx: Tx, userId: string, groups: string[] = []): Promise<ProjectRow[]> {
  const { rows } = await sql<ProjectRow>`
    with ${held(userId, groups)}
    select * from identity.project
    where is_domain and id in (select target_id from held where target_type = 'domain' and not inherited) order by id`.execute(tx)
  return rows
}

export async function reachesSystem(tx: Tx, userId: string, groups: string[] = []): Promise<boolean> {
  const { rows } = await sql`with ${held(userId, groups)} select from held where target_type = 'system' limit 1`.execute(tx)
  return rows.length > 0
}
