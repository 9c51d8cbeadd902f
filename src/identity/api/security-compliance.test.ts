// What an operator may demand of passwords and accounts, and how a user's options take single users out of it.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { SecurityCompliance } from '../../security-compliance.ts'
import { currentHashes } from '../control/passwords.ts'
import { type Json, password, passwords, type TestCloud, testCloud } from '../testing.ts'

const day = 86_400_000

/** A cloud with these demands, for the tests of one group. */
function demanding(compliance: Partial<SecurityCompliance>, tests: (world: World) => void): void {
  describe(JSON.stringify(compliance), () => {
    let cloud: TestCloud
    let admin: string
    let count = 0
    before(async () => {
      cloud = await testCloud('flat', compliance)
      admin = await cloud.signIn('admin', passwords.admin)
    })
    after(() => cloud.end())
    const world: World = {
      cloud: () => cloud,
      user: async (options = {}) => {
        const name = `user${++count}`
        const { status, body } = await cloud.send('POST', '/users', admin, { user: { name, password: 'first1', options } })
        assert.equal(status, 201, JSON.stringify(body))
        return { name, id: String(body.user!.id), shown: body.user! }
      },
      change: async (id, user) => {
        const { status, body } = await cloud.send('PATCH', `/users/${id}`, admin, { user })
        assert.equal(status, 200, JSON.stringify(body))
        return body.user!
      },
      show: async (id) => (await cloud.send('GET', `/users/${id}`, admin)).body.user!,
      list: async (query) =>
        ((await cloud.send('GET', `/users?${query}`, admin)).body.users as unknown as Json[]).map(({ id }) => String(id)),
      signIn: async (name, secret) => await cloud.send('POST', '/auth/tokens', undefined, password(name, secret, 'unscoped')),
      choose: async (id, original_password, secret) =>
        await cloud.send('POST', `/users/${id}/password`, undefined, { user: { original_password, password: secret } }),
    }
    tests(world)
  })
}

interface World {
  cloud(): TestCloud
  user(options?: object): Promise<{ name: string; id: string; shown: Json }>
  change(id: string, user: object): Promise<Json>
  show(id: string): Promise<Json>
  list(query: string): Promise<string[]>
  signIn(name: string, secret: string): ReturnType<TestCloud['send']>
  choose(id: string, original: string, secret: string): ReturnType<TestCloud['send']>
}

demanding({ lockout_failure_attempts: 2, lockout_duration: 60 }, ({ cloud, user, change, signIn, choose }) => {
  test('wrong passwords lock an account, for a while or until it is enabled', async () => {
    const { name, id } = await user()
    const wrong = await signIn(name, 'wrong')
    await signIn(name, 'first1')
    await signIn(name, 'wrong')
    assert.equal((await signIn(name, 'first1')).status, 201, 'a right one in between starts anew')
    await signIn(name, 'wrong')
    await choose(id, 'wrong', 'second2')
    const locked = await signIn(name, 'first1')
    assert.equal(locked.status, 401)
    assert.deepEqual(locked.body, wrong.body, 'nobody learns that it is locked')
    assert.equal((await choose(id, 'first1', 'second2')).status, 401)
    await change(id, { enabled: true })
    assert.equal((await signIn(name, 'first1')).status, 201)
    await signIn(name, 'wrong')
    await signIn(name, 'wrong')
    const hourAgo = new Date(Date.now() - 3_600_000)
    await cloud().db.read.updateTable('identity.user').set({ failed_auth_at: hourAgo }).where('id', '=', id).execute()
    assert.equal((await signIn(name, 'first1')).status, 201)
  })

  test('guesses that come all at once are counted as well', async () => {
    const { name } = await user()
    await Promise.all(['a', 'b', 'c', 'd'].map((guess) => signIn(name, guess)))
    assert.equal((await signIn(name, 'first1')).status, 401)
  })

  test('not the accounts that are exempt', async () => {
    const { name } = await user({ ignore_lockout_failure_attempts: true })
    for (const secret of ['a', 'b', 'c']) assert.equal((await signIn(name, secret)).status, 401)
    assert.equal((await signIn(name, 'first1')).status, 201)
  })
})

