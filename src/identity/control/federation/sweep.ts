// Ends memberships that an identity provider vouched for when their time has come, and forgets what federation has no more use for.
import { sql } from 'kysely'
import type { Tx } from '../../../database/connect.ts'
import { identityChanged } from '../changed.ts'
import { forgetContexts } from './context.ts'
import { endMemberships } from './shadow-users.ts'

const day = 24 * 3_600_000

/** In how many ms to look again: when the next membership ends, at most a day. */
export async function sweepFederation(tx: Tx): Promise<number> {
  if (await endMemberships(tx)) await identityChanged(tx)
  await forgetContexts(tx)
  await sql`delete from identity.federation_note where expires_at < now()`.execute(tx)
  const { rows } = await sql<{
    next: Date | null
  }>`select min(expires_at) as next from identity.group_member where expires_at is not null`.execute(tx)
  const next = rows[0]?.next
  return next ? Math.max(0, Math.min(day, next.getTime() - Date.now())) : day
}
