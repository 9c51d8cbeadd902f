// What changes of the networks and security groups of one project do that meet.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { type TestDatabase, testDatabase, waiting } from '../../database/testing.ts'
import { createNetwork, deleteNetwork } from './networks.ts'
import { createGroup, deleteGroup } from './security-groups.ts'
import { createSubnet } from './subnets.ts'

let database: TestDatabase
before(async () => {
  database = await testDatabase()
})
after(() => database.drop())

/** Runs changes that all come to wait while this count of the project is held by somebody else. @returns how many turns they needed */
async function sideBySide(resource: string, changes: ((tx: Tx) => Promise<unknown>)[]): Promise<number> {
  const { db } = database
  let turns = 0
  const running: Promise<void>[] = []
  await db.write(async (tx) => {
    await sql`select from identity.usage where project_id = 'p' and resource = ${resource} for update`.execute(tx)
    for (const change of changes) {
      running.push(
        db.write(async (tx) => {
          turns++
          await change(tx)
        }),
      )
      await waiting(db, running.length)
    }
  })
  await Promise.all(running)
  return turns
}

test('a network that goes and one that gets a subnet do not each wait for what the other has counted', async () => {
  const { db } = database
  const subnet = (tx: Tx, network_id: string) => createSubnet(tx, 'p', { network_id, cidr: '10.9.0.0/24', ip_version: 4 })
  const [going, coming] = await db.write(async (tx) => {
    const ids = [await createNetwork(tx, 'p', { name: 'going' }), await createNetwork(tx, 'p', { name: 'coming' })] as const
    await subnet(tx, ids[0])
    return ids
  })
  const turns = await sideBySide('port', [(tx) => deleteNetwork(tx, going), (tx) => subnet(tx, coming)])
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

test('a security group that goes and one that comes do not each wait for what the other has counted', async () => {
  const create = (tx: Tx) => createGroup(tx, 'p', { name: 'web', description: '', stateful: true })
  const going = await database.db.write(create)
  const turns = await sideBySide('security_group', [(tx) => deleteGroup(tx, going, false), create])
  assert.equal(turns, 2, 'PostgreSQL found no deadlock, so nobody had to begin again')
})
