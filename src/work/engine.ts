// The engine: one table of due keys, taken under a lease. A handler is one short transaction that looks at the object and moves it one step.
//
// - A handler takes a key, not a message: even when we think we know what changed, we look.
// - A key is looked at again until its handler says that it is settled; a crash changes nothing, whoever comes next looks again.
// - Fencing: every take has an owner of its own, every poke raises `tries`. A handler that ends under another number was poked meanwhile
//   (its key stays due); one that ends under another owner lost its lease (then its transaction is undone).
// - A lease is renewed while its handler runs: it is lost only by a process that died or hangs, never by a handler that takes its time.
// - What is too slow for a transaction, because it waits for somebody else, is an errand: done after the commit, while the key stays leased, and
//   without a slot, so that no other key waits for it. Who dies on the way has done it in part; whoever looks next begins it again.
// - What a transaction pokes first an engine of the same process with a free slot takes in that same statement: it need not be asked for.
// - Due rows are locked last, all of a transaction at once and in one order, by handlers and by pokes alike: so they cannot deadlock.
import { sql } from 'kysely'
import type { Logger } from 'pino'
import { afterCommit, beforeCommit, type Database, databaseOf, type Tx } from '../database/connect.ts'
import type { Last } from '../database/connection.ts'
import { crash } from './crash.ts'
import { hintDue, hints } from './hint.ts'

/** Moves the object `key` one step. Returns null when it is settled, in how many milliseconds to look again, or what is to be done outside. */
export type Handler = (tx: Tx, key: string) => Promise<number | null | Errand>

/** Done after the commit of who asked for it; what it changes it may change twice. Then `after` ends the look in a transaction of its own. */
export interface Errand {
  run(): Promise<void>
  after(tx: Tx): Promise<number | null>
}

export interface Engine {
  /** Resolves when every handler under way has ended; errands are not waited for, because nobody knows how long they take. */
  stop(): Promise<void>
}

interface Taken {
  kind: string
  key: string
  tries: number
  failures: number
  /** Another one for each take: so that this process, too, can lose a lease to itself. */
  owner: string
}

const lease = '5 seconds'
const renewEvery = 1500
/** Timers may fire a millisecond early; a look at the table then would be in vain. */
const late = 2

/** An engine of this process, as transactions of its database see it. */
interface Near {
  kinds: string[]
  /** A name for one more take, if there is a free slot; that slot is kept until `run` or `giveUp`. */
  owner(): string | null
  run(due: Taken): void
  giveUp(owner: string): void
}

const near = new WeakMap<Database, Near>()

/** What a transaction has poked so far: the delay by key, by kind. */
const poked = new WeakMap<Tx, Map<string, Map<string, number>>>()
/** The key that a transaction works on. */
const taken = new WeakMap<Tx, Taken>()

/** Says, in the caller's transaction, that `kind` `key` needs a look, now or in `delay` ms. A look under way is repeated. */
export async function poke(tx: Tx, kind: string, key: string, delay = 0): Promise<void> {
  await pokeAll(tx, kind, [key], delay)
}

export async function pokeAll(tx: Tx, kind: string, keys: string[], delay = 0): Promise<void> {
  if (keys.length === 0) return
  let kinds = poked.get(tx)
  if (!kinds) {
    kinds = new Map()
    poked.set(tx, kinds)
    beforeCommit(tx, writePokes(tx), 'due')
  }
  const delays = kinds.get(kind) ?? new Map<string, number>()
  kinds.set(kind, delays)
  for (const key of keys) delays.set(key, Math.min(delay, delays.get(key) ?? delay))
  if (delay > 0 && delay < 1000) afterCommit(tx, () => setTimeout(() => hints.emit('due'), delay + late).unref())
}

/**
 * Takes back the look that a handler wants of a key some time later, when that key has come to rest in the caller's transaction. What
 * somebody asked for since stays, as does what is being worked on; nothing is waited for.
 */
export function settled(tx: Tx, kind: string, key: string): void {
  const query = sql`
    delete from work.due where (kind, key) in (
      select kind, key from work.due
      where kind = ${kind} and key = ${key} and at > now() + interval '1 second' and lease_until is null for update skip locked)`
  beforeCommit(tx, { query: () => query.compile(tx) }, 'due')
}

