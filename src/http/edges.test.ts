import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { BlockList, connect } from 'node:net'
import { test } from 'node:test'
import { Type as t } from 'typebox'
import { envelopes } from './envelope.ts'
import { believe, originOf, remoteOf } from './origin.ts'
import { row, type Service } from './table.ts'
import { fakeApi } from './testing.ts'
import { asFault } from './unforeseen.ts'

const message = (remoteAddress: string, headers: Record<string, string>) =>
  ({ socket: { remoteAddress, localPort: 5000 }, headers }) as unknown as IncomingMessage

test('forwarded addresses are believed from this machine and trusted proxies only', () => {
  const headers = { host: 'a:1', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'cloud.example' }
  assert.equal(originOf(message('127.0.0.1', headers)), 'https://cloud.example')
  assert.equal(originOf(message('::ffff:127.0.0.1', { ...headers, 'x-forwarded-port': '8443' })), 'https://cloud.example:8443')
  assert.equal(originOf(message('10.0.0.9', headers)), 'http://a:1')
  const proxies = new BlockList()
  proxies.addSubnet('10.0.0.8', 30, 'ipv4')
  for (const [address, expected] of [
    ['10.0.0.9', 'https://cloud.example 1.2.3.4'],
    ['::ffff:10.0.0.9', 'https://cloud.example 1.2.3.4'],
    ['10.0.0.7', 'http://a:1 10.0.0.7'],
  ] as const) {
    const request = message(address, { ...headers, 'x-forwarded-for': '6.6.6.6, 1.2.3.4' })
    believe(request, proxies)
    assert.equal(`${originOf(request)} ${remoteOf(request)}`, expected)
  }
  assert.equal(originOf(message('10.0.0.9', { host: '[fd00::1]:5000' })), 'http://[fd00::1]:5000')
  assert.equal(originOf(message('10.0.0.9', { host: 'a"><script>' })), 'http://127.0.0.1:5000')
})

test("the database's troubles become statuses", () => {
  const status = (code: string, text = '', params = {}) => asFault(Object.assign(new Error(text), { code }), 'req', params).fault.status
  assert.equal(status('57P01'), 503)
  assert.equal(status('40001'), 503)
  assert.equal(status('23505'), 409)
  assert.equal(status('22P02', 'invalid input syntax for type integer: "x"', { id: 'x' }), 404)
  assert.equal(status('22P02', 'invalid input syntax for type integer: "x"', { id: 'y' }), 400)
  assert.equal(status('ENOENT'), 500, 'a missing file is not a missing database')
  assert.equal(asFault('thrown text', 'req').fault.status, 500)
})

const service: Service = {
  type: 'compute',
  prefixes: ['/compute/v2.1'],
  envelope: envelopes.compute,
  policies: {},
  rows: [row({ route: 'POST /echo', policy: null, body: t.Unknown(), reply: 200, run: ({ body }) => body })],
}

async function listening(app: ReturnType<typeof fakeApi>['app']) {
  if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

test('a client that never ends its body is hung up on', async (context) => {
  const { app } = fakeApi(context, [service], { bodyTimeout: 30 })
  const socket = await listening(app)
  socket.write('POST /compute/v2.1/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"a":')
  socket.resume()
  await once(socket, 'close')
})

test('a chunked body is limited as well', async (context) => {
  const { app } = fakeApi(context, [service], { bodyLimit: 1000 })
  const socket = await listening(app)
  socket.write('POST /compute/v2.1/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n')
  socket.write(`7d0\r\n${'1'.repeat(2000)}\r\n`)
  const [answer] = await once(socket, 'data')
  assert.match(String(answer), /^HTTP\/1.1 413 /)
  assert.match(String(answer), /"overLimit"/)
  socket.destroy()
})

test('who asks for another protocol where there is none is answered in this one', async (context) => {
  const { app } = fakeApi(context, [service], { mayUpgrade: ({ url }) => url === '/stream' })
  app.server.on('upgrade', (_request, stream) => stream.end('HTTP/1.1 101 Switching Protocols\r\n\r\n'))
  const ask = async (path: string) => {
    const socket = await listening(app)
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
    const [answer] = await once(socket, 'data')
    socket.destroy()
    return String(answer).slice(9, 12)
  }
  assert.equal(await ask('/compute/v2.1/echo'), '405')
  assert.equal(await ask('/stream'), '101')
})
