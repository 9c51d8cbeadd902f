// OpenID Connect, with openid-client and jose: the authorization code flow with PKCE for browsers, and bearer tokens of command-line clients.
// What comes out is the claims as an assertion, under the names that mod_auth_openidc gives them, so that Keystone's mappings fit.
import { createHash } from 'node:crypto'
import { createRemoteJWKSet, type JWTPayload, jwtVerify } from 'jose'
import type { Configuration } from 'openid-client'
import { unauthorized } from '../../../http/fault.ts'
import { type OpenidConnection, webAddress } from './connections.ts'
import type { Assertion } from './mapping.ts'
import type { Proven } from './sign-in.ts'

/** Loaded when first needed: most clouds have no provider. */
const library = () => import('openid-client')

interface Provider {
  config: Configuration
  keys: ReturnType<typeof createRemoteJWKSet>
}

const believed = 3_600_000
const patience = 10
const providers = new Map<string, { provider: Promise<Provider>; until: number }>()

/** What the provider says of itself, asked once an hour. @throws Fault 401 if it does not answer */
async function providerOf({ settings, secret }: OpenidConnection): Promise<Provider> {
  const name = createHash('sha256')
    .update(JSON.stringify([settings, secret]))
    .digest('base64')
  const known = providers.get(name)
  if (known && known.until > Date.now()) return await known.provider
  if (providers.size > 100) providers.clear()
  const provider = discover(settings, secret)
  providers.set(name, { provider, until: Date.now() + believed })
  provider.catch(() => providers.delete(name))
  return await provider
}

async function discover({ issuer, client_id }: OpenidConnection['settings'], secret: string | null): Promise<Provider> {
  const { discovery, enableNonRepudiationChecks, allowInsecureRequests, ClientSecretBasic, None } = await library()
  try {
    const config = await discovery(new URL(issuer), client_id, undefined, secret === null ? None() : ClientSecretBasic(secret), {
      timeout: patience,
      // Plain HTTP is for a provider on this very machine, and connections to others are refused when they are made.
      execute: [enableNonRepudiationChecks, ...(issuer.startsWith('http:') ? [allowInsecureRequests] : [])],
    })
    const { jwks_uri } = config.serverMetadata()
    if (!jwks_uri) throw new Error('it names no keys (jwks_uri)')
    return { config, keys: createRemoteJWKSet(new URL(jwks_uri), { timeoutDuration: patience * 1000 }) }
  } catch (cause) {
    throw unauthorized(`The identity provider at ${issuer} could not be asked about itself: ${reason(cause)}`, { cause })
  }
}

/** What a browser must bring back, beside the address it is sent to. */
export interface OpenidStart {
  url: string
  verifier: string
  nonce: string
  state: string
}

export async function startOpenid(connection: OpenidConnection): Promise<OpenidStart> {
  const { buildAuthorizationUrl, calculatePKCECodeChallenge, randomNonce, randomPKCECodeVerifier, randomState } = await library()
  const { config } = await providerOf(connection)
  const [verifier, nonce, state] = [randomPKCECodeVerifier(), randomNonce(), randomState()]
  const url = buildAuthorizationUrl(config, {
    redirect_uri: webAddress(connection),
    scope: connection.settings.scopes.join(' '),
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    nonce,
    state,
  })
  return { url: url.href, verifier, nonce, state }
}

/**
 * Ends what `startOpenid` began.
 * @param search the query with which the provider sent the browser back
 */
export async function finishOpenid(connection: OpenidConnection, search: string, start: Omit<OpenidStart, 'url'>): Promise<Proven> {
  const { authorizationCodeGrant, fetchUserInfo } = await library()
  const { config } = await providerOf(connection)
  try {
    const tokens = await authorizationCodeGrant(config, new URL(webAddress(connection) + search), {
      pkceCodeVerifier: start.verifier,
      expectedNonce: start.nonce,
      expectedState: start.state,
      idTokenExpected: true,
    })
    const claims = tokens.claims()!
    const more = config.serverMetadata().userinfo_endpoint ? await fetchUserInfo(config, tokens.access_token, claims.sub) : {}
    return proven(connection, { ...more, ...claims })
  } catch (cause) {
    throw unauthorized(`The identity provider's answer is not acceptable: ${reason(cause)}`, { cause })
  }
}

