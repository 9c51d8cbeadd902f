// Users from a real LDAP directory (Debian's slapd, started here as nobody on loopback): seen, signed in, grouped, never changed; and what
// happens when it is away.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Attribute, Change, Client } from 'ldapts'
import { freePort } from '../../../test/free-port.ts'
import { type Json, password, passwords, type TestCloud, testCloud } from '../testing.ts'
import { publicId, readDomain } from './directory.ts'
import { handlers } from './work.ts'

const program = '/usr/sbin/slapd'
const suffix = 'dc=corp,dc=test'
const root = { dn: `cn=admin,${suffix}`, password: 'of-the-directory' }

interface Slapd {
  url: string
  start(): Promise<void>
  stop(): Promise<void>
  end(): Promise<void>
  /** As its administrator. */
  client(): Promise<Client>
}

async function slapd(): Promise<Slapd> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-slapd-'))
  const nobody = 65534
  fs.mkdirSync(path.join(folder, 'data'))
  for (const place of [folder, path.join(folder, 'data')]) fs.chownSync(place, nobody, nobody)
  const schemas = ['core', 'cosine', 'inetorgperson'].map((name) => `include /etc/ldap/schema/${name}.schema`)
  const config = `${schemas.join('\n')}
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile ${folder}/pid
database mdb
suffix "${suffix}"
rootdn "${root.dn}"
rootpw ${root.password}
directory ${folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by * read
`
  fs.writeFileSync(path.join(folder, 'slapd.conf'), config)
  const port = await freePort()
  const url = `ldap://127.0.0.1:${port}`
  let child: ChildProcess | undefined
  const client = async () => {
    const made = new Client({ url })
    await made.bind(root.dn, root.password)
    return made
  }
  const stop = async () => {
    if (!child || child.exitCode !== null) return
    child.kill()
    await once(child, 'exit')
  }
  return {
    url,
    client,
    stop,
    async end() {
      await stop()
      fs.rmSync(folder, { recursive: true })
    },
    async start() {
      const words = ['-f', path.join(folder, 'slapd.conf'), '-h', url, '-d', '0']
      child = spawn(program, words, { stdio: 'ignore', ...(process.getuid?.() === 0 && { uid: nobody, gid: nobody }) })
      for (let tries = 0; ; tries++) {
        const socket = net.connect(port, '127.0.0.1')
        const answered = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(
          () => false,
        )
        socket.destroy()
        if (answered) return
        if (tries > 1200 || child.exitCode !== null) throw new Error('slapd did not start')
        await new Promise((go) => setTimeout(go, 50))
      }
    },
  }
}

const person = (uid: string, more: Record<string, string> = {}) => ({
  objectClass: 'inetOrgPerson',
  uid,
  cn: uid,
  sn: uid,
  userPassword: `secret of ${uid}`,
  mail: `${uid}@corp.test`,
  ...more,
})

