import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import { sql } from 'kysely'
import { hints } from '../../work/hint.ts'
import { lookAt } from '../../work/testing.ts'
import { imageForServer } from '../control/image-for-server.ts'
import { abandon, living } from '../control/leftover.ts'
import type { Stores } from '../control/stores.ts'
import { storeImage, uploadImage } from '../control/upload.ts'
import { handlers } from '../control/work.ts'
import { imageApi, owner, stranger } from './testing.ts'

const octets = { 'content-type': 'application/octet-stream' }

/** A client on a bare socket, which can stop in the middle of things. */
async function rawPut(port: number, id: string, size: number) {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(
    `PUT /image/v2/images/${id}/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: good\r\nContent-Type: application/octet-stream\r\nContent-Length: ${size}\r\n\r\n`,
  )
  return socket
}

/** Resolves when the image has changed once more. */
const change = (id: string) =>
  new Promise<void>((resolve) => {
    const heard = (changed: { id: string }) => {
      if (changed.id !== id) return
      hints.off('changed', heard)
      resolve()
    }
    hints.on('changed', heard)
  })

describe('image data', () => {
  it('comes out as it went in, whole and in ranges', async (context) => {
    const { api, create, put, files } = await imageApi(context)
    const id = await create()
    const data = randomBytes(300_000)
    assert.equal((await api('GET', `/images/${id}/file`)).status, 204)
    assert.equal((await put(id, data)).status, 204)
    const { body } = await api('GET', `/images/${id}`)
    const md5 = createHash('md5').update(data).digest('hex')
    assert.deepEqual(
      [body.status, body.size, body.virtual_size, body.checksum, body.os_hash_algo, body.os_hash_value, body.stores],
      ['active', 300_000, 300_000, md5, 'sha256', createHash('sha256').update(data).digest('hex'), 'file'],
    )
    const got = async (range?: string) => {
      const answer = await api('GET', `/images/${id}/file`, { headers: range ? { range } : {} })
      return { ...answer, text: createHash('md5').update(Buffer.from(answer.text, 'utf8')).digest('hex') }
    }
    const whole = await got()
    assert.equal(whole.status, 200)
    assert.equal(whole.headers['content-type'], 'application/octet-stream')
    assert.equal(whole.headers['content-length'], '300000')
    assert.equal(whole.headers['content-md5'], md5)
    for (const [range, content, length] of [
      ['bytes=0-9', 'bytes 0-9/300000', '10'],
      ['bytes=299990-', 'bytes 299990-299999/300000', '10'],
      ['bytes=-5', 'bytes 299995-299999/300000', '5'],
      ['bytes=5-9999999', 'bytes 5-299999/300000', '299995'],
    ]) {
      const part = await got(range)
      assert.deepEqual([part.status, part.headers['content-range'], part.headers['content-length']], [206, content, length])
    }
    const old = async (range: string, more = {}) => {
      const { status, headers } = await api('GET', `/images/${id}/file`, { headers: { 'content-range': range, ...more } })
      return [status, headers['content-range']]
    }
    assert.deepEqual(await old('bytes 0-9/300000'), [206, 'bytes 0-9/300000'], 'asked for as old clients do')
    assert.deepEqual(await old('bytes 5-9/*'), [206, 'bytes 5-9/300000'])
    assert.deepEqual(await old('bytes 5-9/*', { range: 'bytes=0-3' }), [206, 'bytes 0-3/300000'], 'Range goes first')
    for (const range of ['bytes */300000', 'bytes=0-9', 'bytes 5-4/300000', 'bytes 300000-300001/*'])
      assert.equal((await old(range))[0], 416, range)
    for (const range of ['bytes=300000-', 'bytes=9-5', 'bytes=-', 'bytes=x-y']) assert.equal((await got(range)).status, 416, range)
    assert.equal((await got('bytes=0-1,5-6')).status, 200)
    assert.equal(files().length, 1)
    const again = await put(id, data)
    assert.deepEqual([again.status, again.message], [409, 'Image status transition from active to saving is not allowed'])
  })

  it('is the very bytes', async (context) => {
    const { app, create, put } = await imageApi(context)
    const data = randomBytes(100_000)
    const id = await create()
    await put(id, data)
    const read = async (range: Record<string, string>) =>
      (await app.inject({ url: `/image/v2/images/${id}/file`, headers: { 'x-auth-token': 'good', ...range } })).rawPayload
    assert.ok(data.equals(await read({})))
    assert.ok(data.subarray(7, 70_000).equals(await read({ range: 'bytes=7-69999' })))
  })

  it('is refused where it is not what it should be, and the image can be uploaded again', async (context) => {
    const { api, create, put, files, db } = await imageApi(context, 0.001)
    const id = await create({ disk_format: 'qcow2' })
    const text = await put(id, Buffer.from('hello'))
    assert.deepEqual([text.status, /content is text/.test(text.message)], [400, true])
    const large = await put(id, Buffer.alloc(2 ** 21))
    assert.deepEqual([large.status, /WISP_MAX_IMAGE_GB/.test(large.message)], [413, true])
    const short = await api('PUT', `/images/${id}/file`, {
      payload: Buffer.from('x'),
      headers: { ...octets, 'x-openstack-image-size': '10' },
    })
    assert.equal(short.status, 400)
    assert.equal(
      (await api('PUT', `/images/${id}/file`, { payload: Buffer.from('x'), headers: { 'content-type': 'text/plain' } })).status,
      415,
    )
    const { body } = await api('GET', `/images/${id}`)
    assert.deepEqual([body.status, body.size, body.checksum], ['queued', null, null])
    assert.deepEqual(files(), [])
    assert.deepEqual(await db.read.selectFrom('image.leftover').selectAll().execute(), [])

    const shapeless = await create({ disk_format: null })
    const missing = await put(shapeless, Buffer.from('x'))
    assert.deepEqual([missing.status, missing.message], [400, 'Property disk_format must be set prior to saving data.'])
    const raw = await create()
    assert.equal((await put(raw, Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'))).status, 400)
    assert.equal((await put(raw, Buffer.from('plain bits'))).status, 204)
  })

  it('that is cut off halfway leaves the image queued and nothing behind', async (context) => {
    const { api, app, create, files, put } = await imageApi(context)
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    const id = await create()
    const begun = change(id)
    const socket = await rawPut(port, id, 1_000_000)
    socket.write(Buffer.alloc(400_000))
    await begun
    assert.equal((await api('GET', `/images/${id}`)).body.status, 'saving')
    const second = await put(id, Buffer.from('x'))
    assert.deepEqual([second.status, second.message], [409, 'Image status transition from saving to saving is not allowed'])
    const ended = change(id)
    socket.destroy()
    await ended
    assert.equal((await api('GET', `/images/${id}`)).body.status, 'queued')
    assert.equal((await put(id, Buffer.from('again'))).status, 204)
    assert.equal((await api('GET', `/images/${id}/file`)).text, 'again')
    assert.equal(files().length, 1)
  })

  it('of an image that is deleted meanwhile goes, too', async (context) => {
    const { api, app, create, files } = await imageApi(context)
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    const id = await create()
    const begun = change(id)
    const socket = await rawPut(port, id, 10)
    socket.write('12345')
    await begun
    assert.equal((await api('DELETE', `/images/${id}`)).status, 204)
    const answered = once(socket, 'data')
    socket.write('67890')
    assert.match(String((await answered)[0]), /^HTTP\/1.1 410 /)
    socket.destroy()
    assert.deepEqual(files(), [])
  })

  it('has one winner of ten uploads at once', async (context) => {
    const { create, put, files } = await imageApi(context)
    const id = await create()
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => put(id, Buffer.alloc(1000, n))))
    assert.deepEqual(answers.map(({ status }) => status).sort(), [204, ...Array(9).fill(409)])
    assert.equal(files().length, 1)
  })

  it('is swept after a crash, but never while the upload lives', async (context) => {
    const { api, stores, create, db, files } = await imageApi(context)
    const id = await create()
    const sweep = handlers(stores)['image-data']!
    const data = new Readable({ read() {} })
    const begun = change(id)
    const upload = uploadImage(db, stores, id, data)
    data.push('half of it')
    await begun
    const { upload: name } = await db.read.selectFrom('image.image').select('upload').where('id', '=', id).executeTakeFirstOrThrow()
    assert.ok(name)
    assert.equal(await lookAt(db, sweep, name), 6_000, 'alive')
    // As if its process had been killed: the marker gets old. PostgreSQL has not run for a minute, so it may not count by its start.
    await sql`update image.leftover set since = now() - interval '1 minute'`.execute(db.read)
    assert.equal(await lookAt(db, sweep, name), 6_000, 'known to live')
    living.delete(name)
    await sql`update image.leftover set since = 'epoch'`.execute(db.read)
    assert.equal(await lookAt(db, sweep, name), null)
    assert.equal((await api('GET', `/images/${id}`)).body.status, 'queued')
    assert.deepEqual(files(), [])
    data.push(null)
    await assert.rejects(upload, { status: 410 })
    assert.equal((await api('GET', `/images/${id}`)).body.status, 'queued')
    assert.deepEqual(files(), [])
  })

  it('goes when its image is deleted, by whoever looks at the key', async (context) => {
    const { api, stores, create, db, files, put } = await imageApi(context)
    const id = await create()
    await put(id, Buffer.from('bits'))
    assert.equal((await api('DELETE', `/images/${id}`)).status, 204)
    const due = await db.read
      .selectFrom('work.due')
      .select('key')
      .where('kind', '=', 'image-data')
      .where('at', '<=', sql<Date>`now()`)
      .execute()
    assert.equal(due.length, 1)
    assert.equal(files().length, 1)
    for (let i = 0; i < 2; i++) assert.equal(await lookAt(db, handlers(stores)['image-data']!, due[0]!.key), null)
    assert.deepEqual(files(), [])
    await db.write((tx) => abandon(tx, 'never-was'))
    assert.equal(await lookAt(db, handlers(stores)['image-data']!, 'never-was'), null)
  })
})

describe('bits that nobody wants', () => {
  /** An upload that has written all of its bits; `finish` lets it go on. */
  async function almostStored(context: TestContext) {
    const made = await imageApi(context)
    const { db, stores } = made
    const [written, go] = [Promise.withResolvers<string>(), Promise.withResolvers<void>()]
    const slow: Stores = {
      ...stores,
      default: {
        ...stores.default,
        async write(key, blocks) {
          await stores.default.write(key, blocks)
          written.resolve(key)
          await go.promise
        },
      },
    }
    const image = { name: 'own', owner: 'p1', visibility: 'public', disk_format: 'raw', container_format: 'bare' } as const
    const stored = storeImage(db, slow, { ...image, min_disk: 0, min_ram: 0, properties: {}, data: Readable.from([Buffer.from('bits')]) })
    stored.catch(() => {}) // told to whoever awaits it
    return { ...made, key: await written.promise, stored, finish: go.resolve }
  }

  it('are removed outside of any transaction, and no image gets them meanwhile', async (context) => {
    const { db, stores, files, key, stored, finish } = await almostStored(context)
    const [begun, removes] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const remove = () => {
      begun.resolve()
      return removes.promise
    }
    const slow = { ...stores, of: (id: string) => ({ ...stores.of(id), remove }) }
    living.delete(key)
    await sql`update image.leftover set since = 'epoch'`.execute(db.read)
    const sweeping = lookAt(db, handlers(slow)['image-data']!, key)
    await begun.promise
    // Whoever wants the marker need not wait for the store.
    await db.write((tx) => sql`select from image.leftover where upload = ${key} for update nowait`.execute(tx))
    finish()
    await assert.rejects(stored, { status: 409, message: /given up/ })
    assert.deepEqual(await db.read.selectFrom('image.image').select('id').execute(), [])
    assert.deepEqual(files(), [])
    removes.resolve()
    assert.equal(await sweeping, null)
  })
})

describe('images of the cloud itself, and for servers', () => {
  it('appear complete or not at all', async (context) => {
    const { api, stores, db, files } = await imageApi(context)
    const common = { name: 'guest', owner: 'p1', visibility: 'public', container_format: 'bare', min_disk: 1, min_ram: 96 } as const
    const store = (data: string, disk_format: string) =>
      storeImage(db, stores, { ...common, disk_format, properties: { os_type: 'linux' }, data: Readable.from([Buffer.from(data)]) })
    await assert.rejects(store('text', 'qcow2'), { status: 400 })
    assert.deepEqual((await api('GET', '/images')).body.images, [])
    assert.deepEqual(files(), [])
    const id = await store('bits', 'raw')
    const { body } = await api('GET', `/images/${id}`, { who: stranger })
    assert.deepEqual([body.status, body.os_type, body.size, body.visibility], ['active', 'linux', 4, 'public'])
  })

  it('are found by those who see them, when a server can start from them', async (context) => {
    const { create, db, put } = await imageApi(context)
    const id = await create({ visibility: 'private' })
    const found = async (who = owner, image = id) => {
      const result = await imageForServer(db.read, who, image)
      return result instanceof Error ? [result.status, result.message] : result.id
    }
    assert.deepEqual(await found(), [400, `Image ${id} is not active.`])
    await put(id, Buffer.from('bits'))
    assert.equal(await found(), id)
    assert.deepEqual(await found(stranger), [404, `Image ${id} could not be found.`])
    assert.deepEqual(await found(owner, 'x'), [404, 'Image x could not be found.'])
    const boxed = await create({ container_format: 'ova', disk_format: 'vmdk' })
    await put(boxed, Buffer.from('anything'))
    assert.match(String(await found(owner, boxed)), /container of format ova/)
  })
})
