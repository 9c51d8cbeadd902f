// Who has which role where: as it was given, or (effective) as it works out, with groups replaced by their members, inheritance by the
// projects below, and roles by all that they imply. Pure functions over rows; facts.ts asks the same of the database for one user.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'

export interface Assignment {
  actor_type: string
  actor_id: string
  target_type: string
  target_id: string
  role_id: string
  inherited: boolean
  /** How it came about, where it was not given like this: through which group, from which project or domain above, by which role. */
  indirect?: { group_id?: string; project_id?: string; domain_id?: string; role_id?: string }
}

export interface World {
  members: { group_id: string; user_id: string }[]
  projects: { id: string; parent_id: string | null; is_domain: boolean }[]
  implied: { prior_role_id: string; implied_role_id: string }[]
  /** Ids of roles that belong to a domain: they count only for what they imply. */
  domainRoles: Set<string>
}

/** Works out assignments until only users with global roles on the things themselves are left; the same fact may be there twice, by two ways. */
export function effective(assignments: Assignment[], world: World): Assignment[] {
  const members = Map.groupBy(world.members, ({ group_id }) => group_id)
  const children = Map.groupBy(world.projects, ({ parent_id }) => parent_id)
  const implied = Map.groupBy(world.implied, ({ prior_role_id }) => prior_role_id)

  const users = (a: Assignment): Assignment[] =>
    a.actor_type === 'user'
      ? [a]
      : (members.get(a.actor_id) ?? []).map(({ user_id }) => ({
          ...a,
          actor_type: 'user',
          actor_id: user_id,
          indirect: { ...a.indirect, group_id: a.actor_id },
        }))

  const below = (id: string): string[] => (children.get(id) ?? []).flatMap((child) => [child.id, ...below(child.id)])
  const places = (a: Assignment): Assignment[] => {
    if (!a.inherited) return [a]
    const from = a.target_type === 'domain' ? { domain_id: a.target_id } : { project_id: a.target_id }
    return below(a.target_id).map((id) => ({
      ...a,
      target_type: 'project',
      target_id: id,
      inherited: false,
      indirect: { ...a.indirect, ...from },
    }))
  }

  const roles = (a: Assignment): Assignment[] => {
    const all = [a]
    const seen = new Set([a.role_id])
    for (const from of all) {
      for (const { implied_role_id } of implied.get(from.role_id) ?? []) {
        if (seen.has(implied_role_id)) continue
        seen.add(implied_role_id)
        all.push({ ...a, role_id: implied_role_id, indirect: { ...a.indirect, role_id: from.role_id } })
      }
    }
    return all.filter(({ role_id }) => !world.domainRoles.has(role_id))
  }

  return assignments.flatMap(users).flatMap(places).flatMap(roles)
}

/** What is needed to work out these assignments, and no more. */
async function readWorld(tx: Tx, assignments: Assignment[], user: string | undefined): Promise<World> {
  const groups = assignments.filter(({ actor_type }) => actor_type === 'group').map(({ actor_id }) => actor_id)
  const roots = assignments.filter(({ inherited }) => inherited).map(({ target_id }) => target_id)
  const [members, { rows: projects }, implied, domainRoles] = await Promise.all([
    tx
      .selectFrom('identity.group_member')
      .selectAll()
      .where(sql<boolean>`group_id = any(${[...new Set(groups)]})`)
      .$if(user !== undefined, (q) => q.where('user_id', '=', user!))
      .execute(),
    sql<World['projects'][number]>`
      with recursive below as (
        select id, parent_id, is_domain from identity.project where parent_id = any(${[...new Set(roots)]})
        union
        select p.id, p.parent_id, p.is_domain from identity.project p join below on p.parent_id = below.id
      )
      select * from below order by id`.execute(tx),
    tx.selectFrom('identity.implied_role').selectAll().execute(),
    tx.selectFrom('identity.role').select('id').where('domain_id', 'is not', null).execute(),
  ])
  return { members, projects, implied, domainRoles: new Set(domainRoles.map(({ id }) => id)) }
}

export interface Wanted {
  user?: string
  group?: string
  role?: string
  /** Any of these; undefined for anywhere. */
  targets?: { type: 'project' | 'domain' | 'system'; ids: string[] }
  /** Only what is given on this domain and on projects in it. */
  within?: string
  inherited?: boolean
  effective: boolean
}

/** All assignments that fit, in the order of actor, target and role. Only what can lead to one that fits is read. */
export async function listAssignments(tx: Tx, wanted: Wanted): Promise<Assignment[]> {
  const { user, group, role, targets, within, inherited, effective: worked } = wanted
  const conditions = [
    ...(user === undefined ? [] : [worked ? givenToUser(user) : sql`a.actor_type = 'user' and a.actor_id = ${user}`]),
    ...(group === undefined ? [] : [sql`a.actor_type = 'group' and a.actor_id = ${group}`]),
    ...(role === undefined ? [] : [worked ? leadsToRole(role) : sql`a.role_id = ${role}`]),
    ...(targets === undefined
      ? []
      : [worked ? reaches(targets) : sql`a.target_type = ${targets.type} and a.target_id = any(${targets.ids})`]),
    ...(within === undefined
      ? []
      : [sql`(a.target_id = ${within} or a.target_id in (select id from identity.project where domain_id = ${within}))`]),
    ...(inherited === undefined ? [] : [sql`a.inherited = ${inherited}`]),
  ]
  const { rows } = await sql<Assignment>`
    select a.* from identity.assignment a where ${sql.join([sql`true`, ...conditions], sql` and `)}
    order by a.actor_id, a.target_id, a.role_id`.execute(tx)
  if (!worked) return rows
  return effective(rows, await readWorld(tx, rows, user)).filter(
    (a) =>
      (user === undefined || a.actor_id === user) &&
      (group === undefined || a.actor_type === 'group') &&
      (role === undefined || a.role_id === role) &&
      (targets === undefined || (a.target_type === targets.type && targets.ids.includes(a.target_id))),
  )
}

// Arrays, because an index finds `= any(array(…))` but not `in (…) or …`.
const givenToUser = (user: string) => sql`
  a.actor_id = any(array(select ${user}::text union all select group_id from identity.group_member where user_id = ${user}))
  and (a.actor_type = 'group' or a.actor_id = ${user})`

const leadsToRole = (role: string) => sql`a.role_id in (
  with recursive leads(id) as (
    select ${role}::text
    union
    select i.prior_role_id from identity.implied_role i join leads on leads.id = i.implied_role_id
  ) select id from leads)`

/** On one of these itself, or inherited from above it. */
const reaches = ({ type, ids }: NonNullable<Wanted['targets']>) => sql`
  a.target_type in ('project', 'domain', 'system')
  and a.target_id = any(array(
    with recursive above(id) as (
      select unnest(${ids}::text[])
      union
      select p.parent_id from identity.project p join above on p.id = above.id where ${type} = 'project'
    ) select id from above where id is not null))
  and (a.inherited and ${type} = 'project' or not a.inherited and a.target_type = ${type} and a.target_id = any(${ids}))`
