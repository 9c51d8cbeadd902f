// SAML as a service provider, with node-saml: asks an identity provider for an assertion, and checks the one that comes. node-saml checks the
// signature and the conditions' time; whom it is for, what it answers and that it is used once is looked at here, in the signed part only.
import { createHash, randomBytes } from 'node:crypto'
import type { SAML as Saml } from '@node-saml/node-saml'
import { sql } from 'kysely'
import type { Database } from '../../../database/connect.ts'
import { unauthorized } from '../../../http/fault.ts'
import { type Saml2Connection, spEntityId, webAddress } from './connections.ts'
import type { Assertion } from './mapping.ts'
import type { SamlKey } from './saml-key.ts'

/** Clocks may differ by so much, in ms. */
const skew = 60_000

/** Loaded when first needed: most clouds have no provider. */
async function library(
  options: Partial<ConstructorParameters<typeof Saml>[0]> & { idpCert: string[]; issuer: string; callbackUrl: string },
) {
  const { SAML, ValidateInResponseTo } = await import('@node-saml/node-saml')
  return new SAML({
    wantAssertionsSigned: true,
    wantAuthnResponseSigned: false,
    // Looked at below, because node-saml would want to remember requests.
    validateInResponseTo: ValidateInResponseTo.never,
    audience: false,
    acceptedClockSkewMs: skew,
    identifierFormat: null,
    disableRequestedAuthnContext: true,
    ...options,
  })
}

/** The address to which a browser goes, and the id that the answer must name. */
export async function startSaml(connection: Saml2Connection): Promise<{ url: string; state: string }> {
  const state = `_${randomBytes(16).toString('hex')}`
  const { settings } = connection
  const saml = await library({
    idpCert: settings.certificates,
    issuer: spEntityId(connection),
    callbackUrl: webAddress(connection),
    entryPoint: settings.sso_url,
    generateUniqueId: () => state,
  })
  return { url: await saml.getAuthorizeUrlAsync('', undefined, {}), state }
}

/** What to give to the identity provider (XML). */
export async function spMetadata(connection: Saml2Connection, { privateKey, certificate }: SamlKey): Promise<string> {
  const saml = await library({
    idpCert: connection.settings.certificates,
    issuer: spEntityId(connection),
    callbackUrl: webAddress(connection),
    decryptionPvk: privateKey,
  })
  return saml.generateServiceProviderMetadata(certificate, null)
}

export interface Expected {
  /** The provider's entity id and certificates (PEM). */
  issuer: string
  certificates: string[]
  /** Where the assertion must have been meant to be posted. */
  recipient: string
  /** For whom it must be; `needed` says whether it may leave that open, as Keystone's do. */
  audience: { name: string; needed: boolean }
  /** The id of the request that it must answer; undefined where none was made. */
  answers?: string
  key: SamlKey
}

export interface Verified {
  issuer: string
  assertion: Assertion
  /** In ms since 1970, where the provider says when its session ends. */
  until?: number
}

/**
 * @param response the SAML response (XML)
 * @throws Fault 401 that says what is wrong with it
 */
export async function verifySaml(db: Database, response: string, expected: Expected): Promise<Verified> {
  try {
    const saml = await library({
      idpCert: expected.certificates,
      issuer: expected.audience.name,
      callbackUrl: expected.recipient,
      decryptionPvk: expected.key.privateKey,
    })
    const { profile } = await saml.validatePostResponseAsync({ SAMLResponse: Buffer.from(response).toString('base64') })
    if (!profile?.getAssertion) throw new Error('it says nothing of anybody')
    const root = first(profile.getAssertion() as Node, 'Assertion')
    if (!root) throw new Error('it says nothing of anybody')
    const issuer = textOf(first(root, 'Issuer'))
    if (issuer !== expected.issuer) throw new Error(`it is of ${issuer.slice(0, 200) || 'nobody'}, not of ${expected.issuer}`)
    const confirmed = confirmation(root, expected)
    checkAudience(root, expected)
    await useOnce(db, `${issuer} ${attribute(root, 'ID')}`, new Date(confirmed + skew))
    const until = Date.parse(attribute(first(root, 'AuthnStatement'), 'SessionNotOnOrAfter'))
    return { issuer, assertion: attributesOf(root, issuer), ...(until > 0 && { until }) }
  } catch (cause) {
    throw unauthorized(`The SAML response is not acceptable: ${cause instanceof Error ? cause.message.slice(0, 300) : 'unknown'}`, {
      cause,
    })
  }
}

