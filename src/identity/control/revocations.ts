// Tokens that were revoked one by one. Each row has a number, given under the epoch's row lock, so a controller that has read up to
// N misses nothing by reading only what is newer.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { hintIdentity } from '../../work/hint.ts'
import type { Claims } from './tokens.ts'

/** Voids this token, from commit on; those made from it live on, as Keystone's do. Forgets what has expired long since. */
export async function revokeToken(tx: Tx, { auditIds, expiresAt }: Claims): Promise<void> {
  await sql`delete from identity.revocation where expires_at < now() - interval '1 hour'`.execute(tx)
  await sql`
    with next as (update identity.epoch set revocations = revocations + 1 returning revocations)
    insert into identity.revocation (audit_id, revision, expires_at) select ${auditIds[0]}, revocations, ${new Date(expiresAt)} from next
    on conflict do nothing`.execute(tx)
  hintIdentity(tx)
}

export interface Revocations {
  /** Reads what is newer than what is known. */
  readTo(revision: number, tx: Tx): Promise<void>
  has(claims: Claims): boolean
}

export function revocations(): Revocations {
  const voided = new Map<string, { chain: boolean; expiresAt: number }>()
  let known = -1
  return {
    async readTo(revision, tx) {
      if (revision <= known) return
      const rows = await tx
        .selectFrom('identity.revocation')
        .select(['audit_id', 'chain', 'expires_at'])
        .where('revision', '>', known)
        .execute()
      for (const row of rows) voided.set(row.audit_id, { chain: row.chain, expiresAt: row.expires_at.getTime() })
      for (const [id, { expiresAt }] of voided) if (expiresAt < Date.now() - 3_600_000) voided.delete(id)
      known = revision
    },
    has: ({ auditIds }) => voided.has(auditIds[0]!) || (voided.get(auditIds.at(-1)!)?.chain ?? false),
  }
}
