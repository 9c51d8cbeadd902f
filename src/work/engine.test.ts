import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { sql } from 'kysely'
import { pino } from 'pino'
import { connect, type Database } from '../database/connect.ts'
import { type TestDatabase, testDatabase } from '../database/testing.ts'
import { type Engine, type Handler, poke, pokeAll, startEngine } from './engine.ts'

const log = pino({ level: 'silent' })

async function note(seen: string[], key: string, until?: Promise<void>): Promise<null> {
  seen.push(key)
  await until
  return null
}

describe('the engine', () => {
  let test: TestDatabase
  let db: Database
  const others: Database[] = []
  const engines: Engine[] = []

  before(async () => {
    test = await testDatabase({ connections: 12 })
    db = test.db
    await sql`create table public.object (id text primary key, n int not null default 0)`.execute(db.read)
  })
  after(async () => {
    for (const other of others) await other.close()
    await test.drop()
  })
  beforeEach(() => sql`truncate work.due, public.object`.execute(db.read))
  afterEach(async () => {
    await Promise.all(engines.splice(0).map((engine) => engine.stop()))
  })

  const start = (handlers: Record<string, Handler>, on = db, options: { slots?: number; poll?: number } = { poll: 100 }) => {
    const engine = startEngine(on, handlers, log, options)
    engines.push(engine)
    return engine
  }
  const due = () => db.read.selectFrom('work.due').selectAll().orderBy('key').execute()
  const until = async (what: () => Promise<boolean> | boolean, name: string) => {
    for (let i = 0; i < 6000; i++) {
      if (await what()) return
      await new Promise((go) => setTimeout(go, 10))
    }
    assert.fail(`not within 60 s: ${name}; the queue: ${JSON.stringify(await due())}`)
  }
  const settled = () => until(async () => (await due()).length === 0, 'everything is settled')

  it('takes what was poked and settles it', async () => {
    const seen: string[] = []
    start({ a: async (_tx, key) => note(seen, key) })
    await db.write((tx) => pokeAll(tx, 'a', ['2', '1', '2']))
    await settled()
    assert.deepEqual(seen.sort(), ['1', '2'])
  })

  it('writes pokes with the transaction: none of one that is rolled back', async () => {
    await assert.rejects(
      db.write(async (tx) => {
        await poke(tx, 'a', '1')
        throw new Error('no')
      }),
    )
    assert.deepEqual(await due(), [])
    await assert.rejects(poke(db.read, 'a', '1'), /wants the transaction/)
  })

  it('takes the earlier of two times, and leaves other kinds alone', async () => {
    await db.write(async (tx) => {
      await poke(tx, 'later', '1', 3_600_000)
      await poke(tx, 'later', '1', 7_200_000)
      await poke(tx, 'other', '1')
    })
    await db.write((tx) => poke(tx, 'later', '1', 7_200_000))
    let looks = 0
    start({
      later: async () => {
        looks++
        return null
      },
    })
    await db.write((tx) => poke(tx, 'later', '2'))
    await until(() => looks === 1, 'the key that is due was looked at')
    await until(async () => (await due()).length === 2, 'it is settled')
    const left = await due()
    assert.deepEqual(left.map(({ kind, key }) => `${kind} ${key}`).sort(), ['later 1', 'other 1'])
    const minutes = (left.find((row) => row.kind === 'later')!.at.getTime() - Date.now()) / 60_000
    assert.ok(minutes > 55 && minutes <= 60, `${minutes} minutes`)
  })

  it('looks again after as long as the handler says', async () => {
    let looks = 0
    start({ a: async () => (++looks < 4 ? 5 : null) }, db, { poll: 60_000 })
    await db.write((tx) => poke(tx, 'a', '1'))
    await settled()
    assert.equal(looks, 4)
  })

  it('tries again what fails, with growing pauses, and shows why', async () => {
    let looks = 0
    const seen = Promise.withResolvers<void>()
    start({
      a: async () => {
        if (++looks === 3) await seen.promise
        if (looks < 4) throw new Error(`the switch is on fire\0 (${looks})`)
        return null
      },
    })
    await db.write((tx) => poke(tx, 'a', '1'))
    let row: Awaited<ReturnType<typeof due>>[number] | undefined
    try {
      await until(async () => {
        row = (await due())[0]
        return row?.failures === 2
      }, 'two failures are counted')
    } finally {
      seen.resolve()
    }
    assert.equal(row?.last_error, 'the switch is on fire (2)')
    await settled()
    assert.equal(looks, 4)
  })

  it('lets go of a key that failed until it is its turn again', async () => {
    await db.write((tx) => poke(tx, 'a', '1'))
    await sql`update work.due set failures = 8`.execute(db.read) // the next pause is more than twenty seconds
    const began = Date.now()
    start({
      a: async () => {
        throw new Error('no')
      },
    })
    await until(async () => (await due())[0]?.failures === 9, 'one more failure is counted')
    const [row] = await due()
    assert.equal(row?.lease_until, null)
    assert.ok(row.at.getTime() - began > 15_000)
  })

  it('forgets earlier failures once a look succeeds', async () => {
    let looks = 0
    start({
      a: async () => {
        if (++looks === 1) throw new Error('once')
        return 3_600_000
      },
    })
    await db.write((tx) => poke(tx, 'a', '1'))
    await until(() => looks === 2, 'it was tried again')
    await until(async () => (await due())[0]?.failures === 0, 'the failure is forgotten')
    const [row] = await due()
    assert.deepEqual([row?.last_error, row?.lease_until], [null, null])
  })

  for (const answer of ['settled', 'again', 'failed'] as const)
    it(`loses no poke that comes while a handler runs (${answer})`, async () => {
      let looks = 0
      start({
        a: async () => {
          if (++looks > 1) return null
          await db.write((tx) => poke(tx, 'a', '1'))
          if (answer === 'failed') throw new Error('the first look fails')
          return answer === 'settled' ? null : 3_600_000
        },
      })
      await db.write((tx) => poke(tx, 'a', '1'))
      await settled()
      assert.equal(looks, 2)
    })

  it('a handler may poke its own key', async () => {
    let looks = 0
    start({
      a: async (tx, key) => {
        if (++looks < 3) await poke(tx, 'a', key)
        return null
      },
    })
    await db.write((tx) => poke(tx, 'a', '1'))
    await settled()
    assert.equal(looks, 3)
  })

  it('works a thousand keys off with three engines, each once and never one key twice at a time', async () => {
    while (others.length < 2) others.push(connect(test.url, { connections: 10 }))
    const under = new Set<string>()
    const looks = new Map<string, number>()
    const clashes: string[] = []
    const handler: Handler = async (tx, key) => {
      if (under.has(key)) clashes.push(key)
      under.add(key)
      await sql`insert into public.object (id, n) values (${key}, 1) on conflict (id) do update set n = object.n + 1`.execute(tx)
      looks.set(key, (looks.get(key) ?? 0) + 1)
      under.delete(key)
      return null
    }
    for (const on of [db, ...others]) start({ a: handler }, on)
    const keys = Array.from({ length: 1000 }, (_, n) => `k${n}`)
    await db.write((tx) => pokeAll(tx, 'a', keys))
    await settled()
    assert.deepEqual(clashes, [])
    const { rows } = await sql<{ n: number; count: number }>`select n, count(*) from public.object group by n`.execute(db.read)
    assert.deepEqual(rows, [{ n: 1, count: 1000 }])
  })

  it('undoes what a handler did whose lease another process has taken, and renews the lease of one that only takes its time', async () => {
    let release = () => {}
    const blocked = new Promise<void>((go) => {
      release = go
    })
    let looks = 0
    start({
      a: async (tx, key) => {
        looks++
        await sql`insert into public.object (id, n) values (${key}, 1) on conflict (id) do update set n = object.n + 1`.execute(tx)
        if (key === 'lost') await blocked
        return null
      },
    })
    await db.write((tx) => poke(tx, 'a', 'lost'))
    await until(() => looks === 1, 'the handler runs')
    const before = (await due())[0]!.lease_until!
    await until(async () => (await due())[0]!.lease_until! > before, 'the lease is renewed')
    // Another process thinks that this one is dead.
    await sql`update work.due set owner = 'someone else', lease_until = now() + interval '1 hour', tries = tries + 1`.execute(db.read)
    release()
    await until(async () => {
      const { rows } = await sql<{
        count: number
      }>`select count(*) from pg_stat_activity where state like 'idle in transaction%' and datname = current_database()`.execute(db.read)
      return rows[0]!.count === 0
    }, 'the handler has ended')
    const { rows } = await sql`select id from public.object`.execute(db.read)
    assert.deepEqual(rows, [])
    const [row] = await due()
    assert.deepEqual([row?.owner, row?.failures, row?.last_error], ['someone else', 0, null])
  })

  it('takes over what a process left that died', async () => {
    await sql`insert into work.due (kind, key, owner, lease_until) values ('a', '1', 'dead', now() - interval '1 second')`.execute(db.read)
    await sql`insert into work.due (kind, key, owner, lease_until) values ('a', '2', 'alive', now() + interval '1 hour')`.execute(db.read)
    const seen: string[] = []
    start({ a: async (_tx, key) => note(seen, key) })
    await until(() => seen.length === 1, 'the abandoned key was looked at')
    assert.deepEqual(seen, ['1'])
    await until(async () => (await due()).length === 1, 'and settled')
  })

  it('does not deadlock between handlers and pokers that lock object rows first and poke each other', async () => {
    const keys = Array.from({ length: 6 }, (_, n) => `k${n}`)
    await sql`insert into public.object (id) select unnest(${keys}::text[])`.execute(db.read)
    const deadlocks = async () =>
      (await sql<{ deadlocks: number }>`select deadlocks from pg_stat_database where datname = current_database()`.execute(db.read))
        .rows[0]!.deadlocks
    const first = await deadlocks()
    const left = new Map(keys.map((key) => [key, 15]))
    const handler =
      (kind: string): Handler =>
      async (tx, key) => {
        await sql`select from public.object where id = ${key} for update`.execute(tx)
        await sql`update public.object set n = n + 1 where id = ${key}`.execute(tx)
        const n = left.get(key)!
        if (n > 0) {
          left.set(key, n - 1)
          const next = keys[(keys.indexOf(key) + 1 + (n % 5)) % keys.length]!
          await poke(tx, kind === 'a' ? 'b' : 'a', next)
          await poke(tx, kind, keys[n % keys.length]!)
        }
        return null
      }
    while (others.length < 1) others.push(connect(test.url, { connections: 10 }))
    for (const on of [db, others[0]!]) start({ a: handler('a'), b: handler('b') }, on)
    await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        db.write(async (tx) => {
          await sql`select from public.object where id = ${keys[n % keys.length]!} for update`.execute(tx)
          await pokeAll(tx, n % 2 ? 'a' : 'b', n % 3 ? keys : [...keys].reverse())
          await poke(tx, n % 2 ? 'b' : 'a', keys[n % keys.length]!)
        }),
      ),
    )
    await settled()
    await sql`select pg_stat_force_next_flush()`.execute(db.read)
    assert.equal((await deadlocks()) - first, 0)
  })

  it('never works on more than it has slots for, whoever takes the keys', async () => {
    let most = 0
    let under = 0
    start(
      {
        a: async () => {
          most = Math.max(most, ++under)
          await new Promise((go) => setTimeout(go, 2))
          under--
          return null
        },
      },
      db,
      { slots: 2, poll: 20 },
    )
    await Promise.all(
      Array.from({ length: 60 }, async (_, n) => {
        await new Promise((go) => setTimeout(go, n * 2))
        await db.write((tx) => pokeAll(tx, 'a', [`k${n}`, `l${n % 7}`]))
        await assert.rejects(
          db.write(async (tx) => {
            await poke(tx, 'a', `m${n}`)
            await sql`select 1 / 0`.execute(tx)
          }),
        )
      }),
    )
    await settled()
    assert.equal(most, 2)
  })

  it('does errands outside of transactions and slots, under the lease, and again where they failed', async () => {
    const [away, home] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const seen: string[] = []
    let fails = 1
    const handlers: Record<string, Handler> = {
      async errand(tx, key) {
        await sql`insert into public.object (id) values (${key}) on conflict do nothing`.execute(tx)
        return {
          async run() {
            seen.push(`run ${key}`)
            away.resolve()
            await home.promise
            if (fails-- > 0) throw new Error('nobody was there')
          },
          async after(tx) {
            await sql`update public.object set n = n + 1 where id = ${key}`.execute(tx)
            return null
          },
        }
      },
      plain: async (_tx, key) => note(seen, key),
    }
    start(handlers, db, { slots: 1, poll: 100 })
    start(handlers, db, { slots: 1, poll: 100 })
    await db.write((tx) => poke(tx, 'errand', '1'))
    await away.promise
    assert.equal((await sql`select from public.object`.execute(db.read)).rows.length, 1, 'what the handler did is committed')
    await db.write((tx) => pokeAll(tx, 'plain', ['2', '3', '4']))
    await until(() => seen.length === 4, 'other keys are looked at meanwhile')
    // Longer than a lease: it is renewed, so that the other engine does not begin the same.
    await new Promise((go) => setTimeout(go, 6000))
    assert.equal(seen.filter((one) => one === 'run 1').length, 1)
    home.resolve()
    await settled()
    assert.equal(seen.filter((one) => one === 'run 1').length, 2, 'what failed is begun again')
    assert.deepEqual((await sql<{ n: number }>`select n from public.object`.execute(db.read)).rows, [{ n: 1 }])
  })

  it('stops after the handlers under way, and takes nothing more', async () => {
    let release = () => {}
    const blocked = new Promise<void>((go) => {
      release = go
    })
    const seen: string[] = []
    const engine = start({ a: async (_tx, key) => note(seen, key, blocked) }, db, { slots: 1, poll: 50 })
    try {
      await db.write((tx) => pokeAll(tx, 'a', ['1', '2']))
      await until(() => seen.length === 1, 'one handler runs')
    } finally {
      const stopped = engine.stop()
      release()
      await stopped
    }
    assert.equal(seen.length, 1)
    assert.equal((await due()).length, 1)
  })
})
