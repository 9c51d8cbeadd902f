// OAuth2 by client certificate where TLS ends at a proxy: whose word about the certificate counts, and what a cloud may allow.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import { BlockList } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { certificateReader } from '../../http/certificate.ts'
import { type Json, passwords, testCloud } from '../testing.ts'
import { type Authority, authority, grant, makeUser, type Pair, putMapping } from './testing.ts'

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-certificates-'))
after(() => fs.rmSync(folder, { recursive: true }))
let ca: Authority
let server: Pair
before(async () => {
  ca = await authority(folder, 'ca')
  server = await ca.leaf('/CN=localhost', 'serverAuth', 'server')
})

describe('behind a proxy that ends TLS', () => {
  let robot: string
  let pair: Pair
  const start = async (trusted: string, config = {}) => {
    const proxies = new BlockList()
    proxies.addAddress(trusted)
    const cloud = await testCloud('flat', {}, { server: { certificateOf: certificateReader(proxies) }, config })
    const origin = await cloud.app.listen({ host: '127.0.0.1', port: 0 })
    const admin = await cloud.signIn('admin', passwords.admin)
    robot = await makeUser(cloud, admin, { name: 'robot' })
    pair = await ca.leaf(`/CN=robot/UID=${robot}`, 'clientAuth', 'robot')
    await putMapping(cloud, admin, [{ local: [{ user: { id: '{0}' } }], remote: [{ type: 'SSL_CLIENT_SUBJECT_DN_UID' }] }])
    /** As the proxy, which sets the header. */
    const ask = (method: string, url: string, certificate: string | undefined, sending: { token?: string; body?: URLSearchParams } = {}) =>
      new Promise<{ status: number; body: Json }>((answered, failed) => {
        const headers = {
          ...(certificate !== undefined && { 'client-cert': certificate }),
          ...(sending.token && { 'x-auth-token': sending.token }),
          ...(sending.body && { 'content-type': 'application/x-www-form-urlencoded' }),
        }
        const request = http.request(`${origin}/identity/v3${url}`, { method, headers, agent: false }, async (response) => {
          let text = ''
          for await (const part of response) text += part
          answered({ status: response.statusCode!, body: text ? (JSON.parse(text) as Json) : {} })
        })
        request.on('error', failed)
        request.end(sending.body?.toString())
      })
    return { cloud, ask }
  }

  test('its word counts, however it writes it', async () => {
    const { cloud, ask } = await start('127.0.0.1')
    try {
      const der = new X509Certificate(pair.cert).raw.toString('base64')
      const written = {
        'RFC 9440': `:${der}:`,
        nginx: encodeURIComponent(pair.cert),
        Apache: pair.cert.trim().replaceAll('\n', ' '),
        HAProxy: der,
      }
      for (const [proxy, header] of Object.entries(written)) {
        const { status, body } = await ask('POST', '/OS-OAUTH2/token', header, grant(robot))
        assert.equal(status, 200, `${proxy}: ${JSON.stringify(body)}`)
        const token = String(body.access_token)
        for (const again of Object.values(written)) assert.equal((await ask('GET', `/users/${robot}`, again, { token })).status, 200)
        for (const none of [undefined, '', '(null)', encodeURIComponent(server.cert)])
          assert.equal((await ask('GET', `/users/${robot}`, none, { token })).status, 401, String(none))
        const garbage = await ask('GET', `/users/${robot}`, 'garbage', { token })
        assert.equal(garbage.status, 400)
        assert.match(String(garbage.body.error!.message), /Client-Cert/)
      }
    } finally {
      await cloud.end()
    }
  })

  test("anybody else's word is nothing", async () => {
    const { cloud, ask } = await start('10.0.0.5')
    try {
      const { status, body } = await ask('POST', '/OS-OAUTH2/token', encodeURIComponent(pair.cert), grant(robot))
      assert.equal(status, 401, JSON.stringify(body))
    } finally {
      await cloud.end()
    }
  })

  test('a cloud may allow secrets only, or certificates only', async () => {
    for (const oauth2Methods of [['client_secret_basic'], ['tls_client_auth']] as const) {
      const { cloud, ask } = await start('127.0.0.1', { oauth2Methods: [...oauth2Methods] })
      try {
        const demo = await cloud.signIn('demo', passwords.demo)
        const path = `/users/${cloud.demoUserId}/application_credentials`
        const { application_credential } = (await cloud.send('POST', path, demo, { application_credential: { name: 'x' } })).body
        const { id, secret } = application_credential as unknown as Record<'id' | 'secret', string>
        const byCertificate = await ask('POST', '/OS-OAUTH2/token', encodeURIComponent(pair.cert), grant(robot))
        const bySecret = await ask('POST', '/OS-OAUTH2/token', undefined, grant(id, { client_secret: secret }))
        const secrets = oauth2Methods[0] === 'client_secret_basic'
        assert.deepEqual([byCertificate.status, bySecret.status], secrets ? [401, 200] : [200, 401])
      } finally {
        await cloud.end()
      }
    }
  })
})
