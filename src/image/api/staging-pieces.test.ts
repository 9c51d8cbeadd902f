import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { sql } from 'kysely'
import { sweepStaged, waiting } from '../control/staging.ts'
import { imageApi, owner, reader, stranger } from './testing.ts'

const octets = { 'content-type': 'application/octet-stream' }
const bits = randomBytes(300_000)
const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex')

async function pieces(context: TestContext) {
  const made = await imageApi(context)
  const { api, config, db, create } = made
  const id = await create()
  const send = (from: number, to: number, total: number, data = bits.subarray(from, to), who = owner) =>
    api('PUT', `/images/${id}/stage`, { payload: data, headers: { ...octets, 'content-range': `bytes ${from}-${to - 1}/${total}` }, who })
  const staged = async (query = '') => (await api('GET', `/images/${id}/stage${query}`)).body
  const show = async () => (await api('GET', `/images/${id}`)).body
  const folder = path.join(config.home, 'staging')
  fs.mkdirSync(folder)
  const files = () => fs.readdirSync(folder)
  const file = async () => (await db.read.selectFrom('image.staged').select('file').executeTakeFirstOrThrow()).file
  const sweep = async (key: string) => await db.write((tx) => sweepStaged(config)(tx, key))
  return { ...made, id, send, staged, show, files, file, sweep }
}

/** The head of a piece on a bare socket, which can stop in the middle of it. */
async function rawPiece(app: { server: net.Server }, id: string, from: number, total: number): Promise<net.Socket> {
  const socket = net.connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(
    `PUT /image/v2/images/${id}/stage HTTP/1.1\r\nHost: x\r\nX-Auth-Token: good\r\nContent-Type: application/octet-stream\r\n` +
      `Content-Range: bytes ${from}-${total - 1}/${total}\r\nContent-Length: ${total - from}\r\n\r\n`,
  )
  return socket
}

