// OpenID Connect against a real provider on this machine: browsers there and back, bearer tokens of command-line clients, and what is refused.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { sweepFederation } from '../../control/federation/sweep.ts'
import { type Json, passwords, type TestCloud, testCloud, trustedDashboards } from '../../testing.ts'
import { browser, clientSecret as secret, startOpenidProvider } from './testing.ts'

describe('OpenID Connect', () => {
  let cloud: TestCloud
  let admin: string
  let origin: string
  let provider: Awaited<ReturnType<typeof startOpenidProvider>>
  const way = '/OS-FEDERATION/identity_providers/acme/protocols/openid'
  const web = () => `${origin}/identity/v3/auth${way}/websso`
  const dashboard = () => `${origin}/dashboard/`
  let developers: string

  const call = async (method: string, path: string, body?: unknown, token = admin) => {
    const response = await fetch(`${origin}/identity/v3${path}`, {
      method,
      headers: { 'x-auth-token': token, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`)
    return text ? (JSON.parse(text) as Json) : {}
  }
  const authenticate = async (bearer: string, method = 'POST') => {
    const response = await fetch(`${origin}/identity/v3${way}/auth`, { method, headers: { authorization: `Bearer ${bearer}` } })
    const body = (await response.json()) as Json
    return { status: response.status, token: response.headers.get('x-subject-token') ?? '', body }
  }
  /** Tokens of the provider, as a command-line client gets them. */
  const tokensFrom = async (client: string): Promise<{ access_token: string; id_token: string }> => {
    const verifier = 'v'.repeat(50)
    const challenge = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(verifier))).toString('base64url')
    const back = `${provider.issuer}/catch`
    const query = {
      client_id: client,
      response_type: 'code',
      redirect_uri: back,
      scope: 'openid profile email',
      code_challenge: challenge,
      code_challenge_method: 'S256',
    }
    const { url } = await browser()(`${provider.issuer}/auth?${new URLSearchParams(query)}`, back)
    const response = await fetch(`${provider.issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${client}:${secret}`)}` },
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: new URL(url).searchParams.get('code')!,
        redirect_uri: back,
        code_verifier: verifier,
      }),
    })
    return (await response.json()) as { access_token: string; id_token: string }
  }
  const tokenIn = (page: string) => /data-token="([^"]+)"/.exec(page)?.[1] ?? ''
  const connect = (more: object = {}) =>
    call('PUT', `${way}/connection`, {
      connection: {
        type: 'openid',
        issuer: provider.issuer,
        client_id: 'wisp',
        client_secret: secret,
        remote_user_claim: 'preferred_username',
        ...more,
      },
    })

  before(async () => {
    cloud = await testCloud()
    origin = await cloud.app.listen({ host: '127.0.0.1', port: 0 })
    admin = await cloud.signIn('admin', passwords.admin)
    provider = await startOpenidProvider(web())
    await call('PUT', '/OS-FEDERATION/identity_providers/acme', {
      identity_provider: { enabled: true, remote_ids: [provider.issuer], description: 'ACME' },
    })
    const { domain_id } = (await call('GET', '/OS-FEDERATION/identity_providers/acme')).identity_provider!
    developers = String((await call('POST', '/groups', { group: { name: 'developers', domain_id } })).group!.id)
    const role = ((await call('GET', '/roles?name=member')).roles as unknown as Json[])[0]!
    await call('PUT', `/projects/${cloud.demoProjectId}/groups/${developers}/roles/${role.id}`)
    const rules = [
      { local: [{ user: { name: '{0}', email: '{1}' } }], remote: [{ type: 'OIDC-preferred_username' }, { type: 'HTTP_OIDC_EMAIL' }] },
      { local: [{ groups: '{0}', domain: { id: domain_id } }], remote: [{ type: 'groups' }] },
    ]
    await call('PUT', '/OS-FEDERATION/mappings/acme', { mapping: { rules } })
    await call('PUT', way, { protocol: { mapping_id: 'acme' } })
    await connect()
  })
  after(async () => {
    await provider.end()
    await cloud.end()
  })

  test('a connection shows what to register at the provider, and never its secret', async () => {
    const { connection } = await call('GET', `${way}/connection`)
    assert.deepEqual(connection!.own, { redirect_uri: web() })
    assert.equal(connection!.has_secret, true)
    assert.ok(!JSON.stringify(connection).includes(secret))
    const stored = await cloud.db.read.selectFrom('identity.federation_connection').selectAll().executeTakeFirstOrThrow()
    assert.ok(!stored.secret!.includes(secret) && !JSON.stringify(stored.settings).includes(secret))
    const plain = await cloud.send('PUT', `${way}/connection`, admin, {
      connection: { type: 'openid', issuer: 'http://acme.example', client_id: 'x' },
    })
    assert.equal(plain.status, 400)
    const { websso } = await call('GET', '/auth/OS-FEDERATION/websso')
    assert.deepEqual(websso, [
      {
        identity_provider: 'acme',
        protocol: 'openid',
        name: 'ACME',
        links: { self: web(), dashboard: `${web()}?${new URLSearchParams({ origin: dashboard() })}` },
      },
    ])
  })

  test('a browser goes to the provider, comes back and has a token, with the groups that the mapping gave', async () => {
    const page = await browser()(`${web()}?${new URLSearchParams({ origin: dashboard() })}`)
    assert.equal(page.status, 200, page.text)
    assert.match(String(page.headers.get('content-security-policy')), /default-src 'none'/)
    const token = tokenIn(page.text)
    assert.ok(token.length < 300, `${token.length} characters`)
    const shown = (await cloud.send('GET', '/auth/tokens', token, undefined, { 'x-subject-token': token })).body
    const { user, methods } = shown.token!
    assert.equal(user!.name, 'jane')
    assert.deepEqual(methods, ['openid'])
    assert.deepEqual(user!['OS-FEDERATION'], {
      identity_provider: { id: 'acme' },
      protocol: { id: 'openid' },
      groups: [{ id: developers }],
    })
    assert.ok(!('password_expires_at' in user!))
    const { projects } = await call('GET', '/auth/projects', undefined, token)
    assert.deepEqual(
      (projects as unknown as Json[]).map(({ id }) => id),
      [cloud.demoProjectId],
    )
    assert.deepEqual((await call('GET', '/OS-FEDERATION/projects', undefined, token)).projects, projects)
    const scoped = await cloud.send('POST', '/auth/tokens', undefined, {
      auth: { identity: { methods: ['token'], token: { id: token } }, scope: { project: { id: cloud.demoProjectId } } },
    })
    assert.equal(scoped.status, 201, JSON.stringify(scoped.body))
    assert.deepEqual(
      (scoped.body.token!.roles as unknown as Json[]).map(({ name }) => name),
      ['member', 'reader'],
    )
    assert.deepEqual(scoped.body.token!.user!['OS-FEDERATION'], user!['OS-FEDERATION'])
    assert.ok(String(scoped.headers['x-subject-token']).length < 300)
  })

  test('the same person is the same user at every sign-in, and is shown with the address that the provider knows', async () => {
    const first = await authenticate((await tokensFrom('wisp')).access_token)
    const again = await authenticate((await tokensFrom('wisp')).id_token, 'GET')
    assert.deepEqual([first.status, again.status], [201, 201], JSON.stringify([first.body, again.body]))
    assert.equal(first.body.token!.user!.id, again.body.token!.user!.id)
    const user = (await call('GET', `/users/${first.body.token!.user!.id}`)).user!
    assert.deepEqual([user.name, user.email], ['jane', 'jane@acme.example'])
    provider.state.person = 'joe'
    const other = await authenticate((await tokensFrom('wisp')).access_token)
    assert.notEqual(other.body.token!.user!.id, user.id)
    assert.deepEqual(other.body.token!.user!['OS-FEDERATION']!.groups, [])
    provider.state.person = 'jane'
  })

  test('bearer tokens that were made for others, are forged or missing let nobody in', async () => {
    const { access_token, id_token } = await tokensFrom('other')
    assert.match(String((await authenticate(access_token)).body.error!.message), /not made for this cloud/)
    assert.equal((await authenticate(id_token)).status, 401)
    const forged = (await tokensFrom('wisp')).id_token.replace(/\.[^.]+$/, `.${Buffer.alloc(256).toString('base64url')}`)
    assert.equal((await authenticate(forged)).status, 401)
    assert.equal((await authenticate('nonsense')).status, 401)
    assert.equal((await cloud.send('GET', `${way}/auth`)).status, 401)
    assert.equal(
      (
        await cloud.send('GET', '/OS-FEDERATION/identity_providers/acme/protocols/none/auth', undefined, undefined, {
          authorization: 'Bearer x',
        })
      ).status,
      404,
    )
    await connect({ audiences: ['other'] })
    assert.equal((await authenticate(access_token)).status, 201)
    await connect()
  })

  test('a token goes to dashboards that are trusted, and only into the browser that asked', async () => {
    const start = (where: string) => `${web()}?${new URLSearchParams({ origin: where })}`
    const foreign = await browser()(start(trustedDashboards[0]!))
    assert.match(foreign.text, /action="https:\/\/horizon\.test\/auth\/websso\/"/)
    assert.match(foreign.text, /name="token" value="ey/)
    for (const where of ['https://evil.example/', `${origin}.evil.example/dashboard/`, `${origin}/dashboardx`, 'javascript:alert(1)']) {
      const refused = await browser()(start(where))
      assert.equal(refused.status, 401, where)
      assert.match(refused.text, /not a trusted dashboard/)
    }
    assert.equal((await browser()(web())).status, 400)
    const jane = browser()
    const { url } = await jane(start(dashboard()), `${web()}?code`)
    assert.equal((await browser()(url)).status, 401)
    assert.equal((await jane(`${url}x`)).status, 401)
    assert.equal((await browser()(`${origin}/identity/v3/auth/OS-FEDERATION/websso/openid?origin=${dashboard()}`)).status, 200)
    assert.equal((await browser()(`${origin}/identity/v3/auth/OS-FEDERATION/websso/saml2?origin=${dashboard()}`)).status, 404)
  })

  test('a provider that is disabled, renamed or gone voids what came by it', async () => {
    const { access_token } = await tokensFrom('wisp')
    const valid = async (token: string) =>
      (await cloud.send('GET', '/auth/tokens', admin, undefined, { 'x-subject-token': token })).status === 200
    const change = (fields: object) => call('PATCH', '/OS-FEDERATION/identity_providers/acme', { identity_provider: fields })
    const { token } = await authenticate(access_token)
    assert.ok(await valid(token))
    await change({ enabled: false })
    assert.ok(!(await valid(token)))
    assert.equal((await authenticate(access_token)).status, 403)
    assert.deepEqual((await call('GET', '/auth/OS-FEDERATION/websso')).websso, [])
    await change({ enabled: true })
    assert.ok(!(await valid(token)))
    await change({ remote_ids: ['https://other.example'] })
    assert.equal((await authenticate(access_token)).status, 403)
    await change({ remote_ids: [provider.issuer] })
    const { body } = await authenticate(access_token)
    const id = body.token!.user!.id
    await call('PATCH', `/users/${id}`, { user: { enabled: false } })
    assert.equal((await authenticate(access_token)).status, 401)
    await call('PATCH', `/users/${id}`, { user: { enabled: true } })
  })

  test('memberships last as long as the provider vouches for them', async () => {
    await call('PATCH', '/OS-FEDERATION/identity_providers/acme', { identity_provider: { authorization_ttl: 10 } })
    const { body } = await authenticate((await tokensFrom('wisp')).access_token)
    const id = String(body.token!.user!.id)
    const members = async () => ((await call('GET', `/groups/${developers}/users`)).users as unknown as Json[]).map((user) => user.id)
    assert.deepEqual(await members(), [id])
    await call('PUT', `/groups/${developers}/users/${id}`)
    const kept = await cloud.db.read
      .selectFrom('identity.group_member')
      .select('expires_at')
      .where('user_id', '=', id)
      .executeTakeFirstOrThrow()
    assert.equal(kept.expires_at, null)
    await authenticate((await tokensFrom('wisp')).access_token)
    const still = await cloud.db.read
      .selectFrom('identity.group_member')
      .select('expires_at')
      .where('user_id', '=', id)
      .executeTakeFirstOrThrow()
    assert.equal(still.expires_at, null)
    await cloud.db.write((tx) =>
      tx
        .updateTable('identity.group_member')
        .set({ expires_at: new Date(Date.now() - 1000) })
        .execute(),
    )
    const rest = await cloud.db.write((tx) => sweepFederation(tx))
    assert.deepEqual(await members(), [])
    assert.ok(rest > 0)
    await call('PATCH', '/OS-FEDERATION/identity_providers/acme', { identity_provider: { authorization_ttl: null } })
  })

  test('two people of one name, and a local user of that name, are three users', async () => {
    const { domain_id } = (await call('GET', '/OS-FEDERATION/identity_providers/acme')).identity_provider!
    const local = await call('POST', '/users', { user: { name: 'jane', domain_id, password: 'secret-of-jane' } })
    const { body } = await authenticate((await tokensFrom('wisp')).access_token)
    assert.notEqual(body.token!.user!.id, local.user!.id)
  })
})