describe('users from LDAP', { skip: !fs.existsSync(program) && 'slapd is not installed' }, () => {
  let server: Slapd
  let cloud: TestCloud
  let admin: string
  let domain: string
  const dn = (uid: string) => `uid=${uid},ou=People,${suffix}`
  const group = (cn: string) => `cn=${cn},ou=Groups,${suffix}`
  const send = (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', where: string, body?: object, token = admin) =>
    cloud.send(method, where, token, body)
  const status = async (...request: Parameters<typeof send>) => (await send(...request)).status
  const id = (kind: 'user' | 'group', name: string) => publicId(domain, kind, name)
  const signIn = (name: string, secret: string, scope: unknown = 'unscoped') => {
    const request = password(name, secret, scope)
    Object.assign(request.auth.identity.password.user, { domain: { id: domain } })
    return cloud.send('POST', '/auth/tokens', undefined, request)
  }
  const readAgain = () => readDomain({ db: cloud.db, key: cloud.key }, { id: domain, name: 'corp' })

  before(async () => {
    server = await slapd()
    await server.start()
    const ldap = await server.client()
    await ldap.add(suffix, { objectClass: ['dcObject', 'organization'], dc: 'corp', o: 'Corp' })
    for (const ou of ['People', 'Groups']) await ldap.add(`ou=${ou},${suffix}`, { objectClass: 'organizationalUnit', ou })
    await ldap.add(dn('alice'), person('alice', { description: 'the first', telephoneNumber: '42' }))
    await ldap.add(dn('bob'), person('bob', { employeeType: 'FALSE' }))
    await ldap.add(dn('carol'), person('carol'))
    await ldap.add(group('staff'), { objectClass: 'groupOfNames', cn: 'staff', description: 'all', member: [dn('alice'), dn('carol')] })
    await ldap.unbind()

    cloud = await testCloud()
    admin = await cloud.signIn('admin', passwords.admin)
    domain = String((await send('POST', '/domains', { domain: { name: 'corp' } })).body.domain!.id)
    const config = {
      identity: { driver: 'ldap' },
      ldap: {
        url: server.url,
        user: root.dn,
        password: root.password,
        suffix,
        page_size: 2,
        user_tree_dn: `ou=People,${suffix}`,
        user_id_attribute: 'uid',
        user_name_attribute: 'uid',
        user_enabled_attribute: 'employeeType',
        user_additional_attribute_mapping: ['telephoneNumber:phone'],
        group_tree_dn: `ou=Groups,${suffix}`,
        group_name_attribute: 'cn',
      },
    }
    assert.equal(await status('PUT', `/domains/${domain}/config`, { config }), 201)
  })
  after(async () => {
    await cloud?.end()
    await server.end()
  })

  test('are listed and shown with their groups, under ids that stay', async () => {
    const { users } = (await send('GET', `/users?domain_id=${domain}`)).body
    const all = (users as unknown as Json[]).map((user) => [user.id, user.name, user.enabled])
    assert.deepEqual(all.sort(), ['alice', 'bob', 'carol'].map((name) => [id('user', name), name, name !== 'bob']).sort())
    const alice = (await send('GET', `/users/${id('user', 'alice')}`)).body.user!
    assert.deepEqual([alice.email, alice.description, alice.phone, alice.domain_id], ['alice@corp.test', 'the first', '42', domain])
    const names = async (where: string, key: string) =>
      ((await send('GET', where)).body[key] as unknown as Json[]).map(({ name }) => String(name))
    assert.deepEqual(await names(`/groups?domain_id=${domain}`, 'groups'), ['staff'])
    assert.deepEqual((await names(`/groups/${id('group', 'staff')}/users`, 'users')).sort(), ['alice', 'carol'])
    assert.deepEqual(await names(`/users/${id('user', 'alice')}/groups`, 'groups'), ['staff'])
    assert.equal(await status('GET', `/groups/${id('group', 'staff')}/users/${id('user', 'bob')}`), 404)
    assert.equal(await status('GET', `/users/${id('user', 'nobody')}`), 404)
  })

  test('sign in with the directory’s password, with what their groups may do', async () => {
    const [role] = (await send('GET', '/roles?name=member')).body.roles as unknown as Json[]
    const grant = `/projects/${cloud.demoProjectId}/groups/${id('group', 'staff')}/roles/${role!.id}`
    assert.equal(await status('PUT', grant), 204)
    const answer = await signIn('alice', 'secret of alice', { project: { id: cloud.demoProjectId } })
    assert.equal(answer.status, 201, JSON.stringify(answer.body))
    assert.deepEqual(
      (answer.body.token!.roles as unknown as Json[]).map(({ name }) => name),
      ['member', 'reader'],
    )
    assert.equal(answer.body.token!.user!.id, id('user', 'alice'))
    const byId = password('', 'secret of alice', 'unscoped')
    byId.auth.identity.password.user = { id: id('user', 'alice'), password: 'secret of alice' } as never
    assert.equal((await cloud.send('POST', '/auth/tokens', undefined, byId)).status, 201)
    for (const [name, secret] of [
      ['alice', 'wrong'],
      ['alice', ''],
      ['nobody', 'secret of alice'],
      ['*', 'secret of alice'],
      ['bob', 'secret of bob'],
    ] as const) {
      assert.equal((await signIn(name, secret)).status, 401, `${name} ${secret}`)
    }
  })

  test('cannot be changed here', async () => {
    const user = `/users/${id('user', 'alice')}`
    const team = `/groups/${id('group', 'staff')}`
    const refused = await send('PATCH', user, { user: { description: 'x' } })
    assert.equal(refused.status, 403)
    assert.match(String(refused.body.error!.message), /come from its LDAP directory/)
    assert.equal(await status('DELETE', user), 403)
    assert.equal(await status('POST', '/users', { user: { name: 'x', domain_id: domain } }), 403)
    assert.equal(await status('POST', '/groups', { group: { name: 'x', domain_id: domain } }), 403)
    assert.equal(await status('PATCH', team, { group: { name: 'x' } }), 403)
    assert.equal(await status('DELETE', team), 403)
    assert.equal(await status('PUT', `${team}/users/${cloud.demoUserId}`), 403)
    assert.equal(await status('DELETE', `${team}/users/${id('user', 'alice')}`), 403)
    const change = { user: { original_password: 'secret of alice', password: 'y' } }
    assert.equal((await cloud.send('POST', `${user}/password`, undefined, change)).status, 403)
  })

  test('who leaves the directory or a group loses what that gave, and gets it back', async () => {
    const scope = { project: { id: cloud.demoProjectId } }
    const token = String((await signIn('carol', 'secret of carol', scope)).headers['x-subject-token'])
    const works = async () => (await send('GET', '/auth/projects', undefined, token)).status === 200
    assert.ok(await works())
    const ldap = await server.client()
    const remove = new Change({ operation: 'delete', modification: new Attribute({ type: 'member', values: [dn('carol')] }) })
    await ldap.modify(group('staff'), remove)
    await readAgain()
    assert.equal(await works(), false, 'no longer in the group')
    assert.equal((await signIn('carol', 'secret of carol', scope)).status, 401)
    await ldap.del(dn('carol'))
    const due = await cloud.db.read.selectFrom('work.due').select('key').where('kind', '=', 'directory').execute()
    assert.deepEqual(due, [{ key: domain }], 'looked at from time to time')
    assert.equal(await cloud.db.write((tx) => handlers(cloud.db, cloud.key).directory!(tx, domain)), 300_000)
    assert.equal((await send('GET', `/users/${id('user', 'carol')}`)).body.user!.enabled, false)
    assert.equal((await signIn('carol', 'secret of carol')).status, 401)
    await ldap.add(dn('carol'), person('carol'))
    await ldap.unbind()
    assert.equal((await signIn('carol', 'secret of carol')).status, 201)
  })

  test('two with one name, and one who was here before', async () => {
    const local = await cloud.db.read
      .insertInto('identity.user')
      .values({ id: 'local', name: 'dave', domain_id: domain })
      .returning('id')
      .executeTakeFirstOrThrow()
    const ldap = await server.client()
    await ldap.add(dn('dave'), person('dave'))
    await readAgain()
    assert.equal((await send('GET', `/users/${id('user', 'dave')}`)).body.user!.name, 'dave (dave)')
    assert.equal((await send('GET', `/users/${local.id}`)).body.user!.name, 'dave')
    await ldap.unbind()
  })

  test('when the directory is away only its users wait outside, and are told why', async () => {
    const token = String((await signIn('alice', 'secret of alice', { project: { id: cloud.demoProjectId } })).headers['x-subject-token'])
    await server.stop()
    const refused = await signIn('alice', 'secret of alice')
    assert.equal(refused.status, 503)
    assert.match(String(refused.body.error!.message), /LDAP directory of the domain corp cannot be asked: .*ECONNREFUSED/)
    assert.doesNotMatch(JSON.stringify(refused.body), /of-the-directory/)
    assert.equal(await status('GET', '/auth/projects', undefined, token), 200, 'who is in stays in')
    assert.ok(await cloud.signIn('demo', passwords.demo))
    assert.equal(await status('GET', '/users?domain_id=default'), 200)
    assert.equal(await status('GET', '/users'), 200)
    await server.start()
    assert.equal((await signIn('alice', 'secret of alice')).status, 201)
  })
})
