// Ctrl-C in the middle of the very first `wisp up`: nothing goes on behind the person's back, and the next `up` goes on from there.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { after, describe, it } from 'node:test'
import { sql } from 'kysely'
import { connect } from '../../src/database/connect.ts'
import { startEmbedded, stopEmbedded } from '../../src/database/embedded.ts'
import { freePort } from '../free-port.ts'
import { launcher, leftovers, onEnd } from './cloud.ts'
import { person } from './person.ts'
import { run, succeed, until } from './run-program.ts'

describe('the first start, interrupted', { timeout: 300_000 }, () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-e2e-'))
  fs.chmodSync(folder, 0o711)
  const home = path.join(folder, 'home')
  const env = { ...process.env, WISP_HOME: home, WISP_GUEST_IMAGE: 'off' } as NodeJS.ProcessEnv
  const processes = async () => (await leftovers(home)).filter((line) => line.startsWith('process'))
  const destroy = async () => {
    await run([launcher, 'destroy', '--yes'], env)
    fs.rmSync(folder, { recursive: true, force: true })
  }
  const forget = onEnd(destroy)
  after(async () => {
    await destroy()
    forget()
    assert.deepEqual(await leftovers(home), [])
  })

  it('while initdb runs: it has ended when "wisp up" says that it is stopped, and the next one makes the cloud', async () => {
    env.WISP_PORT = String(await freePort())
    const up = spawn(launcher, ['up'], { env, stdio: ['ignore', 'ignore', 'pipe'] })
    const said = text(up.stderr)
    const ended = once(up, 'exit')
    await until(() => fs.existsSync(path.join(home, 'postgres/data.part/PG_VERSION')), 'initdb runs', 120)
    up.kill('SIGINT')
    assert.deepEqual(await ended, [1, null])
    assert.match(await said, /^wisp: Ctrl-C: stopped\. Nothing is half done; "wisp up" goes on from here\n$/)
    assert.deepEqual(await processes(), [])
    assert.match((await succeed([launcher, 'up'], env, 120)).stdout, /Wisp is up \(/)
    const { services } = await person(path.join(home, 'openrc')).ask<{ services: { state: string }[] }>('GET', 'compute/v2.1/os-services')
    assert.deepEqual(
      services.map(({ state }) => state),
      ['up'],
      'this machine takes servers from the first moment on',
    )
  })

  it('a port that another program has is refused at once, with its name', async () => {
    await succeed([launcher, 'down'], env)
    const other = spawn(process.execPath, [
      '-e',
      `require('net').createServer().listen(${env.WISP_PORT}, '127.0.0.1', () => console.log())`,
    ])
    await once(other.stdout, 'data')
    const { status, stderr } = await run([launcher, 'up'], env)
    other.kill('SIGKILL')
    assert.equal(status, 1)
    assert.match(stderr, new RegExp(`port ${env.WISP_PORT} is taken by \\S+ \\(pid ${other.pid}\\)\\. Remedy: set WISP_PORT`))
    assert.deepEqual(await processes(), [])
  })

  it('a start that fails on its way leaves nothing running', async () => {
    const { socket } = await startEmbedded(home)
    const db = connect(socket, { connections: 1 })
    await sql`insert into wisp.migration (name, checksum) values ('9999-of-tomorrow', '')`.execute(db.read)
    await db.close()
    await stopEmbedded(home)
    const { status, stderr } = await run([launcher, 'up'], env)
    assert.equal(status, 1)
    assert.match(stderr, /The database is newer than this program: it has the migration 9999-of-tomorrow/)
    assert.deepEqual(await processes(), [])
  })
})
