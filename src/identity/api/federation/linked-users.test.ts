// `federated`: as Keystone answers it.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { shadowUser } from '../../control/federation/shadow-users.ts'
import { type Json, passwords, type TestCloud, testCloud } from '../../testing.ts'

describe('users whom an identity provider knows', () => {
  let cloud: TestCloud
  let admin: string
  before(async () => {
    cloud = await testCloud()
    admin = await cloud.signIn('admin', passwords.admin)
    const put = async (path: string, body: object) => assert.equal((await cloud.send('PUT', path, admin, body)).status, 201)
    await put('/OS-FEDERATION/identity_providers/idp', { identity_provider: { enabled: true } })
    const rules = [{ local: [{ user: { name: '{0}' } }], remote: [{ type: 'X' }] }]
    await put('/OS-FEDERATION/mappings/mapping', { mapping: { rules } })
    await put('/OS-FEDERATION/identity_providers/idp/protocols/openid', { protocol: { mapping_id: 'mapping' } })
  })
  after(() => cloud.end())

  const link = (unique_id: string, protocol_id = 'openid', idp_id = 'idp') => [{ idp_id, protocols: [{ protocol_id, unique_id }] }]
  const create = (name: string, federated: unknown) => cloud.send('POST', '/users', admin, { user: { name, federated } })
  const found = async (query: string) =>
    ((await cloud.send('GET', `/users?${query}`, admin)).body.users as unknown as Json[]).map(({ name }) => name)

  test('are made, shown, found and linked anew', async () => {
    const made = await create('ann', link('a1'))
    assert.equal(made.status, 201, JSON.stringify(made.body))
    const { id } = made.body.user!
    assert.deepEqual(made.body.user!.federated, link('a1'))
    const show = async () => (await cloud.send('GET', `/users/${id}`, admin)).body.user!
    assert.deepEqual((await show()).federated, link('a1'))
    assert.deepEqual(await found('unique_id=a1'), ['ann'])
    assert.deepEqual(await found('idp_id=idp&protocol_id=openid&unique_id=a2'), [])
    const change = async (user: object) => (await cloud.send('PATCH', `/users/${id}`, admin, { user })).body.user!
    assert.deepEqual((await change({ description: 'd' })).federated, link('a1'))
    assert.deepEqual((await change({ federated: link('a2') })).federated, link('a2'))
    assert.deepEqual((await change({ federated: [] })).federated, link('a2'), 'none given, none changed')
    const who = { provider: 'idp', protocol: 'openid', uniqueId: 'a2', name: 'Ann at the provider', domainId: 'default' }
    assert.equal((await cloud.db.write((tx) => shadowUser(tx, { ...who, email: undefined }))).id, id, 'who comes in so is that user')
    const [listed] = (await cloud.send('GET', '/users?name=ann', admin)).body.users as unknown as Json[]
    assert.equal(listed!.federated, undefined)
    const plain = await create('plain', undefined)
    assert.equal('federated' in plain.body.user!, false)
  })

  test('what is wrong is refused, and nothing is left of it', async () => {
    const refused = async (federated: unknown, status: number, message: RegExp) => {
      const answer = await create('bob', federated)
      assert.equal(answer.status, status, JSON.stringify(answer.body))
      assert.match(String(answer.body.error!.message), message)
      assert.deepEqual(await found('name=bob'), [])
    }
    assert.equal((await create('first', link('taken'))).status, 201)
    await refused(link('taken'), 409, /federated_user - Duplicate entry/)
    await refused(link('x', 'openid', 'none'), 400, /Could not find Identity Provider: none/)
    await refused(link('x', 'none'), 400, /Could not find federated protocol none for Identity Provider: idp\./)
    await refused([{ idp_id: 'idp' }], 400, /federated/)
    await refused([{ idp_id: 'idp', protocols: [] }], 400, /federated/)
    await refused('idp', 400, /federated/)
  })
})
