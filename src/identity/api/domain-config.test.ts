// A domain's own configuration: what may be set, what is shown, and what never is.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { wholeConfig } from '../control/domain-config.ts'
import { type Json, passwords, type TestCloud, testCloud } from '../testing.ts'

describe('the configuration of domains', () => {
  let cloud: TestCloud
  let admin: string
  let domain: string
  before(async () => {
    cloud = await testCloud()
    admin = await cloud.signIn('admin', passwords.admin)
    domain = String((await cloud.send('POST', '/domains', admin, { domain: { name: 'd' } })).body.domain!.id)
  })
  after(() => cloud.end())

  const send = (method: 'GET' | 'PUT' | 'PATCH' | 'DELETE', path = '', config?: unknown, token = admin) =>
    cloud.send(method, `/domains/${domain}/config${path}`, token, config === undefined ? undefined : { config })
  const status = async (...request: Parameters<typeof send>) => (await send(...request)).status
  const message = ({ body }: { body: Json }) => String(body.error!.message)

  test('set, shown, changed and forgotten: all, a group, an option', async () => {
    assert.equal(await status('GET'), 404)
    assert.equal(await status('DELETE'), 204)
    const config = { identity: { driver: 'ldap' }, ldap: { url: 'ldap://one', user_tree_dn: 'ou=People', password: 'hush' } }
    const made = await send('PUT', '', config)
    assert.equal(made.status, 201)
    const shown = { identity: { driver: 'ldap' }, ldap: { url: 'ldap://one', user_tree_dn: 'ou=People' } }
    assert.deepEqual(made.body.config, shown, 'without the secret')
    assert.equal(await status('PUT', '', config), 200)
    assert.deepEqual((await send('GET')).body.config, shown)
    assert.deepEqual((await send('GET', '/identity')).body.config, { identity: { driver: 'ldap' } })
    assert.deepEqual((await send('GET', '/ldap/url')).body.config, { url: 'ldap://one' })
    assert.equal(await status('GET', '/ldap/password'), 404)
    assert.equal(await status('GET', '/ldap/user'), 404)

    const changed = await send('PATCH', '', { ldap: { user: 'cn=admin' } })
    assert.equal((changed.body.config!.ldap as Json).user, 'cn=admin')
    assert.equal(await status('PATCH', '/ldap', { ldap: { url: 'ldap://%(password)s' } }), 200)
    assert.equal(await status('PATCH', '/ldap/password', { password: 'quiet' }), 200)
    assert.deepEqual((await wholeConfig(cloud.db.read, cloud.key, domain)).ldap, {
      password: 'quiet',
      url: 'ldap://quiet',
      user: 'cn=admin',
      user_tree_dn: 'ou=People',
    })
    const { rows } = await cloud.db.read
      .selectFrom('identity.domain_config')
      .selectAll()
      .execute()
      .then((all) => ({ rows: JSON.stringify(all) }))
    assert.doesNotMatch(rows, /quiet/, 'what is secret is sealed')

    assert.equal(await status('DELETE', '/ldap/user'), 204)
    assert.equal(await status('DELETE', '/ldap/user'), 404)
    assert.equal(await status('DELETE', '/ldap'), 204)
    assert.equal(await status('PATCH', '/ldap', { ldap: { url: 'x' } }), 404)
    assert.deepEqual((await send('GET')).body.config, { identity: { driver: 'ldap' } })
    assert.equal(await status('DELETE'), 204)
    assert.equal(await status('GET'), 404)
  })

  test('only what is known can be set, and only where it is said to be', async () => {
    await send('PUT', '', { ldap: { url: 'x' } })
    const refused: [path: string, config: unknown, reason: RegExp][] = [
      ['', {}, /No options/],
      ['', { ldap: {} }, /dictionary of options/],
      ['', { ldap: 'x' }, /dictionary of options/],
      ['', { token: { provider: 'x' } }, /Group token is not supported/],
      ['', { ldap: { colour: 'x' } }, /Option colour in group ldap/],
      ['/ldap', { identity: { driver: 'sql' } }, /only that, group/],
      ['/ldap', { ldap: { url: 'x' }, identity: { driver: 'sql' } }, /only that, group/],
      ['/ldap/url', { user: 'x' }, /only that, option/],
      ['/ldap/url', { url: 'x', user: 'x' }, /only that, option/],
      ['/colour', { colour: { red: 1 } }, /Group colour/],
    ]
    for (const [path, config, reason] of refused) {
      const answer = await send('PATCH', path, config)
      assert.equal(answer.status, 403, JSON.stringify([path, config, answer.body]))
      assert.match(message(answer), reason)
    }
    assert.equal(await status('GET', '/colour'), 403)
    assert.equal((await cloud.send('PUT', '/domains/absent/config', admin, { config: { ldap: { url: 'x' } } })).status, 404)
    assert.equal((await cloud.send('GET', `/domains/${cloud.demoProjectId}/config`, admin)).status, 404)
  })

  test('the defaults, and what everybody may know', async () => {
    const read = (path: string, token = admin) => cloud.send('GET', `/domains/${path}`, token)
    const { config } = (await read('config/default')).body
    assert.equal((config!.identity as Json).driver, 'sql')
    assert.equal((config!.ldap as Json).password, undefined)
    assert.deepEqual((await read('config/ldap/url/default')).body.config, { url: 'ldap://localhost' })
    assert.equal(((await read('config/ldap/default')).body.config!.ldap as Json).user_objectclass, 'inetOrgPerson')
    assert.equal((await read('config/ldap/password/default')).status, 403)
    assert.equal((await read('config/token/default')).status, 403)
    const demo = await cloud.signIn('demo', passwords.demo)
    assert.equal((await read('config/default', demo)).status, 403)
    assert.equal((await read(`${domain}/config`, demo)).status, 403)
    assert.deepEqual((await read('default/config/security_compliance', demo)).body.config, {
      security_compliance: { password_regex: null, password_regex_description: null },
    })
    assert.deepEqual((await read('default/config/security_compliance/password_regex', demo)).body.config, { password_regex: null })
    assert.equal((await read('default/config/security_compliance/lockout_duration', demo)).status, 403)
    assert.equal((await read(`${domain}/config/security_compliance`, demo)).status, 403)
  })
})
