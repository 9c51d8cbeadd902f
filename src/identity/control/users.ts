// Changes of a user that void their tokens: a new password, and being disabled.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { badRequest } from '../../http/fault.ts'
import { hashPassword } from './passwords.ts'

/** Keystone's max_password_length. */
const longestPassword = 4096

/** @throws Fault 400 in Keystone's words */
export function checkPassword(password: string): void {
  if (password.length > longestPassword) {
    throw badRequest(
      `The password length must be less than or equal to ${longestPassword}. The server could not comply with the request because the password is invalid.`,
    )
  }
}

/** Sets (or with null takes away) the password. The hash is made before, outside of the transaction: `hashPassword`. */
export async function setPassword(tx: Tx, userId: string, hash: string | null): Promise<void> {
  await tx.deleteFrom('identity.password').where('user_id', '=', userId).execute()
  if (hash !== null) await tx.insertInto('identity.password').values({ user_id: userId, hash }).execute()
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

/** The hash for a password that a request brings; undefined stays undefined, null means no password. */
export async function hashGiven(password: string | null | undefined): Promise<string | null | undefined> {
  if (typeof password !== 'string') return password
  checkPassword(password)
  return await hashPassword(password)
}
