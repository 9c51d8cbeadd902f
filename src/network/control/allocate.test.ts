import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { type TestDatabase, testDatabase, waiting } from '../../database/testing.ts'
import { Fault } from '../../http/fault.ts'
import { blankPort, insertPorts, wishes } from './allocate.ts'
import { type NetworkFacts, readNetworkFacts, type SubnetFacts } from './facts.ts'
import { createNetwork } from './networks.ts'
import { createPorts, deletePort, readPortFacts } from './ports.ts'
import { createSubnet } from './subnets.ts'

let database: TestDatabase
let db: Database
before(async () => {
  database = await testDatabase({ connections: 20 })
  db = database.db
})
after(() => database.drop())

/** A network with a subnet without DHCP, so that every address of the pools is a port's. */
async function networkOf(cidr: string, pools?: { start: string; end: string }[], mode?: string): Promise<NetworkFacts> {
  const id = await db.write(async (tx) => {
    const network = await createNetwork(tx, `project-${crypto.randomUUID()}`, { name: 'test' })
    await createSubnet(tx, 'p', {
      network_id: network,
      cidr,
      ip_version: cidr.includes(':') ? 6 : 4,
      enable_dhcp: mode !== undefined,
      ...(pools && { allocation_pools: pools }),
      ...(mode && { ipv6_address_mode: mode, ipv6_ra_mode: mode }),
    })
    return network
  })
  return (await readNetworkFacts(db.read, id))!
}

const ipsOf = async (network: NetworkFacts) =>
  (
    await db.read
      .selectFrom('network.fixed_ip as f')
      .innerJoin('network.port as p', 'p.id', 'f.port_id')
      .select('f.ip')
      .where('p.network_id', '=', network.id)
      .orderBy('f.ip')
      .execute()
  ).map(({ ip }) => ip)

const create = async (network: NetworkFacts, project = crypto.randomUUID()) => {
  const port = blankPort(network, project)
  await db.write((tx) => insertPorts(tx, [port]))
  return port.id
}
const isFull = (error: unknown) => error instanceof Fault && error.status === 409 && error.type === 'IpAddressGenerationFailure'

test('any order of creating and deleting ports uses every address of small pools, and none twice', async () => {
  const pools = [
    { start: '10.9.0.5', end: '10.9.0.7' },
    { start: '10.9.0.9', end: '10.9.0.9' },
    { start: '10.9.0.20', end: '10.9.0.22' },
  ]
  const all = ['10.9.0.5', '10.9.0.6', '10.9.0.7', '10.9.0.9', '10.9.0.20', '10.9.0.21', '10.9.0.22']
  const network = await networkOf('10.9.0.0/24', pools)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(-1) }, { weight: 2, arbitrary: fc.nat(6) }), { maxLength: 25 }),
      async (steps) => {
        const alive: string[] = []
        for (const step of steps) {
          if (step >= 0) {
            const [id] = alive.splice(step, 1)
            if (id) await db.write((tx) => deletePort(tx, id))
          } else if (alive.length < all.length) alive.push(await create(network))
          else await assert.rejects(create(network), isFull)
          assert.equal((await ipsOf(network)).length, alive.length)
        }
        while (alive.length < all.length) alive.push(await create(network))
        assert.deepEqual(await ipsOf(network), all)
        await assert.rejects(create(network), isFull)
        for (const id of alive) await db.write((tx) => deletePort(tx, id))
      },
    ),
    { numRuns: 15 },
  )
})

test('fifty ports at once in a /27 get the 29 addresses that there are, each one once', async () => {
  const network = await networkOf('10.8.0.0/27')
  const results = await Promise.allSettled(Array.from({ length: 50 }, () => create(network)))
  const failed = results.filter((result) => result.status === 'rejected')
  assert.equal(failed.length, 21)
  for (const { reason } of failed) assert.ok(isFull(reason), String(reason))
  const ips = await ipsOf(network)
  assert.equal(ips.length, 29)
  assert.equal(new Set(ips).size, 29)
  assert.ok(!ips.includes('10.8.0.1') && !ips.includes('10.8.0.0') && !ips.includes('10.8.0.31'))
})

test('a quota is exact when many ask at once', async () => {
  const network = await networkOf('10.7.0.0/24')
  const project = crypto.randomUUID()
  await db.read.insertInto('identity.quota').values({ service: 'network', project_id: project, resource: 'port', hard_limit: 7 }).execute()
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, () =>
      db.write(async (tx) => {
        await readPortFacts(tx, project, sql`n.id = ${network.id}`, [])
        await createPorts(tx, [blankPort(network, project)])
      }),
    ),
  )
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 7)
  for (const result of results) if (result.status === 'rejected') assert.equal(result.reason.type, 'OverQuota')
})

test('two projects may use one range', async () => {
  const [a, b] = [await networkOf('10.6.0.0/30'), await networkOf('10.6.0.0/30')]
  await create(a)
  await create(b)
  assert.deepEqual(await ipsOf(a), await ipsOf(b))
})

