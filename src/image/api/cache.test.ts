import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it, type TestContext } from 'node:test'
import { waiting } from '../../database/testing.ts'
import type { Hello, Observation } from '../../wire/documents.ts'
import { join, makeJoinToken } from '../../wire/join.ts'
import { observe } from '../../wire/observe.ts'
import { clearCache } from '../control/cache.ts'
import { handlers, hello } from '../control/work.ts'
import { admin, imageApi, owner, reader } from './testing.ts'

const raw = Buffer.alloc(1000, 'x')

/** The image service, hosts of these names, and an image with data. */
async function cloud(context: TestContext, ...names: string[]) {
  const all = await imageApi(context)
  const { api, create, db, put, stores } = all
  const hosts: Record<string, { id: string; name: string }> = {}
  const greet = async (name: string, images: Hello['images'] = {}) => {
    await db.write((tx) => hello(tx, hosts[name]!, { images } as Hello))
    await db.write((tx) => handlers(stores)['image-cache']!(tx, hosts[name]!.id))
  }
  const enter = async (name: string) => {
    hosts[name] = await db.write(async (tx) => ({
      id: (await join(tx, await makeJoinToken(tx), name, randomUUID())).host_id,
      name,
    }))
    await greet(name)
  }
  for (const name of names) await enter(name)
  /** What a host is told of images: its wishes, and whose removal it has not reported yet. */
  const told = async (name: string) =>
    Object.fromEntries(
      (
        await db.read.selectFrom('wire.document').selectAll().where('host_id', '=', hosts[name]!.id).where('kind', '=', 'image').execute()
      ).map(({ id, body }) => [id, body === null ? 'gone' : 'wanted']),
    )
  /** The host reports on the newest document, as its agent would. */
  const report = async (name: string, id: string, more: Partial<Observation> = {}) => {
    const { id: host_id } = hosts[name]!
    const document = await db.read
      .selectFrom('wire.document')
      .selectAll()
      .where('host_id', '=', host_id)
      .where('id', '=', id)
      .executeTakeFirst()
    const image = { size: raw.length, hits: 2, cached_at: '2026-01-01T00:00:00.000Z', used_at: null }
    const seen = document && document.body === null ? { state: 'gone' as const } : { state: 'ready' as const, image }
    const observation = { kind: 'image' as const, id, generation: document?.generation ?? 0, ...seen, ...more }
    const [verdict] = await db.write((tx) => observe(tx, hosts[name]!, [observation], {}))
    assert.equal(verdict?.verdict, 'accepted')
  }
  const id = await create()
  await put(id, raw)
  const state = async (query = '') => {
    const { status, body } = await api('GET', `/cache${query}`, { who: admin })
    assert.equal(status, 200)
    return {
      cached: (body.cached_images as { image_id: string; hosts: string[] }[]).map(({ image_id, hosts }) => `${image_id} ${hosts}`),
      queued: body.queued_images,
      body,
    }
  }
  const ask = (method: 'PUT' | 'DELETE' | 'POST', url: string, headers = {}) => api(method, url, { who: admin, headers })
  return { ...all, ask, enter, greet, hosts, id, report, state, told }
}