/** Writes what was poked, in the order of kind and key; the key that the transaction itself works on is locked in its place among them. */
function writePokes(tx: Tx): Last {
  const owners = new Map<string, Near>()
  const ownerFor = (kind: string, delay: number): string | null => {
    const engine = near.get(databaseOf(tx)!)
    const owner = delay === 0 && engine?.kinds.includes(kind) ? engine.owner() : null
    if (owner !== null) owners.set(owner, engine!)
    return owner
  }
  const query = () => {
    const kinds = poked.get(tx)!
    const own = taken.get(tx)
    const rows = [...kinds].flatMap(([kind, delays]) =>
      [...delays].map(([key, delay]) => ({ kind, key, delay, raise: 1, owner: ownerFor(kind, delay) })),
    )
    if (own && !kinds.get(own.kind)?.has(own.key))
      rows.push({ kind: own.kind, key: own.key, delay: Number.POSITIVE_INFINITY, raise: 0, owner: null })
    const place = ({ kind, key }: { kind: string; key: string }) => `${kind} ${key}`
    rows.sort((a, b) => (place(a) < place(b) ? -1 : 1))
    const all = <T>(of: (row: (typeof rows)[number]) => T): T[] => rows.map(of)
    return sql`
      insert into work.due (kind, key, at, tries, owner, lease_until)
      select kind, key, case when delay = 'Infinity' then 'infinity' else now() + delay * interval '1 millisecond' end, raise,
        owner, case when owner is not null then now() + ${lease}::interval end
      from unnest(${all(({ kind }) => kind)}::text[], ${all(({ key }) => key)}::text[], ${all(({ delay }) => String(delay))}::float8[],
                  ${all(({ raise }) => raise)}::int[], ${all(({ owner }) => owner)}::text[]) as p (kind, key, delay, raise, owner)
      on conflict (kind, key) do update set at = least(work.due.at, excluded.at), tries = work.due.tries + excluded.tries
      returning kind, key, tries, failures, owner, at <= now() as now`.compile(tx)
  }
  const undone = () => {
    for (const [owner, engine] of owners) engine.giveUp(owner)
  }
  const answered = (rows: unknown[]) => {
    const all = rows as (Taken & { now: boolean })[]
    for (const [owner, engine] of owners) {
      const due = all.find((row) => row.owner === owner)
      if (due) afterCommit(tx, () => engine.run(due))
      else engine.giveUp(owner)
    }
    if (all.some(({ now, owner }) => now && !owners.has(owner))) hintDue(tx)
  }
  return { query, answered, undone }
}

const isErrand = (result: number | null | Errand): result is Errand => typeof result === 'object' && result !== null

