// Wrong passwords are slowed down: who gave many from one address waits for the next try. This is no lockout (that is an operator's
// choice, for it lets anyone shut anyone out): another address signs the same user in meanwhile.
import { Fault } from '../../http/fault.ts'

interface Limit {
  /** How many wrong ones at once. */
  burst: number
  /** How many more for each second since. */
  perSecond: number
}

const againstOne: Limit = { burst: 30, perSecond: 0.5 }
const fromOne: Limit = { burst: 300, perSecond: 10 }
const mostRemembered = 20_000

/** What is left of the burst, and when that was so (ms). */
const spent = new Map<string, { left: number; at: number }>()

function leftOf(key: string, { burst, perSecond }: Limit, now: number): number {
  const known = spent.get(key)
  return known ? Math.min(burst, known.left + ((now - known.at) / 1000) * perSecond) : burst
}

function spend(key: string, limit: Limit, now: number): void {
  const left = leftOf(key, limit, now) - 1
  spent.delete(key)
  const oldest = spent.size >= mostRemembered ? spent.keys().next().value : undefined
  if (oldest !== undefined) spent.delete(oldest)
  spent.set(key, { left, at: now })
}

const keysOf = (from: string, user: string) =>
  [
    [`${from} ${user}`, againstOne],
    [from, fromOne],
  ] as const

/**
 * @param from the address that tries
 * @param user whom it means, as it says itself: whether there is such a user makes no difference
 * @throws Fault 429 after too many wrong passwords
 */
export function refuseFlood(from: string, user: string, now = performance.now()): void {
  for (const [key, limit] of keysOf(from, user)) {
    const left = leftOf(key, limit, now)
    if (left >= 1) continue
    const seconds = Math.ceil((1 - left) / limit.perSecond)
    throw new Fault(429, `Too many wrong passwords from this address; try again in ${seconds} s.`, {
      headers: { 'retry-after': String(seconds) },
    })
  }
}

/** To be called for each password that was wrong. */
export function noteWrong(from: string, user: string, now = performance.now()): void {
  for (const [key, limit] of keysOf(from, user)) spend(key, limit, now)
}
