// The way to PostgreSQL: a pool, reads without a transaction, writes in one that is retried when PostgreSQL asks for it,
// and hints by LISTEN/NOTIFY. Everything here works the same on the embedded server and on DATABASE_URL.
import { setTimeout as sleep } from 'node:timers/promises'
import { Kysely, NoResultError, PostgresDialect, type RawBuilder, sql } from 'kysely'
import pg from 'pg'
import { type Connection, codeOf, connectionOf, type Last, planChanged, transactionOn } from './connection.ts'
import type { DB } from './types.ts'

/** What queries are written against: the pool (`database.read`) or a transaction (inside `database.write`). */
export type Tx = Kysely<DB>

/** Where the embedded server listens; `host` is the folder of its Unix socket. */
export interface SocketOptions {
  host: string
  port: number
  user: string
  database: string
}

export interface ConnectOptions {
  /** Most connections of this process (default 10). */
  connections?: number
  /** What `pg_stat_activity` shows (default `wisp`). */
  name?: string
  /** How long to wait for a server that is starting or restarting, in milliseconds (default 10,000). */
  patience?: number
}

export interface Database {
  /** Each statement by itself, on any connection. */
  read: Tx
  /**
   * One transaction (READ COMMITTED). Run again from the start, up to 5 times, after a serialization failure or a deadlock:
   * so `work` must do nothing but talk to `tx`; everything else belongs in `afterCommit`.
   */
  write<T>(work: (tx: Tx) => Promise<T>): Promise<T>
  /** Calls `heard` with the payload of every NOTIFY on `channel` until the returned function is called. Only a hint: those sent while the connection was lost are lost. */
  listen(channel: string, heard: (payload: string) => void): Promise<() => Promise<void>>
  close(): Promise<void>
}

const TRIES = 5
const databases = new WeakMap<Tx, Database>()
const commits = new WeakMap<Tx, (() => void)[]>()
const lasts = new WeakMap<Tx, { [Place in Turn]: Last[] }>()

/** In which order statements end a transaction: so they lock their rows in one order everywhere. Keys that are due come last. */
type Turn = 'rows' | 'due'

/** Which database `tx` is a transaction of: one that its `write` handed out. */
export const databaseOf = (tx: Tx): Database | undefined => databases.get(tx)

/** Runs `then` once the transaction has been committed; never if it is rolled back. `tx` must be the one that `write` handed out. */
export function afterCommit(tx: Tx, then: () => void): void {
  const waiting = commits.get(tx)
  if (!waiting) throw new Error('afterCommit wants the transaction that database.write handed out')
  waiting.push(then)
}

/** Asks this statement at the end of the transaction, together with its commit: it costs no round trip, and locks its rows last. `tx` as for afterCommit. */
export function beforeCommit(tx: Tx, last: Last, turn: Turn = 'rows'): void {
  const waiting = lasts.get(tx)
  if (!waiting) throw new Error('beforeCommit wants the transaction that database.write handed out')
  waiting[turn].push(last)
}

/** A value for a jsonb column. Needed for arrays, which `pg` would send as PostgreSQL arrays, and for bare strings. */
export function json<T>(value: T): RawBuilder<T> {
  return sql<T>`${JSON.stringify(value)}::jsonb`
}

/** Opens a pool; the first connection is made by the first query. `to` is a URL (`postgres://…`, with `?host=/folder` for a Unix socket) or a socket. */
export function connect(to: string | SocketOptions, options: ConnectOptions = {}): Database {
  const settings: pg.PoolConfig = {
    ...(typeof to === 'string' ? { connectionString: to } : to),
    application_name: options.name ?? 'wisp',
    max: options.connections ?? 10,
    idleTimeoutMillis: 60_000,
    connectionTimeoutMillis: 30_000,
    idle_in_transaction_session_timeout: 60_000,
    types: { getTypeParser },
  }
  // Statements that are asked for at once are sent at once.
  const pool = new pg.Pool({ ...settings, pipeline: true })
  // Without these a server that goes away would take the process with it; the next query reports the loss to whoever asked.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))

  const connections = new WeakMap<pg.PoolClient, Connection>()
  const patience = options.patience ?? 10_000
  const take = async (): Promise<Connection> => {
    const client = await acquire(pool, patience)
    let known = connections.get(client)
    if (!known) {
      known = connectionOf(client)
      connections.set(client, known)
    }
    return known
  }
  const read: Tx = new Kysely<DB>({
    dialect: new PostgresDialect({
      pool: {
        connect: take,
        end: () => pool.end(),
      },
    }),
  })
  const listener = listening(settings)

  const database: Database = {
    read,
    listen: listener.listen,
    async write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
      for (let attempt = 1; ; attempt++) {
        const then: (() => void)[] = []
        try {
          const last: { [Place in Turn]: Last[] } = { rows: [], due: [] }
          const begun = (tx: Tx) => {
            databases.set(tx, database)
            commits.set(tx, then)
            lasts.set(tx, last)
            return work(tx)
          }
          const result = await transactionOn(read, await take(), begun, () => [...last.rows, ...last.due])
          for (const each of then) each()
          return result
        } catch (error) {
          if (attempt === TRIES || !mayTryAgain(error)) throw error
          await sleep(Math.random() * 10 * 2 ** attempt)
        }
      }
    },
    async close() {
      await listener.close()
      await read.destroy()
    },
  }
  return database
}

