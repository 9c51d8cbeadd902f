// The keys that seal tokens. They live in the database, sealed with the key file, so that all controllers share them; the newest seals,
// all of them open. A key that was superseded is removed when no token that it sealed could still be valid.
import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { identityChanged } from './changed.ts'
import { type SealingKeys, sealIn, unsealWith } from './sealed.ts'

export interface TokenKey {
  id: string
  key: CryptoKey
}

export interface TokenKeys {
  newest(): Promise<TokenKey>
  find(id: string): Promise<TokenKey | undefined>
  /** Some may have been removed: they are read anew before one is used again. */
  forget(): void
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

/** A new key instead of all that there are: every token is void, on every controller within a second of commit, and whoever has a key has none. */
export async function replaceTokenKeys(tx: Tx, sealingKey: SealingKeys): Promise<void> {
  await sql`select from identity.epoch for update`.execute(tx)
  await tx.deleteFrom('identity.token_key').execute()
  await addTokenKey(tx, sealingKey)
  await identityChanged(tx)
}

async function addTokenKey(tx: Tx, sealingKey: SealingKeys): Promise<void> {
  const id = randomBytes(3).toString('base64url')
  await tx
    .insertInto('identity.token_key')
    .values({ id, sealed: await sealIn(tx, sealingKey, nameOfTokenKey(id), randomBytes(32)), created_at: sql<Date>`clock_timestamp()` })
    .execute()
}

interface Known {
  keys: Map<string, TokenKey>
  newest: TokenKey | undefined
  readAt: number
}

/** The keys as this process knows them; read when first needed, and again when a token names one that it doesn't know. */
export function tokenKeys(db: Database, sealingKey: SealingKeys): TokenKeys {
  let known: Known | undefined
  let reading: Promise<Known> | undefined

  const read = async (): Promise<Known> => {
    const rows = await db.read.selectFrom('identity.token_key').selectAll().orderBy('created_at').execute()
    const keys = new Map<string, TokenKey>()
    for (const { id, sealed } of rows) {
      const raw = unsealWith(sealingKey, nameOfTokenKey(id), sealed)
      keys.set(id, { id, key: await crypto.subtle.importKey('raw', new Uint8Array(raw), 'AES-GCM', false, ['encrypt', 'decrypt']) })
    }
    return { keys, newest: keys.get(rows.at(-1)?.id ?? ''), readAt: performance.now() }
  }
  const readAgain = (): Promise<Known> => {
    if (reading) return reading
    const mine: Promise<Known> = read()
      .then((fresh) => {
        // What was being read when all was to be forgotten serves those who waited for it, and nobody after them.
        if (reading === mine) known = fresh
        return fresh
      })
      .finally(() => {
        if (reading === mine) reading = undefined
      })
    reading = mine
    return mine
  }
  const ifYounger = (age: number) => (known && performance.now() - known.readAt <= age ? known : undefined)

  return {
    async newest() {
      const { newest } = ifYounger(refresh) ?? (await readAgain())
      if (!newest) throw new Error('There is no token key: the cloud was not bootstrapped')
      return newest
    },
    async find(id) {
      return known?.keys.get(id) ?? (ifYounger(pause) ?? (await readAgain())).keys.get(id)
    },
    forget() {
      known = undefined
      reading = undefined
    },
  }
}