describe('an image that is queued for the caches', () => {
  it('is wanted on every host, also on one that joins later, until each has it', async (context) => {
    const { api, ask, enter, id, report, state, told } = await cloud(context, 'a', 'b')
    const { status, text } = await ask('PUT', `/cache/${id}`)
    assert.deepEqual([status, text], [202, ''])
    assert.deepEqual([await told('a'), await told('b')], [{ [id]: 'wanted' }, { [id]: 'wanted' }])
    await report('a', id)
    assert.deepEqual((await state()).queued, [id])
    await report('b', id)
    const { cached, queued, body } = await state()
    assert.deepEqual([cached, queued], [[`${id} a,b`], []])
    assert.deepEqual(body.cached_images, [
      { image_id: id, hits: 4, last_accessed: 1767225600, last_modified: 1767225600, size: 1000, hosts: ['a', 'b'] },
    ])
    assert.deepEqual((await api('GET', `/cache/nodes/${id}`, { who: admin })).body, ['a', 'b'])
    await enter('c')
    assert.deepEqual(await told('c'), { [id]: 'wanted' })
    assert.deepEqual((await state()).queued, [id])
  })

  it('may be deleted while all wishes are being cleared', async (context) => {
    const { api, ask, db, id, told } = await cloud(context, 'a')
    await ask('PUT', `/cache/${id}`)
    let turns = 0
    const { write } = db
    context.mock.method(db, 'write', (work: Parameters<typeof write>[0]) =>
      write((tx) => {
        turns++
        return work(tx)
      }),
    )
    let changes: [Promise<unknown>, ReturnType<typeof api>] | undefined
    await write(async (tx) => {
      // Whoever changes the wishes of one image keeps others away from those of all.
      await clearCache(tx, { image: randomUUID() })
      const clearing = db.write((tx) => clearCache(tx, {}))
      await waiting(db, 1)
      changes = [clearing, api('DELETE', `/images/${id}`)]
      await waiting(db, 2)
    })
    const [, { status }] = await Promise.all(changes!)
    assert.equal(status, 204)
    assert.equal(turns, 2, 'PostgreSQL found no deadlock, so nobody had to begin again')
    assert.deepEqual(await told('a'), { [id]: 'gone' })
  })

  it('is wanted on some hosts only where these are named', async (context) => {
    const { ask, greet, id, state, told } = await cloud(context, 'a', 'b')
    assert.equal((await ask('PUT', `/cache/${id}?host=b`)).status, 202)
    await greet('a')
    assert.deepEqual([await told('a'), await told('b')], [{}, { [id]: 'wanted' }])
    assert.deepEqual([(await state('?host=a')).queued, (await state('?host=b')).queued], [[], [id]])
    const wrong = await ask('PUT', `/cache/${id}?host=nowhere`)
    assert.equal(wrong.status, 400)
    assert.match(wrong.message, /no host 'nowhere'/)
  })

  it('tells what kept a host from fetching it, and such are forgotten by cleaning', async (context) => {
    const { ask, id, report, state, told } = await cloud(context, 'a', 'b')
    await ask('PUT', `/cache/${id}`)
    await report('a', id)
    await report('b', id, { state: 'failed', image: undefined, error: { message: 'no room', final: false, tries: 3 } })
    const { body, queued } = await state()
    assert.deepEqual([queued, body.failed], [[id], [{ image_id: id, host: 'b', error: 'no room' }]])
    assert.deepEqual((await ask('POST', '/cache/clean')).body, { images: [id], total_files_cleaned: 1 })
    assert.deepEqual([await told('a'), await told('b')], [{ [id]: 'wanted' }, { [id]: 'gone' }])
    assert.deepEqual((await state()).queued, [])
  })

  it('must be one that servers start from', async (context) => {
    const { ask, create, put, api } = await cloud(context, 'a')
    const queued = await create()
    assert.match((await ask('PUT', `/cache/${queued}`)).message, /Only images with status active/)
    const packed = await create({ container_format: 'ova' })
    assert.equal((await put(packed, raw)).status, 204)
    const refused = await ask('PUT', `/cache/${packed}`)
    assert.equal(refused.status, 400)
    assert.match(refused.message, /raw in ova/)
    assert.equal((await ask('PUT', `/cache/${randomUUID()}`)).status, 404)
    assert.equal((await api('PUT', `/cache/${queued}`, { who: reader })).status, 403)
    for (const who of [owner, reader]) assert.equal((await api('GET', '/cache', { who })).status, 403)
  })
})

