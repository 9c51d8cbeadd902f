import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type RawBuilder, sql } from 'kysely'
import { afterCommit, beforeCommit, connect, json, type Tx } from './connect.ts'
import { type TestDatabase, testDatabase } from './testing.ts'

let base: TestDatabase
before(async () => {
  base = await testDatabase()
  await sql`create table public.thing (id int primary key, n bigint, at timestamptz, body jsonb, price numeric, day date)`.execute(
    base.db.read,
  )
})
after(() => base.drop())

test('whole numbers, times and json arrive as JavaScript values', async () => {
  const { rows } =
    await sql`select 4294967296::int8 as n, 1.5::numeric as price, '2026-01-02'::date as day, timestamptz '2026-01-02T03:04:05Z' as at,
    ${json(['a', 1])} as body, ${json('word')} as word, inet '10.0.0.1' as ip`.execute(base.db.read)
  const expected = {
    n: 2 ** 32,
    price: 1.5,
    day: '2026-01-02',
    at: new Date('2026-01-02T03:04:05Z'),
    body: ['a', 1],
    word: 'word',
    ip: '10.0.0.1',
  }
  assert.deepEqual({ ...(rows[0] as object) }, expected)
})

test('a whole number that JavaScript cannot hold is an error, not a wrong number', async () => {
  await assert.rejects(sql`select 9007199254740993::int8 as n`.execute(base.db.read), /too large/)
})

test('write commits all or nothing, and what waits for the commit runs only after it', async () => {
  const heard: string[] = []
  await base.db.write(async (tx) => {
    await sql`insert into public.thing (id) values (1)`.execute(tx)
    afterCommit(tx, () => heard.push('committed'))
    assert.deepEqual(heard, [])
  })
  const refused = base.db.write(async (tx) => {
    await sql`insert into public.thing (id) values (2)`.execute(tx)
    afterCommit(tx, () => heard.push('never'))
    throw new Error('no')
  })
  await assert.rejects(refused, /^Error: no$/)
  assert.deepEqual(heard, ['committed'])
  const { rows } = await sql`select id from public.thing`.execute(base.db.read)
  assert.deepEqual(rows, [{ id: 1 }])
  assert.throws(() => afterCommit(base.db.read, () => {}), /transaction/)
})

test('what somebody else deletes between two statements is looked for again', async () => {
  await sql`insert into identity.service_provider (id, auth_url, sp_url, relay_state_prefix) values ('going', 'a:b', 'a:b', '')`.execute(
    base.db.read,
  )
  const of = (tx: Tx) => tx.selectFrom('identity.service_provider').select('id').where('id', '=', 'going')
  const answer = await base.db.write(async (tx) => {
    if (!(await of(tx).executeTakeFirst())) return 'it is not there'
    await base.db.read.deleteFrom('identity.service_provider').where('id', '=', 'going').execute()
    return tx
      .updateTable('identity.service_provider')
      .set({ enabled: true })
      .where('id', '=', 'going')
      .returningAll()
      .executeTakeFirstOrThrow()
  })
  assert.equal(answer, 'it is not there')
})

test('what travels with the commit undoes it, whatever goes wrong', async () => {
  const unsendable: Record<string, unknown> = {}
  unsendable.self = unsendable
  const endings: [() => RawBuilder<unknown>, RegExp][] = [
    [
      () => {
        throw new Error('no statement')
      },
      /no statement/,
    ],
    [() => sql`select ${unsendable}::text`, /is an object/],
    [() => sql`select 1 / 0`, /division by zero/],
  ]
  for (const [statement, message] of endings) {
    const heard: string[] = []
    const work = base.db.write(async (tx) => {
      await sql`insert into public.thing (id) values (20)`.execute(tx)
      beforeCommit(tx, { query: () => sql`insert into public.thing (id) values (21)`.compile(tx) })
      beforeCommit(tx, { query: () => statement().compile(tx) })
      afterCommit(tx, () => heard.push('committed'))
    })
    await assert.rejects(work, message)
    assert.deepEqual(heard, [])
    const { rows } = await sql`select id from public.thing where id >= 20`.execute(base.db.read)
    assert.deepEqual(rows, [])
  }
  const heard: unknown[] = []
  await base.db.write(async (tx) => {
    beforeCommit(tx, {
      query: () => sql`insert into public.thing (id) values (22) returning id`.compile(tx),
      answered: (rows) => heard.push(rows),
    })
  })
  assert.deepEqual(heard, [[{ id: 22 }]])
})

