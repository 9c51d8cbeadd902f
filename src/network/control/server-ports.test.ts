import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Database, Tx } from '../../database/connect.ts'
import { Fault } from '../../http/fault.ts'
import type { DocumentOf, Hello, Kind } from '../../wire/documents.ts'
import { intend } from '../../wire/intend.ts'
import { observe } from '../../wire/observe.ts'
import { addHost, caller, type TestApi, testApi } from '../testing.ts'
import { bootstrapNetwork } from './bootstrap.ts'
import { addressesOf, bindPorts, deletePorts, nicsOf, portsReady, releasePorts, requestPorts, type WantedNic } from './server-ports.ts'
import { handlers, heard, hello } from './work.ts'

let api: TestApi
let db: Database
before(async () => {
  api = await testApi()
  db = api.db
})
after(() => api.end())

/** Does all the work that is due for the network, until there is none. */
async function settle(): Promise<void> {
  for (;;) {
    const due = await db.read.deleteFrom('work.due').returning(['kind', 'key']).execute()
    if (due.length === 0) return
    for (const { kind, key } of due) if (handlers[kind]) await db.write((tx) => handlers[kind]!(tx, key))
  }
}

async function documents<K extends Kind>(host: string, kind: K): Promise<Map<string, DocumentOf[K]>> {
  const rows = await db.read
    .selectFrom('wire.document')
    .select(['id', 'body'])
    .where('host_id', '=', host)
    .where('kind', '=', kind)
    .execute()
  return new Map(rows.filter(({ body }) => body !== null).map(({ id, body }) => [id, body as unknown as DocumentOf[K]]))
}

let project = ''
async function cloud(): Promise<{ network: string; hosts: { id: string; name: string }[] }> {
  project = `project-${crypto.randomUUID()}`
  const { networkId } = await db.write((tx) => bootstrapNetwork(tx, { demoProjectId: project }))
  const name = crypto.randomUUID().slice(0, 8)
  const hosts = [await addHost(db.read, `${name}-1`, `192.0.2.1-${name}`), await addHost(db.read, `${name}-2`, `192.0.2.2-${name}`)]
  return { network: networkId, hosts }
}
const request = (server: string, wanted?: 'auto' | 'none' | WantedNic[], groups: string[] = []) =>
  db.write((tx) => requestPorts(tx, caller(project), { id: server, project_id: project, hostname: 'web', security_groups: groups }, wanted))
const bind = (server: string, host: { id: string; name: string }) =>
  db.write(async (tx) => {
    const intents = await bindPorts(tx, server, host)
    await intend(tx, host.id, intents)
    return intents
  })
const release = (server: string) =>
  db.write(async (tx: Tx) => {
    await releasePorts(tx, server)
    await deletePorts(tx, server)
  })
const status = (expected: number, message: RegExp) => (error: unknown) =>
  error instanceof Fault && error.status === expected && message.test(error.message)

test('the life of the ports of servers on two hosts', async () => {
  const { network, hosts } = await cloud()
  const [one, two] = [hosts[0]!, hosts[1]!]
  const [a, b, c] = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()]
  for (const server of [a, b, c]) await request(server)

  const first = await bind(a, one)
  assert.deepEqual(
    first.map(({ kind }) => kind),
    ['network', 'security-group', 'group-members', 'port'],
  )
  // What the host holds already is not sent again.
  assert.deepEqual(
    (await bind(b, one)).map(({ kind }) => kind),
    ['port'],
  )
  await bind(c, two)
  await settle()

  const seen = (await documents(one.id, 'network')).get(network)!
  assert.deepEqual(seen.peers, [`192.0.2.2-${two.name.slice(0, 8)}`])
  assert.equal(seen.dhcp?.ips.length, 1)
  assert.deepEqual((await documents(two.id, 'network')).get(network)!.peers, [`192.0.2.1-${one.name.slice(0, 8)}`])
  const addresses = await addressesOf(db.read, [a, b, c])
  const ips = [a, b, c].map((server) => addresses.get(server)![0]!.ips[0]!.ip)
  assert.equal(new Set(ips).size, 3)
  for (const host of [one, two]) {
    const [members] = (await documents(host.id, 'group-members')).values()
    assert.deepEqual(members!.ips, [...ips].sort())
  }
  const [port] = await nicsOf(db.read, a)
  const document = (await documents(one.id, 'port')).get(port!.port_id)!
  assert.deepEqual([document.server_id, document.hostname, document.mac], [a, 'web', port!.mac])

  await release(c)
  await settle()
  for (const kind of ['network', 'security-group', 'group-members', 'port'] as const)
    assert.equal((await documents(two.id, kind)).size, 0, kind)
  assert.deepEqual((await documents(one.id, 'network')).get(network)!.peers, [])
  await release(a)
  await settle()
  assert.equal((await documents(one.id, 'network')).size, 1)
  await release(b)
  await settle()
  for (const kind of ['network', 'security-group', 'group-members', 'port'] as const)
    assert.equal((await documents(one.id, kind)).size, 0, kind)
  const left = await db.read.selectFrom('network.port').select('device_owner').where('network_id', '=', network).execute()
  assert.deepEqual(left, [{ device_owner: 'network:dhcp' }])
})

