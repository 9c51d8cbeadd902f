import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { Agent, request } from 'undici'
import { WebSocket, WebSocketServer } from 'ws'
import { freePort } from '../../test/free-port.ts'
import { envelopes } from './envelope.ts'
import { row, type Service } from './table.ts'
import { fakeApi } from './testing.ts'

const service: Service = {
  type: 'compute',
  prefixes: ['/compute/v2.1'],
  envelope: envelopes.compute,
  policies: {},
  rows: [row({ route: 'GET /where', policy: null, reply: 200, run: ({ url, remote }) => ({ origin: url.origin, remote }) })],
}

// As docs/operate/tls.md shows it.
const configuration = (port: number, to: number) => `
defaults
  mode http
  timeout connect 5s
  timeout client 1h
frontend cloud
  bind 127.0.0.1:${port} ssl crt both.pem
  http-request set-header X-Forwarded-Proto https
  http-request set-header X-Forwarded-For %[src]
  default_backend wisp
backend wisp
  timeout server 1h
  timeout tunnel 1h
  server controller 127.0.0.1:${to}
`

test('behind a proxy that ends TLS links are https, clients cannot say otherwise, and WebSockets come through', async (context) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-proxy-'))
  context.after(() => fs.rmSync(folder, { recursive: true }))
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'both.pem.key', '-out', 'ca.pem']
  const name = ['-subj', '/CN=cloud', '-addext', 'subjectAltName=DNS:localhost']
  execFileSync('openssl', ['req', '-x509', ...key, ...name], { cwd: folder, stdio: 'ignore' })
  fs.writeFileSync(
    path.join(folder, 'both.pem'),
    ['ca.pem', 'both.pem.key'].map((part) => fs.readFileSync(path.join(folder, part))).join(''),
  )
  const ca = fs.readFileSync(path.join(folder, 'ca.pem'))

  const { app } = fakeApi(context, [service])
  const sockets = new WebSocketServer({ server: app.server })
  sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(`heard ${data}`)))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const port = await freePort()
  fs.writeFileSync(path.join(folder, 'haproxy.cfg'), configuration(port, (app.server.address() as AddressInfo).port))
  const proxy = spawn('haproxy', ['-db', '-f', 'haproxy.cfg'], { cwd: folder, stdio: 'ignore' })
  context.after(async () => {
    proxy.kill('SIGKILL')
    await once(proxy, 'exit')
  })
  await new Promise<void>((ready) => {
    const knock = () =>
      net
        .connect(port, '127.0.0.1')
        .once('connect', () => ready())
        .once('error', () => setTimeout(knock, 20))
    knock()
  })

  const dispatcher = new Agent({ connect: { ca } })
  context.after(() => dispatcher.destroy())
  const forged = { 'x-forwarded-proto': 'http', 'x-forwarded-for': '10.9.8.7' }
  const reply = await request(`https://localhost:${port}/compute/v2.1/where`, { dispatcher, headers: forged })
  assert.deepEqual(await reply.body.json(), { origin: `https://localhost:${port}`, remote: '127.0.0.1' })

  const socket = new WebSocket(`wss://localhost:${port}/any`, { ca, origin: `https://localhost:${port}` })
  await once(socket, 'open')
  socket.send('hello')
  assert.equal(String((await once(socket, 'message'))[0]), 'heard hello')
  socket.terminate()
  sockets.close()
})
