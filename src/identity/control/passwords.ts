// Passwords: argon2id, so costly that who guesses with graphics cards gets no further than with bcrypt of cost 12 (docs/decisions/0014).
// Hashing runs in libuv's threads, never in the one that answers requests.
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { hashRaw } from '@node-rs/argon2'
import { unavailable } from '../../http/fault.ts'
import { importedPassword } from './imported-passwords.ts'
import type { RememberedPasswords } from './remembered-passwords.ts'

/** Memory in KiB, passes, lanes. */
const cost = { memoryCost: 12_288, timeCost: 19, parallelism: 1 }
/** How those begin that are hashed as passwords are today. */
export const currentHashes = `$argon2id$v=19$m=${cost.memoryCost},t=${cost.timeCost},p=${cost.parallelism}$`
const tagLength = 32

// Files and name look-ups need libuv's four threads, too: at least one stays free, and memory stays bounded.
const slots = Math.max(1, Math.min(3, availableParallelism()))
const longestQueue = 500
const longestTurn = 200
/** Who waits, by whose turn it is. The map's order is the order of turns. */
const waiting = new Map<string, (() => void)[]>()
let running = 0
let queued = 0

/**
 * The password as a PHC string: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
 * @param turn whose turn it uses while many wait (an address, a user's id): one who asks for much waits for themselves
 */
export async function hashPassword(password: string, turn = ''): Promise<string> {
  const salt = randomBytes(16)
  const hash = await inTurn(turn, () => hashRaw(password, { salt, outputLen: tagLength, ...cost }))
  return `${currentHashes}${base64(salt)}$${base64(hash)}`
}

/**
 * Whether the password is the one that was hashed, in constant time. Without a hash (no such user, or a user without a password) it
 * takes as long and answers false, so that nobody can tell users from strangers.
 * @param remembered what spares a right password the work, for some minutes
 */
export async function verifyPassword(
  password: string,
  phc: string | null | undefined,
  turn = '',
  remembered?: RememberedPasswords,
): Promise<boolean> {
  if (phc && remembered?.has(phc, password)) return true
  const same = await inTurn(turn, () => opens(password, phc ?? stranger))
  if (!same || phc === null || phc === undefined) return false
  if (!isOutdated(phc)) remembered?.add(phc, password)
  return true
}

async function opens(password: string, phc: string): Promise<boolean> {
  const [, m, t, p, salt, hash] = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([^$]+)\$([^$]+)$/.exec(phc) ?? []
  if (salt === undefined || hash === undefined) return await importedPassword(password, phc)
  const wanted = Buffer.from(hash, 'base64')
  const itsCost = { memoryCost: Number(m), timeCost: Number(t), parallelism: Number(p) }
  return timingSafeEqual(await hashRaw(password, { salt: Buffer.from(salt, 'base64'), outputLen: wanted.length, ...itsCost }), wanted)
}

/** Whether this was hashed at another cost or in another way than passwords are today: then the next sign-in hashes it again. */
export const isOutdated = (phc: string): boolean => !phc.startsWith(currentHashes)

const base64 = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '')

// No password leads to it: it is random, not derived.
const stranger = `${currentHashes}${base64(randomBytes(16))}$${base64(randomBytes(tagLength))}`

/** @throws Fault 503 if too many already wait */
async function inTurn<T>(turn: string, work: () => Promise<T>): Promise<T> {
  if (running < slots) running++
  else await place(turn)
  try {
    return await work()
  } finally {
    // The place is handed over, so that nobody who comes later takes it.
    const next = takeNext()
    if (next) next()
    else running--
  }
}

function place(turn: string): Promise<void> {
  const line = waiting.get(turn) ?? []
  if (queued >= longestQueue || line.length >= longestTurn) throw unavailable('Too many sign-ins at the same time; try again shortly.')
  waiting.set(turn, line)
  queued++
  return new Promise((resolve) => line.push(resolve))
}

/** One of each who wait, then again one of each. */
function takeNext(): (() => void) | undefined {
  const first = waiting.entries().next().value
  if (!first) return undefined
  const [turn, line] = first
  const next = line.shift()
  waiting.delete(turn)
  if (line.length > 0) waiting.set(turn, line)
  queued--
  return next
}