/** Runs `handlers` (by kind), at most `slots` at a time, until stopped. Without hints it looks every `poll` ms. */
export function startEngine(db: Database, handlers: Record<string, Handler>, log: Logger, { slots = 8, poll = 1000 } = {}): Engine {
  const me = `${process.pid}-${crypto.randomUUID().slice(0, 8)}`
  const kinds = Object.keys(handlers)
  const running = new Map<Promise<void>, Taken>()
  const errands = new Map<Promise<void>, Taken>()
  /** Slots that are kept: for takes on their way, and for those that transactions make themselves (by owner). */
  let asking = 0
  const promised = new Set<string>()
  const free = () => slots - running.size - asking - promised.size
  let takes = 0
  let stopped = false
  /** Something may be due that no take has seen. */
  let news = true
  let rouse: (() => void) | null = null
  const nextOwner = () => `${me}-${++takes}`
  const wake = () => {
    news = true
    rouse?.()
  }
  hints.on('due', wake)

  // A take need not reach the disk before it counts: one that is lost with the database's memory leaves its key due for the next.
  const take = async (count: number): Promise<Taken[]> =>
    (
      await sql<Taken>`
        update work.due set lease_until = now() + ${lease}::interval, owner = ${nextOwner()}, tries = tries + 1
        where (kind, key) in (
          select kind, key from work.due
          where (select set_config('synchronous_commit', 'off', true)) = 'off'
            and kind = any(${kinds}) and at <= now() and (lease_until is null or lease_until < now())
          order by at limit ${count} for update skip locked)
        returning kind, key, tries, failures, owner`.execute(db.read)
    ).rows

  /**
   * Ends the look in its own transaction; together with the commit, so nothing can be asked after it: a lease that was lost is a division by
   * zero, which undoes the transaction. `stays` hears that the key was poked meanwhile: then it stays due.
   */
  const end = (tx: Tx, due: Taken, again: number | null, stays: () => void): void => {
    const mine = sql`kind = ${due.kind} and key = ${due.key} and owner = ${due.owner}`
    const ended =
      again === null
        ? sql`delete from work.due where ${mine} and tries = ${due.tries} and exists (select from mine)`
        : sql`
            update work.due set at = now() + ${again} * interval '1 millisecond', lease_until = null, failures = 0, last_error = null
            where ${mine} and tries = ${due.tries} and exists (select from mine)`
    const query = sql`
      with mine as (select tries from work.due where ${mine} for update),
      ended as (${ended}),
      stays as (update work.due set lease_until = null, failures = 0, last_error = null where ${mine} and tries <> ${due.tries} and exists (select from mine))
      select 1 / count(*) as held, bool_or(tries <> ${due.tries}) as poked from mine`
    beforeCommit(
      tx,
      {
        query: () => query.compile(tx),
        answered([row]) {
          if ((row as { poked: boolean }).poked) stays()
        },
        failed: (error) => ((error as { code?: string }).code === '22012' ? new Error('the lease was lost to another process') : error),
      },
      'due',
    )
  }

  const step = (due: Taken, handler: (tx: Tx) => ReturnType<Handler>) =>
    db.write(async (tx) => {
      taken.set(tx, due)
      const result = await handler(tx)
      crash(`${due.kind}: before commit`)
      if (isErrand(result)) return result
      let stays = false
      end(tx, due, result, () => {
        stays = true
      })
      afterCommit(tx, () => {
        if (stays) wake()
      })
      return result
    })

  /** @param leave is told that only an errand goes on */
  const look = async (due: Taken, leave: () => void): Promise<void> => {
    crash(`${due.kind}: taken`)
    try {
      let again = await step(due, (tx) => handlers[due.kind]!(tx, due.key))
      crash(`${due.kind}: committed`)
      if (isErrand(again)) {
        leave()
        await again.run()
        if (stopped) return // whoever looks next begins it again
        again = (await step(due, again.after)) as number | null
      }
      if (again !== null && again < poll) setTimeout(wake, again + late).unref()
    } catch (error) {
      // PostgreSQL takes no NUL in a text.
      const message = (error instanceof Error ? error.message : String(error)).replaceAll('\0', '')
      log.error({ err: error, kind: due.kind, key: due.key, failures: due.failures + 1 }, 'engine: a step failed; it will be tried again')
      const seconds = Math.min(2 ** due.failures * 0.1, 30) * (0.75 + Math.random() / 2)
      await sql`
        update work.due
        set lease_until = null, failures = failures + 1, last_error = ${message},
          at = case when tries = ${due.tries} then now() + ${seconds} * interval '1 second' else at end
        where kind = ${due.kind} and key = ${due.key} and owner = ${due.owner}`
        .execute(db.read)
        .catch(() => undefined) // the database is away: the lease runs out by itself
      setTimeout(wake, seconds * 1000 + late).unref()
    }
  }

  const run = (due: Taken) => {
    const rest = () => {
      running.delete(turn)
      if (news) rouse?.()
    }
    const turn: Promise<void> = look(due, () => {
      errands.set(turn, due)
      rest()
    }).finally(() => {
      errands.delete(turn)
      rest()
    })
    running.set(turn, due)
  }

  const dispatch = async () => {
    while (!stopped) {
      const count = free()
      if (news && count > 0) {
        news = false
        asking = count
        const taken = await take(count).catch((error): Taken[] => {
          log.warn({ err: error }, 'engine: the queue cannot be read; trying again')
          return []
        })
        asking = 0
        if (taken.length === count) news = true // there may be more
        for (const due of taken) run(due)
        continue
      }
      await new Promise<void>((go) => {
        const timer = setTimeout(wake, poll)
        rouse = () => {
          clearTimeout(timer)
          rouse = null
          go()
        }
      })
    }
  }

  const renew = async () => {
    const leases = [...running.values(), ...errands.values()]
    if (leases.length === 0) return
    await sql`
      update work.due set lease_until = now() + ${lease}::interval
      where (kind, key) in (
        select kind, key from work.due
        where (kind, key, owner) in (
          select * from unnest(${leases.map((due) => due.kind)}::text[], ${leases.map((due) => due.key)}::text[], ${leases.map((due) => due.owner)}::text[]))
          and lease_until is not null for update skip locked)`.execute(db.read)
  }
  const renewing = setInterval(() => {
    renew().catch((error) => log.warn({ err: error }, 'engine: leases cannot be renewed; trying again'))
  }, renewEvery)

  const mine: Near = {
    kinds,
    owner() {
      if (free() <= 0) return null
      const owner = nextOwner()
      promised.add(owner)
      return owner
    },
    run(due) {
      promised.delete(due.owner)
      if (!stopped) run(due) // else its lease runs out
    },
    giveUp(owner) {
      promised.delete(owner)
      if (news) rouse?.()
    },
  }
  near.set(db, mine)
  const dispatching = dispatch()
  return {
    async stop() {
      stopped = true
      if (near.get(db) === mine) near.delete(db)
      hints.off('due', wake)
      wake()
      await dispatching
      await Promise.all(running.keys())
      clearInterval(renewing)
    },
  }
}
