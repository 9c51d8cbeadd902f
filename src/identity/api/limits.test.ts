// Registered limits and limits: what they refer to, who sees them, and how they must fit together where the model says so.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Json, passwords, type TestCloud, testCloud } from '../testing.ts'

/** What both suites need of a cloud, with the service and the domain that they limit. */
async function cloudWithService(model: 'flat' | 'strict_two_level') {
  const cloud = await testCloud(model)
  const admin = await cloud.signIn('admin', passwords.admin)
  const send = (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: object, token = admin) =>
    cloud.send(method, path, token, body)
  const make = async (kind: string, body: object): Promise<string> => {
    const answer = await send('POST', `/${kind}s`, { [kind]: body })
    assert.equal(answer.status, 201, JSON.stringify(answer.body))
    return String(answer.body[kind]!.id)
  }
  const service_id = await make('service', { type: 'things', name: 'things' })
  const register = (more: object = {}) =>
    send('POST', '/registered_limits', { registered_limits: [{ service_id, resource_name: 'thing', default_limit: 10, ...more }] })
  const set = (...all: object[]) =>
    send('POST', '/limits', { limits: all.map((one) => ({ service_id, resource_name: 'thing', resource_limit: 5, ...one })) })
  return { cloud, admin, send, make, service_id, register, set }
}
type Bed = Awaited<ReturnType<typeof cloudWithService>>

const list = (body: Json, key: string) => body[key] as unknown as Json[]

describe('limits, flat', () => {
  let bed: Bed
  let cloud: TestCloud
  before(async () => {
    bed = await cloudWithService('flat')
    cloud = bed.cloud
  })
  after(() => cloud.end())

  test('registered limits: once for each resource of a service in a region', async () => {
    const { send, register, service_id } = bed
    const made = await register({ description: 'things' })
    assert.equal(made.status, 201)
    const limit = list(made.body, 'registered_limits')[0]!
    assert.deepEqual(
      [limit.service_id, limit.region_id, limit.resource_name, limit.default_limit, limit.description],
      [service_id, null, 'thing', 10, 'things'],
    )
    assert.equal((await register()).status, 409)
    assert.equal((await register({ region_id: 'RegionOne' })).status, 201)
    assert.equal((await register({ region_id: 'nowhere' })).status, 400)
    assert.equal((await register({ service_id: 'absent' })).status, 400)
    assert.equal((await register({ resource_name: 'other', default_limit: -2 })).status, 400)
    assert.equal((await register({ resource_name: 'other', default_limit: 2 ** 31 })).status, 400)
    assert.equal((await send('POST', '/registered_limits', { registered_limits: [] })).status, 400)
    const path = `/registered_limits/${limit.id}`
    assert.equal((await send('PATCH', path, { registered_limit: { default_limit: 11 } })).body.registered_limit!.default_limit, 11)
    assert.equal((await send('PATCH', path, { registered_limit: { region_id: 'RegionOne' } })).status, 409)
    assert.deepEqual(
      list((await send('GET', '/registered_limits?region_id=RegionOne')).body, 'registered_limits').map((one) => one.region_id),
      ['RegionOne'],
    )
    assert.equal((await send('GET', '/registered_limits/absent')).status, 404)
    assert.equal((await send('DELETE', path)).status, 204)
    assert.equal((await send('DELETE', path)).status, 404)
  })

  test('limits: of projects and domains, for what is registered', async () => {
    const { send, register, set, make, service_id } = bed
    await register()
    const registered = list((await send('GET', `/registered_limits?service_id=${service_id}`)).body, 'registered_limits').find(
      ({ region_id }) => region_id === null,
    )!
    const project_id = await make('project', { name: 'limited' })
    const made = await set({ project_id }, { domain_id: 'default' }, { project_id, region_id: 'RegionOne' })
    assert.equal(made.status, 201, JSON.stringify(made.body))
    const [ofProject, ofDomain] = list(made.body, 'limits')
    assert.deepEqual([ofProject!.project_id, ofProject!.domain_id, ofProject!.resource_limit], [project_id, null, 5])
    assert.deepEqual([ofDomain!.project_id, ofDomain!.domain_id], [null, 'default'])
    assert.equal((await set({ project_id })).status, 409)
    assert.equal((await set({ project_id: 'default' })).status, 409, 'a domain, named as a project')
    assert.equal((await set({ project_id, domain_id: 'default' })).status, 400)
    assert.equal((await set({})).status, 400)
    assert.equal((await set({ project_id: 'absent' })).status, 400)
    assert.equal((await set({ domain_id: project_id })).status, 400)
    const unregistered = await set({ project_id, resource_name: 'other' })
    assert.equal(unregistered.status, 403)
    assert.match(String(unregistered.body.error!.message), /no corresponding registered limit/)
    assert.equal((await send('PATCH', `/registered_limits/${registered.id}`, { registered_limit: { default_limit: 1 } })).status, 403)
    assert.equal((await send('DELETE', `/registered_limits/${registered.id}`)).status, 403)

    const path = `/limits/${ofProject!.id}`
    assert.equal((await send('PATCH', path, { limit: { resource_limit: 0 } })).body.limit!.resource_limit, 0)
    assert.equal((await send('PATCH', path, { limit: { resource_name: 'x' } })).status, 400)
    assert.equal(Number((await send('GET', path)).body.limit!.resource_limit), 0)
    const child = await make('project', { name: 'child', parent_id: project_id })
    const role = list((await send('GET', '/roles?name=member')).body, 'roles')[0]!
    assert.equal((await send('PUT', `/projects/${project_id}/users/${cloud.adminUserId}/roles/${role.id}`)).status, 204)
    const { project } = (await send('GET', `/projects/${child}?parents_as_list&include_limits`)).body
    const parents = project!.parents as unknown as { project: { limits: Json[] } }[]
    assert.deepEqual(
      parents.map((one) => one.project.limits.map(({ id }) => id).sort()),
      [
        list(made.body, 'limits')
          .flatMap(({ id, project_id: of }) => (of === null ? [] : [id]))
          .sort(),
      ],
    )
    assert.equal((await send('DELETE', `/projects/${child}`)).status, 204)
    assert.equal((await send('DELETE', `/projects/${project_id}`)).status, 204)
    assert.equal((await send('GET', path)).status, 404, 'it went with the project')
    assert.equal((await send('GET', '/limits/model')).body.model!.name, 'flat')
  })

  test('everyone sees the limits of their own project, admins those of all', async () => {
    const { send, set } = bed
    const [mine, others] = list((await set({ project_id: cloud.demoProjectId }, { project_id: cloud.adminProjectId })).body, 'limits')
    const demo = await cloud.signIn('demo', passwords.demo)
    const seen = async (token: string) => list((await send('GET', '/limits', undefined, token)).body, 'limits').map(({ id }) => id)
    assert.deepEqual(await seen(demo), [mine!.id])
    assert.equal((await send('GET', `/limits/${mine!.id}`, undefined, demo)).status, 200)
    assert.equal((await send('GET', `/limits/${others!.id}`, undefined, demo)).status, 403)
    assert.equal((await send('GET', '/registered_limits', undefined, demo)).status, 200)
    const more = { service_id: bed.service_id, resource_name: 'thing', resource_limit: 1, domain_id: 'default' }
    assert.equal((await send('POST', '/limits', { limits: [more] }, demo)).status, 403)
    assert.equal((await send('DELETE', `/limits/${mine!.id}`, undefined, demo)).status, 403)
    assert.ok((await seen(bed.admin)).includes(others!.id as Json))
    const unscoped = await cloud.signIn('demo', passwords.demo, 'unscoped')
    assert.deepEqual(await seen(unscoped), [])
  })
})

