// What a federated token points to: through whom its user came in and the groups that the mapping gave. The row is shared by all who came
// by the same way into the same groups, so most sign-ins write nothing, and the token is as short as any.
import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { Tx } from '../../../database/connect.ts'

/** The id for `Claims.federation`. */
export async function contextFor(tx: Tx, providerId: string, protocolId: string, groupIds: string[]): Promise<number> {
  const group_ids = [...new Set(groupIds)].sort()
  const digest = createHash('sha256').update(group_ids.join()).digest('base64url')
  const known = await tx
    .selectFrom('identity.federated_context')
    .select('id')
    .where('identity_provider_id', '=', providerId)
    .where('protocol_id', '=', protocolId)
    .where('digest', '=', digest)
    .where('used_at', '>', sql<Date>`now() - interval '1 day'`)
    .executeTakeFirst()
  if (known) return known.id
  const { id } = await tx
    .insertInto('identity.federated_context')
    .values({ identity_provider_id: providerId, protocol_id: protocolId, group_ids, digest })
    .onConflict((c) => c.columns(['identity_provider_id', 'protocol_id', 'digest']).doUpdateSet({ used_at: sql<Date>`now()` }))
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

/** Forgets contexts that no valid token can point to any more: the longest lifetime that a token may have is a week. */
export async function forgetContexts(tx: Tx): Promise<void> {
  await sql`delete from identity.federated_context where used_at < now() - interval '9 days'`.execute(tx)
}
