// Who has which role where: as it was given, or (effective) as it works out, with groups replaced by their members, inheritance by the
// projects below, and roles by all that they imply. Pure functions over rows; facts.ts asks the same of the database for one user.
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

export async function readWorld(tx: Tx): Promise<World> {
  const [members, projects, implied, domainRoles] = await Promise.all([
    tx.selectFrom('identity.group_member').selectAll().execute(),
    tx.selectFrom('identity.project').select(['id', 'parent_id', 'is_domain']).execute(),
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
  inherited?: boolean
  effective: boolean
}

/** All assignments that fit, in the order of actor, target and role. */
export async function listAssignments(tx: Tx, wanted: Wanted): Promise<Assignment[]> {
  const fits = (a: Assignment) =>
    (wanted.user === undefined || (a.actor_type === 'user' && a.actor_id === wanted.user)) &&
    (wanted.group === undefined || (a.actor_type === 'group' && a.actor_id === wanted.group)) &&
    (wanted.role === undefined || a.role_id === wanted.role) &&
    (wanted.targets === undefined || (a.target_type === wanted.targets.type && wanted.targets.ids.includes(a.target_id)))
  const read = tx
    .selectFrom('identity.assignment')
    .selectAll()
    .orderBy('actor_id')
    .orderBy('target_id')
    .orderBy('role_id')
    .$if(wanted.inherited !== undefined, (q) => q.where('inherited', '=', wanted.inherited!))
  if (!wanted.effective) return (await read.execute()).filter(fits)
  const groups =
    wanted.user === undefined
      ? undefined
      : (await tx.selectFrom('identity.group_member').select('group_id').where('user_id', '=', wanted.user).execute()).map(
          ({ group_id }) => group_id,
        )
  const rows = await read.$if(groups !== undefined, (q) => q.where('actor_id', 'in', [wanted.user!, ...groups!])).execute()
  return effective(rows, await readWorld(tx)).filter(fits)
}
