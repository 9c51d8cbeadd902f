// Stores that are asked over HTTP, against servers that answer as a test wants: what goes wrong is told by its name.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { it, type TestContext } from 'node:test'
import { httpStore } from './http.ts'
import { s3Store } from './s3.ts'
import type { Blocks } from './store.ts'

const common = { description: 'of the tests', weight: 0 }
const s3 = (endpoint: string, timeout?: number) =>
  s3Store({ id: 'objects', ...common, bucket: 'images', endpoint, access_key: 'a', secret_key: 'b', ...(timeout && { timeout }) })

async function* block(data: Buffer): Blocks {
  yield data
}

/** A server that takes every connection and never answers; its port. */
async function silent(context: TestContext): Promise<number> {
  const sockets: net.Socket[] = []
  const server = net.createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

it('the s3 store gives up a server that says nothing', async (context) => {
  const store = s3(`http://127.0.0.1:${await silent(context)}`, 1)
  await assert.rejects(store.size('key'), { status: 503, message: /objects does not work: it does not answer/ })
  await assert.rejects(store.write('key', block(randomBytes(10))), { status: 503 })
})

it('the s3 store tells what is full from what is too large and what does not work', async (context) => {
  let answer: [number, string] = [500, '']
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => {
      const [status, code] = answer
      response.writeHead(status, { 'content-type': 'application/xml' }).end(`<Error><Code>${code}</Code><Message>No.</Message></Error>`)
    })
  })
  await new Promise<void>((go) => server.listen(0, '127.0.0.1', go))
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const store = s3(endpoint)
  const cases: [number, string, number, RegExp][] = [
    [403, 'QuotaExceeded', 413, /media is full: .*the image store objects/],
    [400, 'XMinioAdminBucketQuotaExceeded', 413, /media is full/],
    [507, 'XMinioStorageFull', 413, /media is full/],
    [507, 'InsufficientStorage', 413, /media is full/],
    [400, 'EntityTooLarge', 413, /image store objects takes no image as large as this/],
    [413, 'RequestTooLarge', 413, /image store objects takes no image as large as this/],
    [403, 'AccessDenied', 503, /refuses the access key/],
  ]
  for (const [code, name, status, message] of cases) {
    answer = [code, name]
    await assert.rejects(store.write('key', block(randomBytes(1000)), 1000), { status, message }, name)
  }
})

it('the http store reads what is there, in whole and in part, and takes nothing', async (context) => {
  const data = randomBytes(300_000)
  const server = http.createServer((request, response) => {
    if (request.url !== '/image') return response.writeHead(request.url === '/broken' ? 500 : 404).end()
    const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const part = start ? data.subarray(Number(start), Number(end) + 1) : data
    return response.writeHead(start ? 206 : 200, { 'content-length': part.length }).end(request.method === 'HEAD' ? undefined : part)
  })
  await new Promise<void>((go) => server.listen(0, '127.0.0.1', go))
  context.after(() => server.close())
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const store = httpStore({ id: 'web', ...common, hosts: ['127.0.0.1'] })
  assert.equal(await store.size(`${base}/image`), 300_000)
  assert.ok((await buffer((await store.read(`${base}/image`))!)).equals(data))
  assert.ok((await buffer((await store.read(`${base}/image`, { start: 5, end: 9 }))!)).equals(data.subarray(5, 10)))
  assert.equal(await store.read(`${base}/nothing`), undefined)
  await assert.rejects(store.read(`${base}/broken`), { status: 502 })
  await assert.rejects(store.write('key', block(data)), { status: 400 })
  for (const hosts of [[], ['example.com'], ['*.0.0.1:81'], ['127.0.0.1:1']])
    await assert.rejects(httpStore({ id: 'web', ...common, hosts }).read(`${base}/image`), { status: 400, message: /not among/ })
})