describe('an image that is taken out of the caches', () => {
  it('is let go of by every host, also by those where a server brought it', async (context) => {
    const { ask, enter, id, report, state, told } = await cloud(context, 'a', 'b')
    await ask('PUT', `/cache/${id}?host=a`)
    await report('a', id)
    await report('b', id)
    assert.deepEqual((await state()).cached, [`${id} a,b`])
    assert.equal((await ask('DELETE', `/cache/${id}`)).status, 204)
    assert.deepEqual([await told('a'), await told('b')], [{ [id]: 'gone' }, { [id]: 'gone' }])
    assert.deepEqual((await state()).cached, [])
    for (const name of ['a', 'b']) await report(name, id)
    assert.deepEqual([await told('a'), await told('b')], [{}, {}])
    await enter('c')
    assert.deepEqual(await told('c'), {})
    assert.equal((await ask('DELETE', `/cache/${id}`)).status, 204)
    assert.equal((await ask('DELETE', `/cache/${randomUUID()}`)).status, 404)
  })

  it('of one host stays wanted on the others', async (context) => {
    const { ask, greet, id, told } = await cloud(context, 'a', 'b')
    await ask('PUT', `/cache/${id}`)
    await ask('DELETE', `/cache/${id}?host=a`)
    for (const name of ['a', 'b']) await greet(name)
    assert.deepEqual([await told('a'), await told('b')], [{ [id]: 'gone' }, { [id]: 'wanted' }])
    await ask('PUT', `/cache/${id}`)
    assert.deepEqual(await told('a'), { [id]: 'wanted' })
  })

  it('goes with its deletion', async (context) => {
    const { api, ask, id, report, state, told } = await cloud(context, 'a')
    await ask('PUT', `/cache/${id}`)
    await report('a', id)
    assert.equal((await api('DELETE', `/images/${id}`)).status, 204)
    assert.deepEqual(await told('a'), { [id]: 'gone' })
    assert.deepEqual([(await state()).cached, (await state()).queued], [[], []])
  })

  it('goes with all others, with the queue only, or with the copies only', async (context) => {
    const { ask, create, id, put, report, state } = await cloud(context, 'a')
    const other = await create()
    await put(other, Buffer.alloc(10, 'y'))
    const both = async () => {
      for (const one of [id, other]) await ask('PUT', `/cache/${one}`)
      await report('a', id)
      assert.deepEqual([(await state()).cached, (await state()).queued], [[`${id} a`], [other]])
    }
    const target = (word: string) => ask('DELETE', '/cache', { 'x-image-cache-clear-target': word })
    await both()
    assert.equal((await target('queue')).status, 204)
    assert.deepEqual([(await state()).cached, (await state()).queued], [[`${id} a`], []])
    await both()
    assert.equal((await target('cache')).status, 204)
    assert.deepEqual([(await state()).cached, (await state()).queued], [[], [other]])
    await both()
    assert.equal((await ask('DELETE', '/cache')).status, 204)
    assert.deepEqual([(await state()).cached, (await state()).queued], [[], []])
    assert.equal((await target('attic')).status, 400)
  })

  it('by pruning only where no server uses it and nobody asked for it', async (context) => {
    const { ask, create, db, hosts, id, report, state } = await cloud(context, 'a', 'b')
    const wished = await create()
    await ask('PUT', `/cache/${id}?host=b`)
    await report('a', id)
    await report('b', id)
    await report('a', wished)
    const server = (image: string) => ({
      host_id: hosts.a!.id,
      kind: 'server',
      id: randomUUID(),
      rev: 1,
      generation: 1,
      body: JSON.stringify({ image: { id: image } }),
    })
    await db.read.insertInto('wire.document').values(server(wished)).execute()
    assert.deepEqual((await ask('POST', '/cache/prune')).body, { total_files_pruned: 1, total_bytes_pruned: 1000 })
    assert.deepEqual((await state()).cached.sort(), [`${id} b`, `${wished} a`].sort())
  })

  it('is forgotten where a host that says hello does not have it any more', async (context) => {
    const { greet, id, report, state } = await cloud(context, 'a')
    await report('a', id)
    assert.deepEqual((await state()).cached, [`${id} a`])
    await greet('a')
    assert.deepEqual((await state()).cached, [])
    await greet('a', { [id]: { size: 5, hits: 1, cached_at: '2026-01-01T00:00:00Z', used_at: '2026-01-02T00:00:00Z' } })
    assert.deepEqual((await state()).cached, [`${id} a`])
  })
})

describe('the older forms', () => {
  it('list, queue and clear likewise', async (context) => {
    const { api, ask, id, report } = await cloud(context, 'a')
    const get = async (url: string) => (await api('GET', url, { who: admin })).body
    assert.equal((await ask('PUT', `/queued_images/${id}`)).status, 202)
    assert.deepEqual(await get('/queued_images'), { queued_images: [id] })
    assert.equal((await ask('DELETE', `/queued_images/${id}`)).status, 204)
    assert.deepEqual(await get('/queued_images'), { queued_images: [] })
    await ask('PUT', `/queued_images/${id}`)
    assert.deepEqual((await ask('DELETE', '/queued_images')).body, { num_deleted: 1 })
    await ask('PUT', `/queued_images/${id}`)
    await report('a', id)
    assert.equal(((await get('/cached_images')).cached_images as unknown[]).length, 1)
    assert.deepEqual((await ask('DELETE', '/cached_images')).body, { num_deleted: 1 })
    assert.deepEqual(await get('/cached_images'), { cached_images: [] })
    assert.equal((await api('GET', '/cached_images')).status, 403)
  })
})
