// What must not be readable in the database (token keys, users' credentials) is sealed with the key file of the data directory:
// AES-256-GCM, as nonce (12 bytes), tag (16 bytes), ciphertext. The name of the row is authenticated, so that rows can't be swapped.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

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
    throw new Error(
      `${name} in the database was sealed with another secret.key than this controller's: copy that file from the data directory where this cloud was first started`,
      { cause },
    )
  }
}
