import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { sql } from 'kysely'
import { connect } from './connect.ts'
import { embeddedPid, embeddedSocket, startEmbedded, stopEmbedded } from './embedded.ts'

const options = { user: 'nobody' }
let home: string
before(() => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-embedded-'))
  fs.chmodSync(home, 0o711)
})
after(async () => {
  await stopEmbedded(home)
  fs.rmSync(home, { recursive: true })
})

test('starts from nothing, is adopted, survives kill -9, stops and starts again with what it had', async () => {
  const steps: string[] = []
  const first = await startEmbedded(home, { ...options, progress: (step) => steps.push(step) })
  assert.equal(first.adopted, false)
  assert.deepEqual(steps, ['unpacking PostgreSQL', 'initialising the database', 'starting the database'])
  assert.equal(embeddedPid(home), first.pid)

  const db = connect(first.socket)
  try {
    await sql`create table public.kept (n int)`.execute(db.read)
    await sql`insert into public.kept values (1)`.execute(db.read)
    assert.deepEqual(await startEmbedded(home, options), { ...first, adopted: true })

    process.kill(first.pid, 'SIGKILL')
    while (embeddedPid(home)) await new Promise(setImmediate)
    const second = await startEmbedded(home, options)
    assert.equal(second.adopted, false)
    assert.notEqual(second.pid, first.pid)

    await stopEmbedded(home)
    assert.equal(embeddedPid(home), undefined)
    await stopEmbedded(home) // again: nothing to do
    await startEmbedded(home, options)
    let rows: unknown[] | undefined
    while (!rows)
      rows = await sql`select n from public.kept`.execute(db.read).then(
        (result) => result.rows,
        () => undefined,
      )
    assert.deepEqual(rows, [{ n: 1 }])
    assert.deepEqual((await sql`show fsync`.execute(db.read)).rows, [{ fsync: 'on' }])
  } finally {
    await db.close()
  }
})

test('a server that hangs for longer than a connection takes is waited for', async () => {
  const { pid } = await startEmbedded(home, options)
  process.kill(pid, 'SIGSTOP')
  const goesOn = setTimeout(() => process.kill(pid, 'SIGCONT'), 6000)
  try {
    assert.deepEqual(await startEmbedded(home, options), { pid, adopted: true, socket: embeddedSocket(home) })
  } finally {
    clearTimeout(goesOn)
    process.kill(pid, 'SIGCONT')
  }
})

test('only root and the server itself may connect, and it does not run as root', { skip: process.getuid?.() !== 0 }, async () => {
  const { pid, socket } = await startEmbedded(home, options)
  assert.equal(fs.statSync(`/proc/${pid}`).uid, Number(spawnSync('id', ['-u', 'nobody'], { encoding: 'utf8' }).stdout))
  assert.equal(fs.statSync(socket.host).mode & 0o777, 0o700)
  assert.equal(fs.statSync(path.join(home, 'postgres/data')).mode & 0o777, 0o700)
  const stranger = spawnSync('test', ['-e', path.join(socket.host, '.s.PGSQL.5432')], { uid: 1, gid: 1 })
  assert.equal(stranger.status, 1)
})

test('a pid file of a dead or foreign process is not taken for a server', () => {
  const other = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-embedded-'))
  try {
    fs.mkdirSync(path.join(other, 'postgres/data'), { recursive: true })
    fs.writeFileSync(path.join(other, 'postgres/data/postmaster.pid'), `${process.pid}\n`)
    assert.equal(embeddedPid(other), undefined)
  } finally {
    fs.rmSync(other, { recursive: true })
  }
})

test('a database of another major version is refused with the way out', async () => {
  const other = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-embedded-'))
  try {
    fs.mkdirSync(path.join(other, 'postgres/data'), { recursive: true })
    fs.writeFileSync(path.join(other, 'postgres/data/PG_VERSION'), '15\n')
    await assert.rejects(startEmbedded(other, options), /made by PostgreSQL 15; this Wisp brings 18.*wisp export.*wisp import/)
  } finally {
    fs.rmSync(other, { recursive: true })
  }
})

test('a folder that the database user cannot enter is named, with what to do', { skip: process.getuid?.() !== 0 }, async () => {
  const closed = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-embedded-'))
  try {
    await assert.rejects(startEmbedded(closed, options), /cannot reach .*chmod o\+x/)
  } finally {
    fs.rmSync(closed, { recursive: true })
  }
})

test('the socket moves to /run when the path of the home is too long for one', () => {
  assert.equal(embeddedSocket('/var/lib/wisp').host, '/var/lib/wisp/run/postgres')
  assert.match(embeddedSocket(`/srv/${'x'.repeat(90)}`).host, /^\/run\/wisp-[0-9a-f]{6}$/)
})
