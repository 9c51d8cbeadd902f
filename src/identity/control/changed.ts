// Every identity write that can alter what a token may do raises the epoch in its own transaction; that is how all controllers learn,
// in order of commit, that what they remember of users, roles and projects may be wrong.
import type { Tx } from '../../database/connect.ts'
import { hintIdentity } from '../../work/hint.ts'

/** Call it last in the transaction: the epoch's row stays locked until commit. */
export async function identityChanged(tx: Tx): Promise<void> {
  await tx
    .updateTable('identity.epoch')
    .set((eb) => ({ value: eb('value', '+', 1) }))
    .execute()
  hintIdentity(tx)
}

/** Keystone's ids: 32 hex digits. */
export const newId = (): string => crypto.randomUUID().replaceAll('-', '')
