// Identity providers for the federation tests of Keystone's plugin: one that speaks SAML with command-line clients (ECP), and one that behaves
// as Keycloak does, which the plugin tells to make users. And what an operator has to set up for them.
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import http from 'node:http'
import { DOMParser } from '@xmldom/xmldom'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { inEnvelope, samlResponse } from '../../src/identity/control/federation/assertion.ts'
import { selfSigned } from '../../src/identity/control/federation/certificate.ts'
import type { Cloud } from './cloud.ts'
import { serve } from './serve.ts'
import type { Settings } from './tempest.ts'

const group = { name: 'federated_users', domain: 'federated_domain' }
const person = { name: 'jane', password: 'a-password-of-jane' }
const client = { id: 'wisp', secret: 'a-secret-of-wisp' }

export interface Federation {
  /** For the plugin's tests by SAML (`mapped`) or OpenID Connect (`openid`): it runs them for one protocol at a time. */
  settings(protocol: 'mapped' | 'openid'): Settings
  end(): Promise<void>
}

export async function startFederation(cloud: Cloud): Promise<Federation> {
  const token = await cloud.token(cloud.admin)
  const make = async (method: string, path: string, body?: unknown): Promise<{ id: string }> => {
    const answer = await cloud.ask(method, `/identity/v3${path}`, { token, body })
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.text}`)
    return Object.values((answer.body as Record<string, { id: string }>) ?? {})[0]!
  }
  const domain = await make('POST', '/domains', { domain: { name: group.domain } })
  const { id } = await make('POST', '/groups', { group: { name: group.name, domain_id: domain.id } })
  const project = await make('POST', '/projects', { project: { name: 'federated', domain_id: domain.id } })
  const { roles } = (await cloud.ask('GET', '/identity/v3/roles?name=member', { token })).body as { roles: { id: string }[] }
  await make('PUT', `/projects/${project.id}/groups/${id}/roles/${roles[0]!.id}`)

  const saml = await startSaml()
  const keycloak = await startKeycloak()
  // The plugin takes a protocol that is there as it is.
  const way = '/OS-FEDERATION/identity_providers/keycloak'
  const local = [{ user: { name: '{0}' } }, { group: { name: group.name, domain: { name: group.domain } } }]
  await make('PUT', '/OS-FEDERATION/mappings/keycloak', { mapping: { rules: [{ local, remote: [{ type: 'OIDC-preferred_username' }] }] } })
  await make('PUT', way, { identity_provider: { enabled: true, remote_ids: [keycloak.issuer] } })
  await make('PUT', `${way}/protocols/openid`, { protocol: { mapping_id: 'keycloak' } })
  const { issuer } = keycloak
  const connection = { type: 'openid', issuer, client_id: client.id, client_secret: client.secret }
  await make('PUT', `${way}/protocols/openid/connection`, { connection })

  const front = await startFront(cloud, saml.connection)
  const credentials = { idp_username: person.name, idp_password: person.password }
  const mapping = { mapping_group_name: group.name, mapping_group_domain_name: group.domain }
  return {
    settings: (protocol) => ({
      identity: { uri_v3: `${front.url}/identity/v3` },
      'identity-feature-enabled': { federation: true, external_idp: true },
      fed_scenario: {
        protocol_id: protocol,
        ...credentials,
        ...mapping,
        ...(protocol === 'mapped'
          ? { idp_id: 'acme', idp_remote_ids: saml.entity, idp_ecp_url: saml.url, mapping_remote_type: 'openstack_user' }
          : { idp_id: 'keycloak', idp_oidc_url: keycloak.url, idp_client_id: client.id, idp_client_secret: client.secret }),
      },
    }),
    async end() {
      for (const server of [front, saml, keycloak]) await server.end()
    },
  }
}

/**
 * Before the cloud: the plugin makes a provider and its protocol for each test, and where Keystone's operator has set up mod_shib beforehand,
 * ours makes the connection, which needs both. So it is made whenever they are.
 */
async function startFront(cloud: Cloud, connection: object) {
  return await serve(async ({ method = '', url = '', headers }, response, body) => {
    const { host, 'content-length': _length, 'transfer-encoding': _encoding, connection: _connection, ...rest } = headers
    const sent: http.OutgoingHttpHeaders = { ...rest, host }
    const answer = await new Promise<{ status: number; headers: http.IncomingHttpHeaders; text: string }>((answered, failed) => {
      const asked = http.request(cloud.url + url, {
        method,
        headers: { ...sent, ...(body && { 'content-length': Buffer.byteLength(body) }) },
      })
      asked.on('error', failed)
      asked.on('response', async (got) => {
        let text = ''
        for await (const part of got) text += part
        answered({ status: got.statusCode!, headers: got.headers, text })
      })
      asked.end(body)
    })
    if (method === 'PUT' && answer.status === 201 && url.endsWith('/identity_providers/acme/protocols/mapped')) {
      const connected = await fetch(`http://${host}${url}/connection`, {
        method,
        headers: { 'x-auth-token': String(sent['x-auth-token']), 'content-type': 'application/json' },
        body: JSON.stringify({ connection }),
      })
      if (!connected.ok) throw new Error(`No connection could be made: ${await connected.text()}`)
    }
    const { 'transfer-encoding': _chunked, connection: _kept, ...shown } = answer.headers
    response.writeHead(answer.status, shown).end(method === 'HEAD' ? undefined : answer.text)
  })
}

