// The uses of a trust that has only so many.
import type { Tx } from '../../database/connect.ts'
import { unauthorized } from '../../http/fault.ts'

/** One use less, if they are counted at all. @throws Fault 401 if there is none left */
export async function consumeTrust(tx: Tx, id: string): Promise<void> {
  const trust = await tx.selectFrom('identity.trust').select('remaining_uses').where('id', '=', id).forUpdate().executeTakeFirst()
  if (!trust || trust.remaining_uses === 0) throw unauthorized()
  if (trust.remaining_uses === null) return
  await tx
    .updateTable('identity.trust')
    .set({ remaining_uses: trust.remaining_uses - 1 })
    .where('id', '=', id)
    .execute()
}
