// Password hashes that a Keystone made, so that its users sign in here with the passwords that they have; the first sign-in replaces
// them (prove-password.ts). Formats: keystone/common/password_hashers, which are passlib's.
import { execFile } from 'node:child_process'
import { createHmac, pbkdf2, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { verify as verifyBcrypt } from '@node-rs/bcrypt'

/**
 * Whether the password is the one that was hashed, for bcrypt, bcrypt-sha256, scrypt, pbkdf2-sha512 and (of old) sha512-crypt.
 * @throws Error for a format that no Keystone writes
 */
export async function importedPassword(password: string, hashed: string): Promise<boolean> {
  const [, kind, parameters = '', salt = '', hash = ''] = hashed.split('$')
  switch (kind) {
    case '2a':
    case '2b':
    case '2y':
      return await verifyBcrypt(password, hashed)
    case '6':
      return sameText(await crypt(password, hashed), hashed)
    case 'bcrypt-sha256': {
      const { r = '12', t = '2b' } = fields(parameters)
      const short = createHmac('sha256', salt).update(password).digest('base64')
      return await verifyBcrypt(short, `$${t}$${r.padStart(2, '0')}$${salt}${hash}`)
    }
    case 'scrypt': {
      const { ln = '16', r = '8', p = '1' } = fields(parameters)
      const [N, blockSize, parallelization] = [2 ** Number(ln), Number(r), Number(p)]
      const wanted = bytes(hash)
      const options = { N, r: blockSize, p: parallelization, maxmem: 256 * N * blockSize + 1024 * parallelization * blockSize }
      const derived = await new Promise<Buffer>((resolve, reject) =>
        scrypt(password, bytes(salt), wanted.length, options, (error, key) => (error ? reject(error) : resolve(key))),
      )
      return timingSafeEqual(derived, wanted)
    }
    case 'pbkdf2-sha512': {
      const wanted = bytes(hash)
      return timingSafeEqual(await promisify(pbkdf2)(password, bytes(salt), Number(parameters), wanted.length, 'sha512'), wanted)
    }
    default:
      throw new Error('A stored password is neither an argon2id PHC string nor one of the hashes that Keystone makes')
  }
}

const fields = (text: string): Record<string, string> => Object.fromEntries(text.split(',').map((pair) => pair.split('=')))

/** Passlib's base64 has a dot for the plus. */
const bytes = (text: string) => Buffer.from(text.replaceAll('.', '+'), 'base64')

function sameText(one: string, other: string): boolean {
  return one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other))
}

// sha512-crypt, Keystone's until 2017, is the system's own crypt(3), which perl has built in and is part of every Debian. Both texts go in
// by standard input, where no process list shows them.
const program = 'binmode STDIN; local $/; my ($password, $settings) = split /\\0/, <STDIN>; print crypt($password, $settings) // ""'

async function crypt(password: string, settings: string): Promise<string> {
  if (password.includes('\0')) return ''
  return await new Promise((resolve, reject) => {
    const child = execFile('perl', ['-e', program], { timeout: 60_000 }, (error, out) =>
      error
        ? reject(new Error('A password with a sha512-crypt hash could not be checked: perl did not run', { cause: error }))
        : resolve(out),
    )
    child.stdin?.on('error', () => {})
    child.stdin?.end(`${password}\0${settings}`)
  })
}
