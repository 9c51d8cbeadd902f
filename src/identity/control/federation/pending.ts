// What a browser carries while it is away at the identity provider: a sealed cookie that only a controller can read, so that nothing is
// kept here for strangers, and no answer of a provider can be slipped into another person's browser.
import { type SealingKeys, seal, unsealWith } from '../sealed.ts'

export interface Pending {
  provider: string
  protocol: string
  /** The dashboard to which the token goes. */
  origin: string
  /** What must come back: the state (OpenID Connect) or the request's id (SAML). */
  state: string
  verifier?: string
  nonce?: string
  /** In ms since 1970. */
  until: number
}

const name = 'wisp_websso'
const seconds = 600

/** For `set-cookie`. SameSite=Lax: an answer that is posted from the provider's page is posted once more from ours. */
export function pendingCookie(key: SealingKeys, address: string, pending: Omit<Pending, 'until'>): string {
  const value = seal(key()[0]!, name, Buffer.from(JSON.stringify({ ...pending, until: Date.now() + seconds * 1000 } satisfies Pending)))
  return cookie(address, value.toString('base64url'), seconds)
}

/** Takes the cookie away again. */
export const noPendingCookie = (address: string): string => cookie(address, '', 0)

function cookie(address: string, value: string, age: number): string {
  const { protocol, pathname } = new URL(address)
  return `${name}=${value}; Path=${pathname}; Max-Age=${age}; HttpOnly; SameSite=Lax${protocol === 'https:' ? '; Secure' : ''}`
}

/** What the browser brings along, if it is ours and not too old. */
export function readPending(key: SealingKeys, cookies: string | undefined): Pending | undefined {
  const value = readCookie(cookies, name)
  if (!value) return undefined
  try {
    const pending = JSON.parse(unsealWith(key, name, Buffer.from(value, 'base64url')).toString()) as Pending
    return pending.until > Date.now() ? pending : undefined
  } catch {
    return undefined
  }
}

export function readCookie(cookies: string | undefined, name: string): string | undefined {
  for (const part of cookies?.split(';') ?? []) {
    const [key, value] = part.trim().split('=')
    if (key === name) return value
  }
  return undefined
}
