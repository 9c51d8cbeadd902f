// Passwords that were right a moment ago, so that a client which signs in for every command pays for the hash once in a while only. What is
// kept is a keyed digest, in this process's memory alone; a wrong password is not there and pays in full (docs/decisions/0014).
import { createHmac, randomBytes } from 'node:crypto'

export interface RememberedPasswords {
  /** Whether this password was found right for this stored hash within the last minutes. */
  has(phc: string, password: string): boolean
  /** To be called once the password was found right. */
  add(phc: string, password: string): void
}

const mostRemembered = 10_000

/** @param minutes how long a password is remembered after its hash was computed, however often it is used meanwhile; 0: not at all */
export function rememberPasswords(minutes: number, now: () => number = () => performance.now()): RememberedPasswords {
  const key = randomBytes(32)
  /** The digests and until when (ms) they count; the oldest first. */
  const known = new Map<string, number>()
  let sweeping: NodeJS.Timeout | undefined

  // The stored hash goes in, with its salt: a digest belongs to one user, and to the password that the user has now.
  const digest = (phc: string, password: string) => createHmac('sha256', key).update(`${phc}\0${password}`).digest('base64')
  const sweep = () => {
    for (const [old, until] of known) {
      if (until > now()) break
      known.delete(old)
    }
    if (known.size > 0) return
    clearInterval(sweeping)
    sweeping = undefined
  }

  return {
    has: (phc, password) => (known.get(digest(phc, password)) ?? 0) > now(),
    add(phc, password) {
      if (minutes === 0) return
      const fresh = digest(phc, password)
      known.delete(fresh)
      const oldest = known.size >= mostRemembered ? known.keys().next().value : undefined
      if (oldest !== undefined) known.delete(oldest)
      known.set(fresh, now() + minutes * 60_000)
      sweeping ??= setInterval(sweep, 10_000).unref()
    },
  }
}
