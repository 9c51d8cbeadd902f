import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { sql } from 'kysely'
import type { Tx } from './connect.ts'
import { exportDatabase, importDatabase } from './export.ts'
import { migrate, migrationNames } from './migrate.ts'
import { emptyDatabase, type TestDatabase } from './testing.ts'

let folder: string
let source: TestDatabase
before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-export-'))
  source = await emptyDatabase()
  await migrate(source.url)
  const db = source.db.read
  // A child before its parent, every awkward text, null beside JSON null, bytes, arrays, infinity.
  await sql`insert into identity.project (id, name, domain_id, parent_id, is_domain, tags, extra) values
    ('a', ${'tab\t newline\n quote" \\N \\. 雲 \u0001'}, 'z', 'z', false, ${['x,y', '{"', 'NULL', '']}, '{"a": null, "b": [1e400]}'),
    ('z', 'Default', null, null, true, '{}', 'null')`.execute(db)
  await sql`insert into identity.token_key (id, sealed) values ('k', ${Buffer.from([0, 255, 10, 92])})`.execute(db)
  await sql`insert into wire.host (id, name, secret_hash, rev, seen_at) values ('h', 'h', '\\x00', 9007199254740993, 'infinity')`.execute(
    db,
  )
  await sql`insert into wire.document (host_id, kind, id, rev, generation, body) select 'h', 'k', i::text, i, 1, case when i % 2 = 0 then 'null'::jsonb end from generate_series(1, 2500) i`.execute(
    db,
  )
  await sql`insert into compute.keypair (user_id, name, public_key, fingerprint) values ('u', 'k1', 'p', 'f'), ('u', 'k2', 'p', 'f')`.execute(
    db,
  )
  // Counted by a trigger, so the count comes twice: with the row, and in its own table.
  await sql`insert into image.image (id, owner) values ('i', 'a')`.execute(db)
  await sql`update identity.epoch set value = 42`.execute(db)
})
after(async () => {
  await source.drop()
  fs.rmSync(folder, { recursive: true })
})

async function contents(db: Tx): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema') and (schemaname, tablename) <> ('wisp', 'migration') order by 1`.execute(
    db,
  )
  const all: string[] = []
  for (const { name } of rows) {
    const { rows: found } = await sql<{ line: string }>`select t::text as line from ${sql.raw(name)} t order by 1`.execute(db)
    all.push(...found.map(({ line }) => `${name} ${line}`))
  }
  return all
}

test('what was exported comes back exactly, with its sequences and foreign keys', async () => {
  const file = path.join(folder, 'cloud.wisp')
  const rows = await exportDatabase(source.url, file)
  assert.ok(rows > 2500)
  assert.equal(fs.statSync(file).mode & 0o777, 0o600)
  const target = await emptyDatabase()
  try {
    assert.equal(await importDatabase(target.url, file), rows)
    assert.deepEqual(await contents(target.db.read), await contents(source.db.read))
    const { rows: next } = await sql<{
      id: number
    }>`insert into compute.keypair (user_id, name, public_key, fingerprint) values ('u', 'k3', 'p', 'f') returning id`.execute(
      target.db.read,
    )
    assert.deepEqual(next, [{ id: 3 }])
    const orphan = sql`insert into identity.project (id, name, domain_id) values ('o', 'o', 'nobody')`.execute(target.db.read)
    await assert.rejects(orphan, { code: '23503' })
    await assert.rejects(importDatabase(target.url, file), /has a cloud in it/)
  } finally {
    await target.drop()
  }
})

test('a file cut short, a foreign one, a newer one and a missing one are refused before anything is touched', async () => {
  const whole = path.join(folder, 'whole.wisp')
  await exportDatabase(source.url, whole)
  const text = gunzipSync(fs.readFileSync(whole)).toString()
  const lines = text.split('\n')
  const write = (name: string, content: Buffer | string) => {
    fs.writeFileSync(path.join(folder, name), typeof content === 'string' ? gzipSync(content) : content)
    return path.join(folder, name)
  }
  const newer = JSON.stringify({ ...JSON.parse(lines[0] ?? ''), migrations: [...migrationNames(), '9999-future'] })
  const bad: [string, RegExp][] = [
    [write('cut', fs.readFileSync(whole).subarray(0, 2000)), /cannot be read to its end/],
    [write('short', lines.slice(0, 2000).join('\n')), /not whole/],
    [write('foreign', '{"format":"other"}\n'), /no export of Wisp/],
    [write('newer', [newer, ...lines.slice(1)].join('\n')), /newer Wisp: it has the migration 9999-future/],
    [path.join(folder, 'absent'), /ENOENT/],
  ]
  const target = await emptyDatabase()
  try {
    for (const [file, message] of bad) await assert.rejects(importDatabase(target.url, file), message)
    const { rows } = await sql`select to_regclass('wisp.migration') as migrated`.execute(target.db.read)
    assert.deepEqual(rows, [{ migrated: null }])
  } finally {
    await target.drop()
  }
})

test('an export that cannot be written leaves no file behind', async () => {
  await assert.rejects(exportDatabase(source.url, path.join(folder, 'no/such/folder/file')), /ENOENT/)
  const unused = await emptyDatabase()
  try {
    await assert.rejects(exportDatabase(unused.url, path.join(folder, 'nothing')), /never been used/)
    assert.deepEqual(
      fs.readdirSync(folder).filter((name) => name.startsWith('nothing')),
      [],
    )
  } finally {
    await unused.drop()
  }
})
