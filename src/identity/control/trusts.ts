// Trusts: who lent what to whom, how far it may be lent on, and the uses of those that have only so many.
import { type Selectable, sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type { DB } from '../../database/types.ts'
import { badRequest, forbidden, unauthorized } from '../../http/fault.ts'

export type TrustRow = Selectable<DB['identity.trust']>

/** Keystone's max_redelegation_count. */
const deepest = 3

/** The trust, unless it was deleted, has expired or is used up. */
export const peekTrust = (tx: Tx, id: string): Promise<TrustRow | undefined> =>
  tx
    .selectFrom('identity.trust')
    .selectAll()
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', sql<Date>`now()`)]))
    .where((eb) => eb.or([eb('remaining_uses', 'is', null), eb('remaining_uses', '>', 0)]))
    .executeTakeFirst()

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

/** From this trust to the first that it comes from. */
export async function trustsUpFrom(tx: Tx, id: string): Promise<TrustRow[]> {
  const { rows } = await sql<TrustRow>`
    with recursive chain as (
      select t.*, 0 as depth from identity.trust t where t.id = ${id}
      union all
      select t.*, chain.depth + 1 from identity.trust t join chain on t.id = chain.redelegated_trust_id
    )
    select * from chain order by depth`.execute(tx)
  return rows
}

/** Deletes it, and all that was lent on from it. They stay in the database, for whoever asks later who acted for whom. */
export async function deleteTrust(tx: Tx, id: string): Promise<void> {
  await sql`
    with recursive tree(id) as (
      select ${id}::text
      union
      select t.id from identity.trust t join tree on t.redelegated_trust_id = tree.id
    )
    update identity.trust set deleted_at = now() where deleted_at is null and id in (select id from tree)`.execute(tx)
}

export interface Redelegation {
  allow_redelegation?: boolean | null
  redelegation_count?: number | null
  remaining_uses?: number | null
  impersonation: boolean
}

/**
 * How often the new trust may be lent on.
 * @param from the trusts that it comes from, as `trustsUpFrom` gives them; none for the user's own roles
 * @throws Fault 400 or 403 for what these don't allow (keystone/trust/core.py)
 */
export function redelegations(wanted: Redelegation, from: TrustRow[], roleIds: string[], expiresAt: number | null): number {
  const { redelegation_count: asked, remaining_uses: uses, impersonation } = wanted
  const further = wanted.allow_redelegation === true && asked !== 0
  if (further && asked && asked > deepest) {
    throw forbidden(`Requested redelegation depth of ${asked} is greater than allowed ${deepest}`)
  }
  if (further && typeof uses === 'number') throw badRequest('remaining_uses must not be set if redelegation is allowed')
  const [source] = from
  if (!source) return further ? (asked ?? deepest) : 0
  const left = source.redelegation_count - 1
  if (further && asked && asked !== left) {
    throw forbidden('Modifying "redelegation_count" upon redelegation is forbidden. Omitting this parameter is advised.')
  }
  for (const trust of from) {
    const { id, redelegation_count: depth } = trust
    if (depth <= 0 || depth > deepest) {
      throw forbidden(`Remaining redelegation depth of ${depth} out of allowed range of [0..${deepest}]`)
    }
    if (typeof uses === 'number') {
      throw forbidden(`Field "remaining_uses" is set to ${uses} while it must not be set in order to redelegate a trust`)
    }
    if (trust.expires_at && (expiresAt === null || expiresAt > trust.expires_at.getTime())) {
      throw forbidden('Requested expiration time is more than redelegated trust can provide')
    }
    if (!roleIds.every((role) => trust.role_ids.includes(role))) throw forbidden('Some of requested roles are not in redelegated trust')
    if (impersonation && !trust.impersonation) {
      throw forbidden(`Impersonation is not allowed because redelegated trust does not specify impersonation. Redelegated trust id: ${id}`)
    }
  }
  return further ? left : 0
}
