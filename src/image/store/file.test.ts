// What is special about the file store: it lends the same memory to one part of a file after the other, which no client may ever notice.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { after, before, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import { fileStore } from './file.ts'

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-file-store-'))
const store = fileStore({ id: 'file', description: '', weight: 0, folder })
const bits = randomBytes(9 * 2 ** 20 + 123)
const app = Fastify({ forceCloseConnections: true })
app.get('/', async (_request, reply) => reply.send(await store.read('one')))
let origin = ''

before(async () => {
  await store.write(
    'one',
    (async function* () {
      yield bits
    })(),
  )
  origin = await app.listen({ host: '127.0.0.1', port: 0 })
})
after(async () => {
  await app.close()
  fs.rmSync(folder, { recursive: true })
})

const get = async (): Promise<http.IncomingMessage> => {
  const { port } = new URL(origin)
  const [answer] = (await once(http.get({ port: Number(port), agent: false }), 'response')) as [http.IncomingMessage]
  return answer
}
const opened = () =>
  fs.readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder)
    } catch {
      return false // it was closed meanwhile
    }
  }).length
async function untilClosed(): Promise<void> {
  for (let tries = 0; opened() > 0; tries++) {
    assert.ok(tries < 500, 'the file is still open')
    await sleep(10)
  }
}

it('every byte arrives where it belongs, at quick clients and at slow ones at once', async () => {
  const quick = async () => Buffer.concat((await (await get()).toArray()) as Buffer[])
  const slow = async () => {
    const chunks: Buffer[] = []
    for await (const chunk of await get()) {
      chunks.push(chunk as Buffer)
      if (chunks.length % 10 === 0) await sleep(1)
    }
    return Buffer.concat(chunks)
  }
  for (const got of await Promise.all([quick(), slow(), quick(), slow()])) assert.ok(got.equals(bits))
  const read = await store.read('one', { start: 5, end: 700_000 })
  assert.ok(Buffer.concat((await read!.toArray()) as Buffer[]).equals(bits.subarray(5, 700_001)))
  await untilClosed()
})

it('a client that hangs up leaves no open file behind', async () => {
  const answer = await get()
  await once(answer, 'data')
  assert.equal(opened(), 1)
  answer.destroy()
  await untilClosed()
})

it('a file that is shorter than it was breaks the answer off, and is closed', async () => {
  const cut = path.join(folder, 'one.data')
  const answer = await get()
  fs.truncateSync(cut, 5 * 2 ** 20)
  await assert.rejects(answer.toArray(), { code: 'ECONNRESET' })
  await untilClosed()
})