demanding(
  { password_regex: '(?=.*\\d)(?=.*[a-z]).{6,}$', password_regex_description: 'six, with a digit', unique_last_password_count: 3 },
  (world) => {
    const { user, change, choose, signIn, cloud } = world
    test('a password must match, whoever sets it', async () => {
      const { id } = await user()
      for (const answer of [
        await choose(id, 'first1', 'short'),
        await cloud().send('PATCH', `/users/${id}`, await cloud().signIn('admin', passwords.admin), { user: { password: 'nodigits' } }),
      ]) {
        assert.equal(answer.status, 400)
        assert.equal(answer.body.error!.message, 'The password does not match the requirements: six, with a digit.')
      }
    })

    test('users choose passwords that they have not had lately; an administrator may set any', async () => {
      const { name, id } = await user()
      assert.equal((await choose(id, 'first1', 'first1')).status, 400)
      assert.equal((await choose(id, 'first1', 'second2')).status, 204)
      assert.match(String((await choose(id, 'second2', 'first1')).body.error!.message), /identical to a previous password.*unique is 3/)
      assert.equal((await choose(id, 'second2', 'third3')).status, 204)
      assert.equal((await choose(id, 'third3', 'fourth4')).status, 204)
      assert.equal((await choose(id, 'fourth4', 'first1')).status, 204, 'three others were in between')
      await change(id, { password: 'first1' })
      assert.equal((await signIn(name, 'first1')).status, 201)
    })
  },
)

demanding({ password_expires_days: 2, minimum_password_age: 1 }, ({ cloud, user, change, choose, show, list, signIn }) => {
  test('a password expires, and then only serves to choose another', async () => {
    const { name, id, shown } = await user()
    const expires = Date.parse(`${shown.password_expires_at}Z`)
    assert.ok(Math.abs(expires - Date.now() - 2 * day) < 60_000)
    assert.equal(expires % 1000, 0)
    await cloud()
      .db.read.updateTable('identity.password')
      .set({ expires_at: new Date(Date.now() - 1000) })
      .where('user_id', '=', id)
      .execute()
    const refused = await signIn(name, 'first1')
    assert.equal(refused.status, 401)
    assert.equal(refused.body.error!.message, `The password is expired and needs to be changed for user: ${id}.`)
    assert.doesNotMatch(String((await signIn(name, 'wrong')).body.error!.message), /expired/)
    assert.equal((await choose(id, 'first1', 'second2')).status, 204)
    assert.equal((await signIn(name, 'second2')).status, 201)
  })

  test('users keep a password that they chose for a while, one that was set for them not', async () => {
    const { id } = await user()
    assert.equal((await choose(id, 'first1', 'second2')).status, 204)
    const young = await choose(id, 'second2', 'third3')
    assert.equal(young.status, 400)
    assert.match(String(young.body.error!.message), /minimum password age.*1 day\(s\) before.*try again in 0 day\(s\)/)
    await change(id, { password: 'fourth4' })
    assert.equal((await choose(id, 'fourth4', 'fifth5')).status, 204)
  })

  test('exempt users have passwords that do not expire', async () => {
    const { id, shown } = await user({ ignore_password_expiry: true })
    assert.equal(shown.password_expires_at, null)
    await change(id, { options: { ignore_password_expiry: null } })
    await change(id, { password: 'second2' })
    assert.notEqual((await show(id)).password_expires_at, null)
  })

  test('users are listed by when their password expires', async () => {
    const { id } = await user()
    const soon = new Date(Date.now() + 3 * day).toISOString()
    assert.ok((await list(`password_expires_at=lt:${soon}`)).includes(id))
    assert.ok(!(await list(`password_expires_at=gt:${soon}`)).includes(id))
    const { password_expires_at } = await show(id)
    assert.ok((await list(`password_expires_at=${password_expires_at}`)).includes(id))
    assert.ok(!(await list(`password_expires_at=neq:${password_expires_at}`)).includes(id))
    const admin = await cloud().signIn('admin', passwords.admin)
    for (const wrong of ['constructor:2026-01-01T00:00:00Z', 'lt:yesterday', 'lt:2026-13-45T00:00:00Z', '']) {
      assert.equal((await cloud().send('GET', `/users?password_expires_at=${wrong}`, admin)).status, 400, wrong)
    }
  })
})

