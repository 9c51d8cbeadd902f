// Connections: Wisp's own extension of protocols, with what Keystone leaves to a web server in front of it: the provider's address, our name
// and secret there, its certificates.
import { X509Certificate } from 'node:crypto'
import { type Static, Type as t } from 'typebox'
import type { Database } from '../../../database/connect.ts'
import { badRequest, notFound } from '../../../http/fault.ts'
import { type AnyRow, type Call, row } from '../../../http/table.ts'
import { type Connection, readConnection, spEntityId, webAddress, webWays, writeConnection } from '../../control/federation/connections.ts'
import { readMetadata } from '../../control/federation/metadata.ts'
import { spMetadata } from '../../control/federation/saml.ts'
import { samlKey } from '../../control/federation/saml-key.ts'
import type { SealingKeys } from '../../control/sealed.ts'
import { wrapped } from '../fields.ts'
import { findProtocol } from './find.ts'

const word = t.String({ minLength: 1, maxLength: 255 })
const words = t.Optional(t.Array(word, { maxItems: 50, uniqueItems: true }))
const display_name = t.Optional(word)
const address = t.String({ maxLength: 1024, pattern: '^https?://[^\\s]+$' })
const openid = t.Object(
  {
    type: t.Literal('openid'),
    issuer: address,
    client_id: word,
    client_secret: t.Optional(t.String({ minLength: 1, maxLength: 1024 })),
    scopes: words,
    audiences: words,
    remote_user_claim: t.Optional(word),
    display_name,
  },
  { additionalProperties: false },
)
const saml2 = t.Object(
  {
    type: t.Literal('saml2'),
    /** The provider's metadata (XML), or what would be read from it. */
    metadata: t.Optional(t.String({ maxLength: 500_000 })),
    entity_id: t.Optional(t.String({ minLength: 1, maxLength: 1024 })),
    sso_url: t.Optional(address),
    certificates: t.Optional(t.Array(t.String({ maxLength: 20_000 }), { minItems: 1, maxItems: 10 })),
    display_name,
  },
  { additionalProperties: false },
)

export interface ConnectionDeps {
  db: Database
  /** The 32 bytes of secret.key. */
  key: SealingKeys
  publicUrl: string | undefined
}

/** With what the operator has to register at the provider. */
async function view(connection: Connection, { db, key }: ConnectionDeps) {
  const { type, settings } = connection
  const callback_url = webAddress(connection)
  if (type === 'openid') return { type, ...settings, has_secret: connection.secret !== null, own: { redirect_uri: callback_url } }
  const metadata = await spMetadata(connection, await samlKey(db, key))
  return { type, ...settings, own: { entity_id: spEntityId(connection), assertion_consumer_url: callback_url, metadata } }
}

/** Plain HTTP would let anyone on the way be anyone here; on this machine there is no way. */
function checkAddress(field: string, value: string): void {
  const { protocol, hostname } = new URL(value)
  const local = hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
  if (protocol !== 'https:' && !local) {
    throw badRequest(
      `Invalid input for field '${field}': '${value}' must be an https address, because whoever can alter it on its way could sign in as anybody.`,
    )
  }
}

type Given = Static<typeof openid> | Static<typeof saml2>

function connectionOf(given: Given, at: Pick<Connection, 'provider' | 'protocol' | 'origin'>): Connection {
  const name = given.display_name ?? null
  if (given.type === 'openid') {
    const { issuer, client_id, scopes = ['openid', 'profile', 'email'], audiences = [], remote_user_claim = 'sub' } = given
    if (!URL.canParse(issuer)) throw badRequest(`Invalid input for field 'issuer': '${issuer}' is no URL.`)
    checkAddress('issuer', issuer)
    if (!scopes.includes('openid')) throw badRequest("Invalid input for field 'scopes': 'openid' must be among them.")
    const settings = { issuer, client_id, scopes, audiences, remote_user_claim, display_name: name }
    return { ...at, type: 'openid', settings, secret: given.client_secret ?? null }
  }
  const read = given.metadata === undefined ? {} : readMetadata(given.metadata)
  const { entity_id = read.entity_id, sso_url = read.sso_url, certificates = read.certificates } = given
  if (!entity_id || !sso_url || !certificates?.length) {
    throw badRequest("Invalid input for 'connection': give the provider's metadata, or its entity_id, sso_url and certificates.")
  }
  if (!URL.canParse(sso_url)) throw badRequest(`Invalid input for field 'sso_url': '${sso_url}' is no URL.`)
  checkAddress('sso_url', sso_url)
  const settings = { entity_id, sso_url, certificates: certificates.map(pemOf), display_name: name }
  return { ...at, type: 'saml2', settings, secret: null }
}

/** With or without the lines around it, as metadata has them. @throws Fault 400 */
function pemOf(certificate: string): string {
  const bare = certificate.replaceAll(/-----[^-]+-----|\s/g, '')
  try {
    return new X509Certificate(Buffer.from(bare, 'base64')).toString()
  } catch {
    throw badRequest("Invalid input for field 'certificates': one of them is no X.509 certificate (PEM or Base64).")
  }
}

const route = '/OS-FEDERATION/identity_providers/:idp_id/protocols/:protocol_id/connection' as const

export function connections(deps: ConnectionDeps): AnyRow[] {
  const { key, publicUrl } = deps
  const find = async ({ tx, params }: Pick<Call, 'tx' | 'params'>): Promise<Connection> => {
    const connection = await readConnection(tx, key, params.idp_id!, params.protocol_id!)
    if (!connection) throw notFound(`Could not find connection of protocol ${params.protocol_id} of Identity Provider: ${params.idp_id}.`)
    return connection
  }
  return [
    row({
      route: `PUT ${route}`,
      policy: 'identity:update_protocol',
      body: wrapped('connection', t.Union([openid, saml2])),
      reply: 200,
      summary: 'Say how this cloud talks to the identity provider; replaces what was said before',
      async run(call) {
        const { tx, params, body } = call
        const protocol = await findProtocol(tx, params.idp_id, params.protocol_id)
        const origin = publicUrl ?? call.url.origin
        const connection = connectionOf(body.connection, { provider: protocol.identity_provider_id, protocol: protocol.id, origin })
        await writeConnection(tx, key, connection)
        return { connection: await view(connection, deps) }
      },
    }),
    row({
      route: `GET ${route}`,
      policy: 'identity:get_protocol',
      reply: 200,
      summary: 'Show how this cloud talks to the identity provider, and what to register there',
      run: async (call) => ({ connection: await view(await find(call), deps) }),
    }),
    row({
      route: `DELETE ${route}`,
      policy: 'identity:update_protocol',
      reply: 204,
      summary: 'Forget how to talk to the identity provider',
      async run(call) {
        const { provider, protocol } = await find(call)
        await call.tx
          .deleteFrom('identity.federation_connection')
          .where('identity_provider_id', '=', provider)
          .where('protocol_id', '=', protocol)
          .execute()
      },
    }),
    row({
      // Open, because log-in pages show them as buttons.
      route: 'GET /auth/OS-FEDERATION/websso',
      policy: null,
      reply: 200,
      summary: 'List the identity providers by which one may sign in with a browser',
      async run({ tx }) {
        const ways = await webWays(tx)
        return {
          websso: ways.map((way) => ({
            identity_provider: way.provider,
            protocol: way.protocol,
            name: way.name,
            links: {
              self: webAddress(way),
              dashboard: `${webAddress(way)}?${new URLSearchParams({ origin: `${way.origin}/dashboard/` })}`,
            },
          })),
        }
      },
    }),
  ]
}
