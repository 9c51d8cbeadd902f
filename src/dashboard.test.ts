// The dashboard's files as browsers get them.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import Fastify from 'fastify'
import { pino } from 'pino'
import { registerDashboard } from './dashboard.ts'
import { unauthorized } from './http/fault.ts'

test('pages and their parts are served, also after they were built anew', async (context) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-dashboard-'))
  const files = path.join(folder, 'dist')
  const build = (name: string) => {
    fs.rmSync(files, { recursive: true, force: true })
    fs.mkdirSync(path.join(files, 'assets'), { recursive: true })
    fs.writeFileSync(path.join(files, 'assets', `${name}.js`), name)
    fs.writeFileSync(path.join(files, 'index.html'), `<script src="/dashboard/assets/${name}.js">`)
  }
  build('first')
  fs.writeFileSync(path.join(folder, 'secret.txt'), 'secret')
  const app = Fastify()
  registerDashboard(app, {
    authenticate: async () => unauthorized(),
    certificateOf: () => undefined,
    log: pino({ level: 'silent' }),
    files,
  })
  context.after(async () => {
    await app.close()
    fs.rmSync(folder, { recursive: true })
  })
  const get = (url: string) => app.inject({ url })

  for (const name of ['first', 'second']) {
    if (name === 'second') build(name)
    for (const address of ['/dashboard', '/dashboard/', '/dashboard/servers/42', '/dashboard/index.html']) {
      const { statusCode, headers, body } = await get(address)
      assert.deepEqual([statusCode, headers['cache-control'], headers['content-type']], [200, 'no-cache', 'text/html'], address)
      assert.match(body, new RegExp(`assets/${name}\\.js`))
      assert.match(String(headers['content-security-policy']), /^default-src 'self'/)
    }
    const part = await get(`/dashboard/assets/${name}.js`)
    assert.deepEqual([part.statusCode, part.body], [200, name])
    assert.match(String(part.headers['cache-control']), /immutable/)
    assert.match(String(part.headers['content-type']), /javascript/)
  }
  for (const address of [
    '/dashboard/assets/first.js',
    '/dashboard/assets/none.js',
    '/dashboard/../secret.txt',
    '/dashboard/%2e%2e/secret.txt',
    '/dashboard/..%2fsecret.txt',
  ]) {
    const { statusCode, body } = await get(address)
    assert.ok([403, 404].includes(statusCode), `${address}: ${statusCode}`)
    assert.doesNotMatch(body, /^secret/)
  }
})
