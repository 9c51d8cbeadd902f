// What operators write down about federation: identity providers, protocols, mappings, service providers.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Json, passwords, type TestCloud, testCloud } from '../../testing.ts'

const rules = [
  {
    local: [{ user: { name: '{0}' } }, { group_ids: '{1}' }],
    remote: [{ type: 'openstack_username' }, { type: 'group_ids', whitelist: ['abc', '123'] }],
  },
]

describe('federation: what operators write down', () => {
  let cloud: TestCloud
  let admin: string
  before(async () => {
    cloud = await testCloud()
    admin = await cloud.signIn('admin', passwords.admin)
  })
  after(() => cloud.end())

  const fed = (method: 'GET' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown) =>
    cloud.send(method, `/OS-FEDERATION/${path}`, admin, body)
  const made = async (path: string, body: unknown): Promise<Json> => {
    const answer = await fed('PUT', path, body)
    assert.equal(answer.status, 201, JSON.stringify(answer.body))
    return Object.values(answer.body)[0]!
  }

  test('an identity provider gets a domain of its own, unless one is named', async () => {
    const own = await made('identity_providers/acme', {
      identity_provider: { description: 'ACME', remote_ids: ['https://acme/a', 'https://acme/b'] },
    })
    assert.equal(own.enabled, false)
    assert.deepEqual([...(own.remote_ids as unknown as string[])].sort(), ['https://acme/a', 'https://acme/b'])
    assert.equal(String(own.links!.protocols), 'http://cloud.test:5000/identity/v3/OS-FEDERATION/identity_providers/acme/protocols')
    const domain = await cloud.send('GET', `/domains/${own.domain_id}`, admin)
    assert.equal(domain.body.domain!.name, own.domain_id)
    const named = await made('identity_providers/named', { identity_provider: { domain_id: 'default', enabled: true } })
    assert.equal(named.domain_id, 'default')
    assert.equal((await fed('PUT', 'identity_providers/ghost', { identity_provider: { domain_id: 'nowhere' } })).status, 404)
    assert.equal((await fed('GET', 'identity_providers/ghost')).status, 404)
    assert.equal((await fed('PUT', 'identity_providers/acme', { identity_provider: {} })).status, 409)
    const stolen = await fed('PUT', 'identity_providers/thief', { identity_provider: { remote_ids: ['https://acme/a'] } })
    assert.equal(stolen.status, 409)
    assert.match(String(stolen.body.error!.message), /Duplicate remote ID: https:\/\/acme\/a/)
  })

  test('an identity provider is listed, found, changed and deleted', async () => {
    const ids = async (query: string) =>
      ((await fed('GET', `identity_providers${query}`)).body.identity_providers as unknown as Json[]).map(({ id }) => String(id))
    assert.deepEqual(await ids(''), ['acme', 'named'])
    assert.deepEqual(await ids('?enabled=true'), ['named'])
    assert.deepEqual(await ids('?id=acme'), ['acme'])
    const changed = await fed('PATCH', 'identity_providers/acme', {
      identity_provider: { enabled: true, remote_ids: null, authorization_ttl: 60 },
    })
    assert.equal(changed.body.identity_provider!.enabled, true)
    assert.equal(changed.body.identity_provider!.description, 'ACME')
    assert.equal(changed.body.identity_provider!.authorization_ttl, 60)
    assert.deepEqual(changed.body.identity_provider!.remote_ids, [])
    assert.equal((await fed('PATCH', 'identity_providers/acme', { identity_provider: { domain_id: 'default' } })).status, 400)
    assert.equal((await fed('PATCH', 'identity_providers/acme', { identity_provider: {} })).status, 400)
    assert.equal((await fed('DELETE', 'identity_providers/named')).status, 204)
    assert.equal((await fed('DELETE', 'identity_providers/named')).status, 404)
  })

  test('a mapping is checked, kept as it was sent, and changed', async () => {
    const mapping = await made('mappings/staff', { mapping: { rules } })
    assert.deepEqual(mapping.rules, rules)
    assert.equal(mapping.schema_version, '1.0')
    assert.equal((await fed('PUT', 'mappings/staff', { mapping: { rules } })).status, 409)
    assert.equal((await fed('PUT', 'mappings/bad', { mapping: {} })).status, 400)
    const local = [{ group: { id: '85a868' } }]
    const changed = await fed('PATCH', 'mappings/staff', { mapping: { rules: [{ ...rules[0], local }], schema_version: '2.0' } })
    assert.deepEqual((changed.body.mapping!.rules as unknown as Json[])[0]!.local, local)
    assert.equal((await fed('GET', 'mappings/staff')).body.mapping!.schema_version, '2.0')
    assert.equal(((await fed('GET', 'mappings')).body.mappings as unknown as Json[]).length, 1)
  })

  test('a protocol joins a provider and a mapping that exists', async () => {
    const at = 'identity_providers/acme/protocols'
    assert.equal((await fed('PUT', `${at}/saml2`, { protocol: { mapping_id: 'nothing' } })).status, 400)
    const protocol = await made(`${at}/saml2`, { protocol: { mapping_id: 'staff' } })
    assert.equal(protocol.mapping_id, 'staff')
    assert.match(String(protocol.links!.identity_provider), /identity_providers\/acme$/)
    assert.equal((await fed('PUT', `${at}/saml2`, { protocol: { mapping_id: 'staff' } })).status, 409)
    assert.equal((await fed('PATCH', `${at}/saml2`, { protocol: { mapping_id: 'nothing' } })).status, 400)
    const changed = await fed('PATCH', `${at}/saml2`, { protocol: { mapping_id: 'staff', remote_id_attribute: 'MELLON_IDP' } })
    assert.equal(changed.body.protocol!.remote_id_attribute, 'MELLON_IDP')
    const [listed] = (await fed('GET', at)).body.protocols as unknown as Json[]
    assert.equal(listed!.idp_id, 'acme')
    assert.equal((await fed('GET', `${at}/other`)).status, 404)
    assert.equal((await fed('GET', 'identity_providers/ghost/protocols')).status, 404)
    assert.equal((await fed('DELETE', `${at}/saml2`)).status, 204)
  })

  test('tokens name the service providers that are enabled', async () => {
    const sp = { auth_url: 'https://far.example/v3/auth', sp_url: 'https://far.example/Shibboleth.sso/SAML2/ECP' }
    const off = await made('service_providers/off', { service_provider: sp })
    assert.deepEqual([off.enabled, off.relay_state_prefix, off.description], [false, 'ss:mem:', null])
    await made('service_providers/on', { service_provider: { ...sp, enabled: true, relay_state_prefix: 'x:' } })
    const seen = async () =>
      (await cloud.send('GET', '/auth/tokens', admin, undefined, { 'x-subject-token': admin })).body.token!.service_providers
    assert.deepEqual(await seen(), [{ id: 'on', ...sp }])
    assert.equal((await fed('PATCH', 'service_providers/on', { service_provider: { sp_url: 'nonsense' } })).status, 400)
    const changed = await fed('PATCH', 'service_providers/on', { service_provider: { enabled: false } })
    assert.equal(changed.body.service_provider!.relay_state_prefix, 'x:')
    assert.equal(await seen(), undefined)
    assert.equal((await fed('PUT', 'service_providers/bad', { service_provider: { auth_url: sp.auth_url } })).status, 400)
    assert.equal((await fed('DELETE', 'service_providers/on')).status, 204)
    assert.equal((await fed('GET', 'service_providers/on')).status, 404)
  })

  test('a domain takes its identity providers with it', async () => {
    const { domain_id } = (await fed('GET', 'identity_providers/acme')).body.identity_provider!
    await cloud.send('PATCH', `/domains/${domain_id}`, admin, { domain: { enabled: false } })
    assert.equal((await cloud.send('DELETE', `/domains/${domain_id}`, admin)).status, 204)
    assert.equal((await fed('GET', 'identity_providers/acme')).status, 404)
  })
})
