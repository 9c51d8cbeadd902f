// Brings a database to the schema that this program knows: the files of migrations/, in the order of their numbers, each in one
// transaction, one program at a time. Steps only expand (old and new programs overlap while a cloud is upgraded).
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import type pg from 'pg'
import type { SocketOptions } from './connect.ts'
import { mustFit, open } from './external.ts'

export const MIGRATIONS = path.join(import.meta.dirname, 'migrations')

// Any number, as long as every Wisp takes the same: the lock that lets only one program migrate at a time.
const LOCK = 7_347_001

export interface MigrateOptions {
  folder?: string
  /** The last migration to apply, by name; default: all of them. */
  until?: string
  progress?: (name: string) => void
}

interface Step {
  name: string
  text: string
  checksum: string
}

/**
 * Applies what is missing and answers the names of what it applied. Refuses a database that a newer program has migrated,
 * and one whose applied steps differ from the files here.
 */
export async function migrate(to: string | SocketOptions, options: MigrateOptions = {}): Promise<string[]> {
  const steps = readSteps(options.folder ?? MIGRATIONS)
  const client = await open(to, 'wisp migrate')
  try {
    await client.query('select pg_advisory_lock($1)', [LOCK])
    const missing = unapplied(steps, await applied(client))
    if (missing.length > 0) await mustFit(client)
    const last = options.until === undefined ? missing.length : missing.findIndex(({ name }) => name === options.until) + 1
    const wanted = missing.slice(0, last)
    for (const step of wanted) {
      options.progress?.(step.name)
      await apply(client, step)
    }
    return wanted.map(({ name }) => name)
  } finally {
    await client.end() // which gives the lock back
  }
}

/** The names of the migrations that this program has, in order. */
export function migrationNames(folder = MIGRATIONS): string[] {
  return readSteps(folder).map(({ name }) => name)
}

function readSteps(folder: string): Step[] {
  const files = fs.readdirSync(folder).filter((file) => file.endsWith('.sql'))
  const numbers = new Set<string>()
  for (const file of files) {
    const [number] = /^\d{4}[a-z]?(?=-[a-z0-9-]+\.sql$)/.exec(file) ?? []
    if (!number)
      throw new Error(`${file} in ${folder}: a migration is named NNNN-what-it-does.sql (a later one of the same matter NNNNb-…)`)
    if (numbers.has(number)) throw new Error(`${folder} has two migrations numbered ${number}`)
    numbers.add(number)
  }
  return files.sort().map((file) => {
    const text = fs.readFileSync(path.join(folder, file), 'utf8')
    return { name: path.basename(file, '.sql'), text, checksum: createHash('sha256').update(text).digest('hex') }
  })
}

// The table is made by the first migration, so that schema.sql shows it with all the others.
async function applied(client: pg.Client): Promise<{ name: string; checksum: string }[]> {
  const { rows } = await client.query(`select to_regclass('wisp.migration') is not null as there`)
  if (!rows[0].there) return []
  return (await client.query('select name, checksum from wisp.migration order by name')).rows
}

function unapplied(steps: Step[], done: { name: string; checksum: string }[]): Step[] {
  const known = new Map(steps.map((step) => [step.name, step]))
  for (const { name, checksum } of done) {
    const step = known.get(name)
    if (!step)
      throw new Error(
        `The database is newer than this program: it has the migration ${name}, which this Wisp does not know. Use the newer Wisp`,
      )
    if (step.checksum !== checksum) {
      throw new Error(
        `The migration ${name} was changed after it had been applied to this database. Restore the file, and put the change into a new one`,
      )
    }
  }
  const newest = done.at(-1)?.name ?? ''
  const names = new Set(done.map(({ name }) => name))
  const missing = steps.filter(({ name }) => !names.has(name))
  const late = missing.find(({ name }) => name < newest)
  if (late) throw new Error(`The migration ${late.name} comes before ${newest}, which has been applied already. Give it a higher number`)
  return missing
}

async function apply(client: pg.Client, { name, text, checksum }: Step): Promise<void> {
  await client.query('begin')
  try {
    await client.query(text)
    await client.query('insert into wisp.migration (name, checksum) values ($1, $2)', [name, checksum])
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => {})
    throw new Error(`The migration ${name} failed, and left nothing behind: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}