test('a port on a slaac subnet has the address of its MAC', async () => {
  const network = await networkOf('2001:db8:1::/64', undefined, 'slaac')
  const port = { ...blankPort(network, 'p'), mac_address: 'fa:16:3e:12:34:56' }
  await db.write((tx) => insertPorts(tx, [port]))
  assert.deepEqual(await ipsOf(network), ['2001:db8:1:0:f816:3eff:fe12:3456'])
})

test('a MAC that is taken is refused, and random ones are tried again', async () => {
  const network = await networkOf('10.5.0.0/24')
  const port = () => ({ ...blankPort(network, 'p'), mac_address: 'fa:16:3e:00:00:09' })
  await db.write((tx) => insertPorts(tx, [port()]))
  await assert.rejects(
    db.write((tx) => insertPorts(tx, [port()])),
    (error) => error instanceof Fault && error.type === 'MacAddressInUse',
  )
})

const subnet = (id: string, cidr: string, more: Partial<SubnetFacts> = {}): SubnetFacts => ({
  id,
  ip_version: cidr.includes(':') ? 6 : 4,
  cidr,
  gateway_ip: null,
  enable_dhcp: true,
  ipv6_address_mode: null,
  service_types: [],
  pools: [],
  ...more,
})
const mac = 'fa:16:3e:00:00:01'
const dual: NetworkFacts = {
  id: 'n',
  project_id: 'p',
  name: '',
  shared: false,
  external: false,
  admin_state_up: true,
  port_security_enabled: true,
  mtu: 1450,
  network_type: 'vxlan',
  subnets: [
    subnet('a', '10.0.0.0/24'),
    subnet('b', '10.0.1.0/24'),
    subnet('six', '2001:db8::/64', { ipv6_address_mode: 'dhcpv6-stateful' }),
    subnet('auto', '2001:db8:1::/64', { ipv6_address_mode: 'slaac' }),
    subnet('routers', '10.0.2.0/24', { service_types: ['network:router_gateway'] }),
  ],
}
const shape = (list: ReturnType<typeof wishes>) => list.map((wish) => ('ip' in wish ? wish.ip : wish.any.map(({ id }) => id).join('|')))

test('whoever waits to be counted for the project has no address yet that one counted already could wait for', async () => {
  const network = await networkOf('10.9.0.0/24')
  const project = crypto.randomUUID()
  const portAt = (ip_address: string) => ({ ...blankPort(network, project), fixed_ips: [{ ip_address }] })
  let turns = 0
  let other: Promise<unknown> | undefined
  await db.write(async (tx) => {
    turns++
    await insertPorts(tx, [portAt('10.9.0.10')])
    other = db.write(async (tx) => {
      turns++
      await insertPorts(tx, [portAt('10.9.0.11')])
    })
    other.catch(() => {}) // looked at below
    await waiting(db, 1)
    await insertPorts(tx, [portAt('10.9.0.11')])
  })
  await assert.rejects(other!, (error) => error instanceof Fault && error.type === 'IpAddressAlreadyAllocated')
  assert.equal(turns, 2, 'PostgreSQL found no deadlock, so nobody had to begin again')
})

test('a port that names nothing gets one address of each version, and all automatic ones', () => {
  assert.deepEqual(shape(wishes(dual, undefined, 'compute:nova', mac)), ['a|b', 'six', '2001:db8:1:0:f816:3eff:fe00:1'])
  assert.deepEqual(shape(wishes(dual, undefined, 'network:router_gateway', mac))[0], 'a|b|routers')
  assert.deepEqual(shape(wishes(dual, [], '', mac)), [])
})

test('what a port names must be an address of its network', () => {
  assert.deepEqual(shape(wishes(dual, [{ ip_address: '10.0.1.7' }, { subnet_id: 'a' }], '', mac)), [
    '10.0.1.7',
    'a',
    '2001:db8:1:0:f816:3eff:fe00:1',
  ])
  const cases: [object, string][] = [
    [{ ip_address: '192.168.0.1' }, 'InvalidIpForNetwork'],
    [{ subnet_id: 'a', ip_address: '10.0.1.7' }, 'InvalidIpForSubnet'],
    [{ subnet_id: 'a', ip_address: '10.0.0.255' }, 'InvalidIpForSubnet'],
    [{ subnet_id: 'nowhere' }, 'InvalidInput'],
    [{ ip_address: '10.0.0.300' }, 'HTTPBadRequest'],
    [{ ip_address: '2001:db8:1::7' }, 'AllocationOnAutoAddressSubnet'],
    [{}, 'BadRequest'],
  ]
  for (const [asked, type] of cases) {
    assert.throws(
      () => wishes(dual, [asked], '', mac),
      (error) => error instanceof Fault && error.status === 400 && error.type === type,
      JSON.stringify(asked),
    )
  }
})
