// What a user is and may do in one scope, read in one statement: enabled or not, all the way up to the domains, and the roles that hold.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type { Domain, Who } from '../../http/who.ts'
import { type About, readLent } from './delegations.ts'
import type { Delegation, Scope } from './tokens.ts'

export interface Facts {
  user: Who['user']
  project: Who['project']
  domain: Domain | null
  system: boolean
  /** The implied ones included, by name; empty only without a scope. */
  roles: { id: string; name: string }[]
  /** See Claims. */
  since: number
  /** How often the scope, its domain and the user's domain were disabled, so that tokens from before stay void. See Claims. */
  lives: number
  /** The same of the user alone who signed in. */
  userSince: number
  passwordExpiresAt: Date | null
  /** Sets of methods of which one must have been used to sign in; none for users who need no more than one. */
  factors: string[][]
  /** Through whom a federated user came in, and the groups that the mapping put them in. */
  federation: { identity_provider: string; protocol: string; groups: string[] } | null
  delegation?: About
  /** When the delegation ends, in ms; null if it never does. */
  delegatedUntil?: number | null
}

interface Row {
  user_name: string
  user_domain: Domain
  since: Date
  lives: number
  options: { multi_factor_auth_enabled?: boolean; multi_factor_auth_rules?: string[][] }
  password_expires_at: Date | null
  place: { id: string; name: string; domain: Domain | null } | null
  roles: { id: string; name: string }[]
  federation: Facts['federation']
  complete: boolean
}

/** Whether the user has all of these roles in the project, those of domains included. */
export const hasRoles = async (tx: Tx, userId: string, projectId: string, roleIds: string[]): Promise<boolean> =>
  (await readOwn(tx, userId, { kind: 'project', id: projectId }, { lent: roleIds })) !== null

const unscoped: Scope = { kind: 'none' }

/** What the user is and may do in the scope, or by the delegation; null if nothing (any more). */
export async function readFacts(tx: Tx, userId: string, scope: Scope, federation?: number, delegation?: Delegation): Promise<Facts | null> {
  if (!delegation) return await readOwn(tx, userId, scope, { federation })
  const lent = await readLent(tx, delegation)
  if (!lent || lent.user !== userId || lent.projectId !== (scope.kind === 'project' ? scope.id : null)) return null
  const user = await readOwn(tx, userId, unscoped)
  // As in Keystone: a credential of one's own has those of its roles that its user still has; who borrowed another's gets all or nothing.
  const whole = delegation.kind !== 'application_credential'
  const lender = await readOwn(tx, lent.lender, scope, { lent: lent.roleIds, whole })
  const shown = lent.shown === userId ? user : await readOwn(tx, lent.shown, unscoped)
  if (!user || !lender || !shown) return null
  return {
    ...lender,
    user: shown.user,
    passwordExpiresAt: shown.passwordExpiresAt,
    since: Math.max(user.since, lent.since),
    userSince: user.since,
    lives: lender.lives + user.lives + shown.lives + lent.lives,
    factors: user.factors,
    delegation: lent.about,
    delegatedUntil: lent.expiresAt,
  }
}

/**
 * Null if the user or the scope does not exist or is disabled (or their domain is), or if the user has no role there.
 *
 * Roles as in Keystone: those granted to the user or one of their groups, on the scope itself, or inherited from a project or the
 * domain above it; then all that these imply. Domain-specific roles count only for what they imply.
 * @param federation a federated token's context: its groups count, and its identity provider must be enabled
 * @param lent ids of roles to which these are cut
 * @param whole null is answered if the user lacks one of these
 */
async function readOwn(
  tx: Tx,
  userId: string,
  scope: Scope,
  { federation, lent, whole = true }: { federation?: number | undefined; lent?: string[]; whole?: boolean } = {},
): Promise<Facts | null> {
  const placeId = 'id' in scope ? scope.id : ''
  const { rows } = await sql<Row>`
    with recursive
    line(id, parent_id, depth) as (
      select id, parent_id, 0 from identity.project where ${scope.kind} = 'project' and id = ${placeId}
      union all
      select above.id, above.parent_id, line.depth + 1 from identity.project above join line on above.id = line.parent_id
    ),
    actor(type, id) as (
      select 'user', ${userId}::text
      union all
      select 'group', group_id from identity.group_member where user_id = ${userId}
      union
      select 'group', unnest(group_ids) from identity.federated_context where id = ${federation ?? null}
    ),
    granted(role_id) as (
      select a.role_id
      from identity.assignment a join actor on a.actor_type = actor.type and a.actor_id = actor.id
      where a.target_type = ${scope.kind} and not a.inherited and a.target_id = ${scope.kind === 'system' ? 'all' : placeId}
         or a.inherited and a.target_id in (select id from line where depth > 0)
      union
      select i.implied_role_id from identity.implied_role i join granted on granted.role_id = i.prior_role_id
    ),
    lent(role_id) as (
      select unnest(${lent ?? []}::text[])
      union
      select i.implied_role_id from identity.implied_role i join lent on lent.role_id = i.prior_role_id
    )
    select u.name as user_name, json_build_object('id', ud.id, 'name', ud.name) as user_domain, u.tokens_valid_from as since, u.options,
           ud.lives + coalesce(s.lives, 0) + coalesce(sd.lives, 0) as lives,
           (select p.expires_at from identity.password p where p.user_id = u.id order by p.id desc limit 1) as password_expires_at,
           case when s.id is not null then json_build_object('id', s.id, 'name', s.name,
             'domain', case when sd.id is not null then json_build_object('id', sd.id, 'name', sd.name) end) end as place,
           coalesce((select json_agg(json_build_object('id', r.id, 'name', r.name) order by r.name)
                     from identity.role r
                     where r.id in (select role_id from granted) and (${lent === undefined} or r.id in (select role_id from lent))
                       and r.domain_id is null), '[]') as roles,
           not exists (select role_id from lent except select role_id from granted) as complete,
           case when fi.enabled then json_build_object('identity_provider', c.identity_provider_id, 'protocol', c.protocol_id,
             'groups', array(select g.id from identity."group" g where g.id = any(c.group_ids) order by g.id)) end as federation
    from identity."user" u
    join identity.project ud on ud.id = u.domain_id
    left join identity.project s on s.id = ${placeId} and s.is_domain = ${scope.kind === 'domain'} and s.enabled
    left join identity.project sd on sd.id = s.domain_id
    left join identity.federated_context c on c.id = ${federation ?? null}
    left join identity.identity_provider fi on fi.id = c.identity_provider_id
    where u.id = ${userId} and u.enabled and ud.enabled and coalesce(sd.enabled, true)`.execute(tx)
  const row = rows[0]
  if (!row) return null
  if ('id' in scope && !row.place) return null
  if (federation !== undefined && !row.federation) return null
  if (whole && !row.complete) return null
  if (scope.kind !== 'none' && row.roles.length === 0) return null
  const { place } = row
  return {
    user: { id: userId, name: row.user_name, domain: row.user_domain },
    project: scope.kind === 'project' && place?.domain ? { ...place, domain: place.domain } : null,
    domain: scope.kind === 'domain' && place ? { id: place.id, name: place.name } : null,
    system: scope.kind === 'system',
    roles: scope.kind === 'none' ? [] : row.roles,
    since: row.since.getTime(),
    lives: row.lives,
    userSince: row.since.getTime(),
    passwordExpiresAt: row.password_expires_at,
    factors: (row.options.multi_factor_auth_enabled ?? true) ? (row.options.multi_factor_auth_rules ?? []) : [],
    federation: row.federation,
  }
}
