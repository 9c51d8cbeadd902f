// Whether somebody knows a user's password, with all that an operator may demand of accounts: lockout, inactivity. Everything that fails
// is the same 401 after the same work, whether there is such a user or not.
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import type { AuditDetails } from '../../http/audit.ts'
import { unauthorized } from '../../http/fault.ts'
import type { SecurityCompliance } from '../../security-compliance.ts'
import { noteWrong, refuseFlood } from './attempts.ts'
import { hashPassword, isOutdated, verifyPassword } from './passwords.ts'
import { untilRefusal } from './refusals.ts'
import type { RememberedPasswords } from './remembered-passwords.ts'

/** By id, or by name within a domain. */
export interface Named {
  id?: string
  name?: string
  domain?: { id?: string; name?: string }
}

export interface UserOptions {
  ignore_change_password_upon_first_use?: boolean
  ignore_password_expiry?: boolean
  ignore_lockout_failure_attempts?: boolean
  ignore_user_inactivity?: boolean
  lock_password?: boolean
}

export interface Proven {
  id: string
  /** The user's `tokens_valid_from` in ms. */
  since: number
  /** The password holds no longer: it serves only to set another. */
  expired: boolean
  options: UserOptions
  password: { id: number; createdAt: Date; selfService: boolean }
}

/** From where a sign-in comes, and what this cloud demands of it. */
export interface Demands {
  compliance: SecurityCompliance
  /** The client's address. */
  remote: string
  /** Passwords that need not be hashed again. */
  remembered?: RememberedPasswords
  /** Hears what the audit log shall know and the client shall not. */
  audit?: (details: AuditDetails) => void
}

const millisecondsOfADay = 86_400_000
/** Days since 1970, in UTC. */
export const dayOf = (time: Date) => Math.floor(time.getTime() / millisecondsOfADay)

/** Whether a user counts as enabled: users who have not signed in for too many days (UTC) do not. */
export function isEnabled(
  user: { enabled: boolean; options: unknown; last_active_at: Date | null; created_at: Date },
  { disable_user_account_days_inactive: most }: SecurityCompliance,
  now = new Date(),
): boolean {
  if (!user.enabled || most === 0 || (user.options as UserOptions).ignore_user_inactivity) return user.enabled
  return dayOf(now) - dayOf(user.last_active_at ?? user.created_at) < most
}

/** For those who sign in without a password of ours: the days of inactivity are counted from today on. */
export async function noteActive(tx: Tx, userId: string): Promise<void> {
  await sql`update identity."user" set last_active_at = now() where id = ${userId} and (last_active_at is null or last_active_at < current_date)`.execute(
    tx,
  )
}

/** @throws Fault 401 if one of the users counts as disabled because they have not signed in for too many days */
export async function refuseInactive(tx: Tx, userIds: string[], compliance: SecurityCompliance): Promise<void> {
  if (compliance.disable_user_account_days_inactive === 0) return
  const users = await tx
    .selectFrom('identity.user')
    .select(['enabled', 'options', 'last_active_at', 'created_at'])
    .where('id', 'in', userIds)
    .execute()
  if (users.some((user) => !isEnabled(user, compliance))) throw unauthorized()
}

