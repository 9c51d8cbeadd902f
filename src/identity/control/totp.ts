// One-time passwords (RFC 6238): six digits from a secret that the user keeps as a credential of the type totp, good for half a minute and
// the half before it, and only once.
import { Secret, TOTP } from 'otpauth'
import type { Database } from '../../database/connect.ts'
import { unauthorized } from '../../http/fault.ts'
import { noteWrong, refuseFlood } from './attempts.ts'
import { blobOf, credentialsWithKeys } from './credentials.ts'
import { expecting } from './faults.ts'
import type { Named } from './prove-password.ts'
import type { SealingKeys } from './sealed.ts'
import type { Proof } from './sign-in.ts'

const period = 30

/** @throws Fault 400 for what is missing, 401 unless the passcode is one of the user's, 429 after too many wrong ones */
export async function byTotp(
  db: Database,
  sealingKey: SealingKeys,
  user: (Named & { passcode?: string }) | undefined,
  remote: string,
): Promise<Proof> {
  if (!user) throw expecting('user', 'totp')
  if (!user.id && !user.name) throw expecting('id or name', 'user')
  if (!user.id && !user.domain) throw expecting('domain', 'user')
  const called = `totp ${user.id ?? `${user.domain?.id ?? user.domain?.name} ${user.name}`}`
  refuseFlood(remote, called)
  const found = await db.read
    .selectFrom('identity.user as u')
    .innerJoin('identity.project as d', 'd.id', 'u.domain_id')
    .select(['u.id', 'u.tokens_valid_from'])
    .where('u.enabled', '=', true)
    .where('d.enabled', '=', true)
    .where((eb) =>
      user.id
        ? eb('u.id', '=', user.id)
        : eb.and([
            eb('u.name', '=', user.name ?? ''),
            eb(user.domain?.id ? 'd.id' : 'd.name', '=', user.domain?.id ?? user.domain?.name ?? ''),
          ]),
    )
    .executeTakeFirst()
  // Asked for a stranger, too, so that the time tells nothing.
  const passed = await take(db, sealingKey, found?.id ?? '', user.passcode ?? '')
  if (!found || !passed) {
    noteWrong(remote, called)
    throw unauthorized('Invalid username or TOTP passcode')
  }
  return { user: found.id, since: found.tokens_valid_from.getTime(), methods: [] }
}

/** Whether one of the user's secrets gives this passcode now; it is used up then. */
async function take(db: Database, sealingKey: SealingKeys, userId: string, passcode: string): Promise<boolean> {
  const rows = await credentialsWithKeys(db.read).where('c.user_id', '=', userId).where('c.type', '=', 'totp').execute()
  for (const row of rows) {
    const step = stepOf(blobOf(sealingKey, row), passcode)
    if (step === null) continue
    const { numUpdatedRows } = await db.read
      .updateTable('identity.credential')
      .set({ totp_step: step })
      .where('id', '=', row.id)
      .where((eb) => eb.or([eb('totp_step', 'is', null), eb('totp_step', '<', step)]))
      .executeTakeFirst()
    if (numUpdatedRows > 0n) return true
  }
  return false
}

/** The half minute for which the secret gives the passcode: this one or the last. Null for none, and for a blob that is no secret. */
function stepOf(secret: string, passcode: string): number | null {
  const now = Date.now()
  try {
    const delta = new TOTP({ secret: Secret.fromBase32(secret.replace(/=+$/, '')), digits: 6, period }).validate({
      token: passcode,
      timestamp: now,
      window: 1,
    })
    return delta === null || delta > 0 ? null : Math.floor(now / 1000 / period) + delta
  } catch {
    return null
  }
}
