// The keys that seal tokens. They live in the database, sealed with the key file, so that all controllers share them; the newest seals,
// all of them open. A key that was superseded is removed when no token that it sealed could still be valid.
import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { type SealingKeys, sealIn, unsealWith } from './sealed.ts'

export interface TokenKey {
  id: string
  key: CryptoKey
}

export interface TokenKeys {
  newest(): Promise<TokenKey>
  find(id: string): Promise<TokenKey | undefined>
}

// The longest WISP_TOKEN_LIFETIME is a week.
const longestLife = '8 days'
/** How old (ms) our list may be before the newest key is looked up again, and how often at most a foreign key's id makes us look. */
const refresh = 60_000
const pause = 1_000

export const nameOfTokenKey = (id: string): string => `token key ${id}`

/** Makes the first key, if there is none. */
export async function ensureTokenKey(tx: Tx, sealingKey: SealingKeys): Promise<void> {
  await sql`select from identity.epoch for update`.execute(tx)
  const found = await tx.selectFrom('identity.token_key').select('id').limit(1).executeTakeFirst()
  if (!found) await addTokenKey(tx, sealingKey)
}

/** A new key for all tokens from now on (within a minute everywhere); those that nothing needs any more go. */
export async function rotateTokenKeys(tx: Tx, sealingKey: SealingKeys): Promise<void> {
  await sql`select from identity.epoch for update`.execute(tx)
  await addTokenKey(tx, sealingKey)
  await sql`
    delete from identity.token_key old
    where exists (select from identity.token_key newer where newer.created_at > old.created_at and newer.created_at < now() - ${sql.lit(longestLife)}::interval)`.execute(
    tx,
  )
}

async function addTokenKey(tx: Tx, sealingKey: SealingKeys): Promise<void> {
  const id = randomBytes(3).toString('base64url')
  await tx
    .insertInto('identity.token_key')
    .values({ id, sealed: await sealIn(tx, sealingKey, nameOfTokenKey(id), randomBytes(32)), created_at: sql<Date>`clock_timestamp()` })
    .execute()
}

/** The keys as this process knows them; read when first needed, and again when a token names one that it doesn't know. */
export function tokenKeys(db: Database, sealingKey: SealingKeys): TokenKeys {
  let known = new Map<string, TokenKey>()
  let newest: TokenKey | undefined
  let readAt = Number.NEGATIVE_INFINITY
  let reading: Promise<void> | undefined

  const read = async () => {
    const rows = await db.read.selectFrom('identity.token_key').selectAll().orderBy('created_at').execute()
    const fresh = new Map<string, TokenKey>()
    for (const { id, sealed } of rows) {
      const raw = unsealWith(sealingKey, nameOfTokenKey(id), sealed)
      const key = await crypto.subtle.importKey('raw', new Uint8Array(raw), 'AES-GCM', false, ['encrypt', 'decrypt'])
      fresh.set(id, known.get(id) ?? { id, key })
    }
    known = fresh
    newest = fresh.get(rows.at(-1)?.id ?? '')
    readAt = performance.now()
  }
  const readAgain = () => {
    reading ??= read().finally(() => {
      reading = undefined
    })
    return reading
  }

  return {
    async newest() {
      if (!newest || performance.now() - readAt > refresh) await readAgain()
      if (!newest) throw new Error('There is no token key: the cloud was not bootstrapped')
      return newest
    },
    async find(id) {
      if (!known.has(id) && performance.now() - readAt > pause) await readAgain()
      return known.get(id)
    },
  }
}
