// Signing in by an identity provider: with a bearer token (command-line clients), or with a browser that goes to the provider and back.
import { badRequest, notFound, unauthorized } from '../../../http/fault.ts'
import { type AnyRow, type Call, row } from '../../../http/table.ts'
import { askInEnvelope } from '../../control/federation/assertion.ts'
import { type Connection, readConnection, spEntityId, webAddress, webWays } from '../../control/federation/connections.ts'
import { takeProven } from '../../control/federation/envelope.ts'
import { byBearer, finishOpenid, startOpenid } from '../../control/federation/openid.ts'
import { noPendingCookie, type Pending, pendingCookie, readPending } from '../../control/federation/pending.ts'
import { startSaml, verifySaml } from '../../control/federation/saml.ts'
import { samlKey } from '../../control/federation/saml-key.ts'
import { findWay, type Proven, signInFederated } from '../../control/federation/sign-in.ts'
import type { SealingKeys } from '../../control/sealed.ts'
import type { Sessions } from '../../control/sessions.ts'
import { asked } from '../list.ts'
import { tokenViews } from '../token-view.ts'
import { choicePage, forPeople, ownDashboardPage, postingPage } from './page.ts'
import { ecpPath, readText } from './saml2.ts'

export interface FederationDeps {
  sessions: Sessions
  /** The 32 bytes of secret.key. */
  key: SealingKeys
  /** Seconds for which a token is valid. */
  lifetime: number
  publicUrl: string | undefined
  trustedDashboards: string[]
}

const authPath = '/OS-FEDERATION/identity_providers/:idp_id/protocols/:protocol_id/auth' as const
const webPath = '/auth/OS-FEDERATION/identity_providers/:idp_id/protocols/:protocol_id/websso' as const