/** @throws Fault 401 unless this is the password of an enabled user, 429 after too many wrong ones from one address */
export async function provePassword(
  db: Database,
  user: Named & { password: string },
  { compliance, remote, remembered, audit }: Demands,
): Promise<Proven> {
  const called = user.id ?? `${user.domain?.id ?? user.domain?.name} ${user.name}`
  refuseFlood(remote, called)
  const began = performance.now()
  const refuse = async (reason: string) => {
    audit?.({ reason })
    await untilRefusal(db, began)
    return unauthorized()
  }
  const found = await read(db, user)
  if (found) audit?.({ initiator: { id: found.id } })
  const options = (found?.options ?? {}) as UserOptions
  const right = await verifyPassword(user.password, found?.hash, remote, remembered)
  const lockable = compliance.lockout_failure_attempts > 0 && !options.ignore_lockout_failure_attempts
  if (!right || !found || found.hash === null || found.password_id === null) {
    noteWrong(remote, called)
    if (compliance.lockout_failure_attempts > 0) await countFailure(db, lockable ? (found?.id ?? '') : '', compliance)
    throw await refuse(found ? 'Wrong password' : 'No such user')
  }
  // Asked after the work, so that many guesses at once get no further than one after the other.
  if (lockable && (await isLocked(db, found.id, compliance))) throw await refuse('The account is locked')
  if (!found.domain_enabled || !isEnabled(found, compliance)) throw await refuse('The account is disabled')
  const expired = found.expires_at !== null && found.expires_at.getTime() <= Date.now() && !options.ignore_password_expiry
  if (!expired) await noteSuccess(db, found, compliance)
  if (isOutdated(found.hash)) {
    const hash = await hashPassword(user.password, remote)
    await db.read
      .updateTable('identity.password')
      .set({ hash })
      .where('id', '=', Number(found.password_id))
      .where('hash', '=', found.hash)
      .execute()
  }
  return {
    id: found.id,
    since: found.tokens_valid_from.getTime(),
    expired,
    options,
    password: { id: Number(found.password_id), createdAt: found.password_created_at!, selfService: found.self_service! },
  }
}

const read = (db: Database, user: Named) =>
  db.read
    .selectFrom('identity.user as u')
    .innerJoin('identity.project as d', 'd.id', 'u.domain_id')
    .leftJoinLateral(
      (eb) =>
        eb
          .selectFrom('identity.password')
          .select(['id as password_id', 'hash', 'expires_at', 'created_at as password_created_at', 'self_service'])
          .whereRef('user_id', '=', 'u.id')
          .orderBy('id', 'desc')
          .limit(1)
          .as('p'),
      (join) => join.onTrue(),
    )
    .select(['u.id', 'u.enabled', 'u.tokens_valid_from', 'u.options', 'u.created_at', 'u.last_active_at', 'u.failed_auth_count'])
    .select(['d.enabled as domain_enabled', 'p.password_id', 'p.hash', 'p.expires_at', 'p.password_created_at', 'p.self_service'])
    .where((eb) =>
      user.id
        ? eb('u.id', '=', user.id)
        : eb.and([
            eb('u.name', '=', user.name!),
            eb('u.shadow', '=', false),
            eb(user.domain!.id ? 'd.id' : 'd.name', '=', user.domain!.id ?? user.domain!.name ?? ''),
          ]),
    )
    .executeTakeFirst()

type Account = NonNullable<Awaited<ReturnType<typeof read>>>

const locked = ({ lockout_failure_attempts, lockout_duration }: SecurityCompliance) => sql<boolean>`
  (failed_auth_count >= ${lockout_failure_attempts} and (${lockout_duration} = 0 or failed_auth_at > now() - make_interval(secs => ${lockout_duration})))`

// Not waiting for the disk, a failure takes as long for a stranger as for a user; what a power cut may lose is a count.
async function countFailure(db: Database, id: string, compliance: SecurityCompliance): Promise<void> {
  await sql`
    with quick as (select set_config('synchronous_commit', 'off', true))
    update identity."user" set
      failed_auth_count = case when failed_auth_count >= ${compliance.lockout_failure_attempts} then 1 else failed_auth_count + 1 end,
      failed_auth_at = now()
    from quick where id = ${id} and ${locked(compliance)} is not true`.execute(db.read)
}

async function isLocked(db: Database, id: string, compliance: SecurityCompliance): Promise<boolean> {
  const user = await db.read.selectFrom('identity.user').select(locked(compliance).as('locked')).where('id', '=', id).executeTakeFirst()
  return user?.locked ?? true
}

async function noteSuccess(db: Database, user: Account, compliance: SecurityCompliance): Promise<void> {
  const active = compliance.disable_user_account_days_inactive > 0
  const today = user.last_active_at !== null && dayOf(user.last_active_at) === dayOf(new Date())
  if (user.failed_auth_count === 0 && (today || !active)) return
  await db.read
    .updateTable('identity.user')
    .set({ failed_auth_count: 0, failed_auth_at: null, ...(active && { last_active_at: sql<Date>`now()` }) })
    .where('id', '=', user.id)
    .execute()
}
