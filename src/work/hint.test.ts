import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { sql } from 'kysely'
import type { Database } from '../database/connect.ts'
import { type TestDatabase, testDatabase } from '../database/testing.ts'
import { hintChanged, hintDue, hintHost, hints, startHints } from './hint.ts'

/** Another controller's process: prints what it hears, one JSON line each. */
const listener = (url: string) => `
  const { connect } = await import(${JSON.stringify(import.meta.resolve('../database/connect.ts'))})
  const { hints, startHints } = await import(${JSON.stringify(import.meta.resolve('./hint.ts'))})
  for (const name of ['due', 'host', 'asked', 'changed', 'identity'])
    hints.on(name, (what) => console.log(JSON.stringify([name, what ?? null])))
  await startHints(connect(${JSON.stringify(url)}))
  console.log('["listens",null]')
`

describe('hints', () => {
  let test: TestDatabase
  let db: Database
  let other: ChildProcess
  let leave: () => Promise<void>
  const heard: [string, unknown][] = []
  const messages: string[] = []

  const until = async (what: () => boolean, name: string) => {
    for (let i = 0; i < 6000; i++) {
      if (what()) return
      await new Promise((go) => setTimeout(go, 10))
    }
    assert.fail(`not within 60 s: ${name}`)
  }

  before(async () => {
    test = await testDatabase()
    db = test.db
    leave = await startHints(db)
    await db.listen('wisp', (payload) => messages.push(payload))
    other = spawn(process.execPath, ['--input-type=module', '-e', listener(test.url)], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    other.stdout!.setEncoding('utf8').on('data', (chunk) => {
      const lines = (text + chunk).split('\n')
      text = lines.pop()!
      for (const line of lines) heard.push(JSON.parse(line))
    })
    await until(() => heard.some(([name]) => name === 'listens'), 'the other process listens')
  })
  after(async () => {
    other.kill()
    await once(other, 'close')
    await leave()
    await test.drop()
  })

  it('are heard at once in this process, and by others', async () => {
    const here: string[] = []
    const hear = (id: string) => here.push(id)
    hints.on('host', hear)
    await db.write(async (tx) => {
      hintHost(tx, 'h1')
      assert.deepEqual(here, [], 'not before the commit')
    })
    hints.off('host', hear)
    assert.deepEqual(here, ['h1'])
    await until(() => heard.some(([name, what]) => name === 'host' && what === 'h1'), 'the other process heard of h1')
  })

  it('are not given for a transaction that was rolled back', async () => {
    await assert.rejects(
      db.write(async (tx) => {
        hintHost(tx, 'never')
        throw new Error('no')
      }),
    )
    await db.write(async (tx) => hintHost(tx, 'after'))
    await until(() => heard.some(([, what]) => what === 'after'), 'the next hint arrived')
    assert.ok(!heard.some(([, what]) => what === 'never'))
  })

  it('go as one message for many transactions', async () => {
    await until(() => messages.length > 0, 'earlier messages have come')
    messages.length = 0
    const touch = () =>
      db.write(async (tx) => {
        hintDue(tx)
        hintChanged(tx, 'server', 's1', 'p')
      })
    await Promise.all(Array.from({ length: 4 }, () => touch()))
    await until(() => heard.some(([name]) => name === 'due') && messages.length > 0, 'both processes heard that work is due')
    const all = messages.map((text) => JSON.parse(text) as { changed: unknown[] })
    assert.ok(all.length >= 1 && all.length <= 4)
    for (const { changed } of all) assert.ok(changed.length <= 1, 'one object is named once')
  })

  it('go in several messages when they are too many for one, and none is lost', async () => {
    messages.length = 0
    const ids = Array.from({ length: 500 }, (_, n) => `${n}-${crypto.randomUUID()}`)
    await db.write(async (tx) => {
      for (const id of ids) hintChanged(tx, 'server', id, 'project-with-ünïcode')
    })
    const named = () => new Set(heard.flatMap(([name, what]) => (name === 'changed' ? (what as { id: string }).id : [])))
    await until(() => ids.every((id) => named().has(id)), 'all 500 were heard of')
    await until(() => messages.length > 1, 'several messages came here too')
    for (const text of messages) assert.ok(Buffer.byteLength(text) < 8000)
  })

  it('survive what is no hint, and a single one that is too large', async () => {
    await sql`select pg_notify('wisp', 'not json')`.execute(db.read)
    await db.write(async (tx) => hintChanged(tx, 'server', 'x'.repeat(9000), null))
    await db.write(async (tx) => hintHost(tx, 'h-last'))
    await until(() => heard.some(([, what]) => what === 'h-last'), 'hints go on')
  })
})