export function federatedSignIn(deps: FederationDeps): AnyRow[] {
  const { sessions, key, lifetime } = deps
  const { view } = tokenViews(deps)

  const connectionOf = async ({ db, params }: Pick<Call, 'db' | 'params'>): Promise<Connection> => {
    const { provider, protocol } = await findWay(db.read, params.idp_id!, params.protocol_id!)
    const connection = await readConnection(db.read, key, provider.id, protocol.id)
    if (!connection) throw notFound(`Identity Provider ${provider.id} has no connection for the protocol ${protocol.id}.`)
    return connection
  }

  /** A token as the answer to a command-line client. */
  const authenticate = async (call: Call<undefined>) => {
    call.audit({ action: 'authenticate', target: { typeURI: 'service/security/account/user' } })
    const proof = await proofOf(call)
    if (typeof proof === 'string') {
      call.status(200)
      call.header('content-type', 'application/vnd.paos+xml')
      return proof
    }
    const { token, ...session } = await signInFederated(call.db, sessions, proof, lifetime)
    call.audit({ initiator: { id: session.facts.user.id, name: session.facts.user.name } })
    call.header('x-subject-token', token)
    call.header('vary', 'X-Auth-Token')
    return await view(call as Call<undefined, object>, session)
  }

  /** What was proven, or what a client has to carry to its provider first (ECP). */
  const proofOf = async (call: Call<undefined>): Promise<Proven | string> => {
    const bearer = /^Bearer +([\w.~+/=-]+)$/i.exec(call.headers.authorization ?? '')?.[1]
    if (bearer !== undefined) {
      const connection = await connectionOf(call)
      if (connection.type !== 'openid') throw unauthorized('This identity provider does not speak OpenID Connect.')
      return await byBearer(connection, bearer)
    }
    const carried = await takeProven(call.db, key, call.headers.cookie)
    if (carried) {
      if (carried.provider !== call.params.idp_id) throw unauthorized()
      return { ...carried, protocol: call.params.protocol_id! }
    }
    if (!call.headers.accept?.includes('application/vnd.paos+xml')) throw unauthorized()
    const connection = await connectionOf(call)
    if (connection.type !== 'saml2') throw unauthorized('This identity provider does not speak SAML.')
    return askInEnvelope(spEntityId(connection), connection.origin + ecpPath)
  }

  /** Sends the browser to the provider. */
  const start = async (call: Call<undefined, object>, connection: Connection, origin: string) => {
    checkDashboard(deps, connection, origin)
    const address = webAddress(connection)
    call.status(302)
    // The cookie counts only where it was set, so whoever came by another name of this cloud is sent to the one that the provider knows.
    if (call.url.origin !== connection.origin && deps.publicUrl === undefined && !('moved' in call.query)) {
      call.header('location', `${address}?${new URLSearchParams({ origin, moved: '' })}`)
      return undefined
    }
    const { url, ...kept } = await begin(connection)
    const { provider, protocol } = connection
    call.header('set-cookie', pendingCookie(key, address, { provider, protocol, origin, ...kept }))
    call.header('cache-control', 'no-store')
    call.header('location', url)
    return undefined
  }

  /** The browser is back: gives the dashboard its token. */
  const finish = async (call: Call<undefined>, connection: Connection, prove: (pending: Pending) => Promise<Proven>) => {
    call.audit({ action: 'authenticate', target: { typeURI: 'service/security/account/user' } })
    const pending = readPending(key, call.headers.cookie)
    call.header('set-cookie', noPendingCookie(webAddress(connection)))
    if (!pending || pending.provider !== connection.provider || pending.protocol !== connection.protocol) {
      throw unauthorized('This sign-in was not begun in this browser, or too long ago. Begin again on the log-in page.')
    }
    const { token, facts } = await signInFederated(call.db, sessions, await prove(pending), lifetime)
    call.audit({ initiator: { id: facts.user.id, name: facts.user.name } })
    return checkDashboard(deps, connection, pending.origin) === 'own'
      ? ownDashboardPage(call, token)
      : postingPage(call, pending.origin, { token })
  }

  return [
    row({
      route: `GET ${authPath}`,
      policy: null,
      reply: 201,
      summary: 'Get an unscoped token with a token of an identity provider',
      run: (call) => authenticate(call as unknown as Call<undefined>),
    }),
    row({
      // Clients post nothing or a form, so that the body is left alone.
      route: `POST ${authPath}`,
      policy: null,
      input: 'stream',
      transaction: 'own',
      reply: 201,
      summary: 'Get an unscoped token with a token of an identity provider',
      run: (call) => authenticate(call as unknown as Call<undefined>),
    }),
    row({
      route: `GET ${webPath}`,
      policy: null,
      reply: 200,
      summary: 'Sign in with a browser: there to the identity provider, and back with its answer',
      run: (call) =>
        forPeople(call, async () => {
          const connection = await connectionOf(call)
          const origin = asked(call.query, 'origin')
          if (origin !== undefined) return await start(call as unknown as Call<undefined, object>, connection, origin)
          if (connection.type !== 'openid' || asked(call.query, 'state') === undefined) throw missingOrigin()
          return await finish(call as unknown as Call<undefined>, connection, ({ state, verifier = '', nonce = '' }) =>
            finishOpenid(connection, call.url.search, { state, verifier, nonce }),
          )
        }),
    }),
    row({
      route: `POST ${webPath}`,
      policy: null,
      input: 'stream',
      transaction: 'own',
      reply: 200,
      summary: 'Sign in with a browser: back with the SAML response of the identity provider',
      run: (call) =>
        forPeople(call, async () => {
          const form = new URLSearchParams(await readText(call.input))
          const sent = form.get('SAMLResponse') ?? ''
          const connection = await connectionOf(call)
          if (connection.type !== 'saml2' || sent === '') throw badRequest('The request body must be a form with a SAMLResponse.')
          const address = webAddress(connection)
          // Our cookie does not come along with what another site posts; once it is posted from here, it does.
          if (!readPending(key, call.headers.cookie) && !form.has('again'))
            return postingPage(call, address, { SAMLResponse: sent, again: '1' })
          return await finish(call as unknown as Call<undefined>, connection, async ({ state }) => ({
            provider: connection.provider,
            protocol: connection.protocol,
            ...(await verifySaml(call.db, Buffer.from(sent, 'base64').toString('utf8'), {
              issuer: connection.settings.entity_id,
              certificates: connection.settings.certificates,
              recipient: address,
              audience: { name: spEntityId(connection), needed: true },
              answers: state,
              key: await samlKey(call.db, key),
            })),
          }))
        }),
    }),
    row({
      route: 'GET /auth/OS-FEDERATION/websso/:protocol_id',
      policy: null,
      reply: 200,
      summary: 'Sign in with a browser by whichever identity provider speaks the protocol',
      run: (call) =>
        forPeople(call, async () => {
          const origin = asked(call.query, 'origin')
          if (origin === undefined) throw missingOrigin()
          const ways = await webWays(call.tx, call.params.protocol_id)
          if (ways.length === 0) throw notFound(`No identity provider is connected by the protocol ${call.params.protocol_id}.`)
          const choices = ways.map((way) => ({ name: way.name, address: `${webAddress(way)}?${new URLSearchParams({ origin })}` }))
          if (choices.length > 1) return choicePage(call, choices)
          call.status(302)
          call.header('location', choices[0]!.address)
          return undefined
        }),
    }),
  ]
}

async function begin(connection: Connection): Promise<{ url: string; state: string; verifier?: string; nonce?: string }> {
  return connection.type === 'openid' ? await startOpenid(connection) : await startSaml(connection)
}

const missingOrigin = () => badRequest('Request must have an origin query parameter.')

/** Tokens are given to this cloud's dashboard and to those that the operator trusts. @throws Fault 401 in Keystone's words */
function checkDashboard({ trustedDashboards }: FederationDeps, connection: Connection, origin: string): 'own' | 'trusted' {
  if (trustedDashboards.includes(origin)) return 'trusted'
  if (URL.canParse(origin)) {
    const { origin: host, pathname } = new URL(origin)
    if (host === connection.origin && /^\/dashboard(\/|$)/.test(pathname)) return 'own'
  }
  throw unauthorized(`${origin.slice(0, 200)} is not a trusted dashboard host`)
}
