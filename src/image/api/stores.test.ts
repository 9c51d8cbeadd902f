import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { lookAt } from '../../work/testing.ts'
import { openStores } from '../control/stores.ts'
import { handlers } from '../control/work.ts'
import { admin, imageApi, owner } from './testing.ts'

const two = {
  default: 'fast',
  stores: [
    { id: 'slow', kind: 'file', folder: 'slow' },
    { id: 'fast', kind: 'file', folder: 'fast', weight: 10, description: 'the fast one' },
    { id: 'web', kind: 'http', hosts: [] },
  ],
}

async function cloud(context: TestContext) {
  const all = await imageApi(context, 1, {}, two)
  const files = (store: string) => (fs.existsSync(path.join(all.home, store)) ? fs.readdirSync(path.join(all.home, store)) : [])
  /** Does what is due, as the engine would. */
  const sweep = async () => {
    const due = await all.db.read.selectFrom('work.due').select('key').where('kind', '=', 'image-data').execute()
    for (const { key } of due) await lookAt(all.db, handlers(all.stores)['image-data']!, key)
  }
  return { ...all, files, sweep }
}

describe('several stores', () => {
  it('are listed, with their settings for administrators', async (context) => {
    const { api } = await cloud(context)
    assert.deepEqual((await api('GET', '/info/stores')).body.stores, [
      { id: 'slow' },
      { id: 'fast', description: 'the fast one', default: 'true' },
      { id: 'web', 'read-only': 'true' },
    ])
    assert.equal((await api('GET', '/info/stores/detail')).status, 403)
    const [, fast] = (await api('GET', '/info/stores/detail', { who: admin })).body.stores as Record<string, unknown>[]
    assert.deepEqual([fast!.type, fast!.weight], ['file', 10])
  })

  it('take what the client sends them', async (context) => {
    const { api, create, put, files } = await cloud(context)
    const upload = (id: string, store: string) =>
      api('PUT', `/images/${id}/file`, {
        payload: Buffer.from('bits'),
        headers: { 'content-type': 'application/octet-stream', 'x-image-meta-store': store },
      })
    const id = await create()
    assert.match((await upload(id, 'none')).message, /Store for identifier none not found/)
    assert.equal((await upload(id, 'web')).status, 400)
    assert.equal((await upload(id, 'slow')).status, 204)
    assert.equal((await api('GET', `/images/${id}`)).body.stores, 'slow')
    assert.deepEqual([files('slow').length, files('fast').length], [1, 0])
    const other = await create()
    await put(other, Buffer.from('others'))
    assert.equal((await api('GET', `/images/${other}`)).body.stores, 'fast')
    assert.equal((await api('GET', `/images/${id}/file`)).text, 'bits')
  })

  it('give an image up one by one, but never the last', async (context) => {
    const { api, create, db, files, put, sweep } = await cloud(context)
    const id = await create()
    await put(id, Buffer.from('bits'))
    const { locations } = await db.read.selectFrom('image.image').select('locations').where('id', '=', id).executeTakeFirstOrThrow()
    const [{ data }] = locations as [{ data: string }]
    const remove = (store: string, who = admin) => api('DELETE', `/stores/${store}/${id}`, { who })
    assert.equal((await remove('fast', owner)).status, 403)
    assert.equal((await remove('nowhere')).status, 409)
    assert.equal((await remove('fast')).status, 403, 'the last one')
    await db.read
      .insertInto('image.data')
      .values({ id: 'copy', store: 'slow', size: 4, os_hash_algo: 'sha512', os_hash_value: 'x' })
      .execute()
    const both = [...(locations as object[]), { store: 'slow', data: 'copy', metadata: {} }]
    await db.read
      .updateTable('image.image')
      .set({ locations: JSON.stringify(both) })
      .where('id', '=', id)
      .execute()
    assert.equal((await remove('web')).status, 404)
    assert.equal((await remove('fast')).status, 204)
    assert.equal((await api('GET', `/images/${id}`)).body.stores, 'slow')
    await sweep()
    assert.deepEqual(files('fast'), [])
    assert.ok(data)
  })
})

