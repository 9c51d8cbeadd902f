// Replaces secret.key while a controller works and users sign in, and kills the command at each of its crash points and at any moment. After
// each death the cloud must go on, also with a controller that starts anew; and once the command has come to its end, nothing may be left
// that the last key opens.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { sql } from 'kysely'
import { loadConfig } from '../../src/config.ts'
import { startEmbedded, stopEmbedded } from '../../src/database/embedded.ts'
import { migrate } from '../../src/database/migrate.ts'
import { unseal } from '../../src/identity/control/sealed.ts'
import { databaseOf } from '../../src/start/cloud.ts'
import { readSecretKeys, secretKeyFile } from '../../src/start/files.ts'
import { sealedColumns } from '../../src/start/secret-key.ts'
import { type ChaosCloud, crashPoints, pause, startChaosCloud } from './cloud.ts'

const points = crashPoints(['start/secret-key.ts'])
const main = path.join(import.meta.dirname, '../../src/main.ts')

describe('chaos: another secret.key', { timeout: 900_000 }, () => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-chaos-'))
  let cloud: ChaosCloud
  let admin: { token: string; id: string }
  before(async () => {
    fs.chmodSync(home, 0o755)
    await startEmbedded(home, { user: 'nobody' })
    await migrate(databaseOf(loadConfig({ ...process.env, WISP_HOME: home })))
    cloud = await startChaosCloud({ home })
    await cloud.startController()
    admin = await signIn()
  })
  after(async () => {
    await cloud?.stop()
    await stopEmbedded(home)
    fs.rmSync(home, { recursive: true, force: true })
  })

  const ask = async (method: string, where: string, body?: unknown, token = admin.token) => {
    const answer = await fetch(`${cloud.url}/identity/v3${where}`, {
      method,
      headers: { 'content-type': 'application/json', ...(token && { 'x-auth-token': token }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const said = await answer.text()
    assert.ok(answer.ok, `${method} ${where}: ${answer.status} ${said}`)
    return { headers: answer.headers, body: said ? JSON.parse(said) : undefined }
  }
  const signIn = async () => {
    const { admin: password } = JSON.parse(fs.readFileSync(path.join(home, 'passwords.json'), 'utf8'))
    const domain = { id: 'default' }
    const identity = { methods: ['password'], password: { user: { name: 'admin', domain, password } } }
    const auth = { identity, scope: { project: { name: 'admin', domain } } }
    const { headers, body } = await ask('POST', '/auth/tokens', { auth }, '')
    return { token: headers.get('x-subject-token')!, id: String(body.token.user.id) }
  }

  /** What was sealed, and what it must be when it is opened: a credential's blob, and a consumer's secret (which only signatures show). */
  const blobs = new Map<string, string>()
  const secrets = new Map<string, string>()
  let count = 0
  const write = async () => {
    const blob = `blob ${++count}`
    const made = await ask('POST', '/credentials', { credential: { type: 'cert', blob, user_id: admin.id } })
    blobs.set(made.body.credential.id, blob)
    const { consumer } = (await ask('POST', '/OS-OAUTH1/consumers', { consumer: {} })).body
    secrets.set(consumer.id, consumer.secret)
  }

  const rotate = (crash = '') =>
    spawn(process.execPath, [main, 'rotate-keys', '--secret-key'], {
      env: { ...process.env, WISP_HOME: home, WISP_CRASH: crash },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  const finish = async () => {
    const child = rotate()
    const said = text(child.stderr)
    const [status] = await once(child, 'exit')
    assert.equal(status, 0, await said)
  }

  /** Nobody was logged out, people sign in, and all that was sealed opens. */
  const works = async () => {
    await ask('GET', '/auth/projects')
    const fresh = await signIn()
    await ask('GET', '/auth/projects', undefined, fresh.token)
    await write()
    const { credentials } = (await ask('GET', '/credentials')).body as { credentials: { id: string; blob: string }[] }
    const read = new Map(credentials.map(({ id, blob }) => [id, blob]))
    for (const [id, blob] of blobs) assert.equal(read.get(id), blob)
  }
  const worksAlsoAnew = async () => {
    await works()
    await cloud.killController()
    await cloud.startController()
    await works()
  }

  /** All that is sealed, opened with one key. */
  const openAll = async (key: Buffer) => {
    let opened = 0
    for (const { table, column, ids, name } of sealedColumns) {
      const { rows } = await sql<{ ids: string[]; sealed: Buffer }>`
        select array[${sql.join(ids.map((id) => sql.ref(id)))}]::text[] as ids, ${sql.ref(column)} as sealed
        from ${sql.table(table)} where ${sql.ref(column)} is not null`.execute(cloud.db.read)
      for (const row of rows) {
        const value = unseal(key, name(...row.ids), row.sealed)
        if (table === 'identity.oauth_consumer') assert.equal(value.toString(), secrets.get(row.ids[0]!))
        opened++
      }
    }
    const { rows: keys } = await sql<{ id: string; sealed: Buffer }>`select id, sealed from identity.credential_key`.execute(cloud.db.read)
    for (const { id, sealed } of keys) unseal(key, `credential key ${id}`, sealed)
    return opened + keys.length
  }
  const replacedSince = async (last: Buffer) => {
    const keys = readSecretKeys(secretKeyFile(home))
    assert.equal(keys.length, 1)
    assert.notDeepEqual(keys[0], last)
    assert.ok((await openAll(keys[0]!)) >= secrets.size + 2)
    await assert.rejects(openAll(last), /another secret\.key/)
  }
  const keyInUse = () => readSecretKeys(secretKeyFile(home))[0]!

  /** Writes on and on while something else goes on: nothing that is written in between may be lost, and nothing refused. */
  const meanwhile = async (work: () => Promise<void>) => {
    let over = false
    const writing = (async () => {
      while (!over) {
        await write()
        await pause(30)
      }
    })()
    await work().finally(() => {
      over = true
    })
    await writing
  }

  for (const point of points) {
    it(`dies at '${point}'`, async () => {
      const last = keyInUse()
      await meanwhile(async () => {
        const [, signal] = await once(rotate(point), 'exit')
        assert.equal(signal, 'SIGKILL', `the point '${point}' is never passed`)
      })
      await worksAlsoAnew()
      if (point !== points.at(-1)) await meanwhile(finish)
      await worksAlsoAnew()
      await replacedSince(last)
    })
  }

  it('is killed at any moment, again and again', async () => {
    const last = keyInUse()
    await meanwhile(async () => {
      for (let n = 0; n < 8; n++) {
        const child = rotate()
        const gone = once(child, 'exit')
        await Promise.race([gone, pause(100 + Math.random() * 900)])
        child.kill('SIGKILL')
        await gone
      }
      await finish()
    })
    await worksAlsoAnew()
    await replacedSince(last)
  })
})
