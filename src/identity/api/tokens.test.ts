import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { password, passwords, type TestCloud, testCloud } from '../testing.ts'

describe('tokens', () => {
  let cloud: TestCloud
  before(async () => {
    cloud = await testCloud()
  })
  after(() => cloud.end())

  const byToken = (id: string, scope?: unknown) => ({
    auth: { identity: { methods: ['token'], token: { id } }, ...(scope !== undefined && { scope }) },
  })
  const show = (token: string, as = token) => cloud.send('GET', '/auth/tokens', as, undefined, { 'x-subject-token': token })

  test('a password gives a token for the default project, with catalog and roles', async () => {
    const { status, headers, body } = await cloud.send('POST', '/v3/auth/tokens', undefined, password('admin', passwords.admin))
    assert.equal(status, 201)
    const token = body.token!
    assert.equal(token.project!.id, cloud.adminProjectId)
    assert.deepEqual(token.project!.domain, { id: 'default', name: 'Default' })
    assert.deepEqual(
      (token.roles as unknown as { name: string }[]).map(({ name }) => name),
      ['admin', 'manager', 'member', 'reader'],
    )
    assert.equal(token.is_domain, false)
    assert.match(String(token.expires_at), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
    assert.equal((token.audit_ids as unknown as string[]).length, 1)
    assert.deepEqual(token.methods, ['password'])
    const catalog = token.catalog as unknown as { type: string; endpoints: { interface: string; url: string; region: string }[] }[]
    const volumes = catalog.find(({ type }) => type === 'volumev3')!.endpoints
    assert.deepEqual(
      volumes.map(({ url }) => url),
      Array(3).fill(`http://cloud.test:5000/volume/v3/${cloud.adminProjectId}`),
    )
    assert.equal(volumes[0]!.region, 'RegionOne')
    assert.equal(catalog.find(({ type }) => type === 'identity')!.endpoints[0]!.url, 'http://cloud.test:5000/identity')
    const length = String(headers['x-subject-token']).length
    assert.ok(length < 300, `the token has ${length} bytes`)
    const bare = await cloud.send('POST', '/v3/auth/tokens?nocatalog', undefined, password('admin', passwords.admin))
    assert.equal(bare.body.token!.catalog, undefined)
  })

  test('every scope is what was asked for', async () => {
    const scoped = async (name: 'admin' | 'demo', scope: unknown) =>
      (await cloud.send('POST', '/auth/tokens', undefined, password(name, passwords[name], scope))).body.token!
    assert.deepEqual((await scoped('admin', { system: { all: true } })).system, { all: true })
    assert.deepEqual((await scoped('admin', { domain: { name: 'Default' } })).domain, { id: 'default', name: 'Default' })
    assert.equal((await scoped('demo', { project: { name: 'demo', domain: { name: 'Default' } } })).project!.id, cloud.demoProjectId)
    for (const unscoped of [{ unscoped: {} }, 'unscoped']) {
      const token = await scoped('admin', unscoped)
      assert.equal(token.project, undefined)
      assert.equal(token.roles, undefined)
      assert.equal(token.catalog, undefined)
    }
  })

  test('whatever is wrong, the answer is the same 401', async () => {
    const wrong = [
      password('admin', 'wrong'),
      password('nobody', passwords.admin),
      password('admin', passwords.admin, { project: { id: 'absent' } }),
      password('demo', passwords.demo, { project: { id: cloud.adminProjectId } }),
      password('demo', passwords.demo, { domain: { id: 'default' } }),
      password('demo', passwords.demo, { system: { all: true } }),
      password('admin', passwords.admin, { 'OS-TRUST:trust': { id: 'x' } }),
    ]
    for (const body of wrong) {
      const answer = await cloud.send('POST', '/auth/tokens', undefined, body)
      assert.equal(answer.status, 401, JSON.stringify(body))
      assert.deepEqual(answer.body.error, {
        code: 401,
        message: 'The request you have made requires authentication.',
        title: 'Unauthorized',
      })
    }
    assert.equal((await cloud.send('POST', '/auth/tokens', undefined, byToken('gibberish'))).status, 404, 'as Keystone has it for tokens')
    const odd = await cloud.send('POST', '/auth/tokens', undefined, { auth: { identity: { methods: ['runes'], runes: {} } } })
    assert.equal(odd.status, 401)
    assert.match(String(odd.body.error!.message), /unsupported method/)
  })

  test('a malformed request gets a 400 that names the field', async () => {
    const cases: [unknown, RegExp][] = [
      [{}, /'auth' is a required property/],
      [{ auth: {} }, /identity/],
      [{ auth: { identity: {} } }, /methods/],
      [{ auth: { identity: { methods: 'password' } } }, /identity\/methods/],
      [{ auth: { identity: { methods: ['password'] } } }, /Expecting to find password in identity/],
      [{ auth: { identity: { methods: ['password'], password: {} } } }, /user/],
      [{ auth: { identity: { methods: ['password'], password: { user: { password: 'x' } } } } }, /identity\/password\/user: id or name/],
      [{ auth: { identity: { methods: ['password'], password: { user: { name: 'x', password: 'x' } } } } }, /domain in user/],
      [{ auth: { identity: { methods: ['password'], password: { user: { id: 5 } } } } }, /user\/id/],
      [password('admin', passwords.admin, { project: { name: 'admin' } }), /domain in project/],
      [password('admin', passwords.admin, { project: {} }), /scope\/project: id or name/],
      [password('admin', passwords.admin, {}), /in scope/],
      [password('admin', passwords.admin, { project: { id: 'x' }, domain: { id: 'x' } }), /in scope/],
    ]
    for (const [body, pattern] of cases) {
      const answer = await cloud.send('POST', '/auth/tokens', undefined, body)
      assert.equal(answer.status, 400, JSON.stringify([body, answer.body]))
      assert.match(String(answer.body.error!.message), pattern)
    }
  })

  test('a token makes another that expires with it and belongs to its chain', async () => {
    const first = await cloud.signIn('admin', passwords.admin, 'unscoped')
    const { token: old } = (await show(first)).body
    const answer = await cloud.send('POST', '/auth/tokens', undefined, byToken(first, { project: { id: cloud.demoProjectId } }))
    assert.equal(answer.status, 201)
    const token = answer.body.token!
    assert.equal(token.expires_at, old!.expires_at)
    assert.deepEqual([...(token.methods as unknown as string[])].sort(), ['password', 'token'])
    assert.equal((token.audit_ids as unknown as string[])[1], (old!.audit_ids as unknown as string[])[0])
    const third = await cloud.send(
      'POST',
      '/auth/tokens',
      undefined,
      byToken(String(answer.headers['x-subject-token']), { system: { all: true } }),
    )
    assert.equal((third.body.token!.audit_ids as unknown as string[])[1], (old!.audit_ids as unknown as string[])[0])
    const both = byToken(first)
    const demo = { methods: ['password', 'token'], password: password('demo', passwords.demo).auth.identity.password, token: { id: first } }
    assert.equal(
      (await cloud.send('POST', '/auth/tokens', undefined, { ...both, auth: { identity: demo } })).status,
      401,
      'two users at once',
    )
  })

  test('validate, check and revoke', async () => {
    const admin = await cloud.signIn('admin', passwords.admin)
    const demo = await cloud.signIn('demo', passwords.demo)
    const other = await cloud.signIn('demo', passwords.demo)
    assert.equal((await show(demo, admin)).body.token!.user!.name, 'demo')
    assert.equal((await show(demo, admin)).headers['x-subject-token'], demo)
    assert.equal((await show(other, demo)).status, 200, 'one may look at one’s own')
    assert.equal((await show(admin, demo)).status, 403)
    assert.equal((await show('gibberish', admin)).status, 404)
    assert.equal((await cloud.send('GET', '/auth/tokens', admin)).status, 404)
    assert.equal((await cloud.send('HEAD', '/auth/tokens', admin, undefined, { 'x-subject-token': demo })).status, 200)
    assert.equal((await cloud.send('DELETE', '/auth/tokens', demo, undefined, { 'x-subject-token': admin })).status, 403)
    assert.equal((await cloud.send('DELETE', '/auth/tokens', admin, undefined, { 'x-subject-token': demo })).status, 204)
    assert.equal((await show(demo, admin)).status, 404)
    const refused = await cloud.send('GET', '/auth/projects', demo)
    assert.equal(refused.status, 401)
    assert.equal(refused.headers['www-authenticate'], 'Keystone uri="http://cloud.test:5000/identity"')
    assert.equal((await show(other, admin)).status, 200, 'the user’s other tokens live')
  })

  test('an altered token is none', async () => {
    const admin = await cloud.signIn('admin', passwords.admin)
    for (let i = 0; i < admin.length; i += 7) {
      const altered = admin.slice(0, i) + (admin[i] === 'A' ? 'B' : 'A') + admin.slice(i + 1)
      if (altered !== admin) assert.equal((await cloud.send('GET', '/auth/projects', altered)).status, 401, `altered at ${i}`)
    }
  })

  test('where one may go', async () => {
    const demo = await cloud.signIn('demo', passwords.demo, 'unscoped')
    const admin = await cloud.signIn('admin', passwords.admin)
    const ids = (list: unknown) => (list as { id: string }[]).map(({ id }) => id)
    assert.deepEqual(ids((await cloud.send('GET', '/auth/projects', demo)).body.projects), [cloud.demoProjectId])
    assert.deepEqual(
      ids((await cloud.send('GET', '/auth/projects', admin)).body.projects).sort(),
      [cloud.adminProjectId, cloud.demoProjectId].sort(),
    )
    assert.deepEqual(ids((await cloud.send('GET', '/auth/domains', demo)).body.domains), [])
    assert.deepEqual(ids((await cloud.send('GET', '/auth/domains', admin)).body.domains), ['default'])
    assert.deepEqual((await cloud.send('GET', '/auth/system', demo)).body.system, [])
    assert.deepEqual((await cloud.send('GET', '/auth/system', admin)).body.system, [{ all: true }])
    assert.equal((await cloud.send('GET', '/auth/catalog', admin)).status, 200)
    assert.equal((await cloud.send('GET', '/auth/catalog', demo)).status, 403)
  })

  test('version documents', async () => {
    for (const [path, href] of [
      ['/', 'http://cloud.test:5000/v3/'],
      ['/identity', 'http://cloud.test:5000/identity/v3/'],
    ]) {
      const { status, body } = await cloud.send('GET', path!)
      assert.equal(status, 300)
      const [version] = body.versions!.values as unknown as { id: string; links: { href: string }[] }[]
      assert.equal(version!.links[0]!.href, href)
    }
    for (const path of ['/v3', '/identity/v3', '/identity/v3/']) {
      const { status, body } = await cloud.send('GET', path)
      assert.equal(status, 200)
      assert.equal(body.version!.id, 'v3.14')
      assert.deepEqual(body.version!['media-types'], [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }])
    }
  })
})
