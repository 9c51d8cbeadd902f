// A user's password: what it must be like, how it is kept, and which changes of a user void their tokens.
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { badRequest } from '../../http/fault.ts'
import { noCompliance, passwordPattern, type SecurityCompliance } from '../../security-compliance.ts'
import { hashPassword, verifyPassword } from './passwords.ts'
import type { Proven, UserOptions } from './prove-password.ts'

/** Keystone's max_password_length. */
const longestPassword = 4096
const millisecondsOfADay = 86_400_000

/** @throws Fault 400 in Keystone's words */
export function checkPassword(password: string, compliance: SecurityCompliance): void {
  if (password.length > longestPassword) {
    throw badRequest(
      `The password length must be less than or equal to ${longestPassword}. The server could not comply with the request because the password is invalid.`,
    )
  }
  if (passwordPattern(compliance)?.test(password) === false) {
    const detail = compliance.password_regex_description || `it must match ${compliance.password_regex}`
    throw badRequest(`The password does not match the requirements: ${detail}.`)
  }
}

export interface PasswordTerms {
  compliance: SecurityCompliance
  options: UserOptions
  /** Whether the user chose it, and not an administrator. */
  selfService: boolean
}

const noTerms: PasswordTerms = { compliance: noCompliance, options: {}, selfService: false }

/** Sets (or with null takes away) the password. The hash is made before, outside of the transaction: `hashPassword`. */
export async function setPassword(tx: Tx, userId: string, hash: string | null, terms: PasswordTerms = noTerms): Promise<void> {
  const { compliance, options, selfService } = terms
  if (hash === null) {
    await tx.deleteFrom('identity.password').where('user_id', '=', userId).execute()
    return
  }
  const firstUse = !selfService && compliance.change_password_upon_first_use && !options.ignore_change_password_upon_first_use
  const days = options.ignore_password_expiry ? 0 : compliance.password_expires_days
  // To the second, as Keystone has it.
  const expires = firstUse ? sql<Date>`now()` : days > 0 ? sql<Date>`date_trunc('second', now()) + make_interval(days => ${days})` : null
  await tx.insertInto('identity.password').values({ user_id: userId, hash, self_service: selfService, expires_at: expires }).execute()
  const kept = Math.max(1, compliance.unique_last_password_count)
  await sql`
    delete from identity.password where user_id = ${userId}
      and id not in (select id from identity.password where user_id = ${userId} order by id desc limit ${kept})`.execute(tx)
}

/** @throws Fault 400 if the user's own password is too young to be changed */
export function checkAge({ createdAt, selfService }: Proven['password'], { minimum_password_age: days }: SecurityCompliance): void {
  const left = createdAt.getTime() + days * millisecondsOfADay - Date.now()
  if (!selfService || left <= 0) return
  throw badRequest(
    `You cannot change your password at this time due to the minimum password age. Once you change your password, it must be used for ${days} day(s) before it can be changed. Please try again in ${Math.floor(left / millisecondsOfADay)} day(s) or contact your administrator to reset your password.`,
  )
}

/** @throws Fault 400 if it is one of the last that the user had */
export async function refuseReuse(db: Database, userId: string, password: string, compliance: SecurityCompliance): Promise<void> {
  const { unique_last_password_count: count } = compliance
  if (count === 0) return
  const last = await db.read
    .selectFrom('identity.password')
    .select('hash')
    .where('user_id', '=', userId)
    .orderBy('id', 'desc')
    .limit(count)
    .execute()
  for (const { hash } of last) {
    if (await verifyPassword(password, hash, userId)) {
      throw badRequest(
        `The new password cannot be identical to a previous password. The total number which includes the new password must be unique is ${count}.`,
      )
    }
  }
}

/** All tokens that this user has are void from commit on. Never the same instant twice, because tokens are compared with it. */
export async function voidTokens(tx: Tx, userIds: string[]): Promise<void> {
  if (userIds.length === 0) return
  await tx
    .updateTable('identity.user')
    .set({
      tokens_valid_from: sql<Date>`greatest(date_trunc('milliseconds', clock_timestamp()), tokens_valid_from + interval '1 millisecond')`,
    })
    .where('id', 'in', userIds)
    .execute()
}

/** The hash for a password that a request brings; undefined stays undefined, null means no password. @param turn as for hashPassword */
export async function hashGiven(
  password: string | null | undefined,
  compliance: SecurityCompliance,
  turn: string,
): Promise<string | null | undefined> {
  if (typeof password !== 'string') return password
  checkPassword(password, compliance)
  return await hashPassword(password, turn)
}
