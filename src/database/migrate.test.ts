import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { sql } from 'kysely'
import { miscounted } from '../../test/miscounted.ts'
import type { Tx } from './connect.ts'
import { generateTypes, TYPES } from './generate-types.ts'
import { migrate, migrationNames } from './migrate.ts'
import { emptyDatabase, testDatabase } from './testing.ts'

const TABLE = `create schema wisp; create table wisp.migration (name text primary key, checksum text not null, applied_at timestamptz not null default now());`

async function withSteps(steps: Record<string, string>, work: (folder: string, url: string, db: Tx) => Promise<void>): Promise<void> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-migrate-'))
  const { db, url, drop } = await emptyDatabase()
  try {
    for (const [name, text] of Object.entries(steps)) fs.writeFileSync(path.join(folder, name), text)
    await work(folder, url, db.read)
  } finally {
    await drop()
    fs.rmSync(folder, { recursive: true })
  }
}

// One line for everything that makes a difference, so that a failing comparison names exactly what differs. Columns are compared by
// name and not by place: a column that was added later stands last, and that must not matter to anyone.
async function catalog(db: Tx): Promise<string[]> {
  const { rows } = await sql<{ line: string }>`
    with ours as (select oid, nspname from pg_namespace where nspname !~ '^pg_' and nspname not in ('information_schema', 'public'))
    select 'schema ' || nspname as line from ours
    union all select 'extension ' || extname from pg_extension
    union all select format('table %s kind %s', c.oid::regclass, c.relkind) from pg_class c join ours n on n.oid = c.relnamespace where c.relkind in ('r', 'v', 'm', 'S', 'p')
    union all select format('column %s.%s %s not null %s default %s identity %s generated %s', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod),
        a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated)
      from pg_attribute a join pg_class c on c.oid = a.attrelid join ours n on n.oid = c.relnamespace left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
      where a.attnum > 0 and not a.attisdropped and c.relkind = 'r'
    union all select format('constraint %s on %s %s', conname, conrelid::regclass, pg_get_constraintdef(k.oid)) from pg_constraint k join ours n on n.oid = k.connamespace
    union all select format('index %s', pg_get_indexdef(i.indexrelid)) from pg_index i join pg_class c on c.oid = i.indexrelid join ours n on n.oid = c.relnamespace
    union all select format('trigger %s', pg_get_triggerdef(t.oid)) from pg_trigger t join pg_class c on c.oid = t.tgrelid join ours n on n.oid = c.relnamespace where not t.tgisinternal
    union all select format('function %s', pg_get_functiondef(p.oid)) from pg_proc p join ours n on n.oid = p.pronamespace
    union all select format('type %s %s', t.typname, t.typtype) from pg_type t join ours n on n.oid = t.typnamespace where t.typtype in ('e', 'd')
    union all select format('row %s', v) from (select to_jsonb(e)::text as v from identity.epoch e) seeds`.execute(db)
  return rows.map(({ line }) => line).sort()
}

test('schema.sql is what all migrations together make', async () => {
  const fromSchema = await testDatabase()
  const fromSteps = await emptyDatabase()
  try {
    await migrate(fromSteps.url)
    const [schema, steps] = [await catalog(fromSchema.db.read), await catalog(fromSteps.db.read)]
    assert.ok(schema.length > 500)
    const missing = schema.filter((line) => !steps.includes(line)).map((line) => `only in schema.sql:     ${line}`)
    const extra = steps.filter((line) => !schema.includes(line)).map((line) => `only by the migrations: ${line}`)
    assert.deepEqual([...missing, ...extra], [])
  } finally {
    await fromSchema.drop()
    await fromSteps.drop()
  }
})

test('types.ts is what schema.sql makes (else run: node src/database/generate-types.ts)', async () => {
  const lines = (text: string) => text.trim().split('\n')
  const [kept, made] = [lines(fs.readFileSync(TYPES, 'utf8')), lines(await generateTypes())]
  assert.deepEqual([...kept.filter((line) => !made.includes(line)), ...made.filter((line) => !kept.includes(line))], [])
  assert.deepEqual(kept, made)
})

