// How long a refused sign-in takes shall tell nothing about whom it meant. All hashes are computed for strangers as for users, at the same
// cost; but hashes that a Keystone or an older Wisp made cost what they cost. As long as there are any, refusals go out at the full second.
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { currentHashes } from './passwords.ts'

const step = 1000
/** How long (ms) an answer of the database is believed. */
const believed = 60_000

const known = new WeakMap<Database, { at: number; others: Promise<boolean> }>()

/** Resolves when the refusal of a sign-in that began then (`performance.now()`) may go out. */
export async function untilRefusal(db: Database, began: number): Promise<void> {
  if (!(await thereAreOthers(db))) return
  const gone = performance.now() - began
  await sleep(Math.ceil(gone / step) * step - gone)
}

/** Whether a password or a secret is stored in another way or at another cost than those of today. */
function thereAreOthers(db: Database): Promise<boolean> {
  const kept = known.get(db)
  if (kept && performance.now() - kept.at < believed) return kept.others
  const reading = { at: performance.now(), others: read(db) }
  known.set(db, reading)
  reading.others.catch(() => known.delete(db))
  return reading.others
}

async function read(db: Database): Promise<boolean> {
  const { rows } = await sql<{ others: boolean }>`
    select exists (select from identity.password where not starts_with(hash, ${currentHashes}))
        or exists (select from identity.application_credential where not starts_with(secret_hash, ${currentHashes})) as others`.execute(
    db.read,
  )
  return rows[0]!.others
}