test('a port is BUILD when bound, ACTIVE when its host says so, ERROR when it failed; its server is looked at', async () => {
  const { hosts } = await cloud()
  const server = crypto.randomUUID()
  await request(server)
  const intents = await bind(server, hosts[0]!)
  const { id, generation } = intents.at(-1)!
  const state = async () =>
    (await db.read.selectFrom('network.port').select('status').where('id', '=', id).executeTakeFirstOrThrow()).status
  const say = (seen: 'ready' | 'failed', at: number) =>
    db.write((tx) => observe(tx, hosts[0]!, [{ kind: 'port', id, generation: at, state: seen }], heard))
  assert.equal(await state(), 'BUILD')
  await say('ready', generation - 1)
  assert.deepEqual([await state(), await portsReady(db.read, server)], ['BUILD', false])
  await say('ready', generation)
  assert.deepEqual([await state(), await portsReady(db.read, server)], ['ACTIVE', true])
  assert.ok(await db.read.selectFrom('work.due').select('key').where('kind', '=', 'server').where('key', '=', server).executeTakeFirst())
  await say('failed', generation)
  assert.equal(await state(), 'ERROR')
})

test("a user's own port is taken and given back; what was made for the server goes with it", async () => {
  const { network } = await cloud()
  const made = await api.send(project, 'POST', '/ports', { port: { network_id: network, name: 'mine' } })
  const mine = (made.body as unknown as { port: { id: string } }).port.id
  const server = crypto.randomUUID()
  await request(server, [
    { network_id: network, fixed_ip: '10.180.0.77', tag: 'first' },
    { port_id: mine, tag: 'second' },
  ])
  assert.deepEqual(
    (await nicsOf(db.read, server)).map(({ tag }) => tag),
    ['first', 'second'],
  )
  assert.equal((await addressesOf(db.read, [server])).get(server)![0]!.ips[0]!.ip, '10.180.0.77')
  await assert.rejects(request(crypto.randomUUID(), [{ port_id: mine }]), status(409, /still in use/))
  await release(server)
  const rows = await db.read
    .selectFrom('network.port')
    .select(['id', 'device_id', 'device_owner', 'host'])
    .where('network_id', '=', network)
    .execute()
  assert.deepEqual(
    rows.filter(({ device_owner }) => device_owner !== 'network:dhcp'),
    [{ id: mine, device_id: '', device_owner: '', host: '' }],
  )
})

test('requests that cannot be met are refused in the words of Nova', async () => {
  const { network } = await cloud()
  const server = () => crypto.randomUUID()
  await assert.rejects(request(server(), [{ network_id: 'nowhere' }]), status(400, /could not be found/))
  await assert.rejects(request(server(), [{ port_id: 'nowhere' }]), status(404, /Port id nowhere/))
  await assert.rejects(request(server(), [{ network_id: network, fixed_ip: 'x' }]), status(400, /Invalid fixed IP/))
  await assert.rejects(request(server(), [{ network_id: network, fixed_ip: '10.180.0.0' }]), status(400, /not a valid IP/))
  await assert.rejects(request(server(), undefined, ['nothing']), status(400, /Security group nothing not found/))
  await request(server(), [{ network_id: network, fixed_ip: '10.180.0.9' }])
  await assert.rejects(request(server(), [{ network_id: network, fixed_ip: '10.180.0.9' }]), status(400, /already in use/))
  await request(server(), 'none')
  const second = await api.send(project, 'POST', '/networks', { network: { name: 'two' } })
  const id = (second.body as unknown as { network: { id: string } }).network.id
  await assert.rejects(request(server(), [{ network_id: id }]), status(400, /requires a subnet/))
  await api.send(project, 'POST', '/subnets', { subnet: { network_id: id, cidr: '10.0.0.0/24', ip_version: 4 } })
  await assert.rejects(request(server(), 'auto'), status(409, /Multiple possible networks found/))
  project = `empty-${crypto.randomUUID()}`
  await request(server())
  await assert.rejects(request(server(), [{ network_id: network }]), status(400, /could not be found/))
})

test('a host without a tunnel address carries a vxlan network alone or not at all', async () => {
  const { hosts } = await cloud()
  const lonely = await addHost(db.read, crypto.randomUUID(), null)
  const [one, two, three] = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()]
  for (const server of [one, two, three]) await request(server)
  await bind(one, lonely)
  await bind(two, lonely)
  await assert.rejects(bind(three, hosts[0]!), status(409, /has no tunnel address/))
  await release(one)
  await release(two)
  await bind(three, hosts[0]!)
  await request(one)
  await assert.rejects(bind(one, lonely), status(409, /no tunnel address/))
})

