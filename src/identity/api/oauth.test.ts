// Programs that sign in by OAuth: with what a user has let them have (OAuth1), and with a secret of their own (OAuth2).
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import OAuth from 'oauth-1.0a'
import { forgetOauthTokens } from '../control/oauth1.ts'
import { type Json, passwords, type TestCloud, testCloud } from '../testing.ts'

const origin = 'http://cloud.test:5000'

describe('OAuth', () => {
  let cloud: TestCloud
  let admin: string
  let demo: string
  let consumer: { key: string; secret: string }
  let adminRole: string
  before(async () => {
    cloud = await testCloud()
    admin = await cloud.signIn('admin', passwords.admin, { project: { id: cloud.adminProjectId } })
    demo = await cloud.signIn('demo', passwords.demo)
    adminRole = String((await cloud.send('GET', '/roles?name=admin', admin)).body.roles![0]!.id)
    consumer = await newConsumer()
  })
  after(() => cloud.end())

  async function newConsumer() {
    const { status, body } = await cloud.send('POST', '/OS-OAUTH1/consumers', admin, { consumer: { description: 'a robot', team: 'x' } })
    assert.equal(status, 201, JSON.stringify(body))
    return { key: String(body.consumer!.id), secret: String(body.consumer!.secret) }
  }

  interface Signing {
    token?: { key: string; secret: string }
    more?: Record<string, string>
    method?: 'HMAC-SHA1' | 'HMAC-SHA256' | 'PLAINTEXT'
    as?: { key: string; secret: string }
    headers?: Record<string, string>
    body?: unknown
  }

  /** As a program sends it; the body of the answer as text. */
  async function send(path: string, { token, more = {}, method = 'HMAC-SHA1', as = consumer, headers = {}, body }: Signing) {
    const oauth = new OAuth({
      consumer: as,
      signature_method: method,
      hash_function: (text, key) =>
        method === 'PLAINTEXT'
          ? key
          : createHmac(method === 'HMAC-SHA1' ? 'sha1' : 'sha256', key)
              .update(text)
              .digest('base64'),
    })
    const { oauth_signature: _unsigned, ...data } = oauth.authorize({ url: origin, method: 'POST' }, token)
    const all = { ...data, ...more }
    const url = `/identity/v3${path}`
    const oauth_signature = oauth.getSignature({ url: origin + url, method: 'POST' }, token?.secret, all)
    const authorization = oauth.toHeader({ ...all, oauth_signature }).Authorization
    const answer = await cloud.app.inject({
      method: 'POST',
      url,
      headers: { host: 'cloud.test:5000', authorization, ...headers },
      ...(body !== undefined && { payload: body as object }),
    })
    return { status: answer.statusCode, headers: answer.headers, text: answer.body }
  }

  const pairOf = (text: string) => {
    const form = new URLSearchParams(text)
    return { key: form.get('oauth_token') ?? '', secret: form.get('oauth_token_secret') ?? '' }
  }
  const askFor = (signing: Signing = {}) =>
    send('/OS-OAUTH1/request_token', {
      more: { oauth_callback: 'oob' },
      headers: { 'requested-project-id': cloud.adminProjectId },
      ...signing,
    })
  const authorize = (key: string, roles: object[] = [{ id: adminRole }], token = admin) =>
    cloud.send('PUT', `/OS-OAUTH1/authorize/${key}`, token, { roles })
  const exchange = (token: { key: string; secret: string }, oauth_verifier: string, signing: Signing = {}) =>
    send('/OS-OAUTH1/access_token', { token, more: { oauth_verifier }, ...signing })
  const signIn = (token: { key: string; secret: string }, signing: Signing = {}) =>
    send('/auth/tokens', { token, body: { auth: { identity: { methods: ['oauth1'], oauth1: {} } } }, ...signing })

  async function accessToken(as = consumer) {
    const asked = pairOf((await askFor({ as })).text)
    const verifier = String((await authorize(asked.key)).body.token!.oauth_verifier)
    const answer = await exchange(asked, verifier, { as })
    assert.equal(answer.status, 201, answer.text)
    return pairOf(answer.text)
  }

  test('consumers: the secret is shown once, what else is said of them is kept', async () => {
    const path = `/OS-OAUTH1/consumers/${consumer.key}`
    const shown = await cloud.send('GET', path, admin)
    assert.equal(shown.body.consumer!.description, 'a robot')
    assert.equal(shown.body.consumer!.team, 'x')
    assert.equal(shown.body.consumer!.secret, undefined)
    const changed = await cloud.send('PATCH', path, admin, { consumer: { description: null, colour: 'red' } })
    assert.equal(changed.status, 200, JSON.stringify(changed.body))
    const { description, team, colour } = changed.body.consumer!
    assert.deepEqual({ description, team, colour }, { description: null, team: 'x', colour: 'red' })
    assert.equal((await cloud.send('PATCH', path, admin, { consumer: { secret: 'mine' } })).status, 400)
    assert.equal((await cloud.send('PATCH', path, admin, { consumer: { id: 'x' } })).status, 400)
    const listed = (await cloud.send('GET', '/OS-OAUTH1/consumers', admin)).body.consumers as unknown as Json[]
    assert.deepEqual(
      listed.map(({ id, secret }) => [id, secret]),
      [[consumer.key, undefined]],
    )
    for (const method of ['GET', 'PATCH', 'DELETE'] as const) {
      const body = method === 'PATCH' ? { consumer: { description: 'x' } } : undefined
      assert.equal((await cloud.send(method, '/OS-OAUTH1/consumers/none', admin, body)).status, 404)
      assert.equal((await cloud.send(method, path, demo, body)).status, 403)
    }
  })

  test('a program is let in, acts with the roles that it was given, and is put out again', async () => {
    const access = await accessToken()
    for (const method of ['HMAC-SHA1', 'HMAC-SHA256', 'PLAINTEXT'] as const) {
      assert.equal((await signIn(access, { method })).status, 201, method)
    }
    const { headers, text } = await signIn(access)
    const { token } = JSON.parse(text) as Json
    assert.deepEqual(token!.methods, ['oauth1'])
    assert.equal(token!.user!.id, cloud.adminUserId)
    assert.equal(token!.project!.id, cloud.adminProjectId)
    assert.deepEqual(token!['OS-OAUTH1'], { access_token_id: access.key, consumer_id: consumer.key })
    const made = String(headers['x-subject-token'])
    assert.equal((await cloud.send('GET', '/users', made)).status, 200)

    const path = `/users/${cloud.adminUserId}/OS-OAUTH1/access_tokens`
    const shown = (await cloud.send('GET', `${path}/${access.key}`, admin)).body.access_token!
    assert.equal(shown.consumer_id, consumer.key)
    assert.equal(shown.project_id, cloud.adminProjectId)
    assert.equal(shown.links!.roles, `${origin}/identity/v3${path}/${access.key}/roles`)
    const listed = (await cloud.send('GET', path, admin)).body.access_tokens as unknown as Json[]
    assert.deepEqual(listed, [shown])
    const roles = (await cloud.send('GET', `${path}/${access.key}/roles`, admin)).body.roles as unknown as Json[]
    assert.deepEqual(
      roles.map(({ id }) => id),
      [adminRole],
    )
    assert.equal((await cloud.send('GET', `${path}/${access.key}/roles/${adminRole}`, admin)).body.role!.name, 'admin')
    assert.equal((await cloud.send('GET', `${path}/${access.key}/roles/none`, admin)).status, 404)
    const others = `/users/${cloud.demoUserId}/OS-OAUTH1/access_tokens`
    assert.equal((await cloud.send('GET', `${others}/${access.key}`, admin)).status, 404)
    assert.equal((await cloud.send('DELETE', `${others}/${access.key}`, admin)).status, 404)
    assert.equal((await cloud.send('GET', path, demo)).status, 403)
    assert.equal((await cloud.send('GET', path, made)).status, 403, 'a program')
    assert.equal((await cloud.send('DELETE', `${path}/${access.key}`, made)).status, 403, 'a program')
    const asked = pairOf((await askFor()).text)
    assert.equal((await authorize(asked.key, undefined, made)).status, 403, 'a program')

    assert.equal((await cloud.send('DELETE', `${path}/${access.key}`, admin)).status, 204)
    assert.equal((await cloud.send('GET', '/users', made)).status, 401)
    assert.equal((await signIn(access)).status, 404)
  })

  test('a program that is forgotten is out', async () => {
    const other = await newConsumer()
    const access = await accessToken(other)
    const made = String((await signIn(access, { as: other })).headers['x-subject-token'])
    assert.equal((await signIn(access)).status, 401, "another program's signature")
    assert.equal((await cloud.send('GET', '/users', made)).status, 200)
    assert.equal((await cloud.send('DELETE', `/OS-OAUTH1/consumers/${other.key}`, admin)).status, 204)
    assert.equal((await cloud.send('GET', '/users', made)).status, 401)
    assert.equal((await signIn(access, { as: other })).status, 404)
  })

  test('what is asked wrongly is refused', async () => {
    const wrong = { ...consumer, secret: 'no secret' }
    assert.equal((await askFor({ as: wrong })).status, 401)
    assert.equal((await askFor({ as: { key: 'none', secret: 'x' } })).status, 404)
    assert.equal((await askFor({ headers: {} })).status, 400, 'no project')
    assert.equal((await askFor({ headers: { 'requested-project-id': 'none' } })).status, 404)
    assert.equal((await askFor({ headers: { 'requested-project-id': cloud.adminProjectId, authorization: 'Basic eDp5' } })).status, 400)
    assert.equal((await askFor({ more: {} })).status, 400, 'no callback')
    const parameters: Record<string, string>[] = [
      { oauth_timestamp: '1000000000' },
      { oauth_timestamp: 'x' },
      { oauth_version: '2.0' },
      { oauth_nonce: '' },
    ]
    for (const bad of parameters) {
      assert.equal((await askFor({ more: { oauth_callback: 'oob', ...bad } })).status, 400, JSON.stringify(bad))
    }
    const unknownMethod = await askFor({ more: { oauth_callback: 'oob', oauth_signature_method: 'RSA-SHA1' } })
    assert.match(unknownMethod.text, /Invalid signature method/)

    const asked = pairOf((await askFor()).text)
    assert.equal((await exchange(asked, 'x')).status, 401, 'not authorized yet')
    assert.equal((await authorize(asked.key, [{ id: 'none' }])).status, 404)
    assert.equal((await authorize(asked.key, [{ id: adminRole, name: 'admin' }])).status, 400)
    assert.equal((await authorize(asked.key, undefined, demo)).status, 403)
    assert.equal((await authorize('none')).status, 404)
    const { role } = (await cloud.send('POST', '/roles', admin, { role: { name: 'nobody has it' } })).body
    assert.equal((await authorize(asked.key, [{ id: String(role!.id) }])).status, 401)
    const verifier = String((await authorize(asked.key, [{ name: 'admin' }])).body.token!.oauth_verifier)
    assert.match(verifier, /^[A-Za-z0-9]{8}$/)
    assert.equal((await exchange(asked, 'ABCDEFGH')).status, 401)
    assert.equal((await exchange({ ...asked, secret: 'x' }, verifier)).status, 401)
    assert.equal((await exchange(asked, verifier, { as: await newConsumer() })).status, 401, 'of another program')
    const access = pairOf((await exchange(asked, verifier)).text)
    assert.equal((await exchange(asked, verifier)).status, 404, 'a second time')
    assert.equal((await signIn({ ...access, secret: 'x' })).status, 401)
    assert.equal((await signIn({ key: 'none', secret: 'x' })).status, 404)
    const unsigned = await cloud.send('POST', '/auth/tokens', undefined, { auth: { identity: { methods: ['oauth1'], oauth1: {} } } })
    assert.equal(unsigned.status, 400)
  })

  test('tokens end, and are forgotten', async () => {
    const asked = pairOf((await askFor()).text)
    const access = await accessToken()
    const ended = new Date(Date.now() - 1000)
    await cloud.db.read.updateTable('identity.oauth_request_token').set({ expires_at: ended }).execute()
    await cloud.db.read.updateTable('identity.oauth_access_token').set({ expires_at: ended }).execute()
    assert.equal((await authorize(asked.key)).status, 401)
    assert.equal((await exchange(asked, 'x')).status, 401)
    assert.equal((await signIn(access)).status, 401)
    await cloud.db.read
      .updateTable('identity.oauth_access_token')
      .set({ expires_at: new Date(Date.now() - 2 * 86_400_000) })
      .execute()
    await cloud.db.write(forgetOauthTokens)
    assert.equal((await signIn(access)).status, 404)
    assert.equal((await authorize(asked.key)).status, 401, 'only just ended')
  })

  test('OAuth2: an application credential gives a bearer token', async () => {
    const path = `/users/${cloud.demoUserId}/application_credentials`
    const made = await cloud.send('POST', path, demo, { application_credential: { name: 'robot' } })
    const { id, secret } = made.body.application_credential as unknown as { id: string; secret: string }
    const ask = async (form: Record<string, string>, headers: Record<string, string> = {}) => {
      const answer = await cloud.app.inject({
        method: 'POST',
        url: '/identity/v3/OS-OAUTH2/token',
        headers: { host: 'cloud.test:5000', 'content-type': 'application/x-www-form-urlencoded', ...headers },
        payload: new URLSearchParams(form).toString(),
      })
      return { status: answer.statusCode, body: JSON.parse(answer.body) as Json }
    }
    const grant_type = 'client_credentials'
    const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })
    for (const good of [
      await ask({ grant_type }, basic(`${id}:${secret}`)),
      await ask({ grant_type, client_id: id, client_secret: secret }),
    ]) {
      assert.equal(good.status, 200, JSON.stringify(good.body))
      assert.equal(good.body.token_type, 'Bearer')
      assert.equal(good.body.expires_in, 3600)
      assert.equal((await cloud.send('GET', `/users/${cloud.demoUserId}`, String(good.body.access_token))).status, 200)
    }
    const refusals = [
      [await ask({}), 400, 'invalid_request'],
      [await ask({ grant_type: 'password' }), 400, 'unsupported_grant_type'],
      [await ask({ grant_type }), 401, 'invalid_client'],
      [await ask({ grant_type, client_id: id }), 401, 'invalid_client'],
      [await ask({ grant_type }, basic(`${id}:wrong`)), 401, 'invalid_client'],
      [await ask({ grant_type }, basic('nobody:wrong')), 401, 'invalid_client'],
      [await ask({ grant_type }, basic('no colon')), 401, 'invalid_client'],
    ] as const
    for (const [{ status, body }, expected, error] of refusals) {
      assert.equal(status, expected, JSON.stringify(body))
      assert.equal(body.error, error)
      assert.equal(typeof body.error_description, 'string')
    }
    assert.equal((await ask({ grant_type }, { 'content-type': 'application/json' })).status, 415)
    assert.equal((await ask({ grant_type, client_id: 'a\0b' })).status, 400)
  })
})
