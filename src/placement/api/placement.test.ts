import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it, type TestContext } from 'node:test'
import { sql } from 'kysely'
import { testDatabase } from '../../database/testing.ts'
import { checkRows } from '../../http/coverage.ts'
import type { Method } from '../../http/table.ts'
import { type AskOptions, fakeApi, member } from '../../http/testing.ts'
import { claim, release } from '../control/claim.ts'
import { ensureTraits } from '../control/traits.ts'
import { placement } from '../service.ts'

const admin = { ...member, roles: ['admin', 'manager', 'member', 'reader'] }
interface Body {
  [name: string]: unknown
  errors?: { code: string; detail: string }[]
  inventories: object
  provider_summaries: Record<string, object>
  allocation_requests: object[]
  resource_providers: { name: string }[]
}

async function placementApi(context: TestContext) {
  const { db, drop } = await testDatabase({ connections: 10 })
  context.after(drop)
  const { ask } = fakeApi(context, [placement({ db, config: { home: '/' } })], { db })
  const api = async (method: Method, url: string, options: AskOptions = {}) => {
    const answer = await ask(method, `/placement${url}`, { version: '1.39', who: admin, ...options })
    const body = (answer.body ?? {}) as unknown as Body
    return { ...answer, body, code: body.errors?.[0]?.code, detail: body.errors?.[0]?.detail ?? '' }
  }
  /** A provider with as many VCPU and MB of memory. */
  const provider = async (name: string, vcpus = 4, memory = 1024): Promise<string> => {
    const id = randomUUID()
    await api('POST', '/resource_providers', { payload: { name, uuid: id } })
    const payload = { resource_provider_generation: 0, inventories: { VCPU: { total: vcpus }, MEMORY_MB: { total: memory, reserved: 24 } } }
    const set = await api('PUT', `/resource_providers/${id}/inventories`, { payload })
    assert.equal(set.status, 200, set.text)
    return id
  }
  const hold = (consumer: string, id: string, resources: object, generation: number | null = null) =>
    api('PUT', `/allocations/${consumer}`, {
      payload: {
        allocations: { [id]: { resources } },
        project_id: 'p',
        user_id: 'u',
        consumer_generation: generation,
        consumer_type: 'INSTANCE',
      },
    })
  /** What inventories say is used, beside the sum of the allocations. */
  const used = async (id: string) => {
    const { rows } = await sql<{ name: string; used: number; sum: number }>`
      select resource_class as name, used, coalesce((select sum(a.used) from placement.allocation a
        where a.provider_id = i.provider_id and a.resource_class = i.resource_class), 0) as sum
      from placement.inventory i where provider_id = ${id}`.execute(db.read)
    for (const row of rows) assert.equal(row.used, Number(row.sum), 'the count and the allocations agree')
    return Object.fromEntries(rows.map((row) => [row.name, row.used]))
  }
  return { api, db, hold, provider, used }
}

