// A project's catalog shows what the project was given; a policy document is found by the nearest way.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Json, passwords, type TestCloud, testCloud } from '../testing.ts'

describe('endpoint filters and endpoint policies', () => {
  let cloud: TestCloud
  let admin: string
  before(async () => {
    cloud = await testCloud()
    admin = await cloud.signIn('admin', passwords.admin)
  })
  after(() => cloud.end())

  const send = (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: object) => cloud.send(method, path, admin, body)
  const status = async (...request: Parameters<typeof send>) => (await send(...request)).status
  const make = async (path: string, kind: string, body: object): Promise<Json> => {
    const answer = await send('POST', path, { [kind]: body })
    assert.equal(answer.status, 201, JSON.stringify(answer.body))
    return answer.body[kind]!
  }
  const ids = async (path: string, key: string) => ((await send('GET', path)).body[key] as unknown as { id: string }[]).map(({ id }) => id)
  const endpoint = async (service: Json, region_id = 'RegionOne', face = 'public') =>
    String((await make('/endpoints', 'endpoint', { service_id: service.id, interface: face, url: 'http://x', region_id })).id)
  const catalog = async (project: unknown) => {
    const token = await cloud.signIn('admin', passwords.admin, { project: { id: project } })
    const all = (await cloud.send('GET', '/auth/catalog', token)).body.catalog as unknown as { endpoints: { id: string }[] }[]
    return all.flatMap(({ endpoints }) => endpoints.map(({ id }) => id)).sort()
  }
  const projectOfAdmin = async (name: string) => {
    const project = await make('/projects', 'project', { name })
    const [role] = await ids('/roles?name=admin', 'roles')
    assert.equal(await status('PUT', `/projects/${project.id}/users/${cloud.adminUserId}/roles/${role}`), 204)
    return project
  }

  test('endpoints given one by one and by groups are all that the catalog shows', async () => {
    const project = await projectOfAdmin('filtered')
    const all = await catalog(project.id)
    const service = await make('/services', 'service', { type: 'a' })
    const [one, two, admins] = [await endpoint(service), await endpoint(service), await endpoint(service, 'RegionOne', 'admin')]
    assert.deepEqual(await catalog(project.id), [...all, one, two, admins].sort())

    const path = `/OS-EP-FILTER/projects/${project.id}/endpoints`
    assert.equal(await status('GET', `${path}/${one}`), 404)
    assert.equal(await status('PUT', `${path}/${one}`), 204)
    assert.equal(await status('PUT', `${path}/${one}`), 409)
    assert.equal(await status('GET', `${path}/${one}`), 204)
    assert.equal(await status('PUT', `${path}/absent`), 404)
    assert.equal(await status('PUT', `/OS-EP-FILTER/projects/absent/endpoints/${one}`), 404)
    assert.deepEqual(await catalog(project.id), [one])
    assert.deepEqual(await ids(`/OS-EP-FILTER/endpoints/${one}/projects`, 'projects'), [project.id])

    const group = await make('/OS-EP-FILTER/endpoint_groups', 'endpoint_group', {
      name: 'g',
      filters: { service_id: service.id, interface: 'admin', region_id: 'RegionOne' },
    })
    const groups = '/OS-EP-FILTER/endpoint_groups'
    assert.deepEqual(await ids(`${groups}/${group.id}/endpoints`, 'endpoints'), [admins])
    assert.equal(await status('GET', `${groups}/${group.id}/projects/${project.id}`), 404)
    assert.equal(await status('PUT', `${groups}/${group.id}/projects/${project.id}`), 204)
    assert.equal(await status('PUT', `${groups}/${group.id}/projects/${project.id}`), 409)
    const shown = (await send('GET', `${groups}/${group.id}/projects/${project.id}`)).body.project_endpoint_group!
    assert.deepEqual([shown.project_id, shown.endpoint_group_id], [project.id, group.id])
    assert.deepEqual(await ids(`${groups}/${group.id}/projects`, 'projects'), [project.id])
    assert.deepEqual(await ids(`/OS-EP-FILTER/projects/${project.id}/endpoint_groups`, 'endpoint_groups'), [group.id])
    assert.deepEqual((await ids(path, 'endpoints')).sort(), [one, admins].sort())
    assert.deepEqual(await catalog(project.id), [one, admins].sort())
    assert.equal(await status('PATCH', `/endpoints/${admins}`, { endpoint: { enabled: false } }), 200)
    assert.deepEqual(await catalog(project.id), [one])

    assert.equal(await status('PATCH', `${groups}/${group.id}`, { endpoint_group: { filters: { interface: 'internal' } } }), 200)
    assert.ok(!(await catalog(project.id)).includes(two))
    assert.equal(await status('DELETE', `${groups}/${group.id}/projects/${project.id}`), 204)
    assert.equal(await status('DELETE', `${groups}/${group.id}/projects/${project.id}`), 404)
    assert.equal(await status('DELETE', `${groups}/${group.id}`), 204)
    assert.equal(await status('GET', `${groups}/${group.id}`), 404)
    assert.equal(await status('DELETE', `${path}/${one}`), 204)
    assert.equal(await status('DELETE', `${path}/${one}`), 404)
    assert.equal((await catalog(project.id)).length, all.length + 2)
    assert.equal(await status('DELETE', `/services/${service.id}`), 204, 'what refers to it goes with it')
  })

  test('an endpoint group is told apart by what endpoints have', async () => {
    const refused = async (body: object) => (await send('POST', '/OS-EP-FILTER/endpoint_groups', { endpoint_group: body })).status
    assert.equal(await refused({ name: 'x' }), 400)
    assert.equal(await refused({ name: 'x', filters: {} }), 400)
    assert.equal(await refused({ name: 'x', filters: { enabled: true } }), 400)
    assert.equal(await refused({ name: 'x', filters: { interface: 'secret' } }), 400)
    assert.equal(await refused({ name: 'x', filters: { interface: 'public' }, more: 1 }), 400)
    const group = await make('/OS-EP-FILTER/endpoint_groups', 'endpoint_group', { name: 'named', filters: { interface: 'public' } })
    assert.deepEqual(await ids('/OS-EP-FILTER/endpoint_groups?name=named', 'endpoint_groups'), [group.id])
    assert.equal(await status('PATCH', `/OS-EP-FILTER/endpoint_groups/${group.id}`, { endpoint_group: { filters: { url: 'x' } } }), 400)
    assert.equal(
      (await send('PATCH', `/OS-EP-FILTER/endpoint_groups/${group.id}`, { endpoint_group: { name: 'new' } })).body.endpoint_group!.name,
      'new',
    )
  })

  test('a policy document for an endpoint, a region and those in it, a service', async () => {
    for (const [id, parent_region_id] of [
      ['north', null],
      ['far-north', 'north'],
    ])
      await make('/regions', 'region', { id, parent_region_id })
    const service = await make('/services', 'service', { type: 'b' })
    const here = await endpoint(service, 'far-north')
    const there = await endpoint(service)
    const documents: Json[] = []
    for (const blob of ['0', '1', '2']) documents.push(await make('/policies', 'policy', { type: 'x', blob }))
    const path = (i: number, of: string) => `/policies/${documents[i]!.id}/OS-ENDPOINT-POLICY/${of}`
    const found = async (id: string) => {
      const answer = await send('GET', `/endpoints/${id}/OS-ENDPOINT-POLICY/policy`)
      return answer.status === 200 ? answer.body.policy!.blob : answer.status
    }
    assert.equal(await found(here), 404)
    const ways = [`services/${service.id}`, `services/${service.id}/regions/north`, `endpoints/${here}`]
    for (const [i, way] of ways.entries()) {
      assert.equal(await status('GET', path(i, way)), 404)
      assert.equal(await status('PUT', path(i, way)), 204)
      assert.equal(await status('PUT', path(i, way)), 204)
      assert.equal(await status('GET', path(i, way)), 204)
      assert.equal(await found(here), String(i), 'the nearest one')
    }
    assert.equal(await found(there), '0')
    assert.deepEqual((await ids(path(0, 'endpoints'), 'endpoints')).sort(), [here, there].sort())
    assert.deepEqual(await ids(path(1, 'endpoints'), 'endpoints'), [here])
    assert.deepEqual(await ids(path(2, 'endpoints'), 'endpoints'), [here])
    assert.equal(await status('PUT', path(0, `endpoints/${here}`)), 204, 'another document takes the place')
    assert.equal(await status('GET', path(2, `endpoints/${here}`)), 404)
    assert.equal(await status('DELETE', path(0, `endpoints/${here}`)), 204)
    assert.equal(await found(here), '1')
    assert.equal(await status('PUT', path(0, 'endpoints/absent')), 404)
    assert.equal(await status('DELETE', `/policies/${documents[1]!.id}`), 204)
    assert.equal(await found(here), '0')
    assert.equal((await send('GET', `/policies/${here}/OS-ENDPOINT-POLICY/policy`)).body.policy!.blob, '0')
  })

  test('what was revoked, and what is gone', async () => {
    const token = await cloud.signIn('demo', passwords.demo)
    const [audit] = (await cloud.send('GET', '/auth/tokens', admin, undefined, { 'x-subject-token': token })).body.token!
      .audit_ids as unknown as string[]
    assert.equal((await cloud.send('DELETE', '/auth/tokens', admin, undefined, { 'x-subject-token': token })).status, 204)
    const events = async (query = '') => (await send('GET', `/OS-REVOKE/events${query}`)).body.events as unknown as { audit_id: string }[]
    assert.ok((await events()).some((event) => event.audit_id === audit))
    assert.deepEqual(await events('?since=2999-01-01T00:00:00Z'), [])
    assert.equal(await status('GET', '/OS-REVOKE/events?since=soon'), 400)
    assert.equal(await status('GET', '/auth/tokens/OS-PKI/revoked'), 403)
    assert.equal((await cloud.send('GET', '/OS-SIMPLE-CERT/ca')).status, 410)
  })
})