function mayTryAgain(error: unknown): boolean {
  // A row that was there a statement ago has been deleted by somebody else: once more, and whoever looks for it says that it is not there.
  if (error instanceof NoResultError) return true
  const code = codeOf(error)
  return code === '40001' || code === '40P01' || planChanged(error)
}

// Nothing has been sent yet, so waiting for a server that is just restarting is always safe.
const NOT_YET = new Set(['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE', '57P03', '57P01'])

async function acquire(pool: pg.Pool, patience: number): Promise<pg.PoolClient> {
  const until = performance.now() + patience
  for (;;) {
    try {
      return await pool.connect()
    } catch (error) {
      if (!NOT_YET.has(codeOf(error) ?? '') || performance.now() > until) throw error
      await sleep(50)
    }
  }
}

// One connection, outside of the pool, for all channels; made anew when it is lost.
function listening(settings: pg.PoolConfig) {
  const channels = new Map<string, Set<(payload: string) => void>>()
  let client: Promise<pg.Client> | undefined
  let closed = false

  const open = async (lost: () => void): Promise<pg.Client> => {
    const fresh = new pg.Client({ ...settings, application_name: `${settings.application_name} listen` })
    fresh.on('error', () => {})
    fresh.on('end', lost)
    fresh.on('notification', ({ channel, payload }) => {
      for (const heard of channels.get(channel) ?? []) heard(payload ?? '')
    })
    await fresh.connect()
    for (const channel of channels.keys()) await fresh.query(`listen ${pg.escapeIdentifier(channel)}`)
    return fresh
  }
  const reopen = async (): Promise<void> => {
    while (!closed && channels.size > 0 && !client) {
      let connected = false
      const attempt: Promise<pg.Client> = open(() => {
        if (client !== attempt) return
        client = undefined
        if (connected) void reopen() // else this loop goes on by itself
      })
      client = attempt
      await attempt.then(
        () => {
          connected = true
        },
        () => {
          if (client === attempt) client = undefined
        },
      )
      if (!client) await sleep(500, undefined, { ref: false })
    }
  }

  return {
    async listen(channel: string, heard: (payload: string) => void) {
      const known = channels.get(channel) ?? new Set()
      channels.set(channel, known.add(heard))
      if (client) await (await client).query(`listen ${pg.escapeIdentifier(channel)}`)
      else await reopen()
      return async () => {
        known.delete(heard)
        if (known.size > 0 || channels.get(channel) !== known) return
        channels.delete(channel)
        if (client) await (await client).query(`unlisten ${pg.escapeIdentifier(channel)}`)
      }
    },
    async close() {
      closed = true
      await (await client?.catch(() => undefined))?.end()
    },
  }
}

function wholeNumber(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new Error(`The database holds ${text}, which is too large for a number`)
  return value
}

// int8 and numeric as numbers (sizes and counts; an unsafe one is an error, never a wrong number), dates as text, the rest as pg does.
function getTypeParser(oid: number, format?: 'text' | 'binary') {
  if (format === 'binary') return pg.types.getTypeParser(oid, 'binary')
  if (oid === pg.types.builtins.INT8) return wholeNumber
  if (oid === pg.types.builtins.NUMERIC) return Number
  if (oid === pg.types.builtins.DATE) return String
  return pg.types.getTypeParser(oid, 'text')
}
