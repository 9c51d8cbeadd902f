// What is remembered spares the hash and nothing else: every sign-in asks anew whether there is such a user, enabled and not locked.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Json, passwords, type TestCloud, testCloud } from '../testing.ts'
import { verifyPassword } from './passwords.ts'
import { rememberPasswords } from './remembered-passwords.ts'

const minute = 60_000

test('a right password is known for its own hash, until its time is over', () => {
  let now = 0
  const remembered = rememberPasswords(5, () => now)
  remembered.add('hash', 'secret')
  now = 5 * minute - 1
  assert.equal(remembered.has('hash', 'secret'), true)
  assert.equal(remembered.has('hash', 'Secret'), false)
  assert.equal(remembered.has('another hash', 'secret'), false)
  now = 5 * minute
  assert.equal(remembered.has('hash', 'secret'), false, 'use does not make it last longer')
  const never = rememberPasswords(0)
  never.add('hash', 'secret')
  assert.equal(never.has('hash', 'secret'), false)
})

test('ten thousand are remembered, the oldest goes', () => {
  const remembered = rememberPasswords(5)
  for (let n = 0; n <= 10_000; n++) remembered.add(`hash ${n}`, 'secret')
  assert.equal(remembered.has('hash 0', 'secret'), false)
  assert.equal(remembered.has('hash 1', 'secret'), true)
  assert.equal(remembered.has('hash 10000', 'secret'), true)
})

test('the hash is computed once for a right password, each time for a wrong one', async () => {
  const remembered = rememberPasswords(5)
  remembered.add('no hash at all', 'secret')
  assert.equal(await verifyPassword('secret', 'no hash at all', '', remembered), true)
  await assert.rejects(verifyPassword('wrong', 'no hash at all', '', remembered), /neither an argon2id/, 'it was looked at')
  await assert.rejects(verifyPassword('secret', 'no hash at all'), /neither an argon2id/)
})

describe('who signed in before', () => {
  let cloud: TestCloud
  let admin: string
  before(async () => {
    cloud = await testCloud('flat', { lockout_failure_attempts: 2 })
    admin = await cloud.signIn('admin', passwords.admin)
  })
  after(() => cloud.end())

  const someone = async (name: string) => {
    const made = await cloud.send('POST', '/users', admin, { user: { name, password: 'secret' } })
    await cloud.signIn(name, 'secret')
    await cloud.signIn(name, 'secret')
    return String((made.body.user as Json).id)
  }
  const change = async (id: string, user: object) => assert.equal((await cloud.send('PATCH', `/users/${id}`, admin, { user })).status, 200)

  test('is refused once disabled', async () => {
    const id = await someone('disabled')
    await change(id, { enabled: false })
    await assert.rejects(cloud.signIn('disabled', 'secret'), /401/)
    await change(id, { enabled: true })
    await cloud.signIn('disabled', 'secret')
  })

  test('needs the new password, and never the old one again', async () => {
    const id = await someone('changed')
    await change(id, { password: 'other' })
    await assert.rejects(cloud.signIn('changed', 'secret'), /401/)
    await cloud.signIn('changed', 'other')
    await change(id, { password: 'secret' })
    await assert.rejects(cloud.signIn('changed', 'other'), /401/)
  })

  test('is locked out by wrong passwords as anybody', async () => {
    await someone('locked')
    for (let n = 0; n < 2; n++) await assert.rejects(cloud.signIn('locked', 'wrong'), /401/)
    await assert.rejects(cloud.signIn('locked', 'secret'), /401/)
  })

  test('is gone once deleted, and a namesake is somebody else', async () => {
    await cloud.send('DELETE', `/users/${await someone('deleted')}`, admin)
    await assert.rejects(cloud.signIn('deleted', 'secret'), /401/)
    await cloud.send('POST', '/users', admin, { user: { name: 'deleted', password: 'another' } })
    await assert.rejects(cloud.signIn('deleted', 'secret'), /401/)
  })

  test('an application credential is forgotten with its row', async () => {
    const token = await cloud.signIn('admin', passwords.admin, { project: { name: 'admin', domain: { id: 'default' } } })
    const path = `/users/${cloud.adminUserId}/application_credentials`
    const made = (await cloud.send('POST', path, token, { application_credential: { name: 'program' } })).body
      .application_credential as Json
    const identity = { methods: ['application_credential'], application_credential: { id: made.id, secret: made.secret } }
    const signIn = async () => (await cloud.send('POST', '/auth/tokens', undefined, { auth: { identity } })).status
    assert.deepEqual([await signIn(), await signIn()], [201, 201])
    assert.equal((await cloud.send('DELETE', `${path}/${made.id}`, token)).status, 204)
    assert.equal(await signIn(), 401)
  })
})