demanding(
  { change_password_upon_first_use: true, disable_user_account_days_inactive: 3 },
  ({ cloud, user, change, choose, show, signIn }) => {
    test('a password that an administrator set serves to choose another', async () => {
      const { name, id } = await user()
      assert.match(String((await signIn(name, 'first1')).body.error!.message), /is expired/)
      assert.equal((await choose(id, 'first1', 'second2')).status, 204)
      assert.equal((await signIn(name, 'second2')).status, 201)
      await change(id, { password: 'third3' })
      assert.equal((await signIn(name, 'third3')).status, 401)
      const exempt = await user({ ignore_change_password_upon_first_use: true })
      assert.equal((await signIn(exempt.name, 'first1')).status, 201)
    })

    test('who has not signed in for days counts as disabled until enabled again', async () => {
      const { name, id } = await user({ ignore_change_password_upon_first_use: true })
      assert.equal((await signIn(name, 'first1')).status, 201)
      const long = new Date(Date.now() - 3 * day)
      const sleep = () => cloud().db.read.updateTable('identity.user').set({ last_active_at: long }).where('id', '=', id).execute()
      await sleep()
      assert.equal((await show(id)).enabled, false)
      assert.equal((await signIn(name, 'first1')).status, 401)
      assert.equal((await change(id, { enabled: true })).enabled, true)
      assert.equal((await signIn(name, 'first1')).status, 201)
      await sleep()
      assert.equal((await change(id, { options: { ignore_user_inactivity: true } })).enabled, true)
      assert.equal((await signIn(name, 'first1')).status, 201)
    })

    test('who counts as disabled gets in by no application credential, and nobody gets in by their trust', async () => {
      const sleepy = await user({ ignore_change_password_upon_first_use: true })
      const trustee = await user({ ignore_change_password_upon_first_use: true })
      const { demoProjectId: project, db, send } = cloud()
      await db.read
        .insertInto('identity.assignment')
        .columns(['actor_type', 'actor_id', 'target_type', 'target_id', 'role_id'])
        .expression((eb) =>
          eb
            .selectFrom('identity.role')
            .select([eb.val('user').as('a'), eb.val(sleepy.id).as('b'), eb.val('project').as('c'), eb.val(project!).as('d'), 'id'])
            .where('name', '=', 'member'),
        )
        .execute()
      const token = await cloud().signIn(sleepy.name, 'first1', { project: { id: project } })
      const lent = { trustor_user_id: sleepy.id, trustee_user_id: trustee.id, project_id: project, impersonation: true }
      const trust = await send('POST', '/OS-TRUST/trusts', token, { trust: { ...lent, roles: [{ name: 'member' }] } })
      assert.equal(trust.status, 201, JSON.stringify(trust.body))
      const made = await send('POST', `/users/${sleepy.id}/application_credentials`, token, { application_credential: { name: 'program' } })
      assert.equal(made.status, 201, JSON.stringify(made.body))
      const { id, secret } = made.body.application_credential!
      const program = { methods: ['application_credential'], application_credential: { id, secret } }
      const byTrust = password(trustee.name, 'first1', { 'OS-TRUST:trust': { id: trust.body.trust!.id } })
      const both = async () => [
        (await send('POST', '/auth/tokens', undefined, { auth: { identity: program } })).status,
        (await send('POST', '/auth/tokens', undefined, byTrust)).status,
      ]
      assert.deepEqual(await both(), [201, 201])
      await db.read
        .updateTable('identity.user')
        .set({ last_active_at: new Date(Date.now() - 3 * day) })
        .where('id', '=', sleepy.id)
        .execute()
      assert.deepEqual(await both(), [401, 401])
    })
  },
)

demanding({}, ({ cloud, user, choose, signIn }) => {
  test('lock_password keeps users from changing their own', async () => {
    const { id } = await user({ lock_password: true })
    const answer = await choose(id, 'first1', 'second2')
    assert.equal(answer.status, 400)
    assert.match(String(answer.body.error!.message), /disallowing password changes/)
    assert.equal((await choose(id, 'wrong', 'second2')).status, 401)
  })

  test('a hash that came from a Keystone is replaced at the first sign-in', async () => {
    const { name, id } = await user()
    const hash = '$scrypt$ln=14,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$8sS4SNEo0DR3mOR//MxoYmCmGvliXl7LrJC35JTYRDY'
    await cloud().db.read.updateTable('identity.password').set({ hash }).where('user_id', '=', id).execute()
    assert.equal((await signIn(name, 'wrong')).status, 401)
    assert.equal((await signIn(name, 'grüße')).status, 201)
    const kept = await cloud().db.read.selectFrom('identity.password').select('hash').where('user_id', '=', id).executeTakeFirstOrThrow()
    assert.ok(kept.hash.startsWith(currentHashes))
    assert.equal((await signIn(name, 'grüße')).status, 201)
  })

  test('options are what Keystone knows', async () => {
    const admin = await cloud().signIn('admin', passwords.admin)
    const { id } = await user()
    const tried = async (options: object) => (await cloud().send('PATCH', `/users/${id}`, admin, { user: { options } })).status
    for (const rules of [[[]], [['password', 'password']], [['password'], ['password']], ['password'], [[1]], {}]) {
      assert.equal(await tried({ multi_factor_auth_rules: rules }), 400, JSON.stringify(rules))
    }
    assert.equal(await tried({ unknown: true }), 400)
    assert.equal(await tried({ lock_password: 'yes' }), 400)
    assert.equal(await tried({ multi_factor_auth_enabled: false, multi_factor_auth_rules: [['password', 'totp'], ['password']] }), 200)
  })
})
