// Carries a whole database in one file: backup, the way to a PostgreSQL of your own, and the way across PostgreSQL's major versions
// (the embedded server comes without pg_dump and pg_upgrade).
//
// The file is gzip over lines of JSON. The first line: {"format":"wisp export","version":1,"migrations":[names],"at":time}. Then for each
// table {"table":"schema.name","columns":[names]} and one line per row, an array with each column in PostgreSQL's text form, or null.
// Then {"sequence":"schema.name","value":"n"|null}; the last line, {"end":true,"rows":n}, tells a whole file from one cut short.
import { once } from 'node:events'
import fs from 'node:fs'
import { createInterface } from 'node:readline'
import { finished, pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import pg from 'pg'
import type { SocketOptions } from './connect.ts'
import { open } from './external.ts'
import { migrate, migrationNames } from './migrate.ts'

const BATCH = 1000

interface Head {
  format: string
  version: number
  migrations: string[]
  at: string
}

/** Writes everything to `file` (mode 0600, whole or not at all), as of one moment, while the cloud may be running. Answers the number of rows. */
export async function exportDatabase(from: string | SocketOptions, file: string): Promise<number> {
  const part = `${file}.part`
  const gzip = createGzip()
  const written = pipeline(gzip, fs.createWriteStream(part, { mode: 0o600 }))
  written.catch(() => {}) // awaited below; an error before that ends the loop by `say`
  const say = async (line: unknown) => {
    if (gzip.destroyed) await written
    if (!gzip.write(`${JSON.stringify(line)}\n`)) await Promise.race([once(gzip, 'drain'), written])
  }
  try {
    const rows = await session(from, async (client) => {
      await client.query('begin isolation level repeatable read read only')
      await say({ format: 'wisp export', version: 1, migrations: await migrationsOf(client), at: new Date().toISOString() } satisfies Head)
      let count = 0
      for (const { name, columns } of await tablesOf(client)) {
        await say({ table: name, columns })
        const texts = columns.map((column) => `${pg.escapeIdentifier(column)}::text`).join(', ')
        await client.query(`declare rows no scroll cursor for select array[${texts}]::text[] as row from ${quoted(name)}`)
        for (;;) {
          const { rows } = await client.query(`fetch ${BATCH} from rows`)
          for (const { row } of rows) await say(row)
          count += rows.length
          if (rows.length < BATCH) break
        }
        await client.query('close rows')
      }
      for (const [sequence, value] of await sequencesOf(client)) await say({ sequence, value })
      await say({ end: true, rows: count })
      return count
    })
    gzip.end()
    await written
    fs.renameSync(part, file)
    return rows
  } catch (error) {
    gzip.destroy()
    await written.catch(() => {})
    fs.rmSync(part, { force: true })
    throw error
  }
}

/**
 * Fills an empty database (no table, or migrated but never used) from `file`, all or nothing, and brings it to today's schema.
 * Foreign keys are taken off while rows are loaded and put back, checked, before the commit: so the order of rows does not matter.
 */
export async function importDatabase(to: string | SocketOptions, file: string): Promise<number> {
  const { head } = await check(file)
  const known = migrationNames()
  const unknown = head.migrations.find((name) => !known.includes(name))
  if (unknown) throw new Error(`${file} was written by a newer Wisp: it has the migration ${unknown}, which this one does not know`)
  await session(to, refuseUsed)
  const last = head.migrations.at(-1)
  if (!last) throw new Error(`${file} comes from a database without a schema: there is nothing to import`)
  await migrate(to, { until: last })
  const rows = await session(to, async (client) => {
    await client.query('begin')
    if ((await migrationsOf(client)).at(-1) !== last) {
      throw new Error(
        `The database has a newer schema than ${file}: remove the database and make it anew, so that it begins with the file's`,
      )
    }
    const loaded = await load(client, file)
    await client.query('commit')
    return loaded
  })
  await migrate(to)
  return rows
}

async function session<T>(to: string | SocketOptions, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await open(to, 'wisp export')
  try {
    // So that the text of every type is the same wherever it is written and read.
    await client.query(
      `set timezone to 'UTC'; set datestyle to iso, ymd; set intervalstyle to postgres; set bytea_output to hex; set extra_float_digits to 3`,
    )
    return await work(client)
  } finally {
    await client.end() // rolls back what was not committed
  }
}

const quoted = (name: string): string => name.split('.').map(pg.escapeIdentifier).join('.')
const OURS = `n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'public')`

async function migrationsOf(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query(`select to_regclass('wisp.migration') is not null as there`)
  if (!rows[0].there) throw new Error('The database has no schema of Wisp: it has never been used ("wisp up" makes it)')
  return (await client.query('select name from wisp.migration order by name')).rows.map(({ name }) => name)
}

// The migration table is not carried: the program that imports writes its own.
async function tablesOf(client: pg.Client): Promise<{ name: string; columns: string[] }[]> {
  const { rows } = await client.query(
    `select n.nspname || '.' || c.relname as name, array_agg(a.attname::text order by a.attnum) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
     where c.relkind = 'r' and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and ${OURS}
       and (n.nspname, c.relname) <> ('wisp', 'migration')
     group by 1 order by 1`,
  )
  return rows
}

async function sequencesOf(client: pg.Client): Promise<[string, string | null][]> {
  const { rows } = await client.query(
    `select schemaname || '.' || sequencename as name, last_value::text as value from pg_sequences order by 1`,
  )
  return rows.map(({ name, value }) => [name, value])
}

async function refuseUsed(client: pg.Client): Promise<void> {
  const { rows } = await client.query(`select to_regclass('identity.project') is not null as there`)
  if (!rows[0].there) return
  const { rowCount } = await client.query('select from identity.project limit 1')
  if (rowCount) throw new Error('The database has a cloud in it. Import only fills an empty one: choose another WISP_HOME or DATABASE_URL')
}

async function* linesOf(file: string): AsyncGenerator<unknown> {
  const raw = fs.createReadStream(file)
  await once(raw, 'open')
  const text = raw.pipe(createGunzip())
  raw.on('error', (error) => text.destroy(error))
  try {
    for await (const line of createInterface({ input: text, crlfDelay: Number.POSITIVE_INFINITY })) yield JSON.parse(line)
    await finished(text)
  } catch (cause) {
    throw new Error(`${file} cannot be read to its end: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  } finally {
    raw.destroy()
  }
}

// Reads the file once to its end before anything is touched.
async function check(file: string): Promise<{ head: Head }> {
  let head: Head | undefined
  let rows = 0
  let whole = false
  for await (const line of linesOf(file)) {
    if (!head) {
      head = line as Head
      if (head.format !== 'wisp export') throw new Error(`${file} is no export of Wisp`)
      if (head.version !== 1) throw new Error(`${file} has version ${head.version} of the format; this Wisp reads version 1`)
    } else if (Array.isArray(line)) rows++
    else if ((line as { end?: true }).end) whole = (line as { rows: number }).rows === rows
  }
  if (!head || !whole) throw new Error(`${file} is not whole: it was cut short. Export again`)
  return { head }
}

async function load(client: pg.Client, file: string): Promise<number> {
  const { rows: keys } = await client.query(
    `select format('alter table %s drop constraint %I', conrelid::regclass, conname) as drop,
            format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(c.oid)) as add
     from pg_constraint c join pg_namespace n on n.oid = c.connamespace where contype = 'f' and ${OURS}`,
  )
  // What triggers count is in the file, too.
  const { rows: triggers } = await client.query(
    `select distinct c.oid::regclass::text as table from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
     where not t.tgisinternal and ${OURS}`,
  )
  const tables = await tablesOf(client)
  for (const key of keys) await client.query(key.drop)
  for (const { table } of triggers) await client.query(`alter table ${table} disable trigger user`)
  await client.query(`truncate ${tables.map(({ name }) => quoted(name)).join(', ')}`)

  let count = 0
  let insert = ''
  let batch: (string | null)[][] = []
  const flush = async () => {
    if (batch.length > 0) await client.query(insert, [JSON.stringify(batch)])
    count += batch.length
    batch = []
  }
  for await (const line of linesOf(file)) {
    if (Array.isArray(line)) {
      batch.push(line)
      if (batch.length === BATCH) await flush()
      continue
    }
    await flush()
    const { table, sequence, columns, value } = line as { table?: string; sequence?: string; columns?: string[]; value?: string | null }
    if (table && columns) insert = await insertion(client, table, columns)
    if (sequence && value) await client.query('select setval($1::text::regclass, $2::bigint)', [quoted(sequence), value])
  }
  for (const { table } of triggers) await client.query(`alter table ${table} enable trigger user`)
  for (const key of keys) await client.query(key.add)
  return count
}

// Rows travel as one JSON parameter of arrays of texts; each text is cast to its column's type.
async function insertion(client: pg.Client, table: string, columns: string[]): Promise<string> {
  const { rows } = await client.query(
    `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped`,
    [quoted(table)],
  )
  const types = new Map(rows.map(({ name, type }) => [name, type]))
  const values = columns.map((column, index) => {
    const type = types.get(column)
    if (!type) throw new Error(`The file has a column ${column} of ${table}, which the database has not`)
    return `(row ->> ${index})::${type}`
  })
  const names = columns.map(pg.escapeIdentifier).join(', ')
  return `insert into ${quoted(table)} (${names}) overriding system value select ${values.join(', ')} from json_array_elements($1::json) row`
}
