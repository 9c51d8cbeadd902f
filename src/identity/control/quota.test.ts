// Counts are exact whoever races: of many makers at once exactly those that fit are let through, in a project and in a domain of two levels.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { type TestDatabase, testDatabase } from '../../database/testing.ts'
import { setLimitModel } from './limits.ts'
import { forgetLimits, setLimits } from './own-quota.ts'
import { everyProject, hold, over, roomFor, roomInDomain, standings } from './quota.ts'

const MiB = 1024 ** 2
const quota = { service: 'kitchen', resources: { pots: { limit: 5 }, pans: { limit: -1 }, space: { limit: 3, unit: MiB } } }
type Resource = keyof typeof quota.resources
const table = { pots: sql.table('kitchen.pot'), pans: sql.table('kitchen.pan') }

describe('quotas', () => {
  let database: TestDatabase
  before(async () => {
    database = await testDatabase({ connections: 12 })
    const { read } = database.db
    await read.insertInto('identity.project').values({ id: 'd', name: 'd', is_domain: true }).execute()
    for (const [id, parent_id] of [
      ['a', 'd'],
      ['b', 'd'],
      ['aa', 'a'],
    ] as const)
      await read.insertInto('identity.project').values({ id, name: id, domain_id: 'd', parent_id }).execute()
    await read.insertInto('identity.service').values({ id: 's', type: 'kitchen' }).execute()
    await sql`create schema kitchen`.execute(read)
    for (const resource of ['pots', 'pans'] as const) {
      await sql`create table ${table[resource]} (project_id text not null)`.execute(read)
      await sql`
        create trigger counts after insert or delete or update of project_id on ${table[resource]}
        for each row execute function identity.count_row('kitchen', ${sql.lit(resource)})`.execute(read)
    }
  })
  after(() => database.drop())

  /** Makes pots and pans, or none: the names of what would be too much. */
  const make = async (project: string, amounts: { pots?: number; pans?: number }): Promise<string[]> => {
    const names = (['pots', 'pans'] as const).filter((name) => (amounts[name] ?? 0) > 0)
    const tooMuch: string[] = []
    await database.db
      .write(async (tx) => {
        for (const name of names)
          await sql`insert into ${table[name]} select ${project} from generate_series(1, ${amounts[name]}::int)`.execute(tx)
        tooMuch.push(...(await over<Resource>(tx, project, { quota, names })).map(({ resource }) => resource))
        if (tooMuch.length > 0) throw new Error('taken back')
      })
      .catch((error: unknown) => {
        if (tooMuch.length === 0) throw error
      })
    return tooMuch
  }
  const drop = (project: string, name: 'pots' | 'pans', count: number) =>
    database.db.write(async (tx) => {
      const { numAffectedRows } = await sql`
        delete from ${table[name]} where ctid in (select ctid from ${table[name]} where project_id = ${project} limit ${count} for update skip locked)`.execute(
        tx,
      )
      return Number(numAffectedRows)
    })
  const used = async (project: string, tx: Tx = database.db.read) => {
    const all = await standings(tx, project, quota)
    return { pots: all.pots.used, pans: all.pans.used }
  }

  test('what fits is counted, what does not is taken back, and what goes is given back', async () => {
    const { read } = database.db
    assert.deepEqual(await make('p', { pots: 5, pans: 100 }), [])
    assert.deepEqual(await make('p', { pots: 1, pans: 1 }), ['pots'])
    assert.deepEqual(await used('p'), { pots: 5, pans: 100 })
    await sql`insert into identity.usage values ('p', 'kitchen', 'space', ${3 * MiB + 1})`.execute(read)
    assert.deepEqual(await over<Resource>(read, 'p', { quota, names: ['pots', 'space'] }), [
      { service: 'kitchen', resource: 'space', used: 3, limit: 3 },
    ])
    await setLimits(read, quota, { project: 'p' }, { pots: 6 })
    assert.deepEqual(await make('p', { pots: 1 }), [], 'a limit of its own goes first')
    assert.equal(await drop('p', 'pots', 2), 2)
    assert.deepEqual(await used('p'), { pots: 4, pans: 100 })
    await sql`update kitchen.pot set project_id = 'q' where project_id = 'p'`.execute(read)
    assert.deepEqual(
      [await used('p'), await used('q')],
      [
        { pots: 0, pans: 100 },
        { pots: 4, pans: 0 },
      ],
      'what changes hands is counted there',
    )
  })

  test('of several limits the nearest to the project holds, and of a user its own', async () => {
    const { read } = database.db
    const limit = async () => (await standings(read, 'a', quota)).pots.limit
    await setLimits(read, quota, { project: everyProject }, { pots: 9 })
    assert.equal(await limit(), 9, 'of every project')
    await read
      .insertInto('identity.registered_limit')
      .values({ id: 'r', service_id: 's', resource_name: 'pots', default_limit: 7 })
      .execute()
    assert.equal(await limit(), 7, 'registered')
    await read.insertInto('identity.limit').values({ id: 'l', resource_limit: 2, registered_limit_id: 'r', project_id: 'a' }).execute()
    assert.equal(await limit(), 2, 'of the project, in Keystone')
    const here = { id: 'here', service_id: 's', region_id: 'R', resource_name: 'pots', default_limit: 1 }
    await read.insertInto('identity.region').values({ id: 'R' }).execute()
    await read.insertInto('identity.registered_limit').values(here).execute()
    assert.equal(await limit(), 2, 'that of a region where the service is not')
    await read.insertInto('identity.endpoint').values({ id: 'e', service_id: 's', region_id: 'R', interface: 'public', url: 'x' }).execute()
    assert.equal(await limit(), 1)
    await setLimits(read, quota, { project: 'a' }, { pots: 3 })
    await setLimits(read, quota, { project: 'a', user: 'u' }, { pots: 0 })
    assert.equal(await limit(), 3, 'of the project, set by the service itself')
    assert.deepEqual((await standings(read, 'a', quota, 'u')).pots, { used: 0, limit: 3, userLimit: 0 })
    assert.equal((await standings(read, 'a', quota, 'v')).pots.userLimit, null)
    await forgetLimits(read, quota, { project: 'a', user: 'u' })
    assert.equal(await limit(), 3)
    await forgetLimits(read, quota, { project: 'a' })
    await forgetLimits(read, quota, { project: everyProject })
    assert.equal(await limit(), 1)
    await read.deleteFrom('identity.registered_limit').execute()
  })

  test('whatever is made, dropped and limited at once in a tree of projects: counts are the rows, and nobody gets more or less than there is', async () => {
    type Action = { make: number } | { drop: number } | { limit: number }
    const project = fc.constantFrom('a', 'b', 'aa')
    const action: fc.Arbitrary<Action> = fc.oneof(
      { weight: 5, arbitrary: fc.record({ make: fc.integer({ min: 1, max: 3 }) }) },
      { weight: 3, arbitrary: fc.record({ drop: fc.integer({ min: 1, max: 3 }) }) },
      { weight: 1, arbitrary: fc.record({ limit: fc.integer({ min: -1, max: 6 }) }) },
    )
    const round = fc.array(fc.tuple(project, action), { minLength: 4, maxLength: 14 })
    await fc.assert(
      fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 4 }), async (rounds) => {
        const have = new Map<string, number>()
        const limits = new Map<string, number>()
        for (const tasks of rounds) {
          // Limits change between rounds, and what is made and dropped meets in one.
          for (const [id, task] of tasks)
            if ('limit' in task) {
              limits.set(id, task.limit)
              await setLimits(database.db.read, quota, { project: id }, { pots: task.limit })
            }
          const done = await Promise.all(
            tasks.map(async ([id, task]) => {
              if ('make' in task) return (await make(id, { pots: task.make })).length === 0 ? task.make : 0
              return 'drop' in task ? -(await drop(id, 'pots', task.drop)) : 0
            }),
          )
          for (const id of ['a', 'b', 'aa']) {
            const mine = tasks.flatMap(([of, task], i) => (of === id ? [{ task, change: done[i]! }] : []))
            const before = have.get(id) ?? 0
            const now = mine.reduce((sum, { change }) => sum + change, before)
            have.set(id, now)
            const limit = limits.get(id) ?? 5
            const made = mine.some(({ change }) => change > 0)
            const onlyMade = mine.every(({ task }) => !('drop' in task))
            if (onlyMade && limit >= 0) {
              if (made) assert.ok(now <= limit, `${id} has ${now} of ${limit}`)
              const refused = mine.flatMap(({ task, change }) => ('make' in task && change === 0 ? [task.make] : []))
              for (const size of refused) assert.ok(now + size > limit, `${id} was refused ${size} with ${now} of ${limit}`)
            }
            assert.equal((await used(id)).pots, now)
            const { rows } = await sql<{ n: number }>`select count(*) as n from kitchen.pot where project_id = ${id}`.execute(
              database.db.read,
            )
            assert.equal(rows[0]!.n, now)
          }
        }
        await sql`delete from kitchen.pot`.execute(database.db.read)
        for (const id of ['a', 'b', 'aa']) {
          await forgetLimits(database.db.read, quota, { project: id })
          assert.equal((await used(id)).pots, 0)
        }
      }),
      { numRuns: 20 },
    )
  })

  test('with two levels the projects of a domain share what the domain has', async () => {
    const { db } = database
    await db.write((tx) => setLimitModel(tx, 'strict_two_level'))
    const registered = { id: 'two', service_id: 's', resource_name: 'pots', default_limit: 4 }
    await db.read.insertInto('identity.registered_limit').values(registered).execute()
    await db.read
      .insertInto('identity.limit')
      .values({ id: 'of d', registered_limit_id: 'two', domain_id: 'd', resource_limit: 6 })
      .execute()
    const answers = await Promise.all(Array.from({ length: 12 }, (_one, i) => make(i % 2 ? 'a' : 'b', { pots: 1 })))
    assert.equal(answers.filter((names) => names.length === 0).length, 6)
    const [a, b] = [await used('a'), await used('b')]
    assert.equal(a.pots + b.pots, 6)
    assert.ok(a.pots <= 4 && b.pots <= 4)
    await db.write((tx) => setLimitModel(tx, 'flat'))
    const roomy = a.pots < 4 ? 'a' : 'b'
    assert.deepEqual(await make(roomy, { pots: 1 }), [], 'flat: each project by itself')
    await db.read.deleteFrom('identity.registered_limit').execute()
  })

  test('who holds the counts knows how many fit', async () => {
    const { db } = database
    const counts = await Promise.all(
      Array.from({ length: 6 }, () =>
        db.write(async (tx) => {
          await hold<Resource>(tx, 'held', { quota, names: ['pots'] })
          const count = roomFor<Resource>(quota, { pots: 1 }, await standings(tx, 'held', quota), 2)
          await sql`insert into kitchen.pot select 'held' from generate_series(1, ${count}::int)`.execute(tx)
          return count
        }),
      ),
    )
    assert.deepEqual(counts.sort(), [0, 0, 0, 1, 2, 2])
  })

  test('who holds the counts knows how many fit into the domain, too', async () => {
    const { db } = database
    await sql`delete from kitchen.pot`.execute(db.read)
    await db.write((tx) => setLimitModel(tx, 'strict_two_level'))
    await db.read
      .insertInto('identity.registered_limit')
      .values({ id: 'two', service_id: 's', resource_name: 'pots', default_limit: 6 })
      .execute()
    const counts = await Promise.all(
      ['a', 'b', 'a', 'b', 'aa', 'a'].map((project) =>
        db.write(async (tx) => {
          await hold<Resource>(tx, project, { quota, names: ['pots'] })
          const inProject = roomFor<Resource>(quota, { pots: 1 }, await standings(tx, project, quota), 4)
          const count = await roomInDomain<Resource>(tx, project, quota, { pots: 1 }, inProject)
          await sql`insert into kitchen.pot select ${project} from generate_series(1, ${count}::int)`.execute(tx)
          assert.deepEqual(await over<Resource>(tx, project, { quota, names: ['pots'] }), [])
          return count
        }),
      ),
    )
    assert.deepEqual(counts.sort(), [0, 0, 0, 0, 2, 4])
    await db.write((tx) => setLimitModel(tx, 'flat'))
    assert.equal(await roomInDomain<Resource>(db.read, 'a', quota, { pots: 1 }, 4), 4, 'flat: each project by itself')
    await db.read.deleteFrom('identity.registered_limit').execute()
    await sql`delete from kitchen.pot`.execute(db.read)
  })

  test('how many fit', () => {
    const now = { pots: { used: 2, limit: 5 }, pans: { used: 9, limit: -1 }, space: { used: 1, limit: 3 } }
    const room = (size: Partial<Record<Resource, number>>) => roomFor<Resource>(quota, size, now, 10)
    assert.equal(room({ pots: 1 }), 3)
    assert.equal(room({ pots: 1, space: MiB }), 2)
    assert.equal(room({ pans: 5 }), 10)
    assert.equal(room({ pots: 4 }), 0)
  })
})
