// For random trees of projects, groups, roles and assignments: the one statement that answers "which roles has this user here", and the
// list of effective assignments, agree with a model that is slow and obvious.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { type TestDatabase, testDatabase } from '../../database/testing.ts'
import { type Assignment, effective, listAssignments, type Wanted } from './assignments.ts'
import { readFacts } from './facts.ts'
import { projectsOf } from './reach.ts'

const roles = ['r0', 'r1', 'r2', 'r3', 'of-domain']
const users = ['u0', 'u1']
const groups = ['g0', 'g1']

interface Cloud {
  /** The parent of each project: a domain (d0, d1) or an earlier project. */
  parents: string[]
  members: [group: string, user: string][]
  implied: [prior: string, implied: string][]
  assignments: Assignment[]
}

const cloud: fc.Arbitrary<Cloud> = fc.array(fc.nat(9), { maxLength: 6 }).chain((picks) => {
  const parents = picks.map((pick, i) => ['d0', 'd1', ...picks.slice(0, i).map((_p, j) => `p${j}`)][pick % (i + 2)]!)
  const projects = parents.map((_parent, i) => `p${i}`)
  const target = fc.oneof(
    fc.record({ target_type: fc.constant('domain'), target_id: fc.constantFrom('d0', 'd1'), inherited: fc.boolean() }),
    fc.record({ target_type: fc.constant('system'), target_id: fc.constant('all'), inherited: fc.constant(false) }),
    ...(projects.length > 0
      ? [fc.record({ target_type: fc.constant('project'), target_id: fc.constantFrom(...projects), inherited: fc.boolean() })]
      : []),
  )
  const actor = fc.oneof(
    fc.record({ actor_type: fc.constant('user'), actor_id: fc.constantFrom(...users) }),
    fc.record({ actor_type: fc.constant('group'), actor_id: fc.constantFrom(...groups) }),
  )
  const assignment = fc.tuple(actor, target, fc.constantFrom(...roles)).map(([a, t, role_id]) => ({ ...a, ...t, role_id }))
  return fc.record({
    parents: fc.constant(parents),
    members: fc.uniqueArray(fc.tuple(fc.constantFrom(...groups), fc.constantFrom(...users)), { selector: String }),
    implied: fc.uniqueArray(fc.tuple(fc.constantFrom(...roles), fc.constantFrom(...roles)), { selector: String, maxLength: 6 }),
    assignments: fc.uniqueArray(assignment, { selector: (a) => JSON.stringify(Object.values(a)), maxLength: 8 }),
  })
})

/** Asked of each role by itself: is there an assignment from which it follows? */
function modelRoles({ parents, members, implied, assignments }: Cloud, user: string, place: string): string[] {
  const above = (id: string): string[] =>
    id.startsWith('p') ? [parents[Number(id.slice(1))]!, ...above(parents[Number(id.slice(1))]!)] : []
  const has = (role: string, seen: string[]): boolean => {
    if (seen.includes(role)) return false
    const given = assignments.some((a) => {
      const mine = a.actor_type === 'user' ? a.actor_id === user : members.some(([group, who]) => group === a.actor_id && who === user)
      const here = a.inherited ? place.startsWith('p') && above(place).includes(a.target_id) : a.target_id === place
      return mine && here && a.role_id === role
    })
    return given || implied.some(([prior, then]) => then === role && has(prior, [...seen, role]))
  }
  return roles.filter((role) => role !== 'of-domain' && has(role, []))
}

async function store({ db }: TestDatabase, { parents, members, implied, assignments }: Cloud): Promise<void> {
  await db.write(async (tx) => {
    for (const table of ['assignment', 'implied_role', 'group_member', 'user', 'group', 'role', 'project'] as const)
      await tx.deleteFrom(`identity.${table}`).execute()
    for (const id of ['d0', 'd1']) await tx.insertInto('identity.project').values({ id, name: id, is_domain: true }).execute()
    const domainOf = (id: string): string => (id.startsWith('d') ? id : domainOf(parents[Number(id.slice(1))]!))
    for (const [i, parent_id] of parents.entries())
      await tx
        .insertInto('identity.project')
        .values({ id: `p${i}`, name: `p${i}`, parent_id, domain_id: domainOf(parent_id) })
        .execute()
    await tx
      .insertInto('identity.role')
      .values(roles.map((id) => ({ id, name: id, domain_id: id === 'of-domain' ? 'd0' : null })))
      .execute()
    await tx
      .insertInto('identity.user')
      .values(users.map((id) => ({ id, name: id, domain_id: 'd0' })))
      .execute()
    await tx
      .insertInto('identity.group')
      .values(groups.map((id) => ({ id, name: id, domain_id: 'd0' })))
      .execute()
    for (const [group_id, user_id] of members) await tx.insertInto('identity.group_member').values({ group_id, user_id }).execute()
    for (const [prior_role_id, implied_role_id] of implied)
      await tx.insertInto('identity.implied_role').values({ prior_role_id, implied_role_id }).execute()
    for (const assignment of assignments) await tx.insertInto('identity.assignment').values(assignment).execute()
  })
}