/** An element as xml2js gives it: `$` are attributes, `_` is text, everything else children. */
interface Node {
  [name: string]: unknown
}
const all = (node: Node | undefined, name: string): Node[] => [node?.[name] ?? []].flat() as Node[]
const first = (node: Node | undefined, name: string): Node | undefined => all(node, name)[0]
const textOf = (node: Node | undefined): string => (typeof node === 'string' ? node : typeof node?._ === 'string' ? node._ : '').trim()
const attribute = (node: Node | undefined, name: string): string => {
  const value = (node?.$ as Record<string, unknown> | undefined)?.[name]
  return typeof value === 'string' ? value : ''
}

/** Until when (ms) the assertion may be delivered: by its bearer, to us, as the answer to our request. */
function confirmation(root: Node, { recipient, answers }: Expected): number {
  const now = Date.now()
  const reasons: string[] = []
  for (const one of all(first(root, 'Subject'), 'SubjectConfirmation')) {
    const data = first(one, 'SubjectConfirmationData')
    const until = Date.parse(attribute(data, 'NotOnOrAfter'))
    const from = Date.parse(attribute(data, 'NotBefore') || '1970-01-01')
    if (attribute(one, 'Method') !== 'urn:oasis:names:tc:SAML:2.0:cm:bearer') reasons.push('it is not for whoever bears it')
    else if (attribute(data, 'Recipient') !== recipient)
      reasons.push(`it was made for ${attribute(data, 'Recipient') || 'nowhere'}, not for ${recipient}`)
    else if (!(until > now - skew)) reasons.push('it has expired')
    else if (!(from <= now + skew)) reasons.push('it is not valid yet')
    else if (answers !== undefined && attribute(data, 'InResponseTo') !== answers)
      reasons.push('it does not answer the request that was made')
    else return until
  }
  throw new Error(reasons[0] ?? 'it does not say who may bring it')
}

function checkAudience(root: Node, { audience }: Expected): void {
  const restrictions = all(first(root, 'Conditions'), 'AudienceRestriction')
  if (restrictions.length === 0 && audience.needed) throw new Error('it does not say for whom it is (AudienceRestriction)')
  for (const restriction of restrictions) {
    if (!all(restriction, 'Audience').some((one) => textOf(one) === audience.name)) throw new Error(`it is not for ${audience.name}`)
  }
}

/** @throws if the assertion was used before */
async function useOnce(db: Database, name: string, until: Date): Promise<void> {
  const id = `assertion ${createHash('sha256').update(name).digest('base64url')}`
  const fresh = await db.read
    .insertInto('identity.federation_note')
    .values({ id, expires_at: sql<Date>`greatest(${until}::timestamptz, now() + interval '10 minutes')` })
    .onConflict((c) => c.doNothing())
    .returning('id')
    .executeTakeFirst()
  if (!fresh) throw new Error('it was used before')
}

/** Each attribute under its name and its friendly one, and under those that mod_auth_mellon and mod_shib give. */
function attributesOf(root: Node, issuer: string): Assertion {
  const assertion: Assertion = Object.create(null)
  const add = (name: string, values: string[]) => {
    if (name === '') return
    assertion[name] = values
    assertion[`MELLON_${name}`] = values
  }
  for (const one of all(root, 'AttributeStatement').flatMap((statement) => all(statement, 'Attribute'))) {
    const values = all(one, 'AttributeValue').map(textOf)
    add(attribute(one, 'Name'), values)
    add(attribute(one, 'FriendlyName'), values)
  }
  const subject = textOf(first(first(root, 'Subject'), 'NameID'))
  if (subject !== '') Object.assign(assertion, { REMOTE_USER: [subject], MELLON_NAME_ID: [subject] })
  return Object.assign(assertion, { MELLON_IDP: [issuer], 'Shib-Identity-Provider': [issuer] })
}
