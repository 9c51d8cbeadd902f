import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { it } from 'node:test'
import Fastify from 'fastify'
import { testDatabase } from '../../database/testing.ts'
import { join, makeJoinToken } from '../../wire/join.ts'
import { rangeOf, registerImageDownload } from './download.ts'
import { openStores } from './stores.ts'
import { storeImage } from './upload.ts'

it('hosts fetch images with their own secret, in whole or where they left off', async (context) => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-download-'))
  const stores = openStores({ home, maxImageSize: 1 })
  const { db, drop } = await testDatabase()
  const app = Fastify()
  registerImageDownload(app, { db, stores })
  context.after(async () => {
    await app.close()
    await drop()
    fs.rmSync(home, { recursive: true })
  })
  const id = await storeImage(db, stores, {
    name: 'one',
    owner: 'p1',
    visibility: 'private',
    disk_format: 'raw',
    container_format: 'bare',
    min_disk: 0,
    min_ram: 0,
    properties: {},
    data: Readable.from([Buffer.from('0123456789')]),
  })
  const { host_id, secret } = await db.write(async (tx) => join(tx, await makeJoinToken(tx), 'h1', 'machine'))
  const get = (image: string, authorization: string, range?: string) =>
    app.inject({ url: `/wire/v1/images/${image}/data`, headers: { authorization, ...(range && { range }) } })
  const door = `Bearer ${host_id}.${secret}`

  assert.equal((await get(id, '')).statusCode, 401)
  assert.equal((await get(id, `Bearer ${host_id}.${'x'.repeat(43)}`)).statusCode, 401)
  const whole = await get(id, door)
  assert.deepEqual([whole.statusCode, whole.body, whole.headers['content-length']], [200, '0123456789', '10'])
  const rest = await get(id, door, 'bytes=4-')
  assert.deepEqual([rest.statusCode, rest.body, rest.headers['content-range']], [206, '456789', 'bytes 4-9/10'])
  const beyond = await get(id, door, 'bytes=10-')
  assert.deepEqual([beyond.statusCode, beyond.headers['content-range']], [416, 'bytes */10'])
  assert.equal((await get('nonsense', door)).statusCode, 404)
  const { locations } = await db.read.selectFrom('image.image').select('locations').where('id', '=', id).executeTakeFirstOrThrow()
  await stores.default.remove((locations as [{ data: string }])[0].data)
  const lost = await get(id, door)
  assert.deepEqual([lost.statusCode, /missing from the image store/.test(lost.body)], [404, true])
})

it('reads ranges as RFC 9110 has them', () => {
  assert.equal(rangeOf(undefined, 10), undefined)
  assert.equal(rangeOf('items=0-1', 10), undefined)
  assert.equal(rangeOf('bytes=0-1,4-5', 10), undefined)
  assert.deepEqual(rangeOf('bytes=0-0', 10), { start: 0, end: 0 })
  assert.deepEqual(rangeOf('bytes=-20', 10), { start: 0, end: 9 })
  for (const bad of ['bytes=-0', 'bytes=10-', 'bytes=5-4', 'bytes=a-', 'bytes='])
    assert.throws(() => rangeOf(bad, 10), { status: 416 }, bad)
})