it('of several stores the one with the largest weight is read, and the next where it cannot be', async (context) => {
  const { api, create, db, files, home, put } = await cloud(context)
  const id = await create()
  await put(id, Buffer.from('fast'))
  const { locations } = await db.read.selectFrom('image.image').select('locations').where('id', '=', id).executeTakeFirstOrThrow()
  fs.mkdirSync(path.join(home, 'slow'))
  // What no real copy is: other bits, to tell where they came from.
  fs.writeFileSync(path.join(home, 'slow', 'copy.data'), 'slow')
  const both = [{ store: 'slow', data: 'copy', metadata: {} }, ...(locations as object[])]
  await db.read
    .updateTable('image.image')
    .set({ locations: JSON.stringify(both) })
    .where('id', '=', id)
    .execute()
  const read = async () => (await api('GET', `/images/${id}/file`)).text
  assert.equal(await read(), 'fast')
  fs.rmSync(path.join(home, 'fast', files('fast')[0]!))
  assert.equal(await read(), 'slow', 'the bits are missing')
  fs.rmSync(path.join(home, 'fast'), { recursive: true })
  fs.writeFileSync(path.join(home, 'fast'), 'in the way')
  assert.equal(await read(), 'slow', 'the store does not work')
  fs.rmSync(path.join(home, 'slow'), { recursive: true })
  const { status, message } = await api('GET', `/images/${id}/file`)
  assert.deepEqual([status, message], [503, 'The image store fast does not work (ENOTDIR). Try again later.'])
  const refused = await put(await create(), Buffer.from('more'))
  assert.deepEqual([refused.status, refused.message], [503, 'The image store fast does not work (EEXIST). Try again later.'])
})

describe('identical data', () => {
  it('is kept once, until the last image that has it goes', async (context) => {
    const { api, create, db, files, put, sweep } = await cloud(context)
    const ids = [await create(), await create(), await create({ disk_format: 'iso' })]
    const bits = Buffer.alloc(40_000)
    bits.write('CD001', 32_769)
    for (const id of ids) assert.equal((await put(id, bits)).status, 204)
    assert.equal(files('fast').length, 1)
    assert.deepEqual(await db.read.selectFrom('image.leftover').selectAll().execute(), [])
    for (const id of ids.slice(0, 2)) assert.equal((await api('DELETE', `/images/${id}`)).status, 204)
    await sweep()
    assert.equal((await api('GET', `/images/${ids[2]}/file`)).text.length, 40_000)
    assert.equal((await api('DELETE', `/images/${ids[2]}`)).status, 204)
    await sweep()
    assert.deepEqual(files('fast'), [])
    assert.deepEqual(await db.read.selectFrom('image.data').selectAll().execute(), [])
  })

  it('is one file after ten uploads at once, and none after ten deletions at once', async (context) => {
    const { api, create, files, put, sweep } = await cloud(context)
    const ids = await Promise.all(Array.from({ length: 10 }, () => create()))
    const answers = await Promise.all(ids.map((id) => put(id, Buffer.from('the very same'))))
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([204]))
    assert.equal(files('fast').length, 1)
    const again = await create()
    const mixed = await Promise.all([put(again, Buffer.from('the very same')), ...ids.map((id) => api('DELETE', `/images/${id}`))])
    assert.deepEqual(new Set(mixed.map(({ status }) => status)), new Set([204]))
    await sweep()
    assert.equal((await api('GET', `/images/${again}/file`)).text, 'the very same')
    assert.equal(files('fast').length, 1)
  })

  it('that someone took out of the store by hand is not trusted again', async (context) => {
    const { api, create, files, home, put } = await cloud(context)
    const first = await create()
    await put(first, Buffer.from('bits'))
    fs.rmSync(path.join(home, 'fast', files('fast')[0]!))
    const second = await create()
    await put(second, Buffer.from('bits'))
    assert.equal((await api('GET', `/images/${second}/file`)).text, 'bits')
    assert.equal((await api('GET', `/images/${first}/file`)).status, 404)
  })
})

it('a file of stores that is wrong says where', (context) => {
  const home = fs.mkdtempSync(path.join(process.env.TMPDIR ?? '/tmp', 'wisp-stores-'))
  context.after(() => fs.rmSync(home, { recursive: true }))
  const open = (settings: unknown) => {
    fs.writeFileSync(path.join(home, 'image-stores.json'), JSON.stringify(settings))
    return openStores({ home, maxImageSize: 1 })
  }
  assert.equal(open(two).default.id, 'fast')
  assert.throws(() => open({ ...two, default: 'web' }), /image-stores\.json.*can be written, not web/)
  assert.throws(() => open({ stores: [{ id: 'a', kind: 'tape' }] }), /kind/)
  assert.throws(() => open({ stores: [{ id: 'a', kind: 'file' }] }), /folder/)
  assert.throws(() => open({ stores: [two.stores[0], two.stores[0]] }), /two stores have the id slow/)
  assert.throws(
    () => open({ stores: [{ id: 'o', kind: 's3', bucket: 'b', access_key: 'k', secret_key: 'very secret', typo: 1 }] }),
    (error: Error) => {
      assert.match(error.message, /typo/)
      assert.doesNotMatch(error.message, /very secret/)
      return true
    },
  )
})
