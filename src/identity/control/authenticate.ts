// What every service asks of identity at every request: who is it that calls?
import type { Database } from '../../database/connect.ts'
import { unauthorized } from '../../http/fault.ts'
import type { Authenticate } from '../../http/token.ts'
import { isHeld, notHeld } from './bound-tokens.ts'
import type { SealingKeys } from './sealed.ts'
import { sessionsOf } from './sessions.ts'

/**
 * The caller that a token speaks for, or the 401 to answer with. Throws only if the database can't be asked.
 * @param sealingKey what the data directory's secret.key holds
 */
export function authenticator(db: Database, sealingKey: SealingKeys): Authenticate {
  const sessions = sessionsOf(db, sealingKey)
  return async (token, certificate) => {
    const session = await sessions.open(token)
    if (!session) return unauthorized()
    return isHeld(session.claims, certificate) ? session.who : notHeld()
  }
}
