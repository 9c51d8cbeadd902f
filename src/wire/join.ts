// How a machine becomes a host: an operator makes a one-time token, the machine trades it for an id and a secret of its own, and shows
// that secret with everything it says later. Only hashes of both are kept.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { sql } from 'kysely'
import type { Database, Tx } from '../database/connect.ts'
import { conflict, forbidden, unauthorized } from '../http/fault.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest()

/** Makes a token that lets one machine join within `minutes`. */
export async function makeJoinToken(tx: Tx, minutes = 60): Promise<string> {
  const token = randomBytes(24).toString('base64url')
  await tx
    .insertInto('wire.join_token')
    .values({ hash: sha256(token), expires_at: sql<Date>`now() + ${minutes} * interval '1 minute'` })
    .execute()
  return token
}

/** Whether a machine could still join with this token. */
export async function knowsJoinToken(tx: Tx, token: string): Promise<boolean> {
  const known = await tx
    .selectFrom('wire.join_token')
    .select('hash')
    .where('hash', '=', sha256(token))
    .where('used_at', 'is', null)
    .where('expires_at', '>', sql<Date>`now()`)
    .executeTakeFirst()
  return known !== undefined
}

export interface Joined {
  host_id: string
  /** Shown this once. */
  secret: string
}

/** Trades a token for a host's id and secret. A name that another machine bears is refused; the same machine may join again. */
export async function join(tx: Tx, token: string, name: string, machineId: string): Promise<Joined> {
  const used = await tx
    .updateTable('wire.join_token')
    .set({ used_at: sql<Date>`now()` })
    .where('hash', '=', sha256(token))
    .where('used_at', 'is', null)
    .where('expires_at', '>', sql<Date>`now()`)
    .returning('hash')
    .executeTakeFirst()
  if (!used) throw forbidden('This join token is unknown, used or expired. Make a new one with `wisp join-token` on a controller.')
  const secret = randomBytes(32).toString('base64url')
  const host = await tx
    .insertInto('wire.host')
    .values({ id: crypto.randomUUID(), name, machine_id: machineId, secret_hash: sha256(secret) })
    .onConflict((on) =>
      on
        .column('name')
        .doUpdateSet({ secret_hash: sha256(secret) })
        .where('wire.host.machine_id', '=', machineId),
    )
    .returning('id')
    .executeTakeFirst()
  if (!host) throw conflict(`Another machine has already joined as host '${name}'. Choose another name with WISP_HOST_NAME.`)
  await tx.updateTable('wire.join_token').set({ host_id: host.id }).where('hash', '=', used.hash).execute()
  return { host_id: host.id, secret }
}

/** Checks `Authorization: Bearer {host id}.{secret}`. Returns the host; throws 401. Of each host the secret that was proven last is remembered for ten seconds, by its hash. */
export function hostDoor(db: Database): (authorization: string | undefined) => Promise<{ id: string; name: string }> {
  const proven = new Map<string, { id: string; name: string; hash: Buffer; until: number }>()
  return async (authorization) => {
    const [, id, secret] = /^Bearer ([0-9a-f-]{36})\.([\w-]{20,100})$/.exec(authorization ?? '') ?? []
    if (!id || !secret) throw unauthorized('A host shows its id and secret in the Authorization header.')
    const hash = sha256(secret)
    const known = proven.get(id)
    if (known && known.until > Date.now() && timingSafeEqual(known.hash, hash)) return known
    const host = await db.read.selectFrom('wire.host').select(['id', 'name', 'secret_hash']).where('id', '=', id).executeTakeFirst()
    if (!host || !timingSafeEqual(host.secret_hash, hash))
      throw unauthorized('This host is unknown here, or its secret is wrong. Let it join again.')
    proven.set(id, { id: host.id, name: host.name, hash, until: Date.now() + 10_000 })
    return host
  }
}