test('a cloud keeps its quotas and what was counted when these move to one place (0010)', async () => {
  const { db, url, drop } = await emptyDatabase()
  try {
    await migrate(url, { until: '0007-image-import' })
    await sql`
      insert into compute.quota values ('default', 'cores', 40), ('p', 'instances', 3), ('p', 'key_pairs', 7), ('p', 'server_groups', 2);
      insert into network.quota values ('p', 'port', 9);
      insert into compute.server (id, project_id, user_id, name, hostname, reservation_id, flavor)
        select 's' || n, 'p', 'u', 's', 's', 'r', '{"vcpus": 2, "memory_mb": 512, "root_gb": 1, "ephemeral_gb": 0, "swap_mb": 1}' from generate_series(1, 3) n;
      insert into compute.usage values ('p', 3, 6, 1536);
      insert into network.network (id, project_id, mtu, network_type) values ('n', 'p', 1450, 'local');
      insert into network.port (id, network_id, project_id, mac_address) values ('a', 'n', 'p', 'm1'), ('b', 'n', 'q', 'm2')`.execute(
      db.read,
    )
    await migrate(url)
    assert.deepEqual(await miscounted(db.read), [])
    const { rows: used } = await sql`select resource, used from identity.usage where project_id = 'p' order by 1`.execute(db.read)
    assert.deepEqual(used, [
      { resource: 'class:DISK_GB', used: 6 },
      { resource: 'class:MEMORY_MB', used: 1536 },
      { resource: 'class:VCPU', used: 6 },
      { resource: 'network', used: 1 },
      { resource: 'port', used: 1 },
      { resource: 'servers', used: 3 },
    ])
    const { rows: limits } = await sql<{ line: string }>`
      select concat_ws(' ', service, project_id, resource, hard_limit) as line from identity.quota order by 1`.execute(db.read)
    assert.deepEqual(
      limits.map(({ line }) => line),
      [
        'compute default class:VCPU 40',
        'compute p server_groups 2',
        'compute p server_key_pairs 7',
        'compute p servers 3',
        'network p port 9',
      ],
    )
    await sql`delete from compute.server where id = 's1'; delete from network.port`.execute(db.read)
    assert.deepEqual(await miscounted(db.read), [])
  } finally {
    await drop()
  }
})

test('migrations run once, in order, and only one program at a time', async () => {
  const steps = { '0001-first.sql': `${TABLE} create table wisp.a (n int);`, '0002-second.sql': 'insert into wisp.a values (1)' }
  await withSteps(steps, async (folder, url, db) => {
    const done = await Promise.all([migrate(url, { folder }), migrate(url, { folder }), migrate(url, { folder })])
    assert.deepEqual(done.flat(), ['0001-first', '0002-second'])
    assert.deepEqual((await sql`select n from wisp.a`.execute(db)).rows, [{ n: 1 }])
    assert.deepEqual(await migrate(url, { folder }), [])
  })
})

test('a migration that fails leaves nothing behind and says which it was', async () => {
  await withSteps({ '0001-first.sql': TABLE, '0002-bad.sql': 'create table wisp.half (n int); select 1 / 0' }, async (folder, url, db) => {
    await assert.rejects(migrate(url, { folder }), /0002-bad failed, and left nothing behind: division by zero/)
    assert.deepEqual((await sql`select to_regclass('wisp.half') as half`.execute(db)).rows, [{ half: null }])
    fs.writeFileSync(path.join(folder, '0002-bad.sql'), 'create table wisp.half (n int)')
    assert.deepEqual(await migrate(url, { folder }), ['0002-bad'])
  })
})

test('a newer database, a changed step, a late step and a bad name are refused', async () => {
  await withSteps({ '0001-first.sql': TABLE, '0003-third.sql': 'select 1' }, async (folder, url) => {
    await migrate(url, { folder })
    fs.writeFileSync(path.join(folder, '0002-late.sql'), 'select 1')
    await assert.rejects(migrate(url, { folder }), /0002-late comes before 0003-third/)
    fs.rmSync(path.join(folder, '0002-late.sql'))
    fs.writeFileSync(path.join(folder, '0003-third.sql'), 'select 2')
    await assert.rejects(migrate(url, { folder }), /0003-third was changed after/)
    fs.rmSync(path.join(folder, '0003-third.sql'))
    await assert.rejects(migrate(url, { folder }), /newer than this program: it has the migration 0003-third/)
    fs.writeFileSync(path.join(folder, 'oops.sql'), '')
    assert.throws(() => migrationNames(folder), /named NNNN-/)
  })
})
