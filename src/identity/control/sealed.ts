// What must not be readable in the database (token keys, users' credentials) is sealed with the key file of the data directory:
// AES-256-GCM, as nonce (12 bytes), tag (16 bytes), ciphertext. The name of the row is authenticated, so that rows can't be swapped.
// The file may hold two keys while one replaces the other (secret-key.ts); which one seals stands in the database.
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'

/** The keys in the data directory's secret.key at this moment, 32 bytes each. */
export type SealingKeys = () => readonly Buffer[]

/** By what the database knows a key, which does not tell the key. */
export const fingerprint = (key: Buffer): string => createHash('sha256').update('wisp secret.key').update(key).digest('hex').slice(0, 16)

/** Of the row in wisp.fact that has the fingerprint of the key that seals. */
export const sealingFact = 'sealing key'

const anotherFile = 'Copy that file from the data directory where this cloud was first started.'

/**
 * The key that seals, until this transaction ends: who changes it waits for us.
 * @throws Error that says what to do, if the key file has another key
 */
export async function sealingKeyIn(tx: Tx, keys: SealingKeys): Promise<Buffer> {
  const read = () => sql<{ value: string }>`select value from wisp.fact where name = ${sealingFact} for share`.execute(tx)
  let { rows } = await read()
  if (rows.length === 0) {
    const value = json(fingerprint(keys()[0]!))
    await tx
      .insertInto('wisp.fact')
      .values({ name: sealingFact, value })
      .onConflict((on) => on.doNothing())
      .execute()
    rows = (await read()).rows
  }
  const key = keys().find((one) => fingerprint(one) === rows[0]?.value)
  if (!key) throw new Error(`This cloud seals its secrets with another secret.key than the one that is here. ${anotherFile}`)
  return key
}

/** For a column of this transaction's row. @param name what the value belongs to, such as a row's id; opening wants the same */
export async function sealIn(tx: Tx, keys: SealingKeys, name: string, value: Uint8Array): Promise<Buffer> {
  return seal(await sealingKeyIn(tx, keys), name, value)
}

/** @throws Error that says what to do, if the value was sealed with none of the keys or altered */
export function unsealWith(keys: SealingKeys, name: string, sealed: Buffer): Buffer {
  const [last, ...others] = keys().toReversed()
  for (const key of others) {
    try {
      return unseal(key, name, sealed)
    } catch {}
  }
  return unseal(last!, name, sealed)
}

/** @param name what the value belongs to, such as a row's id; opening wants the same */
export function seal(sealingKey: Buffer, name: string, value: Uint8Array): Buffer {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', sealingKey, nonce).setAAD(Buffer.from(name))
  const text = Buffer.concat([cipher.update(value), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), text])
}

/** @throws Error that says what to do, if the value was sealed with another key or altered */
export function unseal(sealingKey: Buffer, name: string, sealed: Buffer): Buffer {
  try {
    const decipher = createDecipheriv('aes-256-gcm', sealingKey, sealed.subarray(0, 12))
      .setAAD(Buffer.from(name))
      .setAuthTag(sealed.subarray(12, 28))
    return Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()])
  } catch (cause) {
    throw new Error(`${name} in the database was sealed with another secret.key than this controller's. ${anotherFile}`, { cause })
  }
}
