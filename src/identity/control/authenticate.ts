// What every service asks of identity at every request: who is it that calls?
import type { Database } from '../../database/connect.ts'
import { type Fault, unauthorized } from '../../http/fault.ts'
import type { Who } from '../../http/who.ts'
import { sessionsOf } from './sessions.ts'

/**
 * The caller that a token speaks for, or the 401 to answer with. Throws only if the database can't be asked.
 * @param sealingKey the 32 bytes of the data directory's secret.key
 */
export function authenticator(db: Database, sealingKey: Buffer): (token: string) => Promise<Who | Fault> {
  const sessions = sessionsOf(db, sealingKey)
  return async (token) => (await sessions.open(token))?.who ?? unauthorized()
}
