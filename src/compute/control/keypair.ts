// SSH keys: reading the public keys that people bring, making pairs for those who have none. Only the public half is ever kept.
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { badRequest } from '../../http/fault.ts'

export interface PublicKey {
  public_key: string
  /** MD5 in colon form, as Nova shows it. */
  fingerprint: string
}

const kinds = ['ssh-rsa', 'ssh-ed25519', 'ssh-dss', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521']
const securityKeys = ['sk-ssh-ed25519@openssh.com', 'sk-ecdsa-sha2-nistp256@openssh.com']

/** @throws Fault 400 for what is no OpenSSH public key */
export function importKey(text: string): PublicKey {
  const trimmed = text.trim()
  const [kind = '', data = ''] = trimmed.split(/\s+/)
  const blob = Buffer.from(data, 'base64')
  const named = blob.length > 4 && blob.length < 20_000 ? blob.subarray(4, 4 + blob.readUInt32BE(0)).toString('latin1') : ''
  if (
    trimmed.includes('\n') ||
    ![...kinds, ...securityKeys].includes(kind) ||
    named !== kind ||
    blob.toString('base64').replace(/=+$/, '') !== data.replace(/=+$/, '')
  ) {
    throw badRequest('Keypair data is invalid: failed to generate fingerprint')
  }
  return { public_key: text, fingerprint: fingerprintOf(blob) }
}

/** A new ed25519 pair; the private half in OpenSSH's format. */
export function generateKey(comment: string): PublicKey & { private_key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const seed = Buffer.from(privateKey.export({ format: 'jwk' }).d!, 'base64url')
  const point = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url')
  const blob = Buffer.concat([field('ssh-ed25519'), field(point)])
  return {
    public_key: `ssh-ed25519 ${blob.toString('base64')} ${comment}`,
    private_key: openSshPrivateKey(blob, point, seed, comment),
    fingerprint: fingerprintOf(blob),
  }
}

const fingerprintOf = (blob: Buffer) =>
  createHash('md5')
    .update(blob)
    .digest('hex')
    .replaceAll(/(..)(?!$)/g, '$1:')

/** A string as SSH writes it: its length in four bytes, then its bytes (RFC 4251). */
function field(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** The format of PROTOCOL.key in OpenSSH's sources, without encryption. */
function openSshPrivateKey(blob: Buffer, point: Buffer, seed: Buffer, comment: string): string {
  const check = randomBytes(4)
  const secret = Buffer.concat([check, check, field('ssh-ed25519'), field(point), field(Buffer.concat([seed, point])), field(comment)])
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, index) => index + 1))
  const count = Buffer.from([0, 0, 0, 1])
  const all = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    field('none'),
    field('none'),
    field(''),
    count,
    field(blob),
    field(Buffer.concat([secret, padding])),
  ])
  const lines = all.toString('base64').match(/.{1,70}/g)!
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join('\n')}\n-----END OPENSSH PRIVATE KEY-----\n`
}
