// What credentials keep secret is sealed with keys of their own, which lie in the database, sealed in turn with the data directory's key
// file. A new key seals all blobs anew, so that an old one is worth nothing any more.
import { createHash, randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { type SealingKeys, seal, sealIn, unseal, unsealWith } from './sealed.ts'

/** All credentials, with the key that opens each; add conditions on `c`. */
export const credentialsWithKeys = (tx: Tx) =>
  tx
    .selectFrom('identity.credential as c')
    .leftJoin('identity.credential_key as k', 'k.id', 'c.key_id')
    .selectAll('c')
    .select('k.sealed as sealed_key')

export type SealedCredential = Awaited<ReturnType<ReturnType<typeof credentialsWithKeys>['executeTakeFirstOrThrow']>>

export const nameOfKey = (id: string) => `credential key ${id}`
const nameOf = (id: string) => `credential ${id}`

/** The blob as it was given. */
export function blobOf(sealingKey: SealingKeys, { id, blob, key_id, sealed_key }: SealedCredential): string {
  const key = key_id !== null && sealed_key !== null ? unsealWith(sealingKey, nameOfKey(key_id), sealed_key) : undefined
  return (key ? unseal(key, nameOf(id), blob) : unsealWith(sealingKey, nameOf(id), blob)).toString()
}

/** For the columns of that name; makes the first key, if there is none. */
export async function sealBlob(tx: Tx, sealingKey: SealingKeys, id: string, blob: string): Promise<{ blob: Buffer; key_id: string }> {
  // A rotation waits for this one, or this one for it: then the key that is read here is the new one.
  await sql`lock table identity.credential in row exclusive mode`.execute(tx)
  const key = (await newestKey(tx)) ?? (await addKey(tx, sealingKey))
  return { blob: seal(unsealWith(sealingKey, nameOfKey(key.id), key.sealed), nameOf(id), Buffer.from(blob)), key_id: key.id }
}

const newestKey = (tx: Tx) => tx.selectFrom('identity.credential_key').selectAll().orderBy('created_at', 'desc').limit(1).executeTakeFirst()

async function addKey(tx: Tx, sealingKey: SealingKeys) {
  const id = randomBytes(6).toString('base64url')
  return await tx
    .insertInto('identity.credential_key')
    .values({ id, sealed: await sealIn(tx, sealingKey, nameOfKey(id), randomBytes(32)), created_at: sql<Date>`clock_timestamp()` })
    .returningAll()
    .executeTakeFirstOrThrow()
}

const atOnce = 500

/** Seals every blob with a new key, and forgets the old ones; nobody writes a credential meanwhile. Answers how many there are. */
export async function rotateCredentialKeys(tx: Tx, sealingKey: SealingKeys): Promise<number> {
  await sql`lock table identity.credential in share row exclusive mode`.execute(tx)
  const { id: key_id, sealed } = await addKey(tx, sealingKey)
  const key = unsealWith(sealingKey, nameOfKey(key_id), sealed)
  let count = 0
  for (let after = ''; ; ) {
    const rows = await credentialsWithKeys(tx).where('c.id', '>', after).orderBy('c.id').limit(atOnce).execute()
    const blobs = rows.map((row) => seal(key, nameOf(row.id), Buffer.from(blobOf(sealingKey, row))))
    await sql`
      update identity.credential c set blob = fresh.blob, key_id = ${key_id}
      from unnest(${rows.map(({ id }) => id)}::text[], ${blobs}::bytea[]) as fresh(id, blob) where c.id = fresh.id`.execute(tx)
    count += rows.length
    const last = rows.at(-1)
    if (!last || rows.length < atOnce) break
    after = last.id
  }
  await tx.deleteFrom('identity.credential_key').where('id', '!=', key_id).execute()
  return count
}

/** An EC2 credential is found by its access key: this is its id. */
export const idOfAccess = (access: string): string => createHash('sha256').update(access).digest('hex')

/** What a blob of EC2 keys says; by what they were made decides what they are good for. */
export interface Ec2Blob {
  access?: string
  secret?: string
  trust_id?: string | null
  app_cred_id?: string | null
  access_token_id?: string | null
}

/** Undefined for what is no JSON object. */
export function parseBlob(blob: string): Ec2Blob | undefined {
  try {
    const parsed: unknown = JSON.parse(blob)
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}