describe('limits, strict_two_level', () => {
  let bed: Bed
  before(async () => {
    bed = await cloudWithService('strict_two_level')
  })
  after(() => bed.cloud.end())

  test('no project may have more than its domain', async () => {
    const { register, set, make, send } = bed
    await register()
    const domain_id = await make('domain', { name: 'd' })
    const project_id = await make('project', { name: 'p', domain_id })
    assert.equal((await set({ project_id, resource_limit: 11 })).status, 403, 'ten are registered')
    const both = await set({ domain_id, resource_limit: 20 }, { project_id, resource_limit: 21 })
    assert.equal(both.status, 403)
    assert.match(String(both.body.error!.message), /doesn't satisfy current hierarchy model/)
    const made = await set({ domain_id, resource_limit: 20 }, { project_id, resource_limit: 15 })
    assert.equal(made.status, 201)
    const [ofDomain, ofProject] = list(made.body, 'limits')
    const change = async (limit: Json, resource_limit: number) =>
      (await send('PATCH', `/limits/${limit.id}`, { limit: { resource_limit } })).status
    assert.equal(await change(ofDomain!, 14), 403)
    assert.equal(await change(ofProject!, 21), 403)
    assert.equal(await change(ofProject!, -1), 403, 'no limit is more than any')
    assert.equal(await change(ofDomain!, -1), 200)
    assert.equal(await change(ofProject!, 1000), 200)
    assert.equal((await send('GET', '/limits/model')).body.model!.name, 'strict_two_level')
  })

  test('projects have two levels', async () => {
    const { make, send } = bed
    const one = await make('project', { name: 'one' })
    const two = await make('project', { name: 'two', parent_id: one })
    assert.equal((await send('POST', '/projects', { project: { name: 'three', parent_id: two } })).status, 403)
  })
})
