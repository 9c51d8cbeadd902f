// EC2 keys and the credentials that they are kept as: who sees them, who may sign with them, and that their keys rotate.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { rotateCredentialKeys } from '../control/credentials.ts'
import { type Json, passwords, type TestCloud, testCloud } from '../testing.ts'

describe('EC2 keys and credentials', () => {
  let cloud: TestCloud
  let admin: string
  let demo: string
  let home: string
  before(async () => {
    cloud = await testCloud()
    admin = await cloud.signIn('admin', passwords.admin)
    demo = await cloud.signIn('demo', passwords.demo)
    home = `/users/${cloud.demoUserId}/credentials/OS-EC2`
  })
  after(() => cloud.end())

  const list = (value: unknown) => value as Json[]
  const status = async (...request: Parameters<TestCloud['send']>) => (await cloud.send(...request)).status
  const keys = async (token = demo, path = home) => {
    const { status: code, body } = await cloud.send('POST', path, token, { tenant_id: cloud.demoProjectId })
    assert.equal(code, 201, JSON.stringify(body))
    return body.credential as Json
  }
  const ask = (made: Json, over: object = {}, token = admin) => {
    const params = { Action: 'x', SignatureVersion: '0', Timestamp: new Date().toISOString(), ...over }
    const signature = createHmac('sha1', String(made.secret))
      .update(params.Action + params.Timestamp)
      .digest('base64')
    return cloud.send('POST', '/ec2tokens', token, {
      credentials: { access: made.access, signature, params, host: 'h', verb: 'GET', path: '/' },
    })
  }

  test('made, shown, listed and deleted, by those who may', async () => {
    const made = await keys()
    assert.deepEqual([made.user_id, made.tenant_id, made.trust_id], [cloud.demoUserId, cloud.demoProjectId, null])
    assert.deepEqual((await cloud.send('GET', `${home}/${made.access}`, demo)).body.credential, made)
    assert.deepEqual(
      list((await cloud.send('GET', home, demo)).body.credentials).map(({ access }) => access),
      [made.access],
    )
    assert.equal(await status('GET', `/users/${cloud.adminUserId}/credentials/OS-EC2`, demo), 403)
    assert.equal(await status('POST', `/users/${cloud.adminUserId}/credentials/OS-EC2`, demo, { tenant_id: 'x' }), 403)
    assert.equal(await status('POST', home, demo, { tenant_id: 'absent' }), 404)
    assert.equal(await status('POST', home, demo, {}), 400)
    const domain = await cloud.signIn('admin', passwords.admin, { domain: { id: 'default' } })
    assert.equal(await status('GET', `${home}/${made.access}`, domain), 403)
    assert.equal(await status('GET', `${home}/absent`, domain), 404)
    assert.equal(await status('GET', `${home}/${made.access}`, admin), 200)
    assert.equal(await status('DELETE', `${home}/${made.access}`, demo), 204)
    assert.equal(await status('DELETE', `${home}/${made.access}`, demo), 404)
  })

  test('a signature is worth the token of its keys’ user', async () => {
    const made = await keys()
    const answer = await ask(made)
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
    const token = answer.body.token!
    assert.deepEqual([token.user!.id, token.project!.id, token.methods], [cloud.demoUserId, cloud.demoProjectId, ['ec2credential']])
    assert.equal(await status('GET', '/auth/projects', String(answer.headers['x-subject-token'])), 200)

    assert.equal((await ask({ ...made, secret: 'x' } as unknown as Json)).status, 401)
    assert.equal((await ask({ ...made, access: 'absent' } as unknown as Json)).status, 404)
    assert.equal((await ask(made, { Timestamp: '2020-01-01T00:00:00Z' })).status, 401)
    assert.equal((await ask(made, { Timestamp: 'yesterday' })).status, 401)
    assert.equal((await ask(made, {}, demo)).status, 403, 'only services may ask')
    assert.equal(await status('POST', '/ec2tokens', admin, { credentials: {} }), 401)
    assert.equal(await status('POST', '/ec2tokens', admin, {}), 400)
  })

  test('the same for S3, without a token to take away', async () => {
    const made = await keys()
    const text = 'GET\n\n\nnow\n/bucket'
    const signature = createHmac('sha1', String(made.secret)).update(text).digest('base64')
    const credentials = { access: made.access, signature, token: Buffer.from(text).toString('base64url') }
    const answer = await cloud.send('POST', '/s3tokens', admin, { credentials })
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
    assert.equal(answer.body.token!.user!.id, cloud.demoUserId)
    assert.equal(answer.headers['x-subject-token'], undefined)
    assert.equal(await status('POST', '/s3tokens', admin, { credentials: { ...credentials, token: 'eA' } }), 401)
    assert.equal(await status('POST', '/s3tokens', demo, { credentials }), 403)
  })

  test('keys made with lent rights are worth no more than those', async () => {
    const body = { application_credential: { name: 'free', unrestricted: true, roles: [{ name: 'reader' }] } }
    const path = `/users/${cloud.demoUserId}/application_credentials`
    const lent = (await cloud.send('POST', path, demo, body)).body.application_credential!
    const identity = { methods: ['application_credential'], application_credential: { id: lent.id, secret: lent.secret } }
    const token = String((await cloud.send('POST', '/auth/tokens', undefined, { auth: { identity } })).headers['x-subject-token'])
    assert.equal(await status('POST', home, token, { tenant_id: cloud.demoProjectId }), 403, 'a reader makes none')
    const blob = JSON.stringify({ access: 'lent', secret: 's' })
    const credential = { type: 'ec2', blob, user_id: cloud.demoUserId, project_id: cloud.demoProjectId }
    const { status: code, body: made } = await cloud.send('POST', '/credentials', token, { credential })
    assert.equal(code, 201, JSON.stringify(made))
    assert.equal(JSON.parse(String(made.credential!.blob)).app_cred_id, lent.id)
    const signed = { access: 'lent', secret: 's' } as unknown as Json
    assert.deepEqual(
      list((await ask(signed)).body.token!.roles).map(({ name }) => name),
      ['reader'],
    )
    const change = await cloud.send('PATCH', `/credentials/${made.credential!.id}`, demo, { credential: { blob } })
    assert.equal(change.status, 400)
    assert.match(String(change.body.error!.message), /app_cred_id can not be updated/)
    const totp = { type: 'totp', blob: 'SECRET', user_id: cloud.demoUserId }
    const own = (await cloud.send('POST', '/credentials', demo, { credential: totp })).body.credential!
    assert.equal(await status('GET', `/credentials/${own.id}`, token), 403, 'not of the project that was lent')
    assert.ok(!list((await cloud.send('GET', '/credentials', token)).body.credentials).some(({ id }) => id === own.id))
    assert.equal(await status('DELETE', `${path}/${lent.id}`, demo), 204)
    assert.equal((await ask(signed)).status, 401)
    // Whoever writes another's loan into keys of their own gets nothing by it.
    const forged = {
      ...credential,
      blob: JSON.stringify({ access: 'forged', secret: 's', app_cred_id: lent.id }),
      user_id: cloud.adminUserId,
    }
    assert.equal(await status('POST', '/credentials', admin, { credential: forged }), 201)
    assert.equal((await ask({ access: 'forged', secret: 's' } as unknown as Json)).status, 401)
  })

  test('a page of credentials holds as many as one may see', async () => {
    const make = async (user_id: string, blob: string) => {
      const { body } = await cloud.send('POST', '/credentials', admin, { credential: { type: 'cert', blob, user_id } })
      return body.credential!.id
    }
    const mine: unknown[] = []
    for (let i = 0; i < 6; i++) {
      await make(cloud.adminUserId, `a${i}`)
      mine.push(await make(String(cloud.demoUserId), `d${i}`))
    }
    const seen: unknown[] = []
    let next: string | null = '/credentials?type=cert&limit=2'
    for (; next !== null; next = next?.slice(next.indexOf('/credentials')) ?? null) {
      const { body } = await cloud.send('GET', next, demo)
      seen.push(...list(body.credentials).map(({ id }) => id))
      assert.ok(list(body.credentials).length === 2)
      next = body.links!.next as unknown as string | null
    }
    assert.deepEqual(seen, [...mine].sort())
    assert.equal(list((await cloud.send('GET', '/credentials?type=cert', admin)).body.credentials).length, 12)
    assert.equal(list((await cloud.send('GET', `/credentials?type=cert&user_id=${cloud.adminUserId}`, demo)).body.credentials).length, 0)
  })

  test('a new key seals them all anew, and the old ones are gone', async () => {
    const made = await keys()
    const sealed = () => cloud.db.read.selectFrom('identity.credential').select(['id', 'blob', 'key_id']).orderBy('id').execute()
    const before = await sealed()
    assert.ok(before.every(({ blob }) => !blob.includes(String(made.secret))))
    assert.equal(await cloud.db.write((tx) => rotateCredentialKeys(tx, cloud.key)), before.length)
    const after = await sealed()
    for (const [i, { blob }] of after.entries()) assert.notDeepEqual(blob, before[i]!.blob)
    assert.equal(new Set(after.map(({ key_id }) => key_id)).size, 1)
    assert.equal((await cloud.db.read.selectFrom('identity.credential_key').select('id').execute()).length, 1)
    assert.equal((await ask(made)).status, 200)
    await cloud.db.write((tx) => rotateCredentialKeys(tx, cloud.key))
    assert.equal((await ask(await keys())).status, 200)
  })
})