describe('staging in pieces', () => {
  it('appends one to the other, and the whole can be imported', async (context) => {
    const { api, id, send, staged, show, files, config } = await pieces(context)
    assert.equal((await api('GET', `/images/${id}/stage`)).status, 404)
    assert.equal((await send(0, 100_000, 300_000)).status, 204)
    assert.deepEqual([(await show()).status, (await show()).size], ['uploading', 300_000])
    const { expires_at, ...half } = await staged('?sha256=true')
    assert.deepEqual(half, { size: 100_000, total: 300_000, complete: false, sha256: sha256(bits.subarray(0, 100_000)) })
    assert.ok(Date.parse(String(expires_at)) > Date.now() + waiting - 60_000)
    const early = await api('POST', `/images/${id}/import`, { payload: { method: { name: 'glance-direct' } } })
    assert.match(early.message, /still being staged/)
    assert.equal((await send(100_000, 300_000, 300_000)).status, 204)
    assert.deepEqual(await staged(), { size: 300_000, total: 300_000, complete: true, expires_at: null })
    assert.ok(bits.equals(fs.readFileSync(path.join(config.home, 'staging', files()[0]!))))
    assert.equal((await send(0, 300_000, 300_000)).status, 409, 'what is whole is not begun anew')
    assert.equal((await api('POST', `/images/${id}/import`, { payload: { method: { name: 'glance-direct' } } })).status, 202)
    assert.equal((await api('GET', `/images/${id}/stage`)).status, 404)
  })

  it('goes on nowhere but where it was, and says where that is', async (context) => {
    const { id, api, send, staged, show } = await pieces(context)
    assert.match((await send(5, 10, 300_000)).message, /There are 0 bytes/)
    assert.equal((await show()).status, 'queued')
    await send(0, 100_000, 300_000)
    for (const [from, total] of [
      [99_999, 300_000],
      [100_001, 300_000],
      [100_000, 299_999],
    ] as const) {
      const { status, message } = await send(from, 200_000, total)
      assert.deepEqual([status, /Go on at byte 100000/.test(message)], [409, true], `${from}/${total}`)
    }
    for (const range of ['bytes 5-4/10', 'bytes 0-10/10', 'bytes 0-/10', 'bytes */10', '0-9/10', 'bytes 0-9/*']) {
      const refused = await api('PUT', `/images/${id}/stage`, { payload: 'x', headers: { ...octets, 'content-range': range } })
      assert.deepEqual([refused.status, /Content-Range/.test(refused.message)], [400, true], range)
    }
    assert.match((await send(100_000, 100_010, 300_000, bits.subarray(0, 11))).message, /more data than/)
    assert.equal((await staged()).size, 100_000)
    assert.match((await send(100_000, 100_010, 300_000, bits.subarray(0, 4))).message, /cut off after byte 100004/)
    assert.equal((await staged()).size, 100_004, 'what came is kept')
    assert.equal((await send(0, 10, 10)).status, 204, 'begun anew with another file')
    assert.deepEqual([await staged(), (await show()).size], [{ size: 10, total: 10, complete: true, expires_at: null }, 10])
  })

  it('is for whoever may change the image, and for images that a store could take', async (context) => {
    const { api, id, send, show } = await pieces(context)
    assert.equal((await send(0, 10, 300_000, undefined, reader)).status, 403)
    assert.equal((await send(0, 10, 300_000, undefined, stranger)).status, 404)
    assert.equal((await api('GET', `/images/${id}/stage`, { who: stranger })).status, 404)
    assert.match((await send(0, 10, 2 ** 31)).message, /WISP_MAX_IMAGE_GB/)
    assert.equal((await show()).status, 'queued')
  })

  it('keeps what came before the connection broke', async (context) => {
    const { app, id, send, staged, show, config, files } = await pieces(context)
    await app.listen({ port: 0, host: '127.0.0.1' })
    const socket = await rawPiece(app, id, 0, 300_000)
    await new Promise<void>((done) => socket.write(bits.subarray(0, 123_456), () => done()))
    while (files().length === 0 || fs.statSync(path.join(config.home, 'staging', files()[0]!)).size < 123_456) await show()
    socket.destroy()
    while ((await staged()).size !== 123_456);
    assert.equal((await send(123_456, 300_000, 300_000)).status, 204)
    assert.ok(bits.equals(fs.readFileSync(path.join(config.home, 'staging', files()[0]!))))
  })

  it('goes to the request that came last: one whose client is gone is ended', async (context) => {
    const { app, id, send, show, staged } = await pieces(context)
    await app.listen({ port: 0, host: '127.0.0.1' })
    const socket = await rawPiece(app, id, 0, 300_000)
    socket.write('half of it')
    while ((await show()).status !== 'uploading');
    const closed = once(socket, 'close')
    assert.equal((await send(0, 300_000, 300_000)).status, 204)
    await closed
    assert.equal((await staged()).complete, true)
  })

  it('waits for a request of another controller to end', async (context) => {
    const { db, send } = await pieces(context)
    await send(0, 10, 300_000)
    await sql`update image.staged set writer = 'elsewhere'`.execute(db.read)
    const refused = await send(10, 20, 300_000)
    assert.deepEqual([refused.status, refused.headers['retry-after']], [409, '2'])
    await sql`update image.staged set since = now() - interval '10 seconds'`.execute(db.read)
    assert.equal((await send(10, 20, 300_000)).status, 204)
  })

  it('is swept when nothing more came for a day, or when the image is deleted', async (context) => {
    const { api, db, id, send, file, files, show, sweep } = await pieces(context)
    await send(0, 10, 300_000)
    const key = await file()
    const left = (await sweep(key)) as number
    assert.ok(left > waiting - 60_000 && left <= waiting, `${left} ms`)
    await sql`update image.staged set since = now() - interval '25 hours'`.execute(db.read)
    // PostgreSQL has not run for a day, and the time before it started does not count.
    const { rows } = await sql<{ up: number }>`select extract(epoch from now() - pg_postmaster_start_time())::float8 * 1000 as up`.execute(
      db.read,
    )
    const rest = (await sweep(key)) as number
    assert.ok(Math.abs(rest - (waiting - rows[0]!.up)) < 60_000, `${rest} ms`)
    await sql`update image.staged set since = 'epoch'`.execute(db.read)
    assert.equal(await sweep(key), null)
    assert.deepEqual([files(), (await show()).status, (await show()).size], [[], 'queued', null])
    await send(0, 10, 300_000)
    const second = await file()
    assert.equal((await api('DELETE', `/images/${id}`)).status, 204)
    assert.equal(await sweep(second), null)
    assert.deepEqual(files(), [])
  })

  it('begins anew where the bits are gone, and says so', async (context) => {
    const { config, file, send, staged } = await pieces(context)
    await send(0, 10, 300_000)
    fs.rmSync(path.join(config.home, 'staging', await file()))
    assert.match((await send(10, 20, 300_000)).message, /no longer there. Begin anew/)
    assert.equal((await staged()).size, 0)
    assert.equal((await send(0, 20, 300_000)).status, 204)
  })
})