/** A provider to which a client brings the question of a cloud, with a name and a password, and takes the assertion back. */
async function startSaml() {
  const entity = 'https://idp.acme.example'
  const privateKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const certificate = selfSigned(privateKey, 'acme', new Date(), new Date(Date.now() + 86_400_000))
  const basic = `Basic ${Buffer.from(`${person.name}:${person.password}`).toString('base64')}`
  const server = await serve((request, response, body) => {
    if (request.headers.authorization !== basic) return response.writeHead(401).end()
    const [asked] = Array.from(new DOMParser().parseFromString(body, 'text/xml').getElementsByTagNameNS('*', 'AuthnRequest'))
    const recipient = asked?.getAttribute('AssertionConsumerServiceURL')
    if (!recipient) return response.writeHead(400).end()
    const said = { user: person.name, userDomain: 'acme', project: 'acme', projectDomain: 'acme', roles: [], groups: [] }
    const answer = samlResponse({ privateKey, certificate }, { issuer: entity, recipient, ...said })
    return response.writeHead(200, { 'content-type': 'text/xml' }).end(inEnvelope(answer, recipient, ''))
  })
  return { ...server, entity, connection: { type: 'saml2', entity_id: entity, sso_url: server.url, certificates: [certificate] } }
}

/** What the plugin uses of Keycloak: its tokens by name and password, and its users, made and deleted by an administrator. */
async function startKeycloak() {
  const { privateKey, publicKey } = await generateKeyPair('RS256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'RS256', use: 'sig' }
  const users = new Map([[person.name, person.password]])
  const subjects = new Map<string, string>()
  const realm = '/realms/master'
  const tokenPath = `${realm}/protocol/openid-connect/token`
  const issue = (issuer: string, name: string, azp: string) => {
    const sub = subjects.get(name) ?? randomUUID()
    subjects.set(name, sub)
    const signed = new SignJWT({ azp, preferred_username: name, scope: 'openid' }).setProtectedHeader({ alg: 'RS256', kid: 'one' })
    return signed.setIssuer(issuer).setAudience('account').setSubject(sub).setIssuedAt().setExpirationTime('5m').sign(privateKey)
  }
  const server = await serve(async ({ method, url = '', headers }, response, body) => {
    const origin = `http://${headers.host}`
    const issuer = origin + realm
    const json = (status: number, value: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    if (url === `${realm}/.well-known/openid-configuration`) {
      const endpoints = { authorization_endpoint: `${issuer}/auth`, token_endpoint: origin + tokenPath, jwks_uri: `${issuer}/keys` }
      const supported = {
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
      }
      return json(200, { issuer, ...endpoints, ...supported })
    }
    if (url === `${realm}/keys`) return json(200, { keys: [jwk] })
    if (url === tokenPath) {
      const form = new URLSearchParams(body)
      const name = form.get('username') ?? ''
      const asAdmin = form.get('client_id') === 'admin-cli' && name === person.name
      const asClient = headers.authorization === `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}`
      if (!asAdmin && !asClient) return json(401, { error: 'invalid_client' })
      if (form.get('grant_type') !== 'password' || form.get('password') !== users.get(name)) return json(401, { error: 'invalid_grant' })
      return json(200, {
        access_token: await issue(issuer, name, asAdmin ? 'admin-cli' : client.id),
        token_type: 'Bearer',
        expires_in: 300,
      })
    }
    if (url === '/admin/realms/master/users' && headers.authorization?.startsWith('Bearer ')) {
      const user = JSON.parse(body) as { id: string; username: string; credentials: { value: string }[] }
      if (method === 'POST') users.set(user.username, user.credentials[0]!.value)
      else users.delete(user.id)
      return response.writeHead(method === 'POST' ? 201 : 204).end()
    }
    return json(404, { error: 'not_found' })
  })
  return { ...server, issuer: server.url + realm }
}