describe('effective roles', () => {
  let database: TestDatabase
  before(async () => {
    database = await testDatabase()
  })
  after(() => database.drop())

  test('the statement and the list equal the model', async () => {
    await fc.assert(
      fc.asyncProperty(cloud, async (world) => {
        await store(database, world)
        const tx = database.db.read
        for (const user of users) {
          const listed = await listAssignments(tx, { user, effective: true })
          const reach = (await projectsOf(tx, user)).map(({ id }) => id)
          for (const place of ['d0', 'd1', 'all', ...world.parents.map((_parent, i) => `p${i}`)]) {
            const wanted = modelRoles(world, user, place)
            const scope =
              place === 'all'
                ? ({ kind: 'system' } as const)
                : { kind: place.startsWith('d') ? ('domain' as const) : ('project' as const), id: place }
            const facts = await readFacts(tx, user, scope)
            assert.deepEqual(facts?.roles.map(({ id }) => id) ?? [], wanted, `${user} on ${place}`)
            assert.deepEqual(
              [...new Set(listed.filter(({ target_id }) => target_id === place).map(({ role_id }) => role_id))].sort(),
              wanted,
            )
            if (wanted.length > 0 && place.startsWith('p')) assert.ok(reach.includes(place))
          }
        }
      }),
      { numRuns: 60 },
    )
  })

  test('a list that was asked for by any filters is the list of all, filtered', async () => {
    const filters = fc.record(
      {
        user: fc.constantFrom(...users),
        role: fc.constantFrom(...roles),
        targets: fc.oneof<fc.Arbitrary<NonNullable<Wanted['targets']>>[]>(
          fc.record({ type: fc.constant('project'), ids: fc.subarray(['p0', 'p1', 'p2', 'p3'], { minLength: 1 }) }),
          fc.record({ type: fc.constant('domain'), ids: fc.constantFrom(['d0'], ['d1']) }),
          fc.constant({ type: 'system', ids: ['all'] }),
        ),
        within: fc.constantFrom('d0', 'd1'),
        inherited: fc.boolean(),
      },
      { requiredKeys: [] },
    )
    const texts = (all: Assignment[]) => all.map((one) => JSON.stringify(one)).sort()
    await fc.assert(
      fc.asyncProperty(cloud, fc.array(filters, { minLength: 3, maxLength: 6 }), fc.boolean(), async (world, questions, worked) => {
        await store(database, world)
        const tx = database.db.read
        const domainOf = (id: string): string => (id.startsWith('p') ? domainOf(world.parents[Number(id.slice(1))]!) : id)
        const all = await listAssignments(tx, { effective: worked })
        for (const { user, role, targets, within, inherited } of questions) {
          const wanted = all.filter(
            (a) =>
              (user === undefined || (a.actor_type === 'user' && a.actor_id === user)) &&
              (role === undefined || a.role_id === role) &&
              (targets === undefined || (a.target_type === targets.type && targets.ids.includes(a.target_id))) &&
              (within === undefined || domainOf(a.target_id) === within) &&
              (inherited === undefined || (a.inherited || (a.indirect?.project_id ?? a.indirect?.domain_id) !== undefined) === inherited),
          )
          const asked = { user, role, targets, within, inherited, effective: worked }
          const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined)) as unknown as Wanted
          assert.deepEqual(texts(await listAssignments(tx, given)), texts(wanted), JSON.stringify(given))
        }
      }),
      { numRuns: 40 },
    )
  })

  test('working out never invents and never loops', () => {
    const world = {
      members: [],
      projects: [],
      implied: [
        { prior_role_id: 'a', implied_role_id: 'b' },
        { prior_role_id: 'b', implied_role_id: 'a' },
      ],
      domainRoles: new Set<string>(),
    }
    const given = { actor_type: 'user', actor_id: 'u', target_type: 'system', target_id: 'all', role_id: 'a', inherited: false }
    assert.deepEqual(
      effective([given], world).map(({ role_id }) => role_id),
      ['a', 'b'],
    )
    assert.deepEqual(effective([], world), [])
  })
})
