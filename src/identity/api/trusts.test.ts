import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Json, password, passwords, type TestCloud, testCloud } from '../testing.ts'

describe('trusts', () => {
  let cloud: TestCloud
  let admin: string
  let demo: string
  let trustee: string
  let trusteeToken: string
  let project: { id: string | null }
  before(async () => {
    cloud = await testCloud()
    admin = await cloud.signIn('admin', passwords.admin)
    demo = await cloud.signIn('demo', passwords.demo)
    trustee = String((await cloud.send('POST', '/users', admin, { user: { name: 'trustee', password: 'p' } })).body.user!.id)
    trusteeToken = await cloud.signIn('trustee', 'p')
    project = { id: cloud.demoProjectId }
  })
  after(() => cloud.end())

  const list = (value: unknown) => value as Json[]
  const status = async (...request: Parameters<TestCloud['send']>) => (await cloud.send(...request)).status
  const works = async (token: string) => (await status('GET', '/auth/projects', token)) === 200
  const post = async (body: object = {}, token = demo) => {
    const trust = {
      trustor_user_id: cloud.demoUserId,
      trustee_user_id: trustee,
      project_id: project.id,
      impersonation: true,
      roles: [{ name: 'member' }],
      ...body,
    }
    return await cloud.send('POST', '/OS-TRUST/trusts', token, { trust })
  }
  const make = async (body: object = {}, token = demo) => {
    const answer = await post(body, token)
    assert.equal(answer.status, 201, JSON.stringify(answer.body))
    return answer.body.trust as Json
  }
  const use = (id: unknown, name = 'trustee', secret = 'p') =>
    cloud.send('POST', '/auth/tokens', undefined, password(name, secret, { 'OS-TRUST:trust': { id } }))
  const tokenOf = async (id: unknown, ...by: string[]) => {
    const answer = await use(id, ...by)
    assert.equal(answer.status, 201, JSON.stringify(answer.body))
    return String(answer.headers['x-subject-token'])
  }
  const reason = async (answer: Promise<{ status: number; body: Json }>) => {
    const { status: code, body } = await answer
    return `${code} ${body.error?.message}`
  }

  test('the trustee acts in the trustor’s name, or in their own, with the roles that were lent', async () => {
    const trust = await make({ roles: [{ name: 'reader' }] })
    assert.deepEqual(
      list(trust.roles).map(({ name }) => name),
      ['reader'],
    )
    assert.equal(trust.expires_at, null)
    assert.equal(trust.redelegation_count, 0)
    const answer = await use(trust.id)
    const token = answer.body.token!
    assert.equal(token.user!.name, 'demo')
    assert.equal(token.project!.id, project.id)
    assert.deepEqual(
      list(token.roles).map(({ name }) => name),
      ['reader'],
    )
    assert.deepEqual(token['OS-TRUST:trust'], {
      id: trust.id,
      trustor_user: { id: cloud.demoUserId },
      trustee_user: { id: trustee },
      impersonation: true,
    })
    assert.ok(String(answer.headers['x-subject-token']).length < 300)
    const own = await make({ impersonation: false })
    const named = (await use(own.id)).body.token!
    assert.equal(named.user!.id, trustee)
    assert.deepEqual(
      list(named.roles).map(({ name }) => name),
      ['member', 'reader'],
      'with what they imply',
    )
  })

  test('nobody else can use it, and its tokens make no others', async () => {
    const { id } = await make({ expires_at: new Date(Date.now() + 1e6).toISOString() })
    assert.equal((await use(id, 'admin', passwords.admin)).status, 403)
    assert.equal((await use('absent')).status, 401)
    const token = await tokenOf(id)
    const again = { auth: { identity: { methods: ['token'], token: { id: token } } } }
    assert.match(await reason(cloud.send('POST', '/auth/tokens', undefined, again)), /^403 .*trust-scoped token/)
    const credentials = `/users/${cloud.demoUserId}/application_credentials`
    assert.equal(await status('POST', credentials, token, { application_credential: { name: 'x' } }), 403)
    assert.equal(await status('GET', credentials, token), 403)
  })

  test('what doesn’t add up is refused', async () => {
    assert.match(await reason(post({ roles: [] })), /^403 .*At least one role/)
    assert.match(await reason(post({ roles: [{ name: 'admin' }] })), /^404 .*Could not find role/)
    assert.match(await reason(post({ roles: [{ name: 'absent' }] })), /^404 .*role: absent/)
    assert.match(await reason(post({ trustee_user_id: 'absent' })), /^404 .*user: absent/)
    assert.match(await reason(post({ project_id: 'absent' })), /^404 .*project: absent/)
    assert.match(await reason(post({ expires_at: '2020-01-01T00:00:00Z' })), /^400 .*before now/)
    assert.match(await reason(post({ expires_at: 'bad.123Z' })), /^400 .*Timestamp/)
    assert.match(await reason(post({ remaining_uses: 0 })), /^400 /)
    assert.match(await reason(post({ impersonation: 'x' })), /^400 /)
    assert.match(await reason(post({ remaining_uses: 1, allow_redelegation: true })), /^400 .*remaining_uses must not be set/)
    assert.match(await reason(post({ redelegation_count: 4, allow_redelegation: true })), /^403 .*depth of 4/)
    assert.match(await reason(post({ trustor_user_id: cloud.adminUserId })), /^403 /)
    assert.match(await reason(post({}, admin)), /^403 .*create_trust/)
    const system = await cloud.signIn('admin', passwords.admin, { system: { all: true } })
    assert.match(await reason(post({ trustor_user_id: cloud.adminUserId }, system)), /^403 .*not of the system/)
  })

  test('uses are counted', async () => {
    const { id } = await make({ remaining_uses: 2 })
    const first = await tokenOf(id)
    assert.equal((await cloud.send('GET', `/OS-TRUST/trusts/${id}`, demo)).body.trust!.remaining_uses, 1)
    await tokenOf(id)
    assert.equal((await use(id)).status, 401)
    assert.equal(await works(first), true, 'what was made with it lives on')
    assert.equal(await status('GET', `/OS-TRUST/trusts/${id}`, demo), 404)
  })

  test('its tokens end when it ends, and die when anything of it dies', async () => {
    const expires_at = new Date(Date.now() + 90_000).toISOString()
    const ending = await make({ expires_at })
    assert.equal(ending.expires_at, expires_at.replace('Z', '000Z'))
    assert.equal((await use(ending.id)).body.token!.expires_at, ending.expires_at)

    const deleted = await make()
    const token = await tokenOf(deleted.id)
    assert.equal(await status('DELETE', `/OS-TRUST/trusts/${deleted.id}`, trusteeToken), 403)
    assert.equal(await status('DELETE', `/OS-TRUST/trusts/${deleted.id}`, demo), 204)
    assert.equal(await works(token), false)
    assert.equal((await use(deleted.id)).status, 401)
    assert.equal(await status('GET', `/OS-TRUST/trusts/${deleted.id}`, demo), 404)

    const kept = await make()
    const inTrust = await tokenOf(kept.id)
    const [role] = list((await cloud.send('GET', '/roles?name=member', admin)).body.roles)
    const grant = `/projects/${project.id}/users/${cloud.demoUserId}/roles/${role!.id}`
    await cloud.send('DELETE', grant, admin)
    assert.equal(await works(inTrust), false, 'the trustor lacks the role')
    assert.match(await reason(use(kept.id)), /^403 Trustee has no delegated roles/)
    await cloud.send('PUT', grant, admin)
    assert.equal(await works(inTrust), true)
    const pass = { user: { original_password: passwords.demo, password: 'another' } }
    assert.equal(await status('POST', `/users/${cloud.demoUserId}/password`, undefined, pass), 204)
    assert.equal(await works(inTrust), false, 'the trustor has a new password')
    const back = { user: { original_password: 'another', password: passwords.demo } }
    assert.equal(await status('POST', `/users/${cloud.demoUserId}/password`, undefined, back), 204)
    demo = await cloud.signIn('demo', passwords.demo)
    const next = await tokenOf(kept.id)
    await cloud.send('PATCH', `/users/${cloud.demoUserId}`, admin, { user: { enabled: false } })
    assert.equal(await works(next), false, 'the trustor is disabled')
    assert.equal((await use(kept.id)).status, 401)
    await cloud.send('PATCH', `/users/${cloud.demoUserId}`, admin, { user: { enabled: true } })
    demo = await cloud.signIn('demo', passwords.demo)
  })

  test('lent on, it is worth no more than what it comes from', async () => {
    const third = String((await cloud.send('POST', '/users', admin, { user: { name: 'third', password: 'p' } })).body.user!.id)
    const first = await make({ allow_redelegation: true, roles: [{ name: 'member' }], redelegation_count: 2 })
    assert.equal(first.redelegation_count, 2)
    const token = await tokenOf(first.id)
    const on = { trustee_user_id: third }
    assert.match(await reason(post({ ...on, remaining_uses: 1 }, token)), /^403 .*remaining_uses/)
    assert.match(await reason(post({ ...on, roles: [{ name: 'reader' }] }, token)), /^403 .*not in redelegated trust/)
    assert.match(await reason(post({ ...on, allow_redelegation: true, redelegation_count: 3 }, token)), /^403 .*Modifying/)
    const second = await make({ ...on, allow_redelegation: true }, token)
    assert.equal(second.redelegated_trust_id, first.id)
    assert.equal(second.redelegation_count, 1)
    const far = await tokenOf(second.id, 'third')
    assert.equal(await works(far), true)
    const last = await make({ ...on, impersonation: false }, token)
    assert.equal(last.redelegation_count, 0)
    const none = await tokenOf(last.id, 'third')
    assert.match(await reason(post({ trustor_user_id: third }, none)), /^403 .*redelegation depth of 0/)
    const plain = await tokenOf((await make({ project_id: project.id, expires_at: new Date(Date.now() + 2e6).toISOString() })).id)
    assert.match(await reason(post(on, plain)), /^403 .*redelegation depth/)
    assert.equal(await status('DELETE', `/OS-TRUST/trusts/${first.id}`, demo), 204)
    assert.equal(await works(far), false)
    assert.equal((await use(second.id, 'third')).status, 401)
    assert.equal(await status('GET', `/OS-TRUST/trusts/${second.id}`, demo), 404)
  })

  test('lists and roles, for those whom it concerns', async () => {
    const { id } = await make({ expires_at: new Date(Date.now() + 3e6).toISOString() })
    const ids = async (query: string, token: string) =>
      list((await cloud.send('GET', `/OS-TRUST/trusts${query}`, token)).body.trusts).map((trust) => trust.id)
    assert.ok((await ids('', admin)).includes(id!))
    assert.ok((await ids(`?trustor_user_id=${cloud.demoUserId}`, demo)).includes(id!))
    assert.ok((await ids(`?trustee_user_id=${trustee}`, trusteeToken)).includes(id!))
    assert.deepEqual(await ids(`?trustor_user_id=${trustee}`, admin), [])
    assert.equal(await status('GET', '/OS-TRUST/trusts', demo), 403)
    assert.equal(await status('GET', `/OS-TRUST/trusts?trustor_user_id=${cloud.adminUserId}`, demo), 403)
    const domain = await cloud.signIn('admin', passwords.admin, { domain: { id: 'default' } })
    assert.equal(await status('GET', '/OS-TRUST/trusts', domain), 403)
    assert.equal(await status('GET', `/OS-TRUST/trusts/${id}`, domain), 403)
    const { roles, links } = (await cloud.send('GET', `/OS-TRUST/trusts/${id}/roles`, trusteeToken)).body
    const [role] = list(roles)
    assert.equal(role!.name, 'member')
    assert.equal((links as Json).self, `http://cloud.test:5000/identity/v3/OS-TRUST/trusts/${id}/roles`)
    assert.equal((await cloud.send('GET', `/OS-TRUST/trusts/${id}/roles/${role!.id}`, demo)).body.role!.name, 'member')
    assert.equal(await status('HEAD', `/OS-TRUST/trusts/${id}/roles/${role!.id}`, demo), 200)
    assert.equal(await status('HEAD', `/OS-TRUST/trusts/${id}/roles/absent`, demo), 404)
    assert.equal(await status('GET', `/OS-TRUST/trusts/${id}/roles/absent`, demo), 404)
  })

  test('an application credential manages no trusts', async () => {
    const { id } = await make({ expires_at: new Date(Date.now() + 4e6).toISOString() })
    const path = `/users/${cloud.demoUserId}/application_credentials`
    const body = { application_credential: { name: 'free', unrestricted: true } }
    const made = (await cloud.send('POST', path, demo, body)).body.application_credential!
    const identity = { methods: ['application_credential'], application_credential: { id: made.id, secret: made.secret } }
    const token = String((await cloud.send('POST', '/auth/tokens', undefined, { auth: { identity } })).headers['x-subject-token'])
    assert.match(await reason(post({}, token)), /^403 .*managing trusts/)
    for (const method of ['GET', 'DELETE'] as const) assert.equal(await status(method, `/OS-TRUST/trusts/${id}`, token), 403)
  })

  test('it goes with its users and its project', async () => {
    const { id } = await make({ expires_at: new Date(Date.now() + 5e6).toISOString() })
    const token = await tokenOf(id)
    assert.equal(await status('DELETE', `/users/${trustee}`, admin), 204)
    assert.equal(await works(token), false)
    assert.equal(await status('GET', `/OS-TRUST/trusts/${id}`, admin), 404)
  })
})