test('an error that was swallowed inside a transaction comes out at its commit', async () => {
  const swallowed = base.db.write(async (tx) => {
    await sql`select 1 / 0`.execute(tx).catch(() => {})
  })
  await assert.rejects(swallowed, /its error was swallowed/)
})

test('a deadlock is resolved by running one of the two again, and its callbacks are not doubled', async () => {
  await sql`insert into public.thing (id, n) values (10, 0), (11, 0)`.execute(base.db.read)
  const met: (() => void)[] = []
  const both = new Promise<void>((done) => met.push(done))
  let locked = 0
  let runs = 0
  let committed = 0
  const cross = (first: number, second: number) =>
    base.db.write(async (tx) => {
      runs++
      afterCommit(tx, () => committed++)
      await sql`update public.thing set n = n + 1 where id = ${first}`.execute(tx)
      if (++locked === 2) met[0]?.()
      await both
      await sql`update public.thing set n = n + 1 where id = ${second}`.execute(tx)
    })
  await Promise.all([cross(10, 11), cross(11, 10)])
  const { rows } = await sql`select n from public.thing where id in (10, 11)`.execute(base.db.read)
  assert.deepEqual(rows, [{ n: 2 }, { n: 2 }])
  assert.equal(runs, 3)
  assert.equal(committed, 2)
})

test('after five failures in a row the error is passed on', async () => {
  let runs = 0
  const hopeless = base.db.write(async (tx) => {
    runs++
    await sql`do $$ begin raise exception using errcode = '40001'; end $$`.execute(tx)
  })
  await assert.rejects(hopeless, { code: '40001' })
  assert.equal(runs, 5)
})

test('a table that changes under a prepared statement does not break those who use it', async () => {
  const db = connect(base.url, { connections: 2 })
  try {
    await sql`create table public.changing (id int); insert into public.changing values (1)`.execute(db.read)
    const read = (tx: typeof db.read) => sql`select * from public.changing where id = ${1}`.execute(tx)
    for (let i = 0; i < 5; i++) await read(db.read)
    await sql`alter table public.changing add column more text`.execute(db.read)
    assert.deepEqual((await read(db.read)).rows, [{ id: 1, more: null }])
    for (let i = 0; i < 5; i++) await db.write(read)
    await sql`alter table public.changing add column again text`.execute(db.read)
    assert.deepEqual((await db.write(read)).rows, [{ id: 1, more: null, again: null }])
  } finally {
    await db.close()
  }
})

test('connections that are lost are replaced, also the one that listens', { timeout: 60_000 }, async () => {
  const db = connect(base.url, { connections: 2 })
  try {
    const heard: string[] = []
    let arrived = () => {}
    const stop = await db.listen('gossip', (payload) => {
      heard.push(payload)
      arrived()
    })
    const tell = async (word: string) => {
      const next = new Promise<void>((done) => {
        arrived = done
      })
      await sql`select pg_notify('gossip', ${word})`.execute(base.db.read)
      await next
    }
    const listeners = async () =>
      (
        await sql<{ pid: number }>`select pid from pg_stat_activity where datname = current_database()
          and application_name like '%listen' and state = 'idle' and query ilike 'listen%'`.execute(base.db.read)
      ).rows.map(({ pid }) => pid)
    await tell('one')
    const before = await listeners()
    await sql`select 1`.execute(db.read)
    await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`.execute(
      base.db.read,
    )
    // One that was told to end lives on for a moment.
    for (let now = before; now.length !== 1 || before.includes(now[0]!); ) now = await listeners()
    await tell('two')
    await stop()
    assert.deepEqual(heard, ['one', 'two'])
    let answer: unknown
    while (!answer)
      answer = await sql`select 1 as one`.execute(db.read).then(
        ({ rows }) => rows[0],
        () => undefined,
      )
    assert.deepEqual(answer, { one: 1 })
  } finally {
    await db.close()
  }
})
