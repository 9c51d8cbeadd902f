// What changes of the networks of one project do that meet.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { type TestDatabase, testDatabase, waiting } from '../../database/testing.ts'
import { createNetwork, deleteNetwork } from './networks.ts'
import { createSubnet } from './subnets.ts'

let database: TestDatabase
before(async () => {
  database = await testDatabase()
})
after(() => database.drop())

test('a network that goes and one that gets a subnet do not each wait for what the other has counted', async () => {
  const { db } = database
  const subnet = (tx: Tx, network_id: string) => createSubnet(tx, 'p', { network_id, cidr: '10.9.0.0/24', ip_version: 4 })
  const [going, coming] = await db.write(async (tx) => {
    const ids = [await createNetwork(tx, 'p', { name: 'going' }), await createNetwork(tx, 'p', { name: 'coming' })] as const
    await subnet(tx, ids[0])
    return ids
  })
  let turns = 0
  const change = (what: (tx: Tx) => Promise<unknown>) =>
    db.write(async (tx) => {
      turns++
      await what(tx)
    })
  let changes: Promise<void>[] = []
  await db.write(async (tx) => {
    await sql`select from identity.usage where project_id = 'p' and resource = 'port' for update`.execute(tx)
    changes = [change((tx) => deleteNetwork(tx, going))]
    await waiting(db, 1)
    changes.push(change((tx) => subnet(tx, coming)))
    await waiting(db, 2)
  })
  await Promise.all(changes)
  assert.equal(turns, 2, 'PostgreSQL found no deadlock, so nobody had to begin again')
  const counted = await db.read
    .selectFrom('identity.usage')
    .select(['resource', 'used'])
    .where('used', '>', 0)
    .orderBy('resource')
    .execute()
  assert.deepEqual(
    counted.map(({ resource, used }) => `${resource} ${used}`),
    ['network 1', 'port 1', 'subnet 1'],
  )
})
