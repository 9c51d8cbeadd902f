// Every row of identity, as a table: who may not, what is wrong, what is right.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { sql } from 'kysely'
import { waiting } from '../../database/testing.ts'
import { checkRows } from '../../http/coverage.ts'
import { splitRoute } from '../../http/route.ts'
import { identity } from '../service.ts'
import { config, type Json, passwords, type TestCloud, testCloud } from '../testing.ts'
import { policies } from './policies.ts'

describe('rows', () => {
  let cloud: TestCloud
  let admin: string
  let demo: string
  before(async () => {
    cloud = await testCloud()
    admin = await cloud.signIn('admin', passwords.admin)
    demo = await cloud.signIn('demo', passwords.demo)
  })
  after(() => cloud.end())

  const make = async (kind: string, body: object): Promise<Json> => {
    const answer = await cloud.send('POST', `/${kind === 'policy' ? 'policie' : kind}s`, admin, { [kind]: body })
    assert.equal(answer.status, 201, JSON.stringify(answer.body))
    return answer.body[kind]!
  }
  const status = async (...request: Parameters<TestCloud['send']>) => (await cloud.send(...request)).status

  test('each row has a rule that is known, and a stranger gets 401', async () => {
    const all = identity({ db: cloud.db, key: cloud.key, config })
    assert.deepEqual(checkRows(all), [])
    const [service] = all
    const open = new Set<string>()
    for (const { route, policy } of service!.rows) {
      if (policy === null) {
        open.add(route)
        continue
      }
      assert.ok(policy in service!.policies, `${route}: ${policy}`)
      const { method, path } = splitRoute(route)
      const url = path.replaceAll(/:\w+/g, 'x')
      assert.equal(await status(method, url), 401, route)
      assert.equal(await status(method, url, 'forged'), 401, route)
    }
    assert.deepEqual([...open].filter((route) => !/OS-(FEDERATION|OAUTH|SIMPLE)/.test(route)).sort(), [
      'GET /',
      'POST /auth/tokens',
      'POST /users/:user_id/password',
    ])
    assert.ok(Object.values(policies).every((check) => typeof check === 'string'))
  })

  test('what only administrators may do, a member may not', async () => {
    const forbidden: [Parameters<TestCloud['send']>[0], string, object?][] = [
      ['GET', '/users'],
      ['POST', '/users', { user: { name: 'x' } }],
      ['GET', `/users/${cloud.adminUserId}`],
      ['PATCH', `/users/${cloud.demoUserId}`, { user: { enabled: false } }],
      ['DELETE', `/users/${cloud.adminUserId}`],
      ['GET', '/projects'],
      ['GET', `/projects/${cloud.adminProjectId}`],
      ['POST', '/projects', { project: { name: 'x' } }],
      ['DELETE', `/projects/${cloud.demoProjectId}`],
      ['GET', '/domains'],
      ['POST', '/domains', { domain: { name: 'x' } }],
      ['GET', '/roles'],
      ['GET', `/roles/${(await cloud.send('GET', '/roles?name=admin', admin)).body.roles![0]!.id}`],
      ['POST', '/roles', { role: { name: 'x' } }],
      ['GET', '/groups'],
      ['GET', '/role_assignments'],
      ['GET', '/services'],
      ['GET', '/endpoints'],
      ['POST', '/regions', { region: { id: 'x' } }],
      ['GET', '/policies'],
      ['GET', '/role_inferences'],
      ['GET', `/projects/${cloud.demoProjectId}/users/${cloud.demoUserId}/roles`],
      ['POST', '/credentials', { credential: { type: 'x', blob: 'x', user_id: cloud.adminUserId } }],
    ]
    for (const [method, path, body] of forbidden) assert.equal(await status(method, path, demo, body), 403, `${method} ${path}`)
    assert.equal(await status('GET', `/users/${cloud.demoUserId}`, demo), 200, 'oneself')
    assert.equal(await status('GET', `/users/${cloud.demoUserId}/projects`, demo), 200)
    assert.equal(await status('GET', `/users/${cloud.demoUserId}/groups`, demo), 200)
    assert.equal(await status('GET', `/projects/${cloud.demoProjectId}`, demo), 200, 'one’s own project')
    assert.equal(await status('GET', '/regions', demo), 200)
  })

  /** What each kind needs, what else may be said, and what is refused with the field's name. */
  const kinds: Record<string, { path: string; body: () => object; change: Json; wrong: [object, RegExp][] }> = {
    user: {
      path: 'users',
      body: () => ({ name: 'kim', email: 'kim@example.org', password: 'a', colour: 'blue', options: { lock_password: true } }),
      change: { name: 'kim2', description: 'new' } as unknown as Json,
      wrong: [
        [{}, /'name' is a required/],
        [{ name: '' }, /user\/name/],
        [{ name: 'x'.repeat(256) }, /user\/name.*too long/],
        [{ name: 5 }, /user\/name/],
        [{ name: 'x', enabled: 'maybe' }, /user\/enabled/],
        [{ name: 'x', options: { nonsense: 1 } }, /nonsense/],
        [{ name: 'x', password: 5 }, /user\/password/],
        [{ name: 'x', password: 'p'.repeat(4097) }, /password length/],
      ],
    },
    project: {
      path: 'projects',
      body: () => ({ name: 'p', tags: ['a'], colour: 'red' }),
      change: { name: 'p2', description: 'new' } as unknown as Json,
      wrong: [
        [{}, /'name'/],
        [{ name: 'x'.repeat(65) }, /project\/name/],
        [{ name: 'x', domain_id: 'absent' }, /absent/],
        [{ name: 'x', parent_id: 'absent' }, /absent/],
        [{ name: 'x', tags: ['a,b'] }, /project\/tags/],
        [{ name: 'x', is_domain: true, parent_id: 'default' }, /root projects/],
      ],
    },
    domain: {
      path: 'domains',
      body: () => ({ name: 'd', description: 'x' }),
      change: { name: 'd2', enabled: false } as unknown as Json,
      wrong: [
        [{}, /'name'/],
        [{ name: 'x', explicit_domain_id: 'nope' }, /UUID/],
        [{ name: 'x', enabled: 1 }, /domain\/enabled/],
      ],
    },
    group: {
      path: 'groups',
      body: () => ({ name: 'g' }),
      change: { name: 'g2' } as unknown as Json,
      wrong: [
        [{}, /'name'/],
        [{ name: [] }, /group\/name/],
      ],
    },
    role: {
      path: 'roles',
      body: () => ({ name: 'r' }),
      change: { name: 'r2', description: 'd' } as unknown as Json,
      wrong: [
        [{}, /'name'/],
        [{ name: ' ' }, /role\/name/],
      ],
    },
    region: {
      path: 'regions',
      body: () => ({ id: 'here' }),
      change: { description: 'd' } as unknown as Json,
      wrong: [[{ id: 5 }, /region\/id/]],
    },
    service: {
      path: 'services',
      body: () => ({ type: 's', name: 's' }),
      change: { name: 's2', enabled: false } as unknown as Json,
      wrong: [[{}, /'type'/]],
    },
    policy: {
      path: 'policies',
      body: () => ({ type: 'x', blob: '{}' }),
      change: { blob: '{1}' } as unknown as Json,
      wrong: [[{ type: 'x' }, /'blob'/]],
    },
    credential: {
      path: 'credentials',
      body: () => ({ type: 'ec2', user_id: cloud.demoUserId, project_id: cloud.demoProjectId, blob: '{"access":"a","secret":"b"}' }),
      change: { blob: '{"access":"a","secret":"c"}' } as unknown as Json,
      wrong: [
        [{ type: 'x' }, /required/],
        [{ type: 'ec2', user_id: 'x', project_id: 'x', blob: 'no' }, /blob/],
      ],
    },
  }
  for (const [kind, { path, body, change, wrong }] of Object.entries(kinds)) {
    test(`${path}: create, show, list, change, delete`, async () => {
      for (const [bad, pattern] of wrong) {
        const answer = await cloud.send('POST', `/${path}`, admin, { [kind]: bad })
        assert.equal(answer.status, 400, JSON.stringify([bad, answer.body]))
        assert.match(String(answer.body.error!.message), pattern)
      }
      const made = (await cloud.send('POST', `/${path}`, admin, { [kind]: body() })).body[kind]!
      const { password: _secret, ...rest } = body() as Record<string, unknown>
      for (const [field, value] of Object.entries(rest)) assert.deepEqual(made[field], value, field)
      assert.equal(made.password, undefined)
      const id = String(made.id)
      if (kind !== 'region' && kind !== 'credential') assert.match(id, /^[0-9a-f]{32}$/)
      assert.equal(made.links!.self, `http://cloud.test:5000/identity/v3/${path}/${id}`)
      assert.deepEqual((await cloud.send('GET', `/${path}/${id}`, admin)).body[kind], made)
      const listed = (await cloud.send('GET', `/${path}`, admin)).body[path] as unknown as Json[]
      assert.deepEqual(
        listed.find((one) => String(one.id) === id),
        made,
      )
      if (kind !== 'service' && kind !== 'policy') {
        const again = await cloud.send('POST', `/${path}`, admin, { [kind]: body() })
        assert.equal(again.status, 409)
        assert.match(String(again.body.error!.message), /Conflict occurred attempting to store/)
      }
      assert.equal(await status('PATCH', `/${path}/${id}`, admin, { [kind]: {} }), 400)
      assert.equal(await status('PATCH', `/${path}/absent`, admin, { [kind]: change }), 404)
      const changed = (await cloud.send('PATCH', `/${path}/${id}`, admin, { [kind]: change })).body[kind]!
      for (const [field, value] of Object.entries(change)) assert.deepEqual(changed[field], value, field)
      assert.equal(await status('DELETE', `/${path}/${id}`, demo), kind === 'credential' ? 204 : 403)
      if (kind !== 'credential') assert.equal(await status('DELETE', `/${path}/${id}`, admin), 204)
      assert.equal(await status('DELETE', `/${path}/${id}`, admin), 404)
      assert.equal(await status('GET', `/${path}/${id}`, admin), 404)
    })
  }

  test('endpoints', async () => {
    const service = await make('service', { type: 'thing' })
    const body = { service_id: service.id, interface: 'public', url: 'http://x/$(project_id)s', region_id: 'RegionOne' }
    for (const bad of [
      { ...body, interface: 'private' },
      { ...body, url: 'nothing' },
      { ...body, url: 'http://x/$(secret)s' },
      { ...body, service_id: 'absent' },
      { ...body, region_id: 'absent' },
    ]) {
      assert.equal(await status('POST', '/endpoints', admin, { endpoint: bad }), 400, JSON.stringify(bad))
    }
    const made = await make('endpoint', body)
    assert.equal(made.region, 'RegionOne')
    const catalog = async () =>
      (await cloud.send('GET', '/auth/catalog', admin)).body.catalog as unknown as { type: string; endpoints: { url: string }[] }[]
    assert.equal((await catalog()).find(({ type }) => type === 'thing')?.endpoints[0]?.url, `http://x/${cloud.adminProjectId}`)
    const changed = await cloud.send('PATCH', `/endpoints/${made.id}`, admin, { endpoint: { region: 'RegionNew', enabled: false } })
    assert.equal(changed.body.endpoint!.region_id, 'RegionNew', 'the old name makes the region')
    assert.equal(
      (await catalog()).find(({ type }) => type === 'thing'),
      undefined,
    )
    assert.equal(await status('DELETE', '/regions/RegionNew', admin), 403)
    assert.equal(await status('DELETE', `/endpoints/${made.id}`, admin), 204)
    assert.equal(await status('DELETE', '/regions/RegionNew', admin), 204)
  })

  test('a region goes with those below it, unless one of them has endpoints', async () => {
    for (const [id, parent] of [
      ['above', undefined],
      ['middle', 'above'],
      ['below', 'middle'],
    ])
      await make('region', { id, parent_region_id: parent })
    const service = await make('service', { type: 'thing' })
    const endpoint = await make('endpoint', { service_id: service.id, interface: 'public', url: 'http://x', region_id: 'below' })
    const refused = await cloud.send('DELETE', '/regions/above', admin)
    assert.deepEqual([refused.status, /endpoints/.test(refused.body.error!.message as unknown as string)], [403, true])
    assert.equal(await status('DELETE', `/endpoints/${endpoint.id}`, admin), 204)
    assert.equal(await status('DELETE', '/regions/above', admin), 204)
    for (const id of ['above', 'middle', 'below']) assert.equal(await status('GET', `/regions/${id}`, admin), 404, id)
  })

  test('nothing of what has no name is found by one', async () => {
    await make('policy', { type: 'text/plain', blob: 'x' })
    for (const [path, list] of [
      ['/regions', 'regions'],
      ['/policies', 'policies'],
      ['/endpoints', 'endpoints'],
      ['/credentials', 'credentials'],
      ['/OS-TRUST/trusts', 'trusts'],
    ] as const) {
      const answer = await cloud.send('GET', `${path}?name=typo`, admin)
      assert.deepEqual([answer.status, answer.body[list]], [200, []], path)
    }
  })

  test('lists: filters, comparisons, pages', async () => {
    for (const name of ['list-a', 'list-b', 'LIST-c', 'other%']) await make('project', { name, tags: [name.slice(0, 5), 'x'] })
    const names = async (query: string) =>
      ((await cloud.send('GET', `/projects?${query}`, admin)).body.projects as unknown as { name: string }[]).map(({ name }) => name).sort()
    assert.deepEqual(await names('name=list-a'), ['list-a'])
    assert.deepEqual(await names('name__startswith=list'), ['list-a', 'list-b'])
    assert.deepEqual(await names('name__icontains=LIST-'), ['LIST-c', 'list-a', 'list-b'])
    assert.deepEqual(await names('name__contains=%25'), ['other%'])
    assert.deepEqual(await names('tags=list-,x'), ['list-a', 'list-b'])
    assert.deepEqual(await names('enabled=false'), [])
    assert.deepEqual(await names('is_domain=true'), ['Default'])
    const all: string[] = []
    let url: string | undefined = '/identity/v3/projects?limit=2'
    while (url) {
      const { body } = await cloud.send('GET', url, admin)
      const page = body.projects as unknown as { id: string }[]
      assert.ok(page.length <= 2)
      all.push(...page.map(({ id }) => id))
      url = (body.links!.next as unknown as string | null)?.replace('http://cloud.test:5000', '')
    }
    assert.equal(new Set(all).size, (await names('')).length)
    assert.equal(await status('GET', '/projects?limit=many', admin), 400)
  })

  test('the tree of projects', async () => {
    const a = await make('project', { name: 'tree-a' })
    const b = await make('project', { name: 'tree-b', parent_id: a.id })
    const c = await make('project', { name: 'tree-c', parent_id: b.id })
    const { project } = (await cloud.send('GET', `/projects/${b.id}?parents_as_ids&subtree_as_ids`, admin)).body
    assert.deepEqual(project!.parents, { [String(a.id)]: { default: null } })
    assert.deepEqual(project!.subtree, { [String(c.id)]: null })
    assert.equal(await status('GET', `/projects/${b.id}?parents_as_ids&parents_as_list`, admin), 400)
    assert.equal(await status('DELETE', `/projects/${a.id}`, admin), 403, 'it has children')
    assert.equal(await status('PATCH', `/projects/${a.id}`, admin, { project: { enabled: false } }), 403, 'an enabled child')
    assert.equal(await status('PATCH', `/projects/${c.id}`, admin, { project: { parent_id: a.id } }), 403)
    for (const { id } of [c, b, a]) assert.equal(await status('PATCH', `/projects/${id}`, admin, { project: { enabled: false } }), 200)
    assert.equal(await status('PATCH', `/projects/${c.id}`, admin, { project: { enabled: true } }), 403, 'a disabled parent')
    assert.equal(await status('POST', '/projects', admin, { project: { name: 'x', parent_id: a.id } }), 400)
    const domain = await make('project', { name: 'a domain', is_domain: true })
    assert.equal(await status('GET', `/domains/${domain.id}`, admin), 200)
    assert.equal(await status('DELETE', `/projects/${domain.id}`, admin), 403, 'it is enabled')
    assert.equal(await status('PATCH', `/projects/${domain.id}`, admin, { project: { enabled: false } }), 200)
    assert.equal(await status('DELETE', `/projects/${domain.id}`, admin), 204)
    let parent = 'default'
    const depths: number[] = []
    for (let i = 0; i < 6; i++) {
      const answer = await cloud.send('POST', '/projects', admin, { project: { name: `deep${i}`, parent_id: parent } })
      depths.push(answer.status)
      parent = String(answer.body.project?.id ?? parent)
    }
    assert.deepEqual(depths, [201, 201, 201, 201, 201, 403])
  })

  test('tags', async () => {
    const { id } = await make('project', { name: 'tagged' })
    const tags = async () => (await cloud.send('GET', `/projects/${id}/tags`, admin)).body.tags
    assert.equal(await status('PUT', `/projects/${id}/tags/one`, admin), 201)
    assert.equal(await status('GET', `/projects/${id}/tags/one`, admin), 204)
    assert.equal(await status('GET', `/projects/${id}/tags/two`, admin), 404)
    assert.equal(await status('PUT', `/projects/${id}/tags/a,b`, admin), 400)
    assert.equal(await status('PUT', `/projects/${id}/tags`, admin, { tags: ['x', 'y'] }), 200)
    assert.equal(await status('DELETE', `/projects/${id}/tags/x`, admin), 204)
    assert.deepEqual(await tags(), ['y'])
    assert.equal(await status('DELETE', `/projects/${id}/tags`, admin), 204)
    assert.deepEqual(await tags(), [])
    assert.equal(await status('PUT', `/projects/${id}/tags/one`, demo), 403)
  })

  test('two tags that are given at once both stay', async () => {
    const { id } = await make('project', { name: 'tagged twice' })
    let answers: Promise<number>[] = []
    await cloud.db.write(async (tx) => {
      await sql`select from identity.project where id = ${id} for update`.execute(tx)
      answers = ['one', 'two'].map((tag) => status('PUT', `/projects/${id}/tags/${tag}`, admin))
      await waiting(cloud.db, 2)
    })
    assert.deepEqual(await Promise.all(answers), [201, 201])
    const { tags } = (await cloud.send('GET', `/projects/${id}/tags`, admin)).body
    assert.deepEqual((tags as unknown as string[]).sort(), ['one', 'two'])
  })

  for (const kind of ['user', 'group', 'project'] as const) {
    test(`a ${kind} that is being deleted is given no role`, async () => {
      const made = { user: cloud.demoUserId, group: '', project: cloud.adminProjectId }
      made[kind] = String((await make(kind, { name: `going ${kind}` })).id)
      const { id: role } = await make('role', { name: `role of a ${kind}` })
      const actor = kind === 'group' ? `groups/${made.group}` : `users/${made.user}`
      let answers: Promise<number>[] = []
      await cloud.db.write(async (tx) => {
        await sql`select from identity.${sql.id(kind)} where id = ${made[kind]} for update`.execute(tx)
        answers = [status('DELETE', `/${kind}s/${made[kind]}`, admin)]
        await waiting(cloud.db, 1)
        answers.push(status('PUT', `/projects/${made.project}/${actor}/roles/${role}`, admin))
        await Promise.race([waiting(cloud.db, 2), answers[1]])
      })
      assert.deepEqual(await Promise.all(answers), [204, 404])
      const given = cloud.db.read.selectFrom('identity.assignment').selectAll().where('role_id', '=', String(role))
      assert.deepEqual(await given.execute(), [])
    })
  }

  test('an immutable role can only be freed', async () => {
    const roles = (await cloud.send('GET', '/roles?name=member', admin)).body.roles as unknown as { id: string }[]
    const { id } = roles[0]!
    assert.equal(await status('DELETE', `/roles/${id}`, admin), 403)
    assert.equal(await status('PATCH', `/roles/${id}`, admin, { role: { description: 'x' } }), 403)
    assert.equal(await status('PATCH', `/roles/${id}`, admin, { role: { options: { immutable: false } } }), 200)
    assert.equal(await status('PATCH', `/roles/${id}`, admin, { role: { options: { immutable: true } } }), 200)
  })

  test('a domain goes with all it has, once it is disabled', async () => {
    const domain = await make('domain', { name: 'doomed' })
    const user = await make('user', { name: 'u', domain_id: domain.id, password: 'x' })
    const project = await make('project', { name: 'p', domain_id: domain.id })
    const role = await make('role', { name: 'r', domain_id: domain.id })
    assert.equal(await status('PUT', `/projects/${project.id}/users/${user.id}/roles/${role.id}`, admin), 204)
    assert.equal(
      await status('PUT', `/projects/${cloud.demoProjectId}/users/${user.id}/roles/${role.id}`, admin),
      403,
      'a role of another domain',
    )
    assert.equal(await status('DELETE', `/domains/${domain.id}`, admin), 403)
    assert.equal(await status('PATCH', `/domains/${domain.id}`, admin, { domain: { enabled: false } }), 200)
    assert.equal(await status('DELETE', `/domains/${domain.id}`, admin), 204)
    for (const path of [`users/${user.id}`, `projects/${project.id}`, `roles/${role.id}`])
      assert.equal(await status('GET', `/${path}`, admin), 404)
  })
})
