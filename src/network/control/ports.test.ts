// What changes of ports do that meet: each sees what the one before it left, and nothing of what a third has read is older than that.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { crossed, type TestDatabase, testDatabase } from '../../database/testing.ts'
import { intend } from '../../wire/intend.ts'
import { addHost } from '../testing.ts'
import { blankPort, type NewPort } from './allocate.ts'
import { type NetworkFacts, readNetworkFacts } from './facts.ts'
import { createNetwork } from './networks.ts'
import { createPorts, deletePort, updatePort } from './ports.ts'
import { createGroup } from './security-groups.ts'
import { bindPorts, deletePorts, releasePorts } from './server-ports.ts'
import { createSubnet } from './subnets.ts'
import { handlers } from './work.ts'

const project = 'p'
let database: TestDatabase
let db: Database
let network: NetworkFacts
let host: { id: string; name: string }
let groups: string[]
before(async () => {
  database = await testDatabase()
  db = database.db
  host = await addHost(db.read, 'one', '192.0.2.1')
  const id = await db.write(async (tx) => {
    const network = await createNetwork(tx, project, { name: 'test' })
    await createSubnet(tx, project, { network_id: network, cidr: '10.9.0.0/24', ip_version: 4 })
    const group = (name: string) => createGroup(tx, project, { name, description: '', stateful: true })
    groups = [await group('a'), await group('b')]
    return network
  })
  network = (await readNetworkFacts(db.read, id))!
})
after(() => database.drop())

const create = async (port: Partial<NewPort>): Promise<string> => {
  const whole = { ...blankPort(network, project), ...port }
  await db.write((tx) => createPorts(tx, [whole]))
  return whole.id
}
const address = (ip_address: string) => ({ fixed_ips: [{ ip_address }] })
/** The port of a server, which is named after its address here. */
const serverPort = (ip: string, more: Partial<NewPort> = {}) =>
  create({ ...address(ip), device_id: `server-${ip}`, device_owner: 'compute:nova', with_server: true, ...more })

async function documents(kind: string): Promise<Map<string, unknown>> {
  const rows = await db.read
    .selectFrom('wire.document')
    .select(['id', 'body'])
    .where('kind', '=', kind)
    .where('body', 'is not', null)
    .execute()
  return new Map(rows.map(({ id, body }) => [id, body]))
}
const due = async () =>
  (await db.read.deleteFrom('work.due').returning(['kind', 'key']).execute()).map(({ kind, key }) => `${kind} ${key}`).sort()

test('of two changes of the addresses of a port the later one holds', async () => {
  const port = await create(address('10.9.0.10'))
  await crossed(
    db,
    (tx) => updatePort(tx, port, address('10.9.0.11')),
    (tx) => updatePort(tx, port, address('10.9.0.12')),
  )
  const { rows } = await sql<{ ip: string }>`select host(ip) as ip from network.fixed_ip where port_id = ${port}`.execute(db.read)
  assert.deepEqual(rows, [{ ip: '10.9.0.12' }])
})

test('a port that is bound while its address changes has the new one in the document of its host', async () => {
  const port = await serverPort('10.9.0.20')
  await crossed(
    db,
    (tx) => updatePort(tx, port, address('10.9.0.21')),
    async (tx) => intend(tx, host.id, await bindPorts(tx, 'server-10.9.0.20', host)),
  )
  const document = (await documents('port')).get(port) as { ips: { ip: string }[] }
  assert.deepEqual(
    document.ips.map(({ ip }) => ip),
    ['10.9.0.21'],
  )
})

test('a group that a port has left is on no host, though the port was looked at meanwhile', async () => {
  const port = await serverPort('10.9.0.30')
  await db.write(async (tx) => intend(tx, host.id, await bindPorts(tx, 'server-10.9.0.30', host)))
  await db.write((tx) => updatePort(tx, port, { security_groups: [groups[0]!] }))
  await crossed(
    db,
    (tx) => updatePort(tx, port, { security_groups: [] }),
    (tx) => handlers.port!(tx, port),
  )
  assert.equal((await documents('security-group')).has(groups[0]!), false)
})

for (const [how, end] of [
  ['deleted', (tx, port) => deletePort(tx, port)],
  [
    'gone with its server',
    async (tx) => {
      await releasePorts(tx, 'server-10.9.0.40')
      await deletePorts(tx, 'server-10.9.0.40')
    },
  ],
] satisfies [string, (tx: Parameters<typeof deletePort>[0], port: string) => Promise<void>][]) {
  test(`who shares a group with a port hears that it is ${how}, though it came into the group a moment before`, async () => {
    const port = await serverPort('10.9.0.40', { security_groups: [groups[0]!] })
    await crossed(
      db,
      async (tx) => {
        await updatePort(tx, port, { security_groups: [groups[1]!] })
      },
      async (tx) => {
        await end(tx, port)
        // Hosts were told of the change before: only what this transaction asks for counts.
        await sql`delete from work.due`.execute(tx)
      },
    )
    assert.ok((await due()).includes(`group-members ${groups[1]}`))
  })
}
