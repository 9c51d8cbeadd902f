// Users that exist because an identity provider vouches for them: found again by what the provider calls them, under an id that stays.
import { sql } from 'kysely'
import type { Tx } from '../../../database/connect.ts'
import { newId } from '../changed.ts'

export interface Vouched {
  provider: string
  protocol: string
  /** What the mapping makes the user's id: the same for the same person at every sign-in. */
  uniqueId: string
  name: string
  email: string | undefined
  domainId: string
}

export interface ShadowUser {
  id: string
  enabled: boolean
  since: Date
  /** Whether anything was written, so that controllers must look again. */
  changed: boolean
}

const find = (tx: Tx, { provider, protocol, uniqueId }: Vouched) =>
  tx
    .selectFrom('identity.federated_user as f')
    .innerJoin('identity.user as u', 'u.id', 'f.user_id')
    .select(['u.id', 'u.enabled', 'u.tokens_valid_from as since', 'u.name', 'u.email', 'u.shadow'])
    .where('f.identity_provider_id', '=', provider)
    .where('f.protocol_id', '=', protocol)
    .where('f.unique_id', '=', uniqueId)
    .executeTakeFirst()

/** The user, made at the first sign-in; name and e-mail address follow the provider. Users that were only linked to it keep theirs. */
export async function shadowUser(tx: Tx, vouched: Vouched): Promise<ShadowUser> {
  let user = await find(tx, vouched)
  if (!user) {
    // Of two first sign-ins of one person at the same moment, the second finds the user of the first.
    await sql`select from identity.identity_provider where id = ${vouched.provider} for no key update`.execute(tx)
    user = await find(tx, vouched)
  }
  const { name, email = null } = vouched
  if (!user) {
    const id = newId()
    await tx.insertInto('identity.user').values({ id, name, email, domain_id: vouched.domainId, shadow: true }).execute()
    await tx
      .insertInto('identity.federated_user')
      .values({ identity_provider_id: vouched.provider, protocol_id: vouched.protocol, unique_id: vouched.uniqueId, user_id: id })
      .execute()
    return { id, enabled: true, since: new Date(0), changed: true }
  }
  const { id, enabled, since } = user
  const changed = user.shadow && (user.name !== name || user.email !== email)
  if (changed) await tx.updateTable('identity.user').set({ name, email }).where('id', '=', id).execute()
  return { id, enabled, since, changed }
}

/** Memberships that outlive the token by the provider's authorization_ttl (minutes): each sign-in renews them. True if any is new. */
export async function rememberGroups(tx: Tx, userId: string, groupIds: string[], minutes: number): Promise<boolean> {
  if (groupIds.length === 0) return false
  const { rows } = await sql<{ fresh: boolean }>`
    insert into identity.group_member (group_id, user_id, expires_at)
    select g, ${userId}, now() + ${minutes} * interval '1 minute' from unnest(${groupIds}::text[]) g
    on conflict (group_id, user_id) do update set expires_at = excluded.expires_at where group_member.expires_at is not null
    returning xmax = 0 as fresh`.execute(tx)
  return rows.some(({ fresh }) => fresh)
}

/** Ends memberships whose time has come. True if there were any. */
export async function endMemberships(tx: Tx): Promise<boolean> {
  const { rows } = await sql`delete from identity.group_member where expires_at <= now() returning 1`.execute(tx)
  return rows.length > 0
}
