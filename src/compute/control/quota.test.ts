// Quotas of servers as users and operators meet them: quota sets and Keystone's limits, users with limits of their own, ports, disks; and
// counts that are the rows whatever happens at once.
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { sql } from 'kysely'
import { miscounted } from '../../../test/miscounted.ts'
import type { Tx } from '../../database/connect.ts'
import { waiting } from '../../database/testing.ts'
import { setLimitModel } from '../../identity/control/limits.ts'
import { imageId, list, people, type TestCloud, testCloud } from '../testing.ts'
import { createServers, type NewServers } from './create.ts'

const launch = (cloud: TestCloud, more: object = {}, who = 'demo') =>
  cloud.ask(who, 'POST', '/servers', { server: { name: 'one', flavorRef: '42', imageRef: imageId, networks: 'auto', ...more } })

async function register(tx: Tx, service: 'compute' | 'network', name: string, default_limit: number): Promise<void> {
  await tx
    .insertInto('identity.service')
    .values({ id: service, type: service })
    .onConflict((on) => on.doNothing())
    .execute()
  await tx
    .insertInto('identity.registered_limit')
    .values({ id: name, service_id: service, resource_name: name, default_limit })
    .onConflict((on) => on.column('id').doUpdateSet({ default_limit }))
    .execute()
}

/** A cloud whose projects Keystone knows: quotas are set for no others. */
async function cloudOf(context: TestContext, options?: { engine: boolean }): Promise<TestCloud> {
  const cloud = await testCloud(context, options)
  const domain = { id: 'd', name: 'd', is_domain: true }
  const projects = ['p1', 'p2'].map((id) => ({ id, name: id, domain_id: 'd', parent_id: 'd' }))
  await cloud.db.read.insertInto('identity.project').values(domain).execute()
  await cloud.db.read.insertInto('identity.project').values(projects).execute()
  return cloud
}

