// What a program writes into the Authorization header to sign a request by OAuth 1.0 (RFC 5849), and whether the signature is right.
import { createHmac, timingSafeEqual } from 'node:crypto'
import OAuth from 'oauth-1.0a'
import { badRequest } from '../../http/fault.ts'

/** A request as its signature covers it. */
export interface SignedRequest {
  method: string
  /** The addresses under which the client may know what it asked, with the query. */
  urls: string[]
  authorization: string | undefined
}

/** The parameters of the header, decoded; the realm is no part of what is signed. */
export type OauthParams = Readonly<Record<string, string>>

const invalid = (detail: string) => badRequest(`Validation failed with errors: invalid_request, detail message is: ${detail}.`)

/** @throws Fault 400 if the request has no such header, or one that is malformed */
export function readParams(authorization: string | undefined): OauthParams {
  const text = /^OAuth +(.*)$/i.exec(authorization ?? '')?.[1]
  if (text === undefined) throw badRequest('Error retrieving OAuth headers: the request has no header Authorization of the kind OAuth.')
  const params = new Map<string, string>()
  for (const part of text.split(',')) {
    const [, name, value] = /^\s*([\w.~%-]+)="([^"]*)"\s*$/.exec(part) ?? []
    if (name === undefined || value === undefined) throw invalid('Malformed authorization header')
    if (params.has(name)) throw invalid(`Duplicate parameter ${name}`)
    params.set(name, decoded(value))
  }
  params.delete('realm')
  return Object.fromEntries(params)
}

function decoded(value: string): string {
  let text: string
  try {
    text = decodeURIComponent(value)
  } catch {
    throw invalid('Malformed authorization header')
  }
  if (text.includes('\0')) throw invalid('Malformed authorization header')
  return text
}

const hashes: Record<string, string> = { 'HMAC-SHA1': 'sha1', 'HMAC-SHA256': 'sha256', 'HMAC-SHA512': 'sha512' }

/** For how many seconds a time in a signature may be off, as oauthlib has it. */
const clockSkew = 600

/** @throws Fault 400 for what every signed request must say, in the order in which oauthlib looks */
export function checkParams(params: OauthParams, now = Date.now()): void {
  for (const name of ['oauth_signature', 'oauth_signature_method', 'oauth_consumer_key', 'oauth_timestamp', 'oauth_nonce']) {
    if (!params[name]) throw invalid(`Missing mandatory OAuth parameter ${name}`)
  }
  const { oauth_signature_method: method = '', oauth_timestamp: timestamp = '', oauth_version: version = '1.0' } = params
  if (method !== 'PLAINTEXT' && !Object.hasOwn(hashes, method)) {
    throw invalid(`Invalid signature method, use one of ${[...Object.keys(hashes), 'PLAINTEXT'].join(', ')}`)
  }
  if (version !== '1.0') throw invalid('Invalid OAuth version')
  if (!/^\d{10}$/.test(timestamp)) throw invalid('Invalid timestamp, it must be seconds since 1970 in ten digits')
  if (Math.abs(now / 1000 - Number(timestamp)) > clockSkew) {
    throw invalid(`Timestamp given is invalid, differ from allowed by over ${clockSkew} seconds`)
  }
}

/** Whether the request was signed with both secrets; `tokenSecret` is empty for a program that has no token yet. */
export function signatureFits({ method, urls }: SignedRequest, params: OauthParams, consumerSecret: string, tokenSecret: string): boolean {
  const { oauth_signature = '', ...signed } = params
  const { oauth_consumer_key = '', oauth_nonce = '', oauth_signature_method = '', oauth_version = '' } = signed
  const hash = hashes[oauth_signature_method]
  const oauth = new OAuth({
    consumer: { key: oauth_consumer_key, secret: consumerSecret },
    signature_method: oauth_signature_method,
    hash_function: (text, key) => (hash === undefined ? key : createHmac(hash, key).update(text).digest('base64')),
  })
  // What the header leaves out is left out of the text that is signed.
  const data = {
    ...signed,
    ...{ oauth_consumer_key, oauth_nonce, oauth_signature_method },
    oauth_timestamp: Number(signed.oauth_timestamp),
    ...('oauth_version' in signed && { oauth_version }),
  } as OAuth.Data
  // A map of its own for each: the library sorts and merges in place.
  return urls.some((url) =>
    same(oauth.getSignature({ method, url: new URL(url).href, data: {} }, tokenSecret, { ...data }), oauth_signature),
  )
}

function same(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}