/** Who a bearer token (access token or ID token) of the provider speaks for. @throws Fault 401 */
export async function byBearer(connection: OpenidConnection, token: string): Promise<Proven> {
  const provider = await providerOf(connection)
  try {
    const claims = /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)
      ? (await jwtVerify(token, provider.keys, { issuer: provider.config.serverMetadata().issuer, requiredClaims: ['exp', 'sub'] })).payload
      : await introspect(connection, provider, token)
    refuseOthers(connection, claims)
    return proven(connection, { ...(await userInfo(provider, token, claims)), ...claims })
  } catch (cause) {
    throw unauthorized(`The bearer token is not acceptable: ${reason(cause)}`, { cause })
  }
}

async function introspect({ settings, secret }: OpenidConnection, { config }: Provider, token: string): Promise<JWTPayload> {
  if (!config.serverMetadata().introspection_endpoint || secret === null) {
    throw new Error('it is opaque, and the provider offers no introspection to this client')
  }
  const { tokenIntrospection } = await library()
  const { active, ...claims } = await tokenIntrospection(config, token)
  if (!active) throw new Error('the provider says that it is not valid')
  if (claims.iss !== undefined && claims.iss !== config.serverMetadata().issuer) throw new Error('it is of another issuer')
  return { ...claims, iss: settings.issuer } as JWTPayload
}

/** A token that was given to another application says nothing about whom its bearer may be here. */
function refuseOthers({ settings }: OpenidConnection, claims: JWTPayload): void {
  const ours = [settings.client_id, ...settings.audiences]
  const meant = [claims.aud, claims.azp, claims.client_id].flat()
  if (!meant.some((name) => typeof name === 'string' && ours.includes(name))) throw new Error('it was not made for this cloud')
}

/** Access tokens seldom say more than the subject; what is known of it is asked where the token allows to. */
async function userInfo({ config }: Provider, token: string, claims: JWTPayload): Promise<object> {
  const scopes = typeof claims.scope === 'string' ? claims.scope.split(' ') : []
  if (!config.serverMetadata().userinfo_endpoint || !scopes.includes('openid') || !claims.sub) return {}
  const { fetchUserInfo } = await library()
  return await fetchUserInfo(config, token, claims.sub)
}

function proven({ provider, protocol, settings }: OpenidConnection, claims: JWTPayload): Proven {
  return {
    provider,
    protocol,
    issuer: settings.issuer,
    assertion: assertionOf({ ...claims, iss: settings.issuer }, settings.remote_user_claim),
  }
}

/** Each claim under its own name and under those of mod_auth_openidc; claims in claims as `realm_access.roles`. */
export function assertionOf(claims: Record<string, unknown>, remoteUserClaim: string): Assertion {
  const assertion: Assertion = Object.create(null)
  const add = (name: string, values: string[]) => {
    for (const as of [name, `OIDC-${name}`, `OIDC_CLAIM_${name}`, `HTTP_OIDC_${name.toUpperCase()}`]) assertion[as] = values
  }
  const visit = (name: string, value: unknown, depth: number) => {
    if (value === null || value === undefined) return
    if (typeof value === 'object' && !Array.isArray(value) && depth < 3) {
      for (const [inner, part] of Object.entries(value)) visit(`${name}.${inner}`, part, depth + 1)
    }
    add(
      name,
      [value].flat().map((one) => (typeof one === 'string' ? one : JSON.stringify(one))),
    )
  }
  for (const [name, value] of Object.entries(claims)) visit(name, value, 0)
  const remoteUser = assertion[remoteUserClaim]
  if (remoteUser) assertion.REMOTE_USER = remoteUser
  return assertion
}

/** For people, without what a library's error carries along. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  const code = 'error' in error && typeof error.error === 'string' ? `${error.error}: ` : ''
  const description = 'error_description' in error && typeof error.error_description === 'string' ? error.error_description : error.message
  return `${code}${description}`.slice(0, 300)
}
