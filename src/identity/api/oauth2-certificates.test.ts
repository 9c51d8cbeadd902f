// OAuth2 by client certificate, over real TLS: who gets a token by which certificate, and that the token is worth nothing without it.
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import fs from 'node:fs'
import https from 'node:https'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Json, passwords, type TestCloud, testCloud } from '../testing.ts'
import { type Authority, authority, grant, makeUser, type Pair, putMapping } from './testing.ts'

interface Asked {
  status: number
  body: Json
  reused: boolean
}

interface Sending {
  token?: string
  headers?: Record<string, string>
  body?: unknown
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-certificates-'))
after(() => fs.rmSync(folder, { recursive: true }))
let ca: Authority
let server: Pair
before(async () => {
  ca = await authority(folder, 'ca')
  server = await ca.leaf('/CN=localhost', 'serverAuth', 'server')
})

/** A program with its own connections, and perhaps a certificate. */
function program(cloud: TestCloud, pair?: Pair) {
  const address = cloud.app.server.address()
  if (typeof address !== 'object' || address === null) throw new Error('The cloud does not listen')
  const agent = new https.Agent({ ca: ca.cert, ...pair })
  return (method: string, url: string, { token, headers, body }: Sending = {}) =>
    new Promise<Asked>((answered, failed) => {
      const form = body instanceof URLSearchParams
      const request = https.request(
        {
          host: 'localhost',
          port: address.port,
          path: `/identity/v3${url}`,
          method,
          agent,
          headers: {
            ...(token !== undefined && { 'x-auth-token': token }),
            ...(body !== undefined && { 'content-type': form ? 'application/x-www-form-urlencoded' : 'application/json' }),
            ...headers,
          },
        },
        async (response) => {
          let text = ''
          for await (const part of response) text += part
          const { socket } = response as unknown as { socket: import('node:tls').TLSSocket }
          answered({ status: response.statusCode!, body: text ? (JSON.parse(text) as Json) : {}, reused: socket.isSessionReused() })
        },
      )
      request.on('error', failed)
      request.end(body === undefined ? undefined : form ? body.toString() : JSON.stringify(body))
    })
}

// Keystone's example (doc/source/admin/oauth2-mtls-usage-guide.rst)
const ofKeystone = [
  {
    local: [{ user: { name: '{0}', id: '{1}', email: '{2}', domain: { name: '{3}', id: '{4}' } } }],
    remote: [
      ...['CN', 'UID', 'EMAILADDRESS', 'O', 'DC'].map((name) => ({ type: `SSL_CLIENT_SUBJECT_DN_${name}` })),
      { type: 'SSL_CLIENT_ISSUER_DN_CN', any_one_of: ['ca'] },
    ],
  },
]

describe('OAuth2 by client certificate', () => {
  let cloud: TestCloud
  let admin: string
  let robot: string
  let pair: Pair
  let other: Pair
  before(async () => {
    cloud = await testCloud('flat', {}, { server: { tls: { ...server, ca: ca.cert } } })
    await cloud.app.listen({ host: 'localhost', port: 0 })
    admin = await cloud.signIn('admin', passwords.admin, { project: { id: cloud.adminProjectId } })
    robot = await makeUser(cloud, admin, { name: 'robot', email: 'robot@acme.example' })
    pair = await ca.leaf(`/CN=robot/UID=${robot}/emailAddress=robot@acme.example/O=Default/DC=default`, 'clientAuth', 'robot')
    other = await ca.leaf(`/CN=robot/UID=${robot}/emailAddress=robot@acme.example/O=Default/DC=default`, 'clientAuth', 'robot-again')
    await putMapping(cloud, admin, ofKeystone)
  })
  after(() => cloud.end())

  const tokenOf = async (ask: ReturnType<typeof program>, id = robot) => {
    const { status, body } = await ask('POST', '/OS-OAUTH2/token', grant(id))
    assert.equal(status, 200, JSON.stringify(body))
    assert.equal(body.token_type, 'Bearer')
    assert.equal(body.expires_in, 3600)
    return String(body.access_token)
  }

  test('the program that has the certificate has a token, which says so', async () => {
    const ask = program(cloud, pair)
    const token = await tokenOf(ask)
    assert.ok(token.length < 300, `${token.length} characters`)
    const own = await ask('GET', '/auth/tokens', { token, headers: { 'x-subject-token': token } })
    assert.equal(own.status, 200)
    const { methods, user, project, oauth2_credential } = own.body.token!
    assert.deepEqual(methods, ['oauth2_credential'])
    assert.deepEqual([user!.id, project!.id], [robot, cloud.demoProjectId])
    // keystonemiddleware/oauth2_mtls_token.py
    const pem = new X509Certificate(pair.cert).toString()
    const thumbprint = createHash('sha256').update(pem).digest('base64').replaceAll('+', '-').replaceAll('/', '_')
    assert.deepEqual(oauth2_credential, { 'x5t#S256': thumbprint })
    assert.equal((await ask('GET', `/users/${robot}`, { token })).status, 200)
    assert.equal((await ask('GET', `/users/${robot}`, { headers: { authorization: `Bearer ${token}` } })).status, 200)
    const again = await ask('GET', `/users/${robot}`, { token })
    assert.deepEqual([again.status, again.reused], [200, true], 'a session of TLS that goes on')
  })

  test('without the certificate the token is refused wherever it is shown', async () => {
    const token = await tokenOf(program(cloud, pair))
    const scope = { project: { id: cloud.demoProjectId } }
    const auth = { auth: { identity: { methods: ['token'], token: { id: token } }, scope } }
    const provider = { sp_url: 'https://sp.example/', auth_url: 'https://sp.example/', enabled: true }
    await cloud.send('PUT', '/OS-FEDERATION/service_providers/sp', admin, { service_provider: provider })
    const saml = { auth: { identity: { methods: ['token'], token: { id: token } }, scope: { service_provider: { id: 'sp' } } } }
    const shows: [string, string, Sending, number][] = [
      ['GET', `/users/${robot}`, { token }, 200],
      ['GET', `/users/${robot}`, { headers: { authorization: `Bearer ${token}` } }, 200],
      ['GET', '/auth/tokens', { token, headers: { 'x-subject-token': token } }, 200],
      ['GET', '/auth/catalog', { token }, 200],
      ['POST', '/auth/tokens', { body: auth }, 201],
      ['POST', '/auth/OS-FEDERATION/saml2/ecp', { body: saml }, 200],
    ]
    const stranger = await (await authority(folder, 'other-ca')).leaf('/CN=robot', 'clientAuth', 'stranger')
    for (const [method, url, sending, expected] of shows) {
      for (const [who, without] of Object.entries({ nobody: undefined, 'the same names': other, 'another authority': stranger })) {
        const refused = await program(cloud, without)(method, url, sending)
        assert.equal(refused.status, 401, `${method} ${url} with the certificate of ${who}: ${JSON.stringify(refused.body)}`)
        assert.match(String(refused.body.error!.message), /bound to the TLS certificate/)
      }
      // SAML is text, which the program here does not read.
      if (!url.includes('saml2')) assert.equal((await program(cloud, pair)(method, url, sending)).status, expected, `${method} ${url}`)
    }
    assert.equal((await cloud.send('GET', `/users/${robot}`, token)).status, 401, 'from a connection without TLS')
  })

  test('a token that is made from it is bound as well', async () => {
    const ask = program(cloud, pair)
    const token = await tokenOf(ask)
    const auth = { identity: { methods: ['token'], token: { id: token } }, scope: { project: { id: cloud.demoProjectId } } }
    const made = await ask('POST', '/auth/tokens', { body: { auth } })
    assert.equal(made.status, 201)
    assert.match(String(made.body.token!.oauth2_credential!['x5t#S256']), /^[\w-]{43}=$/)
  })

  test('a service that checks the token for others sees to what it is bound', async () => {
    const token = await tokenOf(program(cloud, pair))
    const seen = await cloud.send('GET', '/auth/tokens', admin, undefined, { 'x-subject-token': token })
    assert.equal(seen.status, 200)
    assert.match(String(seen.body.token!.oauth2_credential!['x5t#S256']), /^[\w-]{43}=$/)
    assert.equal((await cloud.send('DELETE', '/auth/tokens', admin, undefined, { 'x-subject-token': token })).status, 204)
    assert.equal((await program(cloud, pair)('GET', `/users/${robot}`, { token })).status, 401)
  })

  test('what is wrong in any one way gives no token, and no reason', async () => {
    const names = (over: Record<string, string>) =>
      Object.entries({ CN: 'robot', UID: robot, emailAddress: 'robot@acme.example', O: 'Default', DC: 'default', ...over })
        .map(([name, value]) => `/${name}=${value}`)
        .join('')
    const leaf = (over: Record<string, string>, out: string) => ca.leaf(names(over), 'clientAuth', out)
    const foreign = await authority(folder, 'foreign')
    const cases: Record<string, Pair | undefined> = {
      'no certificate': undefined,
      'another name': await leaf({ CN: 'admin' }, 'name'),
      'another id': await leaf({ UID: cloud.adminUserId }, 'id'),
      'another email': await leaf({ emailAddress: 'x@acme.example' }, 'email'),
      "another domain's name": await leaf({ O: 'Other' }, 'domain'),
      "another domain's id": await leaf({ DC: 'other' }, 'domain-id'),
      'a name that is missing': await ca.leaf(`/CN=robot/UID=${robot}`, 'clientAuth', 'missing'),
      'another authority': await foreign.leaf(names({}), 'clientAuth', 'foreign-robot'),
      'for servers only': await ca.leaf(names({}), 'serverAuth', 'for-servers'),
    }
    const messages = new Set<string>()
    for (const [what, certificate] of Object.entries(cases)) {
      const { status, body } = await program(cloud, certificate)('POST', '/OS-OAUTH2/token', grant(robot))
      assert.equal(status, 401, `${what}: ${JSON.stringify(body)}`)
      assert.equal(body.error, 'invalid_client')
      messages.add(String(body.error_description))
    }
    assert.equal(messages.size, 2, [...messages].join('\n'))
    const ask = program(cloud, pair)
    for (const id of [cloud.adminUserId, 'nobody', '']) assert.equal((await ask('POST', '/OS-OAUTH2/token', grant(id))).status, 401, id)

    const change = async (user: object) => assert.equal((await cloud.send('PATCH', `/users/${robot}`, admin, { user })).status, 200)
    const wrongs = [
      { enabled: false },
      { default_project_id: null },
      { default_project_id: cloud.adminProjectId },
      { options: { multi_factor_auth_enabled: true, multi_factor_auth_rules: [['password', 'totp']] } },
    ]
    const right = { enabled: true, default_project_id: cloud.demoProjectId, options: { multi_factor_auth_rules: [['oauth2_credential']] } }
    for (const wrong of wrongs) {
      await change({ ...right, ...wrong })
      assert.equal((await ask('POST', '/OS-OAUTH2/token', grant(robot))).status, 401, JSON.stringify(wrong))
    }
    await change(right)
    await tokenOf(ask)
  })

  test('the mapping has to say who it is', async () => {
    const ask = program(cloud, pair)
    const status = async (id = robot) => (await ask('POST', '/OS-OAUTH2/token', grant(id))).status
    const remote = [{ type: 'SSL_CLIENT_SUBJECT_DN_CN' }]
    const { domain } = (await cloud.send('POST', '/domains', admin, { domain: { name: 'elsewhere' } })).body
    const namesake = await makeUser(cloud, admin, { name: 'robot', domain_id: domain!.id })
    try {
      await putMapping(cloud, admin, [{ local: [{ user: { email: 'robot@acme.example' } }], remote }])
      assert.equal(await status(), 401, 'neither id nor name')
      await putMapping(cloud, admin, [{ local: [{ user: { name: '{0}' } }], remote: [...remote, { type: 'SSL_CLIENT_SUBJECT_DN_OU' }] }])
      assert.equal(await status(), 401, 'a rule that does not apply')
      await putMapping(cloud, admin, [{ local: [{ user: { name: '{0}' } }], remote }])
      assert.equal(await status(), 200, 'a name, of the default domain')
      assert.equal(await status(namesake), 401, 'the same name in another domain')
      await putMapping(cloud, admin, [{ local: [{ user: { name: '{0}', domain: { name: 'elsewhere' } } }], remote }])
      assert.equal(await status(), 401)
      assert.equal(await status(namesake), 200)
      await cloud.send('DELETE', '/OS-FEDERATION/mappings/oauth2_mapping', admin)
      assert.equal(await status(), 401, 'no mapping')
    } finally {
      await putMapping(cloud, admin, ofKeystone)
    }
  })

  test('a secret counts on the same connection, and its token is not bound', async () => {
    const demo = await cloud.signIn('demo', passwords.demo)
    const path = `/users/${cloud.demoUserId}/application_credentials`
    const { application_credential } = (await cloud.send('POST', path, demo, { application_credential: { name: 'x' } })).body
    const { id, secret } = application_credential as unknown as Record<'id' | 'secret', string>
    const { status, body } = await program(cloud, pair)('POST', '/OS-OAUTH2/token', grant(id, { client_secret: secret }))
    assert.equal(status, 200, JSON.stringify(body))
    assert.equal((await cloud.send('GET', `/users/${cloud.demoUserId}`, String(body.access_token))).status, 200)
  })
})
