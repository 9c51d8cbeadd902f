// A token is a sealed note that only controllers can read (JWE, dir + A256GCM): who, in which scope, since when and until when. It says
// nothing about roles, so that it stays under 300 bytes and every change of roles counts at once.
import { randomBytes } from 'node:crypto'
import { CompactEncrypt, compactDecrypt } from 'jose'
import type { TokenKeys } from './token-keys.ts'

export type Scope = { kind: 'project' | 'domain'; id: string } | { kind: 'system' } | { kind: 'none' }

export interface Claims {
  user: string
  scope: Scope
  methods: string[]
  /** Milliseconds since 1970. */
  issuedAt: number
  expiresAt: number
  /** The token's own id and, when it was made from another token, that of the first of the chain. */
  auditIds: string[]
  /** The user's `tokens_valid_from` in ms when the password was checked; a token with any other value is void, whatever the clocks say. */
  since: number
  /** `Facts.lives` when it was made; any other value voids it. */
  lives: number
  /** Id of the row that says through which identity provider the user came, and into which groups; see federation/context.ts. */
  federation?: number
}

const methodLetters = { password: 'p', token: 't' } as const
const scopeLetters = { project: 'p', domain: 'd', system: 's', none: 'n' } as const

/** 16 random bytes, as Keystone's audit ids. */
export const newAuditId = (): string => randomBytes(16).toString('base64url')

export async function sealToken(keys: TokenKeys, claims: Claims): Promise<string> {
  const { id, key } = await keys.newest()
  return await new CompactEncrypt(Buffer.from(pack(claims))).setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: id }).encrypt(key)
}

/** What the token says, if one of our keys sealed it; it may have expired or been revoked since. */
export async function openToken(keys: TokenKeys, token: string): Promise<Claims | null> {
  const kid = kidOf(token)
  if (kid === undefined) return null
  const key = await keys.find(kid)
  if (!key) return null
  try {
    const { plaintext } = await compactDecrypt(token, key.key, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    })
    return unpack(Buffer.from(plaintext).toString())
  } catch {
    return null
  }
}

/** A token of ours is short and has an empty second part; whatever else is sent costs no decryption. */
function kidOf(token: string): string | undefined {
  if (token.length > 1000 || !/^[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return undefined
  try {
    const header: unknown = JSON.parse(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString())
    const kid = typeof header === 'object' && header !== null && 'kid' in header ? header.kid : undefined
    return typeof kid === 'string' ? kid : undefined
  } catch {
    return undefined
  }
}

function pack({ user, scope, methods, issuedAt, expiresAt, auditIds, since, lives, federation }: Claims): string {
  const where = scopeLetters[scope.kind] + ('id' in scope ? shorten(scope.id) : '')
  const letters: (string | undefined)[] = methods.map((method) => methodLetters[method as keyof typeof methodLetters])
  return JSON.stringify([
    shorten(user),
    where,
    // Federated protocols bear any name.
    letters.includes(undefined) ? methods : letters.join(''),
    ...[issuedAt, expiresAt, since].map((time) => time.toString(36)),
    auditIds.join(''),
    lives,
    ...(federation === undefined ? [] : [federation]),
  ])
}

function unpack(text: string): Claims {
  const [user, where, letters, issuedAt, expiresAt, since, audit, lives, federation] = JSON.parse(text) as [
    string,
    string,
    string | string[],
    string,
    string,
    string,
    string,
    number,
    number?,
  ]
  const kind = nameOf(scopeLetters, where[0]!)
  return {
    user: lengthen(user),
    scope: kind === 'project' || kind === 'domain' ? { kind, id: lengthen(where.slice(1)) } : { kind },
    methods: Array.isArray(letters) ? letters : [...letters].map((letter) => nameOf(methodLetters, letter)),
    issuedAt: Number.parseInt(issuedAt, 36),
    expiresAt: Number.parseInt(expiresAt, 36),
    since: Number.parseInt(since, 36),
    auditIds: audit.match(/.{22}/g) ?? [],
    lives,
    ...(federation !== undefined && { federation }),
  }
}

function nameOf<T extends Record<string, string>>(letters: T, letter: string): keyof T & string {
  const name = Object.keys(letters).find((key) => letters[key] === letter)
  if (name === undefined) throw new Error(`No meaning is known for '${letter}'`)
  return name
}

// 32 hex digits are 22 in base64url; ids that clients chose stay as they are. No id of theirs begins with a tilde.
const shorten = (id: string) => (/^[0-9a-f]{32}$/.test(id) ? `~${Buffer.from(id, 'hex').toString('base64url')}` : id)
const lengthen = (id: string) => (id.startsWith('~') ? Buffer.from(id.slice(1), 'base64url').toString('hex') : id)
