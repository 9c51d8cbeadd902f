// Everything of the compute API beside servers' lives: flavors, keys, quotas, hosts, what belongs to a server.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sql } from 'kysely'
import { waiting } from '../../database/testing.ts'
import { type Answer, imageId, list, type TestCloud, testCloud } from '../testing.ts'

async function launch(cloud: TestCloud): Promise<string> {
  const answer = await cloud.ask('demo', 'POST', '/servers', {
    server: { name: 'one', flavorRef: '42', imageRef: imageId, networks: 'auto' },
  })
  assert.equal(answer.status, 202, JSON.stringify(answer.body))
  return String(answer.body.server?.id)
}

describe('compute resources', () => {
  it('keeps flavors, their extra specs and who may use the private ones', async (context) => {
    const cloud = await testCloud(context, { engine: false })
    const names = async (who: string, query = '') =>
      list((await cloud.ask(who, 'GET', `/flavors/detail${query}`)).body.flavors).map(({ name }) => String(name))
    assert.deepEqual((await names('demo')).sort(), ['m1.large', 'm1.medium', 'm1.micro', 'm1.nano', 'm1.small', 'm1.tiny'])
    assert.deepEqual(await names('demo', '?minRam=4096&sort_key=memory_mb'), ['m1.medium', 'm1.large'])
    assert.equal((await cloud.ask('demo', 'POST', '/flavors', { flavor: { name: 'x', ram: 1, vcpus: 1, disk: 0 } })).status, 403)
    const made = await cloud.ask('admin', 'POST', '/flavors', {
      flavor: { name: 'secret', ram: 64, vcpus: 1, disk: 1, 'os-flavor-access:is_public': false },
    })
    assert.equal(made.status, 200, JSON.stringify(made.body))
    const id = String(made.body.flavor?.id)
    assert.equal((await cloud.ask('admin', 'POST', '/flavors', { flavor: { name: 'secret', ram: 64, vcpus: 1, disk: 1 } })).status, 409)
    assert.equal((await cloud.ask('demo', 'GET', `/flavors/${id}`)).status, 404)
    assert.equal((await cloud.ask('admin', 'POST', `/flavors/${id}/action`, { addTenantAccess: { tenant: 'p1' } })).status, 200)
    assert.equal((await cloud.ask('demo', 'GET', `/flavors/${id}`)).status, 200)
    assert.equal(
      (await cloud.ask('admin', 'POST', `/flavors/${id}/os-extra_specs`, { extra_specs: { 'hw:mem_page_size': 'large' } })).status,
      200,
    )
    assert.deepEqual((await cloud.ask('demo', 'GET', `/flavors/${id}`)).body.flavor?.extra_specs, { 'hw:mem_page_size': 'large' })
    assert.equal((await cloud.ask('admin', 'DELETE', `/flavors/${id}/os-extra_specs/hw:mem_page_size`)).status, 200)
    assert.equal((await cloud.ask('admin', 'DELETE', `/flavors/${id}/os-extra_specs/hw:mem_page_size`)).status, 404)
    assert.equal((await cloud.ask('admin', 'DELETE', `/flavors/${id}`)).status, 202)
    assert.equal((await cloud.ask('admin', 'GET', `/flavors/${id}`)).status, 404)
  })

  it('keeps both of two extra specs that are set at once', async (context) => {
    const { ask, db } = await testCloud(context, { engine: false })
    let answers: Promise<Answer>[] = []
    await db.write(async (tx) => {
      await sql`select from compute.flavor where id = '42' for update`.execute(tx)
      answers = ['a', 'b'].map((name) => ask('admin', 'POST', '/flavors/42/os-extra_specs', { extra_specs: { [name]: '1' } }))
      await waiting(db, 2)
    })
    assert.deepEqual(
      (await Promise.all(answers)).map(({ status }) => status),
      [200, 200],
    )
    assert.deepEqual((await ask('admin', 'GET', '/flavors/42/os-extra_specs')).body.extra_specs, { a: '1', b: '1' })
  })

  it('keeps key pairs by user', async (context) => {
    const cloud = await testCloud(context, { engine: false })
    const made = await cloud.ask('demo', 'POST', '/os-keypairs', { keypair: { name: 'a' } }, '2.90')
    assert.equal(made.status, 201)
    assert.match(String(made.body.keypair?.private_key), /^-----BEGIN OPENSSH PRIVATE KEY-----/)
    const { public_key } = made.body.keypair!
    assert.equal((await cloud.ask('demo', 'POST', '/os-keypairs', { keypair: { name: 'a', public_key } })).status, 409)
    assert.equal((await cloud.ask('demo', 'POST', '/os-keypairs', { keypair: { name: 'b' } })).status, 400, 'since 2.92 a key is brought')
    assert.equal((await cloud.ask('demo', 'POST', '/os-keypairs', { keypair: { name: 'b', public_key } }, '2.1')).status, 200)
    assert.equal(list((await cloud.ask('demo', 'GET', '/os-keypairs')).body.keypairs).length, 2)
    assert.equal(list((await cloud.ask('other', 'GET', '/os-keypairs')).body.keypairs).length, 0)
    assert.equal((await cloud.ask('other', 'GET', '/os-keypairs?user_id=demo')).status, 403)
    assert.equal((await cloud.ask('admin', 'GET', '/os-keypairs/a?user_id=demo')).body.keypair?.fingerprint, made.body.keypair?.fingerprint)
    assert.equal((await cloud.ask('demo', 'DELETE', '/os-keypairs/a')).status, 204)
    assert.equal((await cloud.ask('demo', 'GET', '/os-keypairs/a')).status, 404)
  })

  it('makes no more key pairs than a user may have, also at once', async (context) => {
    const { ask, db } = await testCloud(context, { engine: false })
    await ask('admin', 'PUT', '/os-quota-class-sets/default', { quota_class_set: { key_pairs: 1 } })
    let answers: Promise<Answer>[] = []
    await db.write(async (tx) => {
      // Pairs can be counted meanwhile, but not made.
      await sql`lock table compute.keypair in share mode`.execute(tx)
      answers = ['a', 'b'].map((name) => ask('demo', 'POST', '/os-keypairs', { keypair: { name } }, '2.90'))
      await waiting(db, 2)
    })
    assert.deepEqual((await Promise.all(answers)).map(({ status }) => status).sort(), [201, 403])
  })

  it('keeps quotas, and shows limits and usage', async (context) => {
    const cloud = await testCloud(context, { engine: false })
    await launch(cloud)
    const absolute = (await cloud.ask('demo', 'GET', '/limits')).body.limits?.absolute
    assert.deepEqual([absolute?.maxTotalInstances, absolute?.totalInstancesUsed, absolute?.totalRAMUsed], [10, 1, 128])
    assert.equal((await cloud.ask('demo', 'PUT', '/os-quota-sets/p1', { quota_set: { cores: 1 } })).status, 403)
    assert.equal((await cloud.ask('demo', 'GET', '/os-quota-sets/p2')).status, 403)
    assert.equal((await cloud.ask('demo', 'GET', '/os-quota-sets/p1/detail')).body.quota_set?.cores?.in_use, 1)
    const own = await cloud.ask('admin', 'PUT', '/os-quota-sets/p0', { quota_set: { cores: 7 } })
    assert.equal(own.body.quota_set?.cores, 7)
    assert.equal((await cloud.ask('admin', 'GET', '/os-quota-sets/p0/defaults')).body.quota_set?.cores, 20)
    assert.equal((await cloud.ask('admin', 'DELETE', '/os-quota-sets/p0')).status, 202)
    assert.equal((await cloud.ask('admin', 'GET', '/os-quota-sets/p0')).body.quota_set?.cores, 20)
    assert.equal((await cloud.ask('admin', 'PUT', '/os-quota-class-sets/default', { quota_class_set: { cores: 40 } })).status, 200)
    assert.equal((await cloud.ask('demo', 'GET', '/limits')).body.limits?.absolute?.maxTotalCores, 40)
    assert.equal(list((await cloud.ask('demo', 'GET', '/os-simple-tenant-usage/p1')).body.tenant_usage?.server_usages).length, 1)
    assert.equal((await cloud.ask('demo', 'GET', '/os-simple-tenant-usage/p2')).status, 403)
    const later = await cloud.ask('demo', 'GET', '/os-simple-tenant-usage/p1?start=2190-01-01T00:00:00&end=2191-01-01T00:00:00')
    assert.deepEqual([later.body.tenant_usage?.total_hours, later.body.tenant_usage?.total_memory_mb_usage], [0, 0], 'not negative')
  })

  it('shows hosts to operators, and lets them switch services', async (context) => {
    const cloud = await testCloud(context)
    const host = await cloud.addHost('h1', { vcpus: 4, memoryMb: 2048 })
    const id = await launch(cloud)
    await cloud.until(id, (server) => String(server?.status) === 'ACTIVE')
    assert.equal((await cloud.ask('demo', 'GET', '/os-hypervisors')).status, 403)
    const old = list((await cloud.ask('admin', 'GET', '/os-hypervisors/detail', undefined, '2.87')).body.hypervisors)[0]
    assert.deepEqual([old?.hypervisor_hostname, old?.vcpus, old?.vcpus_used, old?.memory_mb_used, old?.running_vms], ['h1', 4, 1, 128, 1])
    const shown = (await cloud.ask('admin', 'GET', `/os-hypervisors/${host.id}?with_servers=true`)).body.hypervisor
    assert.equal(list(shown?.servers)[0]?.uuid, id)
    assert.equal((await cloud.ask('admin', 'GET', '/os-hypervisors/statistics', undefined, '2.87')).body.hypervisor_statistics?.count, 1)
    assert.equal((await cloud.ask('admin', 'GET', '/os-hypervisors/statistics')).status, 404)
    // `openstack hypervisor show` asks for the uptime, and goes without it only where it is not implemented.
    assert.equal((await cloud.ask('admin', 'GET', `/os-hypervisors/${old?.id}/uptime`, undefined, '2.87')).status, 501)
    assert.equal((await cloud.ask('admin', 'GET', '/os-hypervisors/0/uptime', undefined, '2.87')).status, 404)
    const service = list((await cloud.ask('admin', 'GET', '/os-services')).body.services)[0]
    assert.deepEqual([service?.binary, service?.host, service?.state, service?.status], ['nova-compute', 'h1', 'up', 'enabled'])
    const off = await cloud.ask('admin', 'PUT', `/os-services/${service?.id}`, { status: 'disabled', disabled_reason: 'new fan' })
    assert.equal(off.body.service?.disabled_reason, 'new fan')
    const second = await launch(cloud)
    const failed = await cloud.until(second, (server) => String(server?.status) === 'ERROR')
    assert.match(String(failed?.fault?.message), /ComputeFilter: the compute service is disabled: new fan/)
    assert.equal((await cloud.ask('admin', 'PUT', '/os-services/enable', { host: 'h1', binary: 'nova-compute' }, '2.1')).status, 200)
    assert.equal((await cloud.ask('admin', 'POST', `/servers/${second}/action`, { 'os-resetState': { state: 'active' } })).status, 202)
    await cloud.until(second, (server) => String(server?.status) === 'ACTIVE')
    assert.equal((await cloud.ask('admin', 'DELETE', `/os-services/${service?.id}`)).status, 409)
    assert.equal(
      list((await cloud.ask('admin', 'GET', '/os-availability-zone/detail')).body.availabilityZoneInfo)[0]?.hosts?.h1?.['nova-compute']
        ?.available,
      true,
    )
    assert.equal(list((await cloud.ask('demo', 'GET', '/os-availability-zone')).body.availabilityZoneInfo)[0]?.hosts, null)
  })

  it('deletes servers on a host that is declared down', async (context) => {
    const cloud = await testCloud(context)
    const host = await cloud.addHost('h1')
    const id = await launch(cloud)
    await cloud.until(id, (server) => String(server?.status) === 'ACTIVE')
    host.connected = false
    await cloud.ask('admin', 'PUT', '/os-services/force-down', { host: 'h1', binary: 'nova-compute', forced_down: true }, '2.52')
    assert.equal((await cloud.ask('demo', 'DELETE', `/servers/${id}`)).status, 204)
    await cloud.until(id, (server) => server === null)
    host.connected = true
    cloud.follow(host.id)
    await context.waitFor(() => assert.equal(host.machine.real.get('server')?.size, 0))
  })

  it('keeps metadata, tags, addresses and interfaces of a server', async (context) => {
    const cloud = await testCloud(context, { engine: false })
    const id = await launch(cloud)
    const at = `/servers/${id}`
    assert.deepEqual((await cloud.ask('demo', 'POST', `${at}/metadata`, { metadata: { a: '1', b: '2' } })).body, {
      metadata: { a: '1', b: '2' },
    })
    assert.deepEqual((await cloud.ask('demo', 'PUT', `${at}/metadata/a`, { meta: { a: '3' } })).body, { meta: { a: '3' } })
    assert.equal((await cloud.ask('demo', 'PUT', `${at}/metadata/a`, { meta: { b: '3' } })).status, 400)
    assert.equal((await cloud.ask('demo', 'DELETE', `${at}/metadata/b`)).status, 204)
    assert.equal((await cloud.ask('demo', 'GET', `${at}/metadata/b`)).status, 404)
    assert.deepEqual((await cloud.ask('demo', 'GET', `${at}/metadata`)).body, { metadata: { a: '3' } })
    assert.equal((await cloud.ask('other', 'GET', `${at}/metadata`)).status, 404)

    assert.equal((await cloud.ask('demo', 'PUT', `${at}/tags/red`)).status, 201)
    assert.equal((await cloud.ask('demo', 'PUT', `${at}/tags/red`)).status, 204)
    assert.deepEqual((await cloud.ask('demo', 'PUT', `${at}/tags`, { tags: ['x', 'y'] })).body, { tags: ['x', 'y'] })
    assert.equal((await cloud.ask('demo', 'DELETE', `${at}/tags/x`)).status, 204)
    assert.equal((await cloud.ask('demo', 'GET', `${at}/tags/x`)).status, 404)
    assert.equal((await cloud.ask('demo', 'DELETE', `${at}/tags`)).status, 204)

    const address = list((await cloud.ask('demo', 'GET', `${at}/ips`)).body.addresses?.private)[0]
    assert.deepEqual(Object.keys(address ?? {}).sort(), ['addr', 'version'])
    assert.equal((await cloud.ask('demo', 'GET', `${at}/ips/none`)).status, 404)
    const port = list((await cloud.ask('demo', 'GET', `${at}/os-interface`)).body.interfaceAttachments)[0]
    assert.equal(list(port?.fixed_ips)[0]?.ip_address, address?.addr)
    assert.equal(list((await cloud.ask('demo', 'GET', `${at}/os-security-groups`)).body.security_groups)[0]?.name, 'default')
    const updated = await cloud.ask('demo', 'PUT', at, { server: { name: 'two', hostname: 'web', description: 'd' } })
    assert.deepEqual(
      [updated.body.server?.name, updated.body.server?.['OS-EXT-SRV-ATTR:hostname'], updated.body.server?.description],
      ['two', 'web', 'd'],
    )
  })

  it('takes names that every object of JavaScript has as names', async (context) => {
    const cloud = await testCloud(context, { engine: false })
    const id = await launch(cloud)
    for (const name of ['constructor', '__proto__']) {
      assert.equal((await cloud.ask('demo', 'GET', `/servers/${id}/ips/${name}`)).status, 404)
      assert.equal((await cloud.ask('admin', 'DELETE', `/flavors/42/os-extra_specs/${name}`)).status, 404)
      await sql`update network.network set name = ${name}`.execute(cloud.db.read)
      const shown = await cloud.ask('demo', 'GET', '/servers/detail')
      assert.equal(shown.status, 200, JSON.stringify(shown.body))
      assert.deepEqual(Object.keys(list(shown.body.servers)[0]?.addresses ?? {}), [name])
      const ips = await cloud.ask('demo', 'GET', `/servers/${id}/ips/${name}`)
      assert.deepEqual([ips.status, Object.keys(ips.body)], [200, [name]])
    }
  })

  it('answers 501 to what is not built, 410 to what Nova removed, 404 to old proxies', async (context) => {
    const cloud = await testCloud(context, { engine: false })
    assert.equal((await cloud.ask('admin', 'POST', '/os-aggregates', { aggregate: { name: 'a' } })).status, 501)
    assert.equal((await cloud.ask('demo', 'GET', '/os-cells', undefined, '2.1')).status, 410)
    assert.equal((await cloud.ask('demo', 'GET', '/images', undefined, '2.35')).status, 501)
    assert.equal((await cloud.ask('demo', 'GET', '/images')).status, 404)
    assert.equal((await cloud.app.inject('/compute')).json().versions.at(-1).version, '2.96')
    assert.equal((await cloud.app.inject('/compute/v2.1/')).json().version.id, 'v2.1')
  })
})