test('changes of rules, members and addresses reach the hosts that need them', async () => {
  const { network, hosts } = await cloud()
  const [host, other] = [hosts[0]!, hosts[1]!]
  const group = async (name: string) =>
    (
      (await api.send(project, 'POST', '/security-groups', { security_group: { name } })).body as unknown as {
        security_group: { id: string }
      }
    ).security_group.id
  const [web, clients] = [await group('web'), await group('clients')]
  const [server, client] = [crypto.randomUUID(), crypto.randomUUID()]
  await request(server, undefined, ['web'])
  await request(client, undefined, [clients])
  await bind(server, host)
  await bind(client, other)
  await settle()
  assert.equal((await documents(host.id, 'group-members')).size, 0)

  const rule = {
    security_group_id: web,
    direction: 'ingress',
    protocol: 'tcp',
    port_range_min: 80,
    port_range_max: 80,
    remote_group_id: clients,
  }
  const made = await api.send(project, 'POST', '/security-group-rules', { security_group_rule: rule })
  assert.equal(made.status, 201)
  await settle()
  assert.equal((await documents(host.id, 'security-group')).get(web)!.rules.length, 3)
  const ip = (await addressesOf(db.read, [client])).get(client)![0]!.ips[0]!.ip
  assert.deepEqual((await documents(host.id, 'group-members')).get(clients)!.ips, [ip])
  assert.equal((await documents(other.id, 'group-members')).size, 0)

  const [port] = await nicsOf(db.read, client)
  const moved = await api.send(project, 'PUT', `/ports/${port!.port_id}`, {
    port: { fixed_ips: [{ ip_address: '10.180.0.200' }], security_groups: [clients, web] },
  })
  assert.equal(moved.status, 200)
  await settle()
  assert.deepEqual((await documents(host.id, 'group-members')).get(clients)!.ips, ['10.180.0.200'])
  assert.deepEqual([...(await documents(other.id, 'security-group')).keys()].sort(), [clients, web].sort())
  assert.deepEqual((await documents(other.id, 'port')).get(port!.port_id)!.ips[0]!.ip, '10.180.0.200')

  const ruleId = (made.body as unknown as { security_group_rule: { id: string } }).security_group_rule.id
  assert.equal((await api.send(project, 'DELETE', `/security-group-rules/${ruleId}`)).status, 204)
  await settle()
  assert.equal((await documents(host.id, 'group-members')).size, 0)

  const subnet = (await db.read.selectFrom('network.subnet').select('id').where('network_id', '=', network).executeTakeFirstOrThrow()).id
  await api.send(project, 'PUT', `/subnets/${subnet}`, { subnet: { dns_nameservers: ['9.9.9.9'], enable_dhcp: false } })
  await settle()
  const told = (await documents(host.id, 'network')).get(network)!
  assert.deepEqual([told.subnets[0]!.dns_nameservers, told.dhcp], [['9.9.9.9'], null])

  assert.equal((await api.send(project, 'DELETE', `/ports/${port!.port_id}`)).status, 204)
  await settle()
  for (const kind of ['network', 'security-group', 'group-members', 'port'] as const)
    assert.equal((await documents(other.id, kind)).size, 0, kind)
})

test("a new tunnel address is told to the host's peers, a known one is not", async () => {
  const { network, hosts } = await cloud()
  const [one, two] = [hosts[0]!, hosts[1]!]
  for (const host of hosts) {
    const server = crypto.randomUUID()
    await request(server)
    await bind(server, host)
  }
  await settle()
  const say = async (tunnel_ip: string) => {
    const said = { tunnel_ip } as Hello
    await db.read
      .updateTable('wire.host')
      .set({ hello: JSON.stringify({ tunnel_ip, physical_networks: [] }) })
      .where('id', '=', one.id)
      .execute()
    await db.write((tx) => hello(tx, one, said))
    return await db.read.selectFrom('work.due').select('key').where('kind', '=', 'network').execute()
  }
  assert.deepEqual(await say(`192.0.2.1-${one.name.slice(0, 8)}`), [])
  assert.deepEqual(await say('198.51.100.1'), [{ key: network }])
  await settle()
  assert.deepEqual((await documents(two.id, 'network')).get(network)!.peers, ['198.51.100.1'])
})

test('many servers bound and released at once leave nothing behind and lack nothing', async () => {
  const { hosts } = await cloud()
  const servers = Array.from({ length: 16 }, () => crypto.randomUUID())
  for (const server of servers) await request(server)
  await Promise.all(
    servers.map(async (server, i) => {
      await bind(server, hosts[i % 2]!)
      if (i % 4 < 2) await release(server)
    }),
  )
  await settle()
  for (const host of hosts) {
    assert.equal((await documents(host.id, 'port')).size, 4)
    for (const kind of ['network', 'security-group', 'group-members'] as const) assert.equal((await documents(host.id, kind)).size, 1, kind)
  }
  await Promise.all(servers.map(release))
  await settle()
  for (const host of hosts)
    for (const kind of ['network', 'security-group', 'group-members', 'port'] as const)
      assert.equal((await documents(host.id, kind)).size, 0)
})
