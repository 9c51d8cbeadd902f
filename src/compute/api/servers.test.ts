import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkRows } from '../../http/coverage.ts'
import { compute, computeVersions } from '../service.ts'
import { imageId, list, type TestCloud, testCloud } from '../testing.ts'

const wanted = (more: object = {}) => ({ server: { name: 'one', flavorRef: '42', imageRef: imageId, networks: 'auto', ...more } })

async function launch(cloud: TestCloud, more: object = {}, who = 'demo'): Promise<string> {
  const answer = await cloud.ask(who, 'POST', '/servers', wanted(more))
  assert.equal(answer.status, 202, JSON.stringify(answer.body))
  return String(answer.body.server?.id)
}
const status = (name: string) => (server: { status?: unknown } | null) => server?.status === name

/** How many rows of everything that a server may leave behind. */
async function left(cloud: TestCloud) {
  const count = async (table: 'compute.server' | 'network.port' | 'placement.allocation' | 'placement.consumer' | 'work.due') => {
    const of = cloud.db.read.selectFrom(table).select((e) => e.fn.countAll<number>().as('n'))
    return (
      await (table === 'network.port'
        ? of.where('network.port.device_owner' as never, 'like', 'compute:%' as never)
        : of
      ).executeTakeFirstOrThrow()
    ).n
  }
  const usage = await cloud.db.read
    .selectFrom('identity.usage')
    .selectAll()
    .where('service', '=', 'compute')
    .where('used', '>', 0)
    .execute()
  return {
    servers: await count('compute.server'),
    ports: await count('network.port'),
    allocations: await count('placement.allocation'),
    consumers: await count('placement.consumer'),
    usage: usage.length,
  }
}
const nothing = { servers: 0, ports: 0, allocations: 0, consumers: 0, usage: 0 }

