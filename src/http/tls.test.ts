import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import tls from 'node:tls'
import { pino } from 'pino'
import { Type as t } from 'typebox'
import { envelopes } from './envelope.ts'
import { row } from './table.ts'
import { fakeApi } from './testing.ts'
import { readPair, renewCertificate, troubleOf } from './tls.ts'

let folder: string
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-tls-'))
})
after(() => fs.rmSync(folder, { recursive: true }))

const file = (name: string) => path.join(folder, name)

/** A certificate that signs itself, with its key: NAME.pem and NAME.key. */
function certify(name: string, { days = 30, subject = 'DNS:cloud.example,IP:127.0.0.1' } = {}) {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file(`${name}.key`)]
  const words = ['-x509', ...key, '-days', String(days), '-subj', `/CN=${name}`, '-addext', `subjectAltName=${subject}`]
  execFileSync('openssl', ['req', ...words, '-out', file(`${name}.pem`)], { stdio: 'ignore' })
  return { certificate: file(`${name}.pem`), key: file(`${name}.key`) }
}

test('a renewed certificate is served without a restart, once both of its files are there; open connections go on', async (context) => {
  certify('old')
  certify('new')
  const files = { certificate: file('live.pem'), key: file('live.key') }
  const use = (name: string, part: 'pem' | 'key') => fs.copyFileSync(file(`${name}.${part}`), file(`live.${part}`))
  use('old', 'pem')
  use('old', 'key')
  const echo = row({ route: 'POST /echo', policy: null, body: t.Unknown(), reply: 200, run: ({ body }) => body })
  const service = { type: 'compute', prefixes: ['/compute/v2.1'], envelope: envelopes.compute, policies: {}, rows: [echo] }
  const said: string[] = []
  const { app } = fakeApi(context, [service], { tls: readPair(files) })
  const log = pino({}, { write: (line) => said.push(JSON.parse(line).msg) })
  const stop = renewCertificate(app.server as unknown as tls.Server, files, log, { interval: 20 })
  context.after(stop)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const dial = async () => {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
    socket.on('error', () => {})
    await once(socket, 'secureConnect')
    return socket
  }
  const shown = async () => {
    const socket = await dial()
    const { CN } = socket.getPeerCertificate().subject
    socket.destroy()
    return CN
  }
  const open = await dial()
  context.after(() => open.destroy())
  assert.equal(await shown(), 'old')

  use('new', 'pem')
  while (said.length === 0) await new Promise((later) => setTimeout(later, 10))
  assert.match(said[0]!, /cannot be used; the old one goes on/)
  assert.equal(await shown(), 'old')
  use('new', 'key')
  while ((await shown()) !== 'new') await new Promise((later) => setTimeout(later, 10))

  open.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.match(String((await once(open, 'data'))[0]), /^HTTP\/1\.1 (200|503)/)
})

test('files that will not do are named, with what is wrong with them', () => {
  const one = certify('one')
  const other = certify('other')
  fs.writeFileSync(file('text'), 'no PEM')
  const wrong = (certificate: string, key: string) => () => readPair({ certificate, key })
  assert.throws(wrong(file('absent'), one.key), /absent \(WISP_TLS_CERT\) cannot be read: ENOENT/)
  assert.throws(wrong(one.certificate, file('absent')), /absent \(WISP_TLS_KEY\) cannot be read: ENOENT/)
  assert.throws(wrong(file('text'), one.key), /text \(WISP_TLS_CERT\) has no certificate in PEM/)
  assert.throws(wrong(one.certificate, file('text')), /text \(WISP_TLS_KEY\) cannot be used/)
  assert.throws(wrong(one.certificate, other.key), /WISP_TLS_KEY.*for another key/)
})

test('a certificate for another name, one that is over and one that soon will be are told', () => {
  const pair = readPair(certify('month', { days: 30 }))
  const inDays = (days: number) => new Date(Date.now() + days * 86_400_000)
  assert.equal(troubleOf(pair, 'cloud.example'), undefined)
  assert.equal(troubleOf(pair, '127.0.0.1'), undefined)
  assert.match(troubleOf(pair, 'other.example')!.what, /not for other\.example.*cloud\.example/)
  assert.deepEqual(troubleOf(pair, 'cloud.example', inDays(25)), { level: 'poor', what: 'the certificate of the API expires in 4 days' })
  assert.match(troubleOf(pair, 'cloud.example', inDays(31))!.what, /has expired/)
  assert.match(troubleOf(pair, 'cloud.example', inDays(-1))!.what, /not good before/)
})
