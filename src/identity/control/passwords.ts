// Passwords: argon2id with the smallest cost that OWASP's Password Storage Cheat Sheet names (19 MiB, 2 passes, 1 lane; 30 to 50 ms of
// one core). Dearer would let a handful of sign-ins starve a small controller, cheaper would fall below what is held to be safe.
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import { unavailable } from '../../http/fault.ts'

const derive = promisify(argon2)
const cost = { memory: 19_456, passes: 2, parallelism: 1 }
const tagLength = 32

// Hashing runs in libuv's four threads, which files and name look-ups need, too: at least one stays free, and memory stays bounded.
const slots = Math.max(1, Math.min(3, availableParallelism()))
const longestQueue = 500
const waiting: (() => void)[] = []
let running = 0

/** The password as a PHC string: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const { memory, passes, parallelism } = cost
  const hash = await inTurn(() => derive('argon2id', { message: password, nonce: salt, tagLength, memory, passes, parallelism }))
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${base64(salt)}$${base64(hash)}`
}

/**
 * Whether the password is the one that was hashed, in constant time. Without a hash (no such user, or a user without a password) it
 * takes as long and answers false, so that nobody can tell users from strangers.
 */
export async function verifyPassword(password: string, phc: string | null | undefined): Promise<boolean> {
  const [, m, t, p, salt, hash] = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([^$]+)\$([^$]+)$/.exec(phc ?? stranger) ?? []
  if (salt === undefined || hash === undefined) throw new Error('A stored password is no argon2id PHC string')
  const wanted = Buffer.from(hash, 'base64')
  const nonce = Buffer.from(salt, 'base64')
  const parameters = { message: password, nonce, tagLength: wanted.length, memory: Number(m), passes: Number(t), parallelism: Number(p) }
  const same = timingSafeEqual(await inTurn(() => derive('argon2id', parameters)), wanted)
  return same && phc !== null && phc !== undefined
}

const base64 = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '')

// No password leads to it: it is random, not derived.
const stranger = `$argon2id$v=19$m=${cost.memory},t=${cost.passes},p=${cost.parallelism}$${base64(randomBytes(16))}$${base64(randomBytes(tagLength))}`

/** @throws Fault 503 if too many already wait */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= slots) {
    if (waiting.length >= longestQueue) throw unavailable('Too many sign-ins at the same time; try again shortly.')
    await new Promise<void>((resolve) => waiting.push(resolve))
  } else running++
  try {
    return await work()
  } finally {
    // The place is handed over, so that nobody who comes later takes it.
    const next = waiting.shift()
    if (next) next()
    else running--
  }
}
