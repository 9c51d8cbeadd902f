// Counts are exact whoever races: of many claims at once exactly those that fit are taken, in a project and in a domain of two levels.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { type TestDatabase, testDatabase } from '../../database/testing.ts'
import { setLimitModel } from './limits.ts'
import { claim, over, type Quota, roomFor, standings } from './quota.ts'

const MiB = 1024 ** 2
const quota = {
  service: 'kitchen',
  resources: { pots: { limit: 5 }, pans: { limit: -1 }, space: { limit: 3, unit: MiB } },
} satisfies Quota

describe('quotas', () => {
  let database: TestDatabase
  before(async () => {
    database = await testDatabase({ connections: 12 })
    const { read } = database.db
    await read.insertInto('identity.project').values({ id: 'd', name: 'd', is_domain: true }).execute()
    for (const id of ['a', 'b'])
      await read.insertInto('identity.project').values({ id, name: id, domain_id: 'd', parent_id: 'd' }).execute()
    await read.insertInto('identity.service').values({ id: 's', type: 'kitchen' }).execute()
  })
  after(() => database.drop())

  /** Takes it, or nothing: the names of what would be over. */
  const take = async (project: string, amounts: Parameters<typeof claim<keyof typeof quota.resources>>[3], own = {}) => {
    try {
      await database.db.write(async (tx) => {
        const exceeded = await claim(tx, quota, project, amounts, own)
        if (exceeded.length > 0) throw Object.assign(new Error('over'), { names: exceeded.map(({ resource }) => resource) })
      })
      return []
    } catch (error) {
      if (error instanceof Error && 'names' in error) return error.names
      throw error
    }
  }
  const used = async (project: string) => {
    const all = await standings(database.db.read, quota, project)
    return Object.fromEntries(Object.entries(all).map(([name, one]) => [name, one.used]))
  }

  test('what fits is taken, what does not is not, and nothing beside it', async () => {
    assert.deepEqual(await take('p', { pots: 5, pans: 100, space: 3 * MiB }), [])
    assert.deepEqual(await take('p', { pots: 1, pans: 1 }), ['pots'])
    assert.deepEqual(await take('p', { pots: 1, space: 1 }), ['pots', 'space'])
    assert.deepEqual(await used('p'), { pots: 5, pans: 100, space: 3 })
    assert.deepEqual(await take('p', { pots: 1 }, { pots: 6 }), [], 'a limit of its own goes first')
    assert.deepEqual(await take('p', { pots: -1 }), [], 'giving back is always right')
    assert.deepEqual(await take('p', { pots: -1, pans: 1, space: 0 }), [])
    assert.deepEqual(await over(database.db.read, quota, 'p', ['pots', 'space'], { pots: 2 }), [{ resource: 'pots', used: 4, limit: 2 }])
    await assert.rejects(take('p', { pots: -100 }), /give back more pots/, 'nothing is given back that was not taken')
  })

  test('a registered limit goes before the default, a project’s own before that', async () => {
    const { read } = database.db
    const pots = { registered_limit_id: 'r', project_id: 'a' }
    await read
      .insertInto('identity.registered_limit')
      .values({ id: 'r', service_id: 's', resource_name: 'pots', default_limit: 7 })
      .execute()
    assert.equal((await standings(read, quota, 'a')).pots.limit, 7)
    await read
      .insertInto('identity.limit')
      .values({ id: 'l', resource_limit: 2, ...pots })
      .execute()
    assert.deepEqual(await standings(read, quota, 'a'), {
      pots: { used: 0, limit: 2 },
      pans: { used: 0, limit: -1 },
      space: { used: 0, limit: 3 },
    })
    const here = { id: 'here', service_id: 's', region_id: 'R', resource_name: 'pots', default_limit: 1 }
    await read.insertInto('identity.region').values({ id: 'R' }).execute()
    await read.insertInto('identity.registered_limit').values(here).execute()
    assert.equal((await standings(read, quota, 'a')).pots.limit, 2, 'that of a region where the service is not')
    await read.insertInto('identity.endpoint').values({ id: 'e', service_id: 's', region_id: 'R', interface: 'public', url: 'x' }).execute()
    assert.equal((await standings(read, quota, 'a')).pots.limit, 1)
    await read.deleteFrom('identity.registered_limit').execute()
  })

  test('claims that race never take more than there is, nor less', async () => {
    let round = 0
    const amounts = fc.array(fc.record({ pots: fc.integer({ min: 1, max: 3 }), pans: fc.nat(2) }), { minLength: 4, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(amounts, async (all) => {
        const project = `race ${round++}`
        const answers = await Promise.all(all.map((amount) => take(project, amount)))
        const taken = all.filter((_amount, i) => (answers[i] as string[]).length === 0)
        const sum = (name: 'pots' | 'pans') => taken.reduce((total, amount) => total + amount[name], 0)
        assert.deepEqual(await used(project), { pots: sum('pots'), pans: sum('pans'), space: 0 })
        assert.ok(sum('pots') <= 5)
        const smallestRefused = Math.min(...all.filter((_amount, i) => (answers[i] as string[]).length > 0).map(({ pots }) => pots))
        assert.ok(sum('pots') + smallestRefused > 5, 'who was refused did not fit')
      }),
      { numRuns: 15 },
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
    const answers = await Promise.all(Array.from({ length: 12 }, (_one, i) => take(i % 2 ? 'a' : 'b', { pots: 1 })))
    assert.equal(answers.filter((names) => (names as string[]).length === 0).length, 6)
    const [a, b] = [await used('a'), await used('b')]
    assert.equal(a.pots! + b.pots!, 6)
    assert.ok(a.pots! <= 4 && b.pots! <= 4)
    await db.write((tx) => setLimitModel(tx, 'flat'))
    const roomy = a.pots! < 4 ? 'a' : 'b'
    assert.deepEqual(await take(roomy, { pots: 1 }), [], 'flat: each project by itself')
  })

  test('how many fit', () => {
    const now = { pots: { used: 2, limit: 5 }, pans: { used: 9, limit: -1 }, space: { used: 1, limit: 3 } }
    assert.equal(roomFor(quota, { pots: 1 }, now, 10), 3)
    assert.equal(roomFor(quota, { pots: 1, space: MiB }, now, 10), 2)
    assert.equal(roomFor(quota, { pans: 5 }, now, 10), 10)
    assert.equal(roomFor(quota, { pots: 4 }, now, 10), 0)
  })
})
