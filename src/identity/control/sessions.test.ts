// A token is worth what its user is worth now: every change that Keystone would notice is noticed here, in the process that made it at
// once, and in every other by the epoch.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { hints } from '../../work/hint.ts'
import { type Json, passwords, type TestCloud, testCloud } from '../testing.ts'
import { openSessions, type Sessions } from './sessions.ts'
import { replaceTokenKeys, rotateTokenKeys } from './token-keys.ts'

describe('sessions', () => {
  let cloud: TestCloud
  let admin: string
  /** Another controller, which hears nothing of what this one does but the hints. */
  let elsewhere: Sessions
  before(async () => {
    cloud = await testCloud()
    admin = await cloud.signIn('admin', passwords.admin)
    elsewhere = openSessions(cloud.db, cloud.key)
  })
  after(() => cloud.end())

  const works = async (token: string) => {
    const here = (await cloud.send('GET', '/auth/projects', token)).status === 200
    assert.equal((await elsewhere.open(token)) !== null, here, 'both controllers agree')
    return here
  }
  const admins = async (method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: object) => {
    const answer = await cloud.send(method, path, admin, body)
    assert.ok(answer.status < 300, `${method} ${path}: ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  const member = async () => ((await cloud.send('GET', '/roles?name=member', admin)).body.roles as unknown as { id: string }[])[0]!.id

  /** A user of the default domain with the role member in a project of their own, and a token there. */
  let count = 0
  const someone = async () => {
    const name = `user${++count}`
    const user = (await admins('POST', '/users', { user: { name, password: 'p' } })).user as Json
    const project = (await admins('POST', '/projects', { project: { name: `project of ${name}` } })).project as Json
    const grant = `/projects/${project.id}/users/${user.id}/roles/${await member()}`
    await admins('PUT', grant)
    const token = await cloud.signIn(name, 'p', { project: { id: project.id } })
    assert.ok(await works(token))
    return { name, user: String(user.id), project: String(project.id), grant, token }
  }

  test('a password changed by an administrator or by oneself', async () => {
    const { name, user, token, project } = await someone()
    await admins('PATCH', `/users/${user}`, { user: { password: 'q' } })
    assert.equal(await works(token), false)
    const next = await cloud.signIn(name, 'q', { project: { id: project } })
    assert.ok(await works(next), 'a token made in the same instant is good')
    const change = (original_password: string) =>
      cloud.send('POST', `/users/${user}/password`, undefined, { user: { original_password, password: 'r' } })
    assert.equal((await change('wrong')).status, 401)
    assert.equal((await change('q')).status, 204)
    assert.equal(await works(next), false)
    assert.ok(await works(await cloud.signIn(name, 'r', { project: { id: project } })))
    assert.equal(
      (await cloud.send('POST', '/users/absent/password', undefined, { user: { original_password: 'q', password: 'r' } })).status,
      401,
    )
  })

  test('a disabled user, also after being enabled again', async () => {
    const { name, user, token } = await someone()
    await admins('PATCH', `/users/${user}`, { user: { enabled: false } })
    assert.equal(await works(token), false)
    await assert.rejects(cloud.signIn(name, 'p'), /401/)
    await admins('PATCH', `/users/${user}`, { user: { enabled: true } })
    assert.equal(await works(token), false)
  })

  test('a deleted user', async () => {
    const { user, token } = await someone()
    await admins('DELETE', `/users/${user}`)
    assert.equal(await works(token), false)
    assert.equal((await cloud.send('GET', '/auth/tokens', admin, undefined, { 'x-subject-token': token })).status, 404)
  })

  test('a disabled or deleted project', async () => {
    const { project, token } = await someone()
    await admins('PATCH', `/projects/${project}`, { project: { enabled: false } })
    assert.equal(await works(token), false)
    await admins('PATCH', `/projects/${project}`, { project: { enabled: true } })
    assert.equal(await works(token), false, 'a token from before stays void')
    const other = await someone()
    await admins('DELETE', `/projects/${other.project}`)
    assert.equal(await works(other.token), false)
  })

  test('a role taken away, given through a group, and the group left', async () => {
    const { user, project, grant, token } = await someone()
    await admins('DELETE', grant)
    assert.equal(await works(token), false)
    const group = (await admins('POST', '/groups', { group: { name: `g${count}` } })).group as Json
    await admins('PUT', `/projects/${project}/groups/${group.id}/roles/${await member()}`)
    assert.equal(await works(token), false)
    await admins('PUT', `/groups/${group.id}/users/${user}`)
    assert.ok(await works(token))
    await admins('DELETE', `/groups/${group.id}/users/${user}`)
    assert.equal(await works(token), false)
    await admins('PUT', `/groups/${group.id}/users/${user}`)
    await admins('DELETE', `/groups/${group.id}`)
    assert.equal(await works(token), false)
  })

  test('a disabled domain, of the user or of the project', async () => {
    const domain = (await admins('POST', '/domains', { domain: { name: 'D' } })).domain as Json
    const { user, name } = await someone()
    const project = (await admins('POST', '/projects', { project: { name: 'in D', domain_id: domain.id } })).project as Json
    await admins('PUT', `/projects/${project.id}/users/${user}/roles/${await member()}`)
    const token = await cloud.signIn(name, 'p', { project: { id: project.id } })
    assert.ok(await works(token))
    await admins('PATCH', `/domains/${domain.id}`, { domain: { enabled: false } })
    assert.equal(await works(token), false)
    await admins('PATCH', `/domains/${domain.id}`, { domain: { enabled: true } })
    assert.equal(await works(token), false, 'a token from before stays void')
    assert.ok(await works(await cloud.signIn(name, 'p', { project: { id: project.id } })))
  })

  test('a role inherited from the domain, and what it implies', async () => {
    const { user, project, grant, token } = await someone()
    await admins('PUT', `/OS-INHERIT/domains/default/users/${user}/roles/${await member()}/inherited_to_projects`)
    await admins('DELETE', grant)
    assert.ok(await works(token))
    const session = await elsewhere.open(token)
    assert.deepEqual(session!.who.roles, ['member', 'reader'])
    const list = async (query: string) =>
      (await cloud.send('GET', `/role_assignments?user.id=${user}${query}`, admin)).body.role_assignments as unknown as Json[]
    assert.equal((await list('')).length, 1)
    const all = await list(`&effective&include_names&scope.project.id=${project}`)
    assert.deepEqual(all.map(({ role }) => role!.name).sort(), ['member', 'reader'])
    assert.match(String(all[0]!.links!.assignment), /\/OS-INHERIT\/domains\/default\/users\//)
    assert.equal(all[0]!.scope!.project!.domain!.name, 'Default')
    await admins('DELETE', `/OS-INHERIT/domains/default/users/${user}/roles/${await member()}/inherited_to_projects`)
    assert.equal(await works(token), false)
  })

  test('revoked tokens stay revoked for a controller that starts later', async () => {
    const { token, name } = await someone()
    const other = await cloud.signIn(name, 'p', 'unscoped')
    assert.equal((await cloud.send('DELETE', '/auth/tokens', token, undefined, { 'x-subject-token': token })).status, 204)
    assert.equal(await works(token), false)
    assert.ok(await works(other))
    const late = openSessions(cloud.db, cloud.key)
    assert.equal(await late.open(token), null)
    assert.ok(await late.open(other))
  })

  test('without any hint a change is noticed when memory is a second old', async (t) => {
    const { user, token } = await someone()
    t.mock.method(performance, 'now', () => clock)
    let clock = 1e9
    assert.ok(await elsewhere.open(token))
    await cloud.db.read.updateTable('identity.user').set({ enabled: false }).where('id', '=', user).execute()
    await cloud.db.read
      .updateTable('identity.epoch')
      .set((eb) => ({ value: eb('value', '+', 1) }))
      .execute()
    clock += 999
    assert.ok(await elsewhere.open(token), 'memory is still believed')
    clock += 1
    assert.equal(await elsewhere.open(token), null)
    assert.ok(hints.listenerCount('identity') > 0)
  })

  test('a new key seals, the old ones open', async () => {
    const { token } = await someone()
    await cloud.db.write((tx) => rotateTokenKeys(tx, cloud.key))
    const fresh = openSessions(cloud.db, cloud.key)
    const session = await fresh.open(token)
    assert.ok(session)
    const sealed = await fresh.seal(session.claims)
    assert.notEqual(sealed.split('.')[0], token.split('.')[0])
    await assert.rejects(openSessions(cloud.db, () => [Buffer.alloc(32)]).open(token), /secret\.key/)
  })

  test('once all keys are replaced no token is good any more, wherever it is remembered, nor one that is made with an old key', async () => {
    const { name, token } = await someone()
    const thief = openSessions(cloud.db, cloud.key)
    const session = await thief.open(token)
    assert.ok(session && (await elsewhere.open(token)))
    const receipt = await elsewhere.sealNote(9, { ids: [], numbers: [], texts: ['x'], bytes: [] })
    await cloud.db.write((tx) => replaceTokenKeys(tx, cloud.key))
    const forged = await thief.seal({ ...session.claims, issuedAt: Date.now() })
    for (const void_ of [token, forged, admin]) assert.equal(await works(void_), false)
    assert.equal(await elsewhere.openNote(9, receipt), null)
    assert.ok(await works(await cloud.signIn(name, 'p')))
    admin = await cloud.signIn('admin', passwords.admin)
  })

  test('a user with two factors needs both', async () => {
    const { name, user, token } = await someone()
    const rules = { multi_factor_auth_enabled: true, multi_factor_auth_rules: [['password', 'token']] }
    await admins('PATCH', `/users/${user}`, { user: { options: rules } })
    await assert.rejects(cloud.signIn(name, 'p'), /401/)
    const both = { methods: ['password', 'token'], password: { user: { id: user, password: 'p' } }, token: { id: token } }
    assert.equal((await cloud.send('POST', '/auth/tokens', undefined, { auth: { identity: both } })).status, 201)
  })

  test('managers and readers of a domain see and run theirs, not others', async () => {
    const domain = (await admins('POST', '/domains', { domain: { name: 'managed' } })).domain as Json
    const { user, name } = await someone()
    const manager = ((await cloud.send('GET', '/roles?name=manager', admin)).body.roles as unknown as { id: string }[])[0]!.id
    await admins('PUT', `/domains/${domain.id}/users/${user}/roles/${manager}`)
    const token = await cloud.signIn(name, 'p', { domain: { id: domain.id } })
    const made = await cloud.send('POST', '/users', token, { user: { name: 'inside', password: 'x', domain_id: domain.id } })
    assert.equal(made.status, 201, JSON.stringify(made.body))
    assert.equal(made.body.user!.domain_id, domain.id)
    const seen = (await cloud.send('GET', '/users', token)).body.users as unknown as Json[]
    assert.deepEqual(
      seen.map((one) => one.name),
      ['inside'],
    )
    const statusOf = async (...request: Parameters<TestCloud['send']>) => (await cloud.send(...request)).status
    assert.equal(await statusOf('GET', `/users/${cloud.adminUserId}`, token), 403)
    assert.equal(await statusOf('POST', '/users', token, { user: { name: 'x', domain_id: 'default' } }), 403)
    assert.equal(await statusOf('POST', '/services', token, { service: { type: 'x' } }), 403)
    const project = (await cloud.send('POST', '/projects', token, { project: { name: 'theirs', domain_id: domain.id } })).body.project!
    const [adminRole] = (await cloud.send('GET', '/roles?name=admin', admin)).body.roles as unknown as { id: string }[]
    const on = `/projects/${project.id}/users/${made.body.user!.id}/roles`
    assert.equal(await statusOf('PUT', `${on}/${await member()}`, token), 204)
    assert.equal(await statusOf('PUT', `${on}/${adminRole!.id}`, token), 403, 'nobody makes themselves an administrator')
    assert.equal(await statusOf('GET', `${on}/${await member()}`, token), 204)
    assert.equal(await statusOf('GET', on, token), 200)
    assert.equal(await statusOf('PUT', `/projects/${cloud.demoProjectId}/users/${user}/roles/${await member()}`, token), 403)
    await admins('PUT', `/domains/${domain.id}/users/${user}/roles/${adminRole!.id}`)
    const domainAdmin = await cloud.signIn(name, 'p', { domain: { id: domain.id } })
    assert.equal(await statusOf('POST', '/services', domainAdmin, { service: { type: 'x' } }), 403, 'services belong to no domain')
  })
})
