// The key with which this cloud signs assertions and reads encrypted ones; made when somebody first needs it, and the same on all controllers.
import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import type { Database } from '../../../database/connect.ts'
import { type SealingKeys, sealIn, unsealWith } from '../sealed.ts'
import { selfSigned } from './certificate.ts'

export interface SamlKey {
  /** PEM. */
  privateKey: string
  certificate: string
}

export const nameOfSamlKey = 'SAML key'
const years = 10
const kept = new WeakMap<Database, Promise<SamlKey>>()

/** Asked of the database once per process. */
export function samlKey(db: Database, sealingKey: SealingKeys): Promise<SamlKey> {
  const known = kept.get(db) ?? readOrMake(db, sealingKey)
  kept.set(db, known)
  known.catch(() => kept.delete(db))
  return known
}

async function readOrMake(db: Database, sealingKey: SealingKeys): Promise<SamlKey> {
  const read = () => db.read.selectFrom('identity.saml_key').selectAll().executeTakeFirst()
  let row = await read()
  if (!row) {
    const pair = await promisify(generateKeyPair)('rsa', { modulusLength: 3072 })
    const privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    const now = new Date()
    const certificate = selfSigned(privateKey, 'Wisp SAML', now, new Date(now.getTime() + years * 365 * 24 * 3_600_000))
    await db.write(async (tx) => {
      const sealed = await sealIn(tx, sealingKey, nameOfSamlKey, Buffer.from(privateKey))
      await tx
        .insertInto('identity.saml_key')
        .values({ sealed, certificate })
        .onConflict((c) => c.doNothing())
        .execute()
    })
    row = await read()
  }
  return { privateKey: unsealWith(sealingKey, nameOfSamlKey, row!.sealed).toString(), certificate: row!.certificate }
}
