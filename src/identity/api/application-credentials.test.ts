import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Json, passwords, type TestCloud, testCloud } from '../testing.ts'

describe('application credentials', () => {
  let cloud: TestCloud
  let admin: string
  let demo: string
  let home: string
  before(async () => {
    cloud = await testCloud()
    admin = await cloud.signIn('admin', passwords.admin)
    demo = await cloud.signIn('demo', passwords.demo)
    home = `/users/${cloud.demoUserId}`
  })
  after(() => cloud.end())

  const list = (value: unknown) => value as Json[]
  let count = 0
  const make = async (body: object = {}, token = demo) => {
    const application_credential = { name: `program ${++count}`, ...body }
    const answer = await cloud.send('POST', `${home}/application_credentials`, token, { application_credential })
    return { ...answer, made: answer.body.application_credential as Json }
  }
  const signIn = (credential: object, more: object = {}) =>
    cloud.send('POST', '/auth/tokens', undefined, {
      auth: { identity: { methods: ['application_credential'], application_credential: credential }, ...more },
    })
  const by = ({ id, secret }: Json) => ({ id, secret })
  const tokenOf = async (made: Json) => {
    const { status, headers, body } = await signIn(by(made))
    assert.equal(status, 201, JSON.stringify(body))
    return String(headers['x-subject-token'])
  }
  const status = async (...request: Parameters<TestCloud['send']>) => (await cloud.send(...request)).status
  const works = async (token: string) => (await status('GET', '/auth/projects', token)) === 200

  test('one is made in the project of the token, shows its secret once, and signs in', async () => {
    const { status: code, made } = await make({ description: 'backup' })
    assert.equal(code, 201)
    assert.equal(made.project_id, cloud.demoProjectId)
    assert.equal(made.unrestricted, false)
    assert.equal(made.expires_at, null)
    assert.equal(made.access_rules, undefined)
    assert.deepEqual(
      list(made.roles).map(({ name }) => name),
      ['member', 'reader'],
    )
    const { body } = await cloud.send('GET', `${home}/application_credentials/${made.id}`, demo)
    assert.equal(body.application_credential!.secret, undefined)
    assert.equal(body.application_credential!.description, 'backup')

    for (const credential of [
      by(made),
      { name: made.name, secret: made.secret, user: { id: cloud.demoUserId } },
      { name: made.name, secret: made.secret, user: { name: 'demo', domain: { id: 'default' } } },
    ]) {
      const answer = await signIn(credential)
      assert.equal(answer.status, 201, JSON.stringify(answer.body))
      const token = answer.body.token!
      assert.equal(token.project!.id, cloud.demoProjectId)
      assert.deepEqual(token.methods, ['application_credential'])
      assert.deepEqual(token.application_credential, { id: made.id, name: made.name, restricted: true })
      assert.ok(String(answer.headers['x-subject-token']).length < 300)
    }
    const named = await cloud.send('GET', `${home}/application_credentials?name=${encodeURIComponent(String(made.name))}`, demo)
    assert.deepEqual(
      list(named.body.application_credentials).map(({ id }) => id),
      [made.id],
    )
  })

  test('whatever is wrong about it, nobody gets in', async () => {
    const { made } = await make()
    const wrong = [
      { ...by(made), secret: 'x' },
      { id: made.id },
      { id: 'absent', secret: made.secret },
      { name: made.name, secret: made.secret, user: { name: 'admin', domain: { id: 'default' } } },
    ]
    for (const credential of wrong) assert.equal((await signIn(credential)).status, 401, JSON.stringify(credential))
    const scoped = await signIn(by(made), { scope: { project: { id: cloud.demoProjectId } } })
    assert.equal(scoped.status, 401)
    assert.match(String(scoped.body.error!.message), /cannot request a scope/)
    for (const [credential, missing] of [
      [{}, /name or ID/],
      [{ name: 'x' }, /user/],
      [{ name: 'x', user: {} }, /id or name/],
      [{ name: 'x', user: { name: 'demo' } }, /domain/],
      [{ id: 5 }, /application_credential\/id/],
    ] as const) {
      const answer = await signIn(credential)
      assert.equal(answer.status, 400)
      assert.match(String(answer.body.error!.message), missing)
    }
  })

  test('what is asked for must make sense', async () => {
    const reasons = async (body: object) => {
      const { status: code, body: answer } = await make(body)
      return `${code} ${answer.error!.message}`
    }
    assert.match(await reasons({ name: '' }), /^400 .*name/)
    assert.match(await reasons({ roles: [{ name: 'admin' }] }), /^400 .*unassigned role admin/)
    const roles = (await cloud.send('GET', '/roles?name=admin', admin)).body.roles as unknown as Json[]
    for (const id of ['admin', 'absent', roles[0]!.id]) assert.match(await reasons({ roles: [{ id }] }), /^400 .*unassigned role/)
    assert.match(await reasons({ roles: [{ name: 'absent' }] }), /^404 .*role: absent/)
    assert.match(await reasons({ expires_at: '2020-01-01T00:00:00' }), /^400 .*must not be before now/)
    assert.match(await reasons({ expires_at: 'bad.123Z' }), /^400 .*Timestamp/)
    assert.match(await reasons({ unknown: 1 }), /^400 /)
    assert.match(await reasons({ access_rules: [{ path: '/x' }] }), /^400 .*access rule/)
    assert.match(await reasons({ access_rules: [{ id: 'absent' }] }), /^400 .*access rule/)
    const { made } = await make()
    assert.match(await reasons({ name: made.name }), /^409 .*Duplicate entry/)
    const foreign = await cloud.send('POST', `${home}/application_credentials`, admin, { application_credential: { name: 'x' } })
    assert.equal(foreign.status, 403)
    const system = await cloud.signIn('admin', passwords.admin, { system: { all: true } })
    const own = `/users/${cloud.adminUserId}/application_credentials`
    for (const token of [system, await cloud.signIn('admin', passwords.admin, 'unscoped')]) {
      assert.equal(await status('POST', own, token, { application_credential: { name: 'x' } }), 403)
    }
  })

  test('an end is kept with its microseconds, and is the end of its tokens', async () => {
    const expires_at = `${new Date(Date.now() + 60_000).toISOString().slice(0, -1)}789`
    const { made } = await make({ expires_at })
    assert.equal(made.expires_at, expires_at)
    const answer = await signIn(by(made))
    assert.equal(String(answer.body.token!.expires_at).slice(0, 23), expires_at.slice(0, 23))
    await cloud.db.write((tx) =>
      tx
        .updateTable('identity.application_credential')
        .set({ expires_at: new Date(0) })
        .where('id', '=', String(made.id))
        .execute(),
    )
    assert.equal((await signIn(by(made))).status, 401)
  })

  test('it has the roles that were asked for, as far as its user still has them', async () => {
    const { made } = await make({ roles: [{ name: 'reader' }] })
    assert.deepEqual(
      list(made.roles).map(({ name }) => name),
      ['reader'],
    )
    const reader = await tokenOf(made)
    const { made: whole } = await make()
    const member = await tokenOf(whole)
    const rolesOf = async (token: string) => {
      const { body } = await cloud.send('GET', '/auth/tokens', admin, undefined, { 'x-subject-token': token })
      return list((body.token as Json).roles).map(({ name }) => name)
    }
    assert.deepEqual(await rolesOf(member), ['member', 'reader'])
    const [role] = list((await cloud.send('GET', '/roles?name=member', admin)).body.roles)
    const [lesser] = list((await cloud.send('GET', '/roles?name=reader', admin)).body.roles)
    const grants = `/projects/${cloud.demoProjectId}/users/${cloud.demoUserId}/roles`
    assert.equal(await status('PUT', `${grants}/${lesser!.id}`, admin), 204)
    assert.equal(await status('DELETE', `${grants}/${role!.id}`, admin), 204)
    assert.deepEqual(await rolesOf(reader), ['reader'])
    assert.deepEqual(await rolesOf(member), ['reader'])
    assert.deepEqual(await rolesOf(await tokenOf(whole)), ['reader'])
    assert.equal(await status('DELETE', `${grants}/${lesser!.id}`, admin), 204)
    assert.equal(await works(member), false, 'without any role it is void')
    assert.equal((await signIn(by(whole))).status, 401)
    assert.equal(await status('PUT', `${grants}/${role!.id}`, admin), 204)
    assert.equal(await works(member), true)
  })

  test('its tokens die with it, and with its user', async () => {
    const { made } = await make()
    const token = await tokenOf(made)
    assert.equal(await status('DELETE', `${home}/application_credentials/${made.id}`, demo), 204)
    assert.equal(await works(token), false)
    assert.equal((await signIn(by(made))).status, 401)
    assert.equal(await status('GET', `${home}/application_credentials/${made.id}`, demo), 404)
  })

  test('a restricted one makes and deletes no others; an unrestricted one does', async () => {
    const { made } = await make()
    const restricted = await tokenOf(made)
    assert.equal((await make({}, restricted)).status, 403)
    assert.equal(await status('DELETE', `${home}/application_credentials/${made.id}`, restricted), 403)
    assert.equal(await status('GET', `${home}/application_credentials/${made.id}`, restricted), 200)
    const free = await tokenOf((await make({ unrestricted: true })).made)
    const { status: code, made: other } = await make({}, free)
    assert.equal(code, 201)
    assert.equal(await status('DELETE', `${home}/application_credentials/${other.id}`, free), 204)
    const again = (id: string, scope?: object) =>
      cloud.send('POST', '/auth/tokens', undefined, { auth: { identity: { methods: ['token'], token: { id } }, ...(scope && { scope }) } })
    assert.equal((await again(restricted, { project: { id: cloud.demoProjectId } })).status, 403)
    const next = await again(restricted)
    assert.equal(next.status, 201)
    assert.equal(next.body.token!.application_credential!.id, made.id)
  })

  test('others see nothing of it, administrators do', async () => {
    const { made } = await make()
    const path = `${home}/application_credentials/${made.id}`
    const stranger = (await cloud.send('POST', '/users', admin, { user: { name: 'stranger', password: 'p' } })).body.user!
    const grant = `/projects/${cloud.demoProjectId}/users/${stranger.id}/roles`
    const [role] = list((await cloud.send('GET', '/roles?name=member', admin)).body.roles)
    await cloud.send('PUT', `${grant}/${role!.id}`, admin)
    const other = await cloud.signIn('stranger', 'p', { project: { id: cloud.demoProjectId } })
    assert.equal(await status('GET', path, other), 403)
    assert.equal(await status('GET', `/users/${stranger.id}/application_credentials/${made.id}`, other), 403, 'under one’s own address')
    assert.equal(await status('DELETE', `/users/${stranger.id}/application_credentials/${made.id}`, other), 403)
    assert.equal(await status('GET', `${home}/application_credentials`, other), 403)
    assert.equal(await status('GET', path, admin), 200)
    assert.equal(await status('GET', `${home}/application_credentials/absent`, admin), 404)
    assert.equal(await status('DELETE', path, admin), 204)
  })

  test('access rules let in what they name, and nothing else', async () => {
    const rule = { service: 'identity', method: 'GET', path: '/v3/users/{user_id}/access_rules' }
    const { made } = await make({ access_rules: [rule] })
    const [{ id, ...kept }] = list(made.access_rules) as [Json]
    assert.deepEqual(kept, rule)
    const answer = await signIn(by(made))
    assert.deepEqual(list(answer.body.token!.application_credential!.access_rules), [{ id, ...rule }])
    const token = String(answer.headers['x-subject-token'])
    assert.equal(await status('GET', `${home}/access_rules`, token), 200)
    const refused = await cloud.send('GET', '/auth/projects', token)
    assert.equal(refused.status, 401)
    assert.match(String(refused.body.error!.message), /do not allow GET/)
    assert.equal(await status('GET', '/auth/tokens', token, undefined, { 'x-subject-token': token }), 404, 'to one who heeds no rules')
    const heeded = { 'x-subject-token': token, 'openstack-identity-access-rules': '1.0' }
    assert.equal(await status('GET', '/auth/tokens', token, undefined, heeded), 200)
    assert.equal(await status('GET', '/auth/tokens', admin, undefined, heeded), 200)

    const { made: second } = await make({ access_rules: [{ id }, { ...rule }] })
    assert.deepEqual(
      list(second.access_rules).map((one) => one.id),
      [id],
      'the same rule is kept once',
    )
    const shown = await cloud.send('GET', `${home}/access_rules/${id}`, demo)
    assert.equal(shown.body.access_rule!.path, rule.path)
    assert.equal(list((await cloud.send('GET', `${home}/access_rules?service=identity`, demo)).body.access_rules).length, 1)
    assert.equal(list((await cloud.send('GET', `${home}/access_rules?service=compute`, demo)).body.access_rules).length, 0)
    assert.equal(await status('DELETE', `${home}/access_rules/${id}`, demo), 403, 'in use')
    for (const one of [made, second]) await cloud.send('DELETE', `${home}/application_credentials/${one.id}`, demo)
    assert.equal(await status('GET', `${home}/access_rules/${id}`, admin), 403, 'a project’s administrator is not the system’s')
    assert.equal(await status('DELETE', `${home}/access_rules/${id}`, demo), 204)
    assert.equal(await status('GET', `${home}/access_rules/${id}`, demo), 404)
  })
})