describe('compute', () => {
  it('has a table in which nothing is reachable by accident', () => {
    assert.deepEqual(checkRows([compute(), computeVersions()]), [])
  })

  it('launches, shows, stops, starts, reboots and deletes a server, and leaves nothing', async (context) => {
    const cloud = await testCloud(context)
    const host = await cloud.addHost('h1')
    const id = await launch(cloud, { metadata: { a: 'b' }, tags: ['t'], description: 'first' })
    const placed = await cloud.db.read.selectFrom('compute.server').select('host').where('id', '=', id).executeTakeFirst()
    assert.equal(placed?.host, 'h1', 'a server by itself is placed when the answer comes')
    const server = await cloud.until(id, status('ACTIVE'))
    assert.equal(server?.['OS-EXT-SRV-ATTR:host'], 'h1')
    assert.equal(server?.['OS-EXT-STS:power_state'], 1)
    assert.equal(server?.progress, 0)
    assert.match(String(list(server?.addresses?.private)[0]?.addr), /^10\.9\./)
    assert.deepEqual(server?.security_groups, [{ name: 'default' }])
    assert.deepEqual(server?.tags, ['t'])

    const mine = (await cloud.ask('demo', 'GET', `/servers/${id}`)).body.server
    assert.equal(mine?.['OS-EXT-SRV-ATTR:host'], undefined, 'members do not see hosts')
    assert.match(String(mine?.hostId), /^[0-9a-f]{56}$/)

    const act = async (body: object) => {
      const answer = await cloud.ask('demo', 'POST', `/servers/${id}/action`, body)
      assert.equal(answer.status, 202, JSON.stringify(answer.body))
    }
    await act({ 'os-stop': null })
    await cloud.until(id, status('SHUTOFF'))
    await act({ 'os-start': null })
    await cloud.until(id, status('ACTIVE'))
    await act({ reboot: { type: 'HARD' } })
    await cloud.until(
      id,
      (now) => status('ACTIVE')(now) && (now as { 'OS-EXT-STS:task_state'?: unknown })['OS-EXT-STS:task_state'] === null,
    )
    await act({ pause: null })
    await cloud.until(id, status('PAUSED'))
    await act({ unpause: null })
    await cloud.until(id, status('ACTIVE'))
    host.machine.guestPowersOff(id)
    cloud.follow(host.id)
    const off = await cloud.until(id, status('SHUTOFF'))
    assert.equal(off?.['OS-EXT-STS:task_state'], null, 'a guest that powers itself off stays off')

    const actions = list((await cloud.ask('demo', 'GET', `/servers/${id}/os-instance-actions`)).body.instanceActions)
    assert.deepEqual(
      actions.map(({ action }) => action),
      ['unpause', 'pause', 'reboot', 'start', 'stop', 'create'],
    )
    const created = (await cloud.ask('demo', 'GET', `/servers/${id}/os-instance-actions/${actions.at(-1)?.request_id}`)).body.instanceAction
    assert.equal(list(created?.events)[0]?.result, 'Success')

    assert.equal((await cloud.ask('demo', 'DELETE', `/servers/${id}`)).status, 204)
    await cloud.until(id, (now) => now === null)
    assert.deepEqual(await left(cloud), nothing)
    assert.equal(host.machine.real.get('server')?.size, 0)
  })

  it('says which host was rejected by which filter, and why', async (context) => {
    const cloud = await testCloud(context)
    await cloud.addHost('h1', { memoryMb: 100 })
    await cloud.addHost('h2', { memoryMb: 64 })
    const id = await launch(cloud)
    const server = await cloud.until(id, status('ERROR'))
    assert.match(
      String(server?.fault?.message),
      /^No valid host was found\. h1 rejected by RamFilter: wanted 128 MB, one server may have 100; h2 rejected by RamFilter/,
    )
    assert.match(String(server?.fault?.details), /h2 rejected by RamFilter/)
    const mine = (await cloud.ask('demo', 'GET', `/servers/${id}`)).body.server
    assert.equal(mine?.fault?.details, undefined)
    assert.equal((await cloud.ask('demo', 'DELETE', `/servers/${id}`)).status, 204)
    await cloud.until(id, (now) => now === null)
    assert.deepEqual(await left(cloud), nothing)
  })

  it('goes to another host when one cannot start it, and says all reasons when none can', async (context) => {
    const cloud = await testCloud(context)
    const hosts = [await cloud.addHost('h1'), await cloud.addHost('h2')]
    hosts[0]!.refuses = 'no space left; free some on /var/lib/wisp'
    const first = await launch(cloud)
    assert.equal((await cloud.until(first, status('ACTIVE')))?.['OS-EXT-SRV-ATTR:host'], 'h2')
    hosts[1]!.refuses = 'QEMU did not start'
    const second = await launch(cloud)
    const failed = await cloud.until(second, status('ERROR'))
    assert.match(
      String(failed?.fault?.message),
      /h1 rejected by RetryFilter: tried already: no space left.*h2 rejected by RetryFilter: tried already: QEMU did not start/,
    )
    assert.equal(failed?.['OS-EXT-SRV-ATTR:host'], null)
    for (const id of [first, second]) await cloud.ask('demo', 'DELETE', `/servers/${id}`)
    for (const id of [first, second]) await cloud.until(id, (now) => now === null)
    assert.deepEqual(await left(cloud), nothing)
  })

  it('refuses what makes no sense, in the words of Nova', async (context) => {
    const cloud = await testCloud(context, { engine: false })
    const id = await launch(cloud)
    const stop = await cloud.ask('demo', 'POST', `/servers/${id}/action`, { 'os-stop': null })
    assert.equal(stop.status, 409)
    assert.equal(stop.body.conflictingRequest?.message, `Cannot 'stop' instance ${id} while it is in vm_state building`)
    assert.equal((await cloud.ask('demo', 'POST', `/servers/${id}/action`, { rebuild: { imageRef: imageId } })).status, 501)
    assert.equal((await cloud.ask('demo', 'POST', `/servers/${id}/action`, { nonsense: null })).status, 400)
    assert.equal((await cloud.ask('other', 'GET', `/servers/${id}`)).status, 404)
    assert.equal((await cloud.ask('other', 'DELETE', `/servers/${id}`)).status, 404)
    assert.equal((await cloud.ask('reader', 'DELETE', `/servers/${id}`)).status, 403)
    assert.equal((await cloud.ask('demo', 'GET', '/servers/detail?all_tenants=1')).status, 403)
    await cloud.ask('demo', 'POST', `/servers/${id}/action`, { lock: { locked_reason: 'mine' } })
    assert.equal((await cloud.ask('demo', 'DELETE', `/servers/${id}`)).status, 409)
    assert.equal((await cloud.ask('demo', 'GET', `/servers/${id}`)).body.server?.locked_reason, 'mine')
    assert.equal((await cloud.ask('demo', 'POST', `/servers/${id}/action`, { unlock: null })).status, 202)
    assert.equal((await cloud.ask('demo', 'DELETE', `/servers/${id}`)).status, 204)
    assert.equal((await cloud.ask('demo', 'GET', `/servers/${id}`)).status, 404, 'no host carries it, so it is gone at once')
  })

  it('leaves nothing behind when a request is refused', async (context) => {
    const cloud = await testCloud(context, { engine: false })
    const refused: [number, object][] = [
      [400, { flavorRef: 'none' }],
      [400, { imageRef: '22222222-2222-4222-8222-222222222222' }],
      [400, { imageRef: 'x' }],
      [400, { name: '' }],
      [400, { key_name: 'none' }],
      [400, { user_data: 'not base64!' }],
      [400, { availability_zone: 'mars' }],
      [403, { availability_zone: 'nova:h1' }],
      [400, { networks: [{ uuid: imageId }] }],
      [400, { security_groups: [{ name: 'none' }] }],
      [400, { min_count: 3, max_count: 2 }],
      [403, { min_count: 11 }],
      [403, { flavorRef: '4', min_count: 7 }],
      [403, { metadata: Object.fromEntries(Array.from({ length: 129 }, (_, n) => [`k${n}`, 'v'])) }],
      [501, { block_device_mapping_v2: [{ source_type: 'volume', destination_type: 'volume', boot_index: 0, uuid: imageId }] }],
      [400, { unknown: 1 }],
    ]
    for (const [expected, more] of refused) {
      const answer = await cloud.ask('demo', 'POST', '/servers', wanted(more))
      assert.equal(answer.status, expected, `${JSON.stringify(more)}: ${JSON.stringify(answer.body)}`)
    }
    assert.deepEqual(await left(cloud), nothing)
    const quota = await cloud.ask('demo', 'POST', '/servers', wanted({ min_count: 11 }))
    assert.equal(quota.body.forbidden?.message, 'Quota exceeded for instances: Requested 11, but already used 0 of 10 instances')
  })

  it('makes as many as fit between min_count and max_count, and races never exceed a quota', async (context) => {
    const cloud = await testCloud(context, { engine: false })
    await launch(cloud, { min_count: 2, max_count: 8 })
    const answers = await Promise.all(Array.from({ length: 6 }, () => cloud.ask('demo', 'POST', '/servers', wanted())))
    assert.deepEqual(answers.map((answer) => answer.status).sort(), [202, 202, 403, 403, 403, 403])
    const servers = list((await cloud.ask('demo', 'GET', '/servers')).body.servers)
    assert.equal(servers.length, 10)
    assert.ok(servers.some(({ name }) => String(name) === 'one-8'))
  })

  it('lists by filters, order and pages', async (context) => {
    const cloud = await testCloud(context, { engine: false })
    for (const name of ['a', 'b', 'c']) await launch(cloud, { name, ...(name === 'c' && { tags: ['x', 'y'] }) })
    await launch(cloud, { name: 'theirs' }, 'other')
    const names = async (query: string, who = 'demo', version?: string) => {
      const answer = await cloud.ask(who, 'GET', `/servers/detail${query}`, undefined, version)
      assert.equal(answer.status, 200, JSON.stringify(answer.body))
      return list(answer.body.servers).map(({ name }) => String(name))
    }
    assert.deepEqual(await names(''), ['c', 'b', 'a'])
    assert.deepEqual(await names('?sort_key=display_name&sort_dir=asc'), ['a', 'b', 'c'])
    assert.deepEqual(await names('?name=^b$'), ['b'])
    assert.deepEqual(await names('?status=BUILD&status=ACTIVE'), ['c', 'b', 'a'])
    assert.deepEqual(await names('?status=ACTIVE'), [])
    assert.deepEqual(await names('?tags=x,y'), ['c'])
    assert.deepEqual(await names('?not-tags-any=x'), ['b', 'a'])
    assert.deepEqual(await names(`?image=${imageId}&flavor=42`), ['c', 'b', 'a'])
    assert.deepEqual(await names('?ip=10.9.'), ['c', 'b', 'a'])
    assert.deepEqual(await names('?changes-since=2999-01-01T00:00:00Z'), [])
    assert.deepEqual(await names('?host=nowhere'), ['c', 'b', 'a'], 'members cannot filter by host: it is ignored')
    assert.deepEqual(await names('?all_tenants=1&tenant_id=p2', 'admin'), ['theirs'])
    assert.deepEqual(await names('?nonsense=1', 'demo', '2.74'), ['c', 'b', 'a'])
    assert.equal((await cloud.ask('demo', 'GET', '/servers?nonsense=1')).status, 400)
    const first = await cloud.ask('demo', 'GET', '/servers?limit=2')
    assert.equal(list(first.body.servers).length, 2)
    const next = new URL(String(list(first.body.servers_links)[0]?.href))
    assert.deepEqual(await names(next.search), ['a'])
    assert.equal((await cloud.ask('demo', 'GET', '/servers?marker=none')).status, 400)
    const broken = await cloud.ask('demo', 'GET', '/servers?name=(')
    assert.deepEqual(
      [broken.status, broken.body.badRequest?.message],
      [400, 'Invalid input for query parameters name: this is no valid regular expression.'],
    )
    // Every filter reaches an administrator's list, and one that nobody knows is ignored there, whatever it is called.
    for (const name of ['constructor', 'toString', '__proto__'])
      assert.deepEqual(await names(`?all_tenants=1&tenant_id=p2&${name}=x`, 'admin', '2.74'), ['theirs'], name)
  })

  it('shows a server as each microversion does', async (context) => {
    const cloud = await testCloud(context, { engine: false })
    const id = await launch(cloud)
    const at = async (version: string) => (await cloud.ask('demo', 'GET', `/servers/${id}`, undefined, version)).body.server!
    const old = await at('2.1')
    assert.equal(old.flavor?.id, '42')
    assert.equal(old.locked, undefined)
    assert.equal(old.description, undefined)
    const newest = await at('2.96')
    assert.deepEqual(newest.flavor, { vcpus: 1, ram: 128, disk: 1, ephemeral: 0, swap: 0, original_name: 'm1.nano', extra_specs: {} })
    for (const [version, field] of [
      ['2.9', 'locked'],
      ['2.19', 'description'],
      ['2.26', 'tags'],
      ['2.63', 'trusted_image_certificates'],
      ['2.71', 'server_groups'],
      ['2.73', 'locked_reason'],
      ['2.90', 'OS-EXT-SRV-ATTR:hostname'],
      ['2.96', 'pinned_availability_zone'],
    ] as const) {
      const [major, minor] = version.split('.')
      assert.ok(field in (await at(version)), `${field} at ${version}`)
      assert.ok(!(field in (await at(`${major}.${Number(minor) - 1}`))), `no ${field} before ${version}`)
    }
  })
})