describe('placement', () => {
  it('has a table without gaps, and is not for members', async (context) => {
    assert.deepEqual(checkRows([placement({ db: undefined as never, config: { home: '/' } })]), [])
    const { api, provider } = await placementApi(context)
    const id = await provider('h1')
    for (const url of ['/resource_providers', `/resource_providers/${id}`, '/traits', `/allocations/${id}`]) {
      assert.equal((await api('GET', url, { who: member })).status, 403)
    }
    assert.equal((await api('GET', '/usages?project_id=p1', { who: member })).status, 200)
    assert.equal((await api('GET', '/usages?project_id=other', { who: member })).status, 403)
    assert.equal((await api('GET', '/', { token: '' })).status, 200)
    assert.equal((await api('GET', '/resource_providers', { version: '1.40' })).status, 406)
  })

  it('keeps providers, and shows what each version shows', async (context) => {
    const { api, provider } = await placementApi(context)
    const id = await provider('h1')
    const old = await api('GET', `/resource_providers/${id}`, { version: '1.0' })
    assert.deepEqual(old.body, {
      uuid: id,
      name: 'h1',
      generation: 1,
      links: ['', '/inventories', '/usages'].map((rel) => ({
        rel: rel.slice(1) || 'self',
        href: `/placement/resource_providers/${id}${rel}`,
      })),
    })
    assert.equal(old.headers['cache-control'], undefined)
    const now = await api('GET', `/resource_providers/${id}`)
    assert.deepEqual([now.body.root_provider_uuid, now.body.parent_provider_uuid, now.headers['cache-control']], [id, null, 'no-cache'])
    const same = await api('POST', '/resource_providers', { payload: { name: 'h1' } })
    assert.deepEqual([same.status, same.code], [409, 'placement.duplicate_name'])
    const made = await api('POST', '/resource_providers', { payload: { name: 'child', parent_provider_uuid: id } })
    assert.deepEqual([made.status, made.body.root_provider_uuid], [200, id])
    assert.equal((await api('POST', '/resource_providers', { payload: { name: 'x' }, version: '1.0' })).status, 201)
    assert.equal((await api('POST', '/resource_providers', { payload: { name: 'y', extra: 1 } })).status, 400)
    const parent = await api('DELETE', `/resource_providers/${id}`)
    assert.deepEqual([parent.status, parent.code], [409, 'placement.resource_provider.cannot_delete_parent'])
    const loop = await api('PUT', `/resource_providers/${id}`, { payload: { name: 'h1', parent_provider_uuid: made.body.uuid } })
    assert.match(loop.detail, /loop/)
    const freed = await api('PUT', `/resource_providers/${made.body.uuid}`, { payload: { name: 'free', parent_provider_uuid: null } })
    assert.deepEqual([freed.body.name, freed.body.root_provider_uuid], ['free', made.body.uuid])
    assert.equal((await api('DELETE', `/resource_providers/${id}`)).status, 204)
    assert.equal((await api('GET', `/resource_providers/${id}`)).code, 'placement.resource_provider.not_found')
    assert.equal((await api('GET', '/resource_providers?name=x&in_tree=1', { version: '1.0' })).status, 400)
  })

  it('keeps inventories by generation', async (context) => {
    const { api, hold, provider, used } = await placementApi(context)
    const id = await provider('h1')
    const url = `/resource_providers/${id}/inventories`
    const stale = await api('PUT', url, { payload: { resource_provider_generation: 0, inventories: {} } })
    assert.deepEqual([stale.status, stale.code], [409, 'placement.concurrent_update'])
    const added = await api('POST', url, { payload: { resource_class: 'DISK_GB', total: 10 } })
    assert.deepEqual([added.status, added.body.max_unit, added.body.resource_provider_generation], [201, 2_147_483_647, 2])
    assert.equal((await api('POST', url, { payload: { resource_class: 'DISK_GB', total: 10 } })).code, 'placement.concurrent_update')
    assert.equal((await api('POST', url, { payload: { resource_class: 'NOTHING', total: 10 } })).status, 400)
    assert.equal((await api('POST', url, { payload: { resource_class: 'VGPU', total: 1, reserved: 1 }, version: '1.25' })).status, 400)
    assert.equal((await api('POST', url, { payload: { resource_class: 'VGPU', total: 1, reserved: 1 } })).status, 201)
    const put = await api('PUT', `${url}/VCPU`, { payload: { total: 8, resource_provider_generation: 3 } })
    assert.deepEqual([put.status, put.body.total], [200, 8])
    assert.equal((await api('PUT', `${url}/FPGA`, { payload: { total: 8, resource_provider_generation: 4 } })).status, 400)
    assert.equal((await api('GET', `${url}/FPGA`)).status, 404)
    assert.equal((await hold(randomUUID(), id, { VCPU: 1 })).status, 204)
    const inUse = await api('DELETE', `${url}/VCPU`)
    assert.deepEqual([inUse.status, inUse.code], [409, 'placement.inventory.inuse'])
    assert.equal((await api('DELETE', url)).status, 409)
    assert.equal((await api('DELETE', url, { version: '1.4' })).status, 404)
    assert.equal((await api('DELETE', `${url}/VGPU`)).status, 204)
    assert.deepEqual(Object.keys((await api('GET', url)).body.inventories), ['DISK_GB', 'MEMORY_MB', 'VCPU'])
    assert.deepEqual(await used(id), { VCPU: 1, MEMORY_MB: 0, DISK_GB: 0 })
  })

  it('keeps aggregates, traits and resource classes', async (context) => {
    const { api, db, provider } = await placementApi(context)
    await db.write(ensureTraits)
    await db.write(ensureTraits)
    const id = await provider('h1')
    const group = randomUUID()
    const url = `/resource_providers/${id}`
    assert.equal((await api('PUT', `${url}/aggregates`, { payload: [group], version: '1.1' })).status, 200)
    const set = { payload: { aggregates: [group], resource_provider_generation: 1 } }
    assert.equal((await api('PUT', `${url}/aggregates`, set)).body.resource_provider_generation, 2)
    assert.equal((await api('PUT', `${url}/aggregates`, set)).code, 'placement.concurrent_update')

    assert.equal((await api('PUT', '/traits/CUSTOM_GOLD')).status, 201)
    assert.equal((await api('PUT', '/traits/CUSTOM_GOLD')).status, 204)
    assert.equal((await api('PUT', '/traits/GOLD')).status, 400)
    assert.equal((await api('GET', '/traits/CUSTOM_GOLD')).status, 204)
    const give = (traits: string[], resource_provider_generation: number) =>
      api('PUT', `${url}/traits`, { payload: { traits, resource_provider_generation } })
    assert.equal((await give(['CUSTOM_NONE'], 2)).status, 400)
    assert.deepEqual((await give(['HW_CPU_X86_AVX2', 'CUSTOM_GOLD'], 2)).body.traits, ['CUSTOM_GOLD', 'HW_CPU_X86_AVX2'])
    assert.equal((await give([], 2)).code, 'placement.concurrent_update')
    assert.deepEqual((await api('GET', '/traits?name=startswith:CUSTOM&associated=true')).body, { traits: ['CUSTOM_GOLD'] })
    assert.equal((await api('GET', '/traits?name=GOLD')).status, 400)
    assert.equal((await api('DELETE', '/traits/CUSTOM_GOLD')).status, 409)
    assert.equal((await api('DELETE', '/traits/HW_CPU_X86_AVX2')).status, 400)
    assert.equal((await api('DELETE', `${url}/traits`)).status, 204)
    assert.equal((await api('DELETE', '/traits/CUSTOM_GOLD')).status, 204)

    assert.equal((await api('POST', '/resource_classes', { payload: { name: 'CUSTOM_TOY' } })).status, 201)
    assert.equal((await api('POST', '/resource_classes', { payload: { name: 'CUSTOM_TOY' } })).status, 409)
    assert.equal((await api('POST', '/resource_classes', { payload: { name: 'TOY' } })).status, 400)
    assert.equal((await api('PUT', '/resource_classes/CUSTOM_TOY')).status, 204)
    assert.equal((await api('PUT', '/resource_classes/CUSTOM_TWO')).status, 201)
    const renamed = await api('PUT', '/resource_classes/CUSTOM_TWO', { payload: { name: 'CUSTOM_DUO' }, version: '1.2' })
    assert.equal(renamed.body.name, 'CUSTOM_DUO')
    assert.equal((await api('GET', '/resource_classes/CUSTOM_TWO')).status, 404)
    assert.equal((await api('DELETE', '/resource_classes/VCPU')).status, 400)
    assert.equal((await api('DELETE', '/resource_classes/CUSTOM_TOY')).status, 204)
    assert.equal((await api('GET', '/resource_classes', { version: '1.1' })).status, 404)
  })

  it('allocates what fits, and tells each version what it knows', async (context) => {
    const { api, hold, provider, used } = await placementApi(context)
    const id = await provider('h1')
    const one = randomUUID()
    assert.equal((await hold(one, id, { VCPU: 2, MEMORY_MB: 500 })).status, 204)
    assert.deepEqual((await api('GET', `/allocations/${one}`)).body, {
      allocations: { [id]: { generation: 2, resources: { MEMORY_MB: 500, VCPU: 2 } } },
      project_id: 'p',
      user_id: 'u',
      consumer_generation: 1,
      consumer_type: 'INSTANCE',
    })
    assert.deepEqual((await api('GET', `/allocations/${one}`, { version: '1.0' })).body, {
      allocations: { [id]: { generation: 2, resources: { MEMORY_MB: 500, VCPU: 2 } } },
    })
    assert.deepEqual((await api('GET', `/resource_providers/${id}/allocations`)).body, {
      allocations: { [one]: { resources: { MEMORY_MB: 500, VCPU: 2 }, consumer_generation: 1 } },
      resource_provider_generation: 2,
    })
    const again = await hold(one, id, { VCPU: 1 })
    assert.deepEqual([again.status, again.code, /expected 1 but got null/.test(again.detail)], [409, 'placement.concurrent_update', true])
    assert.equal((await hold(randomUUID(), id, { VCPU: 1 }, 1)).status, 409, 'a consumer that does not exist has no generation')
    assert.equal((await hold(one, id, { VCPU: 4, MEMORY_MB: 1000 }, 1)).status, 204, 'its own share counts as free')
    assert.match((await hold(randomUUID(), id, { VCPU: 1 })).detail, /exceed the capacity/)
    assert.match((await hold(randomUUID(), id, { DISK_GB: 1 })).detail, /Inventory for 'DISK_GB'/)
    assert.match((await hold(randomUUID(), id, { NOTHING: 1 })).detail, /No such resource class/)
    assert.equal((await hold(randomUUID(), randomUUID(), { VCPU: 1 })).status, 400)
    assert.equal((await hold('nonsense', id, { VCPU: 1 })).status, 400)
    assert.equal((await hold(randomUUID(), id, { VCPU: 0 })).status, 400)
    assert.deepEqual(await used(id), { VCPU: 4, MEMORY_MB: 1000 })

    const usages = (query: string, version = '1.39') => api('GET', `/usages?${query}`, { version })
    assert.deepEqual((await usages('project_id=p', '1.9')).body, { usages: { VCPU: 4, MEMORY_MB: 1000 } })
    assert.deepEqual((await usages('project_id=p')).body, { usages: { INSTANCE: { VCPU: 4, MEMORY_MB: 1000, consumer_count: 1 } } })
    assert.deepEqual((await usages('project_id=p&user_id=x')).body, { usages: {} })
    assert.deepEqual((await api('GET', `/resource_providers/${id}/usages`)).body, {
      resource_provider_generation: 3,
      usages: { MEMORY_MB: 1000, VCPU: 4 },
    })
    assert.equal((await api('DELETE', `/resource_providers/${id}`)).code, 'placement.resource_provider.inuse')
    assert.equal((await api('DELETE', `/allocations/${one}`)).status, 204)
    assert.equal((await api('DELETE', `/allocations/${one}`)).status, 404)
    assert.deepEqual(await used(id), { VCPU: 0, MEMORY_MB: 0 })
    const list = { allocations: [{ resource_provider: { uuid: id }, resources: { VCPU: 1 } }] }
    assert.equal((await api('PUT', `/allocations/${one}`, { payload: list, version: '1.0' })).status, 204)
    assert.equal((await api('PUT', `/allocations/${one}`, { payload: list, version: '1.8' })).status, 400)
  })

  it('moves several consumers at once, all or none', async (context) => {
    const { api, hold, provider, used } = await placementApi(context)
    const [from, to] = [await provider('h1'), await provider('h2')]
    const [server, migration] = [randomUUID(), randomUUID()]
    await hold(server, from, { VCPU: 3 })
    const about = { project_id: 'p', user_id: 'u', consumer_type: 'INSTANCE' }
    const move = (vcpus: number) => ({
      [server]: { ...about, allocations: { [to]: { resources: { VCPU: vcpus } } }, consumer_generation: 1 },
      [migration]: { ...about, allocations: { [from]: { resources: { VCPU: 3 } } }, consumer_generation: null },
    })
    assert.equal((await api('POST', '/allocations', { payload: move(5) })).status, 409)
    assert.deepEqual(
      [await used(from), await used(to)],
      [
        { VCPU: 3, MEMORY_MB: 0 },
        { VCPU: 0, MEMORY_MB: 0 },
      ],
    )
    assert.equal((await api('POST', '/allocations', { payload: move(3) })).status, 204)
    assert.deepEqual([(await used(from)).VCPU, (await used(to)).VCPU], [3, 3])
    const empty = { [migration]: { ...about, allocations: {}, consumer_generation: 1 } }
    assert.equal((await api('POST', '/allocations', { payload: empty })).status, 204)
    assert.deepEqual([(await used(from)).VCPU, (await used(to)).VCPU], [0, 3])
    assert.deepEqual((await api('GET', `/allocations/${migration}`)).body, { allocations: {} })
  })

  it('cannot be overdrawn by requests and claims at once', async (context) => {
    const { api, db, hold, provider, used } = await placementApi(context)
    const id = await provider('h1', 10, 100_000)
    const servers = Array.from({ length: 30 }, () => randomUUID())
    const results = await Promise.all(
      servers.map(async (server, n) =>
        n % 2
          ? (await hold(server, id, { VCPU: 1, MEMORY_MB: 10 })).status === 204
          : db.write((tx) => claim(tx, { consumer: server, project_id: 'p', user_id: 'u' }, id, { VCPU: 1, MEMORY_MB: 10 })),
      ),
    )
    assert.equal(results.filter(Boolean).length, 10)
    assert.deepEqual(await used(id), { VCPU: 10, MEMORY_MB: 100 })
    await Promise.all(servers.map((server, n) => (n % 2 ? api('DELETE', `/allocations/${server}`) : db.write((tx) => release(tx, server)))))
    assert.deepEqual(await used(id), { VCPU: 0, MEMORY_MB: 0 })
    const twice = randomUUID()
    const raced = await Promise.all(Array.from({ length: 8 }, () => hold(twice, id, { VCPU: 2 })))
    assert.deepEqual(raced.map(({ status }) => status).sort(), [204, ...Array(7).fill(409)])
    assert.equal((await used(id)).VCPU, 2)
  })

  it('proposes candidates', async (context) => {
    const { api, db, hold, provider } = await placementApi(context)
    await db.write(ensureTraits)
    const [small, large] = [await provider('a', 2), await provider('b', 8)]
    const group = randomUUID()
    await api('PUT', `/resource_providers/${large}/traits`, { payload: { traits: ['HW_CPU_X86_AVX2'], resource_provider_generation: 1 } })
    await api('PUT', `/resource_providers/${small}/aggregates`, { payload: { aggregates: [group], resource_provider_generation: 1 } })
    const found = async (query: string, version = '1.39') => {
      const { status, body, detail } = await api('GET', `/allocation_candidates?${query}`, { version })
      return status === 200 ? Object.keys(body.provider_summaries).map((id) => (id === small ? 'a' : 'b')) : `${status} ${detail}`
    }
    assert.deepEqual(await found('resources=VCPU:2,MEMORY_MB:100'), ['a', 'b'])
    assert.deepEqual(await found('resources=VCPU:3'), ['b'])
    assert.match(String(await found('resources=VCPU:3&__proto__=1')), /^400 .*'__proto__' was unexpected/)
    assert.deepEqual(await found('resources=VCPU:1&limit=1'), ['a'])
    assert.deepEqual(await found('resources=VCPU:1&required=HW_CPU_X86_AVX2'), ['b'])
    assert.deepEqual(await found('resources=VCPU:1&required=!HW_CPU_X86_AVX2'), ['a'])
    assert.deepEqual(await found('resources=VCPU:1&required=in:HW_CPU_X86_AVX2,HW_CPU_X86_AVX'), ['b'])
    assert.deepEqual(await found(`resources=VCPU:1&member_of=${group}`), ['a'])
    assert.deepEqual(await found(`resources=VCPU:1&member_of=!${group}`), ['b'])
    assert.deepEqual(await found(`resources=VCPU:1&in_tree=${large}`), ['b'])
    assert.match(String(await found('resources=VCPU:1&required=CUSTOM_NO')), /^400 No such trait/)
    assert.match(String(await found('resources=NOTHING:1')), /^400 Invalid resource class/)
    assert.match(String(await found('resources=VCPU')), /^400 Badly formed/)
    assert.match(String(await found('limit=1')), /^400/)
    assert.match(String(await found('resources=VCPU:1&limit=1', '1.15')), /^400/)
    assert.match(String(await found('resources1=VCPU:1')), /^501/)
    await hold(randomUUID(), small, { VCPU: 1 })
    const { body } = await api('GET', '/allocation_candidates?resources=VCPU:1&limit=1')
    assert.deepEqual(body.allocation_requests, [{ allocations: { [small]: { resources: { VCPU: 1 } } }, mappings: { '': [small] } }])
    assert.deepEqual(body.provider_summaries[small], {
      resources: { VCPU: { capacity: 2, used: 1 }, MEMORY_MB: { capacity: 1000, used: 0 } },
      traits: [],
      parent_provider_uuid: null,
      root_provider_uuid: small,
    })
    const old = await api('GET', '/allocation_candidates?resources=VCPU:1', { version: '1.10' })
    assert.deepEqual(old.body.allocation_requests[0], {
      allocations: [{ resource_provider: { uuid: small }, resources: { VCPU: 1 } }],
    })
    const listed = await api('GET', '/resource_providers?resources=VCPU:2&required=HW_CPU_X86_AVX2')
    assert.deepEqual(
      listed.body.resource_providers.map(({ name }) => name),
      ['b'],
    )
  })
})
