// Gives each test a fresh database of its own: a copy of a template that was made once from schema.sql. One server serves all tests,
// also those in other processes: the one of WISP_TEST_DATABASE, or an embedded one without fsync in the temporary folder,
// which stays up for the next run (`stopTestServer` ends it).
import { createHash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import pg from 'pg'
import { type ConnectOptions, connect, type Database, type Tx } from './connect.ts'
import { socketUrl, startEmbedded, stopEmbedded } from './embedded.ts'

const HOME = path.join(os.tmpdir(), `wisp-test-${process.getuid?.() ?? 0}`)
const SCHEMA = path.join(import.meta.dirname, 'schema.sql')
const SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '400',
  shared_buffers: '128MB',
  log_min_duration_statement: '-1',
}
const LOCK = 7_347_002

export interface TestDatabase {
  db: Database
  url: string
  /** Closes the connections and removes the database. */
  drop(): Promise<void>
}

let server: Promise<string> | undefined
let template: Promise<string> | undefined

/** A database with the schema of schema.sql and nothing else in it. */
export async function testDatabase(options: ConnectOptions = {}): Promise<TestDatabase> {
  template ??= makeTemplate()
  return await make(await template, options)
}

/** A database with nothing in it, not even the schema. */
export async function emptyDatabase(options: ConnectOptions = {}): Promise<TestDatabase> {
  return await make('template0', options)
}

/**
 * Two transactions that meet: `second` begins before `first` commits, which it does once `second` waits for it (or has ended without). Resolves
 * when both have ended.
 */
export async function crossed(db: Database, first: (tx: Tx) => Promise<unknown>, second: (tx: Tx) => Promise<unknown>): Promise<void> {
  let later: Promise<unknown> | undefined
  await db.write(async (tx) => {
    await first(tx)
    let ended = false
    later = db.write(second).finally(() => {
      ended = true
    })
    later.catch(() => {}) // told to whoever awaits it below
    while (!ended && (await waitingNow(db)) === 0) await sleep(5)
  })
  await later
}

/** Resolves once so many transactions of this database wait for locks of others. */
export async function waiting(db: Database, count: number): Promise<void> {
  while ((await waitingNow(db)) < count) await sleep(5)
}

async function waitingNow(db: Database): Promise<number> {
  const { rows } = await sql`
    select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(db.read)
  return rows.length
}

/** Stops the embedded test server of this user and removes its files. */
export async function stopTestServer(): Promise<void> {
  await stopEmbedded(HOME)
  fs.rmSync(HOME, { recursive: true, force: true })
}

// It runs as nobody, so that tests leave no system user behind.
async function testServer(): Promise<string> {
  if (process.env.WISP_TEST_DATABASE) return process.env.WISP_TEST_DATABASE
  const { socket } = await startEmbedded(HOME, { user: 'nobody', settings: SETTINGS })
  return socketUrl({ ...socket, database: 'postgres' })
}

async function make(from: string, options: ConnectOptions): Promise<TestDatabase> {
  server ??= testServer()
  const admin = await server
  const name = `test_${process.pid}_${randomBytes(4).toString('hex')}`
  await administer(admin, (client) => client.query(`create database ${name} template ${from}`))
  const url = withDatabase(admin, name)
  const db = connect(url, { connections: 5, ...options })
  return {
    db,
    url,
    async drop() {
      await db.close()
      await administer(admin, (client) => client.query(`drop database if exists ${name} with (force)`))
    },
  }
}

// Made under another name and renamed when complete, so that a killed test never leaves a half-made template behind.
async function makeTemplate(): Promise<string> {
  const schema = fs.readFileSync(SCHEMA, 'utf8')
  const name = `wisp_template_${createHash('sha256').update(schema).digest('hex').slice(0, 16)}`
  server ??= testServer()
  const url = await server
  await administer(url, async (client) => {
    await client.query('select pg_advisory_lock($1)', [LOCK])
    await sweep(client)
    const { rowCount } = await client.query('select from pg_database where datname = $1', [name])
    if (rowCount) return
    await client.query(`drop database if exists ${name}_part with (force)`)
    await client.query(`create database ${name}_part template template0`)
    await administer(withDatabase(url, `${name}_part`), (inside) => inside.query(schema))
    await client.query(`alter database ${name}_part rename to ${name}`)
  })
  return name
}

// Databases of test processes that were killed.
async function sweep(client: pg.Client): Promise<void> {
  if (process.env.WISP_TEST_DATABASE) return
  const { rows } = await client.query(`select datname as name from pg_database where datname ~ '^test_[0-9]+_'`)
  for (const { name } of rows as { name: string }[]) {
    if (!fs.existsSync(`/proc/${name.split('_')[1]}`)) await client.query(`drop database if exists ${name} with (force)`)
  }
}

async function administer(url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.toString()
}
