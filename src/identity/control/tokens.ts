// A token is a sealed note that only controllers can read (JWE, dir + A256GCM): who, in which scope, since when and until when. It says
// nothing about roles, so that it stays under 300 bytes and every change of roles counts at once.
import { randomBytes } from 'node:crypto'
import { CompactEncrypt, compactDecrypt } from 'jose'
import { type Fields, readFields, writeFields } from './packed.ts'
import type { TokenKeys } from './token-keys.ts'

export type Scope = { kind: 'project' | 'domain'; id: string } | { kind: 'system' } | { kind: 'none' }

/** What lends a token its rights, where its user alone does not: the token is worth what this is worth now. */
export interface Delegation {
  kind: 'application_credential' | 'trust' | 'oauth1'
  id: string
}

export interface Claims {
  user: string
  scope: Scope
  methods: string[]
  /** Milliseconds since 1970. */
  issuedAt: number
  expiresAt: number
  /** The token's own id and, when it was made from another token, that of the first of the chain. */
  auditIds: string[]
  /**
   * The user's `tokens_valid_from` in ms when the password was checked (the newest of all users that stand behind a delegation); a token
   * with any other value is void, whatever the clocks say.
   */
  since: number
  /** `Facts.lives` when it was made; any other value voids it. */
  lives: number
  /** Id of the row that says through which identity provider the user came, and into which groups; see federation/context.ts. */
  federation?: number
  delegation?: Delegation
  /** Of the TLS certificate that must come with the token (RFC 8705, x5t#S256). */
  thumbprint?: string
}

// As Keystone names the methods; federated protocols bear any name, and are written as they are.
const methodLetters = {
  password: 'p',
  token: 't',
  application_credential: 'a',
  totp: 'o',
  oauth1: '1',
  oauth2_credential: '2',
  ec2credential: 'e',
  mapped: 'm',
  openid: 'i',
  saml2: 's',
  external: 'x',
} as const
export const isMethod = (name: string): boolean => Object.hasOwn(methodLetters, name)

const scopeLetters = { project: 'p', domain: 'd', system: 's', none: 'n' } as const
const delegationLetters = { application_credential: 'a', trust: 't', oauth1: 'o' } as const

/** The first byte of a note, so that none is ever taken for one of another kind or of another version of Wisp. */
const kindOfNote = 1

/** 16 random bytes, as Keystone's audit ids. */
export const newAuditId = (): string => randomBytes(16).toString('base64url')

export const sealToken = (keys: TokenKeys, claims: Claims): Promise<string> => sealNote(keys, kindOfNote, pack(claims))

/** What the token says, if one of our keys sealed it; it may have expired or been revoked since. */
export async function openToken(keys: TokenKeys, token: string): Promise<Claims | null> {
  const fields = await openNote(keys, kindOfNote, token)
  try {
    return fields && unpack(fields)
  } catch {
    // Sealed by a newer Wisp, for a method that this one doesn't know.
    return null
  }
}

/** Seals fields with the newest key. @param kind of the note, a byte */
export async function sealNote(keys: TokenKeys, kind: number, fields: Fields): Promise<string> {
  const { id, key } = await keys.newest()
  return await new CompactEncrypt(writeFields(kind, fields)).setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: id }).encrypt(key)
}

/** The fields of a note of this kind, if one of our keys sealed it. */
export async function openNote(keys: TokenKeys, kind: number, note: string): Promise<Fields | null> {
  const kid = kidOf(note)
  if (kid === undefined) return null
  const key = await keys.find(kid)
  if (!key) return null
  try {
    const { plaintext } = await compactDecrypt(note, key.key, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    })
    return readFields(kind, Buffer.from(plaintext))
  } catch {
    return null
  }
}

/** A token of ours is short and has an empty second part; whatever else is sent costs no decryption. */
function kidOf(token: string): string | undefined {
  if (token.length > 1000 || !/^[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return undefined
  // The last letter of a part may have bits that mean nothing: with others there it would be another text of the same token.
  if (!token.split('.').every((part) => Buffer.from(part, 'base64url').toString('base64url') === part)) return undefined
  try {
    const header: unknown = JSON.parse(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString())
    const kid = typeof header === 'object' && header !== null && 'kid' in header ? header.kid : undefined
    return typeof kid === 'string' ? kid : undefined
  } catch {
    return undefined
  }
}

function pack({
  user,
  scope,
  methods,
  issuedAt,
  expiresAt,
  auditIds,
  since,
  lives,
  federation,
  delegation,
  thumbprint = '',
}: Claims): Fields {
  const letters = new Map<string, string>(Object.entries(methodLetters))
  return {
    ids: [user, 'id' in scope ? scope.id : '', delegation?.id ?? ''],
    numbers: [issuedAt, expiresAt, since, lives, ...(federation === undefined ? [] : [federation])],
    texts: [
      scopeLetters[scope.kind] + (delegation ? delegationLetters[delegation.kind] : ''),
      methods.map((method) => letters.get(method) ?? '').join(''),
      ...methods.filter((method) => !letters.has(method)),
    ],
    bytes: [Buffer.concat(auditIds.map((id) => Buffer.from(id, 'base64url'))), Buffer.from(thumbprint, 'base64url')],
  }
}

function unpack({ ids, numbers, texts, bytes }: Fields): Claims {
  const [user, place, delegated] = ids as [string, string, string]
  const [issuedAt, expiresAt, since, lives, federation] = numbers as [number, number, number, number, number?]
  const [kinds, letters, ...others] = texts as [string, string, ...string[]]
  const [audit, thumbprint] = bytes as [Buffer, Buffer]
  const kind = nameOf(scopeLetters, kinds[0]!)
  return {
    user,
    scope: kind === 'project' || kind === 'domain' ? { kind, id: place } : { kind },
    methods: [...[...letters].map((letter) => nameOf(methodLetters, letter)), ...others],
    issuedAt,
    expiresAt,
    since,
    lives,
    auditIds: Array.from({ length: audit.length / 16 }, (_, i) => audit.subarray(16 * i, 16 * i + 16).toString('base64url')),
    ...(federation !== undefined && { federation }),
    ...(kinds[1] !== undefined && { delegation: { kind: nameOf(delegationLetters, kinds[1]), id: delegated } }),
    ...(thumbprint.length > 0 && { thumbprint: thumbprint.toString('base64url') }),
  }
}

function nameOf<T extends Record<string, string>>(letters: T, letter: string): keyof T & string {
  const name = Object.keys(letters).find((key) => letters[key] === letter)
  if (name === undefined) throw new Error(`No meaning is known for '${letter}'`)
  return name
}