describe('quotas of compute', () => {
  it('counts ports before servers, also where anything between two numbers will do', async (context) => {
    const { db, ask } = await cloudOf(context, { engine: false })
    await ask('demo', 'POST', '/servers', { server: { name: 'one', flavorRef: '42', imageRef: imageId, networks: 'auto' } })
    const plain: NewServers = {
      ...{ name: 'two', description: null, flavor: '42', image: imageId, least: 1, most: 1, networks: 'auto', security_groups: [] },
      ...{ user_data: null, config_drive: false, metadata: {}, tags: [], access_ip_v4: '', access_ip_v6: '' },
      ...{ availability_zone: null, requested_host: null, scheduler_hints: {} },
    }
    let turns = 0
    const create = (wanted: NewServers) =>
      db.write(async (tx) => {
        turns++
        await createServers(tx, people.demo!, 'p1', 'req', wanted)
      })
    let creations: Promise<void>[] = []
    await db.write(async (tx) => {
      await sql`select from identity.usage where project_id = 'p1' and resource = 'port' for update`.execute(tx)
      creations = [create(plain)]
      await waiting(db, 1)
      creations.push(create({ ...plain, most: 2 }))
      await waiting(db, 2)
    })
    await Promise.all(creations)
    assert.equal(turns, 2, 'PostgreSQL found no deadlock, so nobody had to begin again')
  })

  it('holds limits that are set in Keystone, and shows them as quota sets', async (context) => {
    const cloud = await cloudOf(context, { engine: false })
    const { read } = cloud.db
    const cores = async (what = '') => (await cloud.ask('admin', 'GET', `/os-quota-sets/p1${what}`)).body.quota_set?.cores
    await cloud.ask('admin', 'PUT', '/os-quota-class-sets/default', { quota_class_set: { cores: 30 } })
    await register(read, 'compute', 'class:VCPU', 2)
    assert.deepEqual([await cores(), await cores('/defaults')], [2, 2])
    for (const expected of [202, 202]) assert.equal((await launch(cloud)).status, expected)
    const third = await launch(cloud)
    assert.equal(third.body.forbidden?.message, 'Quota exceeded for cores: Requested 1, but already used 2 of 2 cores')

    await read
      .insertInto('identity.limit')
      .values({ id: 'l', registered_limit_id: 'class:VCPU', project_id: 'p1', resource_limit: 3 })
      .execute()
    assert.deepEqual([await cores(), await cores('/defaults')], [3, 2])
    assert.equal((await launch(cloud)).status, 202)
    await cloud.ask('admin', 'PUT', '/os-quota-sets/p1', { quota_set: { cores: 4 } })
    assert.equal(await cores(), 4, 'a quota set goes first')
    assert.equal((await launch(cloud)).status, 202)
    await cloud.ask('admin', 'DELETE', '/os-quota-sets/p1')
    assert.equal(await cores(), 3)

    const classes = await cloud.ask('admin', 'PUT', '/os-quota-class-sets/default', { quota_class_set: { cores: 40 } })
    assert.equal(classes.status, 409)
    assert.match(String(classes.body.conflictingRequest?.message), /registered limits for class:VCPU.*change them there/)
    assert.equal((await cloud.ask('admin', 'PUT', '/os-quota-class-sets/default', { quota_class_set: { ram: 4000 } })).status, 200)
    await register(read, 'compute', 'class:DISK_GB', 0)
    const disk = await launch(cloud, {}, 'other')
    const flavor = (await cloud.ask('demo', 'GET', '/flavors/42')).body.flavor
    assert.equal(disk.status, Number(flavor?.disk) > 0 ? 403 : 202)
    await register(read, 'compute', 'server_metadata_items', 1)
    const metadata = await launch(cloud, { metadata: { a: '1', b: '2' } }, 'other')
    assert.equal(metadata.body.forbidden?.message, 'Maximum number of metadata items exceeds 1')
    await register(read, 'compute', 'server_key_pairs', 0)
    assert.equal((await cloud.ask('demo', 'POST', '/os-keypairs', { keypair: { name: 'k' } }, '2.90')).status, 403)
  })

  it('says with the ports of servers, too, that there are no more', async (context) => {
    const cloud = await cloudOf(context, { engine: false })
    await register(cloud.db.read, 'network', 'port', 2)
    assert.equal((await launch(cloud)).status, 202, 'the second port, beside that of DHCP')
    const refused = await launch(cloud)
    assert.deepEqual([refused.status, refused.body.forbidden?.message], [403, 'Maximum number of ports exceeded'])
    assert.equal(list((await cloud.ask('demo', 'GET', '/servers')).body.servers).length, 1)
    assert.equal((await launch(cloud, { networks: 'none' })).status, 202)
    assert.deepEqual(await miscounted(cloud.db.read), [])
  })

  it('makes as many as fit into the domain, where limits have two levels', async (context) => {
    const cloud = await cloudOf(context, { engine: false })
    const { read } = cloud.db
    await cloud.db.write((tx) => setLimitModel(tx, 'strict_two_level'))
    await register(read, 'compute', 'servers', 5)
    const all = { id: 'of d', registered_limit_id: 'servers', domain_id: 'd', resource_limit: 6 }
    await read.insertInto('identity.limit').values(all).execute()
    const servers = async (who: string) => list((await cloud.ask(who, 'GET', '/servers')).body.servers).length
    assert.equal((await launch(cloud, { min_count: 1, max_count: 8 })).status, 202)
    assert.equal(await servers('demo'), 5, 'as many as the project may have')
    assert.equal((await launch(cloud, { min_count: 2, max_count: 3 }, 'other')).status, 403, 'not even two fit into the domain')
    assert.equal((await launch(cloud, { min_count: 1, max_count: 3 }, 'other')).status, 202)
    assert.equal(await servers('other'), 1, 'as many as the domain has left')
    await read.updateTable('identity.limit').set({ resource_limit: 9 }).execute()
    const both = await Promise.all(['other', 'other'].map((who) => launch(cloud, { min_count: 1, max_count: 2 }, who)))
    assert.deepEqual(
      both.map(({ status }) => status),
      [202, 202],
      'two that come at once take what is left, and no more',
    )
    assert.equal(await servers('other'), 4)
    assert.deepEqual(await miscounted(read), [])
  })

  it('limits a user within the project', async (context) => {
    const cloud = await cloudOf(context, { engine: false })
    const sets = (method: 'GET' | 'PUT' | 'DELETE', quota_set?: object, detail = '') =>
      cloud.ask('admin', method, `/os-quota-sets/p1${detail}?user_id=demo`, quota_set && { quota_set })
    const more = await sets('PUT', { cores: 21 })
    assert.equal(more.body.badRequest?.message, 'Quota limit 21 for cores must be less than or equal to 20.')
    assert.equal((await sets('PUT', { cores: 2 })).body.quota_set?.cores, 2)
    assert.equal((await cloud.ask('admin', 'GET', '/os-quota-sets/p1')).body.quota_set?.cores, 20, 'the project has what it had')
    for (const expected of [202, 202]) assert.equal((await launch(cloud)).status, expected)
    const refused = await launch(cloud)
    assert.equal(refused.body.forbidden?.message, 'Quota exceeded for cores: Requested 1, but already used 2 of 2 cores')
    assert.equal((await launch(cloud, { min_count: 1, max_count: 3 })).status, 403)
    const detail = (await sets('GET', undefined, '/detail')).body.quota_set
    assert.deepEqual(
      [detail?.cores, detail?.instances],
      [
        { limit: 2, in_use: 2, reserved: 0 },
        { limit: 10, in_use: 2, reserved: 0 },
      ],
    )
    const fewer = await sets('PUT', { cores: 1 })
    assert.match(String(fewer.body.badRequest?.message), /greater than or equal to already used and reserved 2/)
    assert.equal((await sets('DELETE')).status, 202)
    const answers = await Promise.all(Array.from({ length: 4 }, () => launch(cloud, { min_count: 1, max_count: 3 })))
    assert.equal(answers.filter(({ status }) => status === 202).length, 3, '3 and 3 and the last 2')
    assert.equal((await cloud.ask('demo', 'GET', '/limits')).body.limits?.absolute?.totalInstancesUsed, 10)
  })

  it('counts what is there, whatever is made, removed and limited at once', async (context) => {
    const cloud = await cloudOf(context)
    await cloud.addHost('h1', { vcpus: 400, memoryMb: 400_000, diskGb: 4000 })
    type Action = 'launch' | 'two' | 'no network' | 'delete' | 'narrow' | 'widen'
    const action = fc.constantFrom<Action[]>('launch', 'launch', 'two', 'no network', 'delete', 'delete', 'narrow', 'widen')
    const who = fc.constantFrom('demo', 'other')
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(who, action), { minLength: 6, maxLength: 16 }), async (actions) => {
        await Promise.all(
          actions.map(async ([who, action]) => {
            const project = who === 'demo' ? 'p1' : 'p2'
            if (action === 'narrow' || action === 'widen')
              await cloud.ask('admin', 'PUT', `/os-quota-sets/${project}`, {
                quota_set: { instances: action === 'narrow' ? 3 : 8, force: true },
              })
            else if (action === 'delete') {
              const { servers } = (await cloud.ask(who, 'GET', '/servers?limit=2')).body
              await Promise.all(list(servers).map(({ id }) => cloud.ask(who, 'DELETE', `/servers/${id}`)))
            } else {
              const more = { launch: {}, two: { min_count: 1, max_count: 2 }, 'no network': { networks: 'none' } }[action]
              const { status } = await launch(cloud, more, who)
              assert.ok(status === 202 || status === 403, String(status))
            }
          }),
        )
        assert.deepEqual(await miscounted(cloud.db.read), [])
        for (const who of ['demo', 'other']) {
          const { absolute } = (await cloud.ask(who, 'GET', '/limits')).body.limits!
          const { servers } = (await cloud.ask(who, 'GET', '/servers')).body
          assert.ok(Number(absolute?.totalInstancesUsed) >= list(servers).length && list(servers).length <= 10)
        }
      }),
      { numRuns: 6 },
    )
  })
})
