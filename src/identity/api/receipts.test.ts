// A second factor: one-time passwords, the rules that ask for them, and receipts for who gives one factor after the other.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Secret, TOTP } from 'otpauth'
import { passwords, type TestCloud, testCloud } from '../testing.ts'

describe('multi-factor sign-in', () => {
  let cloud: TestCloud
  let user: object
  const secret = new Secret()
  const passcode = (steps = 0) => new TOTP({ secret }).generate({ timestamp: Date.now() + steps * 30_000 })
  before(async () => {
    cloud = await testCloud()
    const admin = await cloud.signIn('admin', passwords.admin)
    user = { id: cloud.demoUserId }
    const credential = { type: 'totp', blob: secret.base32, user_id: cloud.demoUserId }
    assert.equal((await cloud.send('POST', '/credentials', admin, { credential })).status, 201)
    const options = { multi_factor_auth_rules: [['password', 'totp'], ['no such method']] }
    assert.equal((await cloud.send('PATCH', `/users/${cloud.demoUserId}`, admin, { user: { options } })).status, 200)
  })
  after(() => cloud.end())

  const signIn = (proofs: object, receipt?: unknown) =>
    cloud.send(
      'POST',
      '/auth/tokens',
      undefined,
      { auth: { identity: { methods: Object.keys(proofs), ...proofs } } },
      receipt === undefined ? undefined : { 'openstack-auth-receipt': String(receipt) },
    )
  const byPassword = () => ({ password: { user: { ...user, password: passwords.demo } } })
  const byTotp = (code: string) => ({ totp: { user: { ...user, passcode: code } } })

  test('one factor gives a receipt that counts with the other, and no passcode is good twice', async () => {
    const first = await signIn(byPassword())
    assert.equal(first.status, 401)
    assert.deepEqual(first.body.receipt!.methods, ['password'])
    assert.equal(first.body.receipt!.user!.id, cloud.demoUserId)
    assert.deepEqual(first.body.required_auth_methods, [['password', 'totp']])
    const receipt = first.headers['openstack-auth-receipt']
    assert.equal((await signIn(byTotp('000000'), receipt)).status, 401)
    assert.equal((await signIn(byTotp(passcode(-9)), receipt)).status, 401)
    const code = passcode()
    const done = await signIn(byTotp(code), receipt)
    assert.equal(done.status, 201, JSON.stringify(done.body))
    assert.deepEqual([...(done.body.token!.methods as unknown as string[])].sort(), ['password', 'totp'])
    assert.equal((await signIn(byTotp(code), receipt)).status, 401, 'a second time')
    assert.equal((await signIn(byPassword(), 'forged')).status, 401)
    const token = String(done.headers['x-subject-token'])
    assert.equal((await signIn(byPassword(), token)).status, 401, 'a token is no receipt')
    const other = { password: { user: { id: cloud.adminUserId, password: passwords.admin } } }
    assert.equal((await signIn(other, receipt)).status, 401, 'another user’s receipt')
  })

  test('what is missing is named', async () => {
    for (const [totp, missing] of [
      [{}, /user/],
      [{ user: {} }, /id or name/],
      [{ user: { name: 'demo' } }, /domain/],
    ] as const) {
      const { status, body } = await signIn({ totp })
      assert.equal(status, 400)
      assert.match(String(body.error!.message), missing)
    }
  })
})
