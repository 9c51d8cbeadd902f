// Multi-factor rules: sets of methods of which one must have been used. Who has used some of a set gets a receipt for them, a sealed note
// that counts at the next try, so that a password and a one-time password need not come in one request.
import { unauthorized } from '../../http/fault.ts'
import type { Facts } from './facts.ts'
import type { Sessions } from './sessions.ts'
import { isMethod } from './tokens.ts'

/** Seconds; Keystone's [receipt] expiration. */
const lifetime = 300
/** See tokens.ts; of another kind than a token, so that none is taken for the other. */
const kindOfNote = 2

export interface Receipt {
  receipt: string
  user: Facts['user']
  methods: string[]
  issuedAt: number
  expiresAt: number
  /** The rules that these methods are a part of. */
  required: string[][]
}

/** The rules that count: without methods that nobody knows, for a rule must not lock its user out. */
const rulesOf = ({ factors }: Facts) => factors.map((rule) => rule.filter(isMethod)).filter((rule) => rule.length > 0)

/** Whether these methods are enough for the user. */
export function suffices(facts: Facts, methods: string[]): boolean {
  const rules = rulesOf(facts)
  return rules.length === 0 || rules.some((rule) => rule.every((method) => methods.includes(method)))
}

export async function makeReceipt(sessions: Sessions, facts: Facts, user: string, methods: string[]): Promise<Receipt> {
  const issuedAt = Date.now()
  const expiresAt = issuedAt + lifetime * 1000
  const fields = { ids: [user], numbers: [expiresAt, facts.userSince], texts: methods, bytes: [] }
  const required = rulesOf(facts).filter((rule) => rule.some((method) => methods.includes(method)))
  return { receipt: await sessions.sealNote(kindOfNote, fields), user: facts.user, methods, issuedAt, expiresAt, required }
}

/** The methods that the user has used before. @throws Fault 401 for a receipt that is not this user's, or not good any more */
export async function methodsOf(sessions: Sessions, receipt: string, { user, since }: { user: string; since: number }): Promise<string[]> {
  const fields = await sessions.openNote(kindOfNote, receipt)
  const [expiresAt = 0, from] = fields?.numbers ?? []
  if (!fields || fields.ids[0] !== user || from !== since || expiresAt <= Date.now()) throw unauthorized('Could not find auth receipt.')
  return fields.texts
}
