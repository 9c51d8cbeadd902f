// What application credentials, trusts and OAuth1 access tokens lend: some roles of one user in one project, to be used by another or by a
// program. Read anew whenever identity has changed, so that a token dies with what lent it its rights.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type { AccessRule } from '../../http/who.ts'
import type { Delegation } from './tokens.ts'

/** What tokens say of it. */
export type About =
  | { kind: 'application_credential'; id: string; name: string; unrestricted: boolean; accessRules: AccessRule[] }
  | { kind: 'trust'; id: string; trustor: string; trustee: string; impersonation: boolean }
  | { kind: 'oauth1'; id: string; consumerId: string }

export interface Lent {
  /** Who may use it. */
  user: string
  /** Whose roles these are. */
  lender: string
  /** Whom the token names as its user. */
  shown: string
  /** The newest `tokens_valid_from` of all who stand behind it, in ms. */
  since: number
  /** How often their domains were disabled. */
  lives: number
  projectId: string | null
  roleIds: string[]
  expiresAt: number | null
  about: About
}

/** Null if it is gone or expired, or if anybody on the way to its lender is disabled. */
export async function readLent(tx: Tx, { kind, id }: Delegation): Promise<Lent | null> {
  if (kind === 'trust') return await lentByTrust(tx, id)
  return kind === 'oauth1' ? await lentByAccessToken(tx, id) : await lentByApplicationCredential(tx, id)
}

const milliseconds = (time: Date | null) => time?.getTime() ?? null

async function lentByApplicationCredential(tx: Tx, id: string): Promise<Lent | null> {
  const { rows } = await sql<{
    name: string
    user_id: string
    project_id: string
    role_ids: string[]
    unrestricted: boolean
    expires_at: Date | null
    access_rules: AccessRule[]
  }>`
    select c.name, c.user_id, c.project_id, c.role_ids, c.unrestricted, c.expires_at,
           coalesce((select json_agg(json_build_object('id', r.id, 'service', r.service, 'method', r.method, 'path', r.path) order by r.id)
                     from identity.application_credential_access_rule u join identity.access_rule r on r.id = u.access_rule_id
                     where u.application_credential_id = c.id), '[]') as access_rules
    from identity.application_credential c
    where c.id = ${id} and (c.expires_at is null or c.expires_at > now())`.execute(tx)
  const row = rows[0]
  if (!row) return null
  const { name, user_id: user, unrestricted } = row
  return {
    ...{ user, lender: user, shown: user, since: 0, lives: 0 },
    projectId: row.project_id,
    roleIds: row.role_ids,
    expiresAt: milliseconds(row.expires_at),
    about: { kind: 'application_credential', id, name, unrestricted, accessRules: row.access_rules },
  }
}

async function lentByAccessToken(tx: Tx, id: string): Promise<Lent | null> {
  const row = await tx
    .selectFrom('identity.oauth_access_token')
    .select(['consumer_id', 'authorizing_user_id as user', 'project_id', 'role_ids', 'expires_at'])
    .where('id', '=', id)
    .where('expires_at', '>', sql<Date>`now()`)
    .executeTakeFirst()
  if (!row) return null
  const { user } = row
  return {
    ...{ user, lender: user, shown: user, since: 0, lives: 0 },
    projectId: row.project_id,
    roleIds: row.role_ids,
    expiresAt: milliseconds(row.expires_at),
    about: { kind: 'oauth1', id, consumerId: row.consumer_id },
  }
}

interface Link {
  id: string
  trustor_user_id: string
  trustee_user_id: string
  project_id: string | null
  impersonation: boolean
  role_ids: string[]
  expires_at: Date | null
  alive: boolean
  since: Date
  lives: number
}

/** A trust that was lent on is worth what all trusts up to the first are worth; the roles are those of the first trustor. */
async function lentByTrust(tx: Tx, id: string): Promise<Lent | null> {
  const { rows } = await sql<Link>`
    with recursive chain as (
      select t.*, 0 as depth from identity.trust t where t.id = ${id}
      union all
      select t.*, chain.depth + 1 from identity.trust t join chain on t.id = chain.redelegated_trust_id
    )
    select chain.id, trustor_user_id, trustee_user_id, project_id, impersonation, role_ids, expires_at,
           deleted_at is null and (expires_at is null or expires_at > now())
             and r.enabled and rd.enabled and e.enabled and ed.enabled as alive,
           greatest(r.tokens_valid_from, e.tokens_valid_from) as since, rd.lives + ed.lives as lives
    from chain
    join identity."user" r on r.id = trustor_user_id join identity.project rd on rd.id = r.domain_id
    join identity."user" e on e.id = trustee_user_id join identity.project ed on ed.id = e.domain_id
    order by depth`.execute(tx)
  const [trust, first] = [rows[0], rows.at(-1)]
  if (!trust || !first || rows.some(({ alive }) => !alive)) return null
  const { trustor_user_id: trustor, trustee_user_id: trustee, impersonation } = trust
  return {
    user: trustee,
    lender: first.trustor_user_id,
    shown: impersonation ? trustor : trustee,
    since: Math.max(...rows.map(({ since }) => since.getTime())),
    lives: rows.reduce((sum, { lives }) => sum + lives, 0),
    projectId: trust.project_id,
    roleIds: trust.role_ids,
    // A trust that was lent on ends no later than the one it comes from.
    expiresAt: milliseconds(trust.expires_at),
    about: { kind: 'trust', id, trustor, trustee, impersonation },
  }
}
