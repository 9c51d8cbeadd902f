import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { sql } from 'kysely'
import { connect } from './connect.ts'
import { exportDatabase, importDatabase } from './export.ts'
import { mustFit, open, unfit } from './external.ts'
import { type ExternalServer, startExternal } from './external-testing.ts'
import { migrate, migrationNames } from './migrate.ts'
import { emptyDatabase } from './testing.ts'

let server: ExternalServer
before(async () => {
  server = await startExternal()
})
after(() => server?.stop())

test('the schema is made, and a database comes over from the embedded server, in every way to connect', async () => {
  await server.administer('create database moved owner wisp')
  const ways = {
    password: server.url('moved'),
    socket: server.url('moved', { host: 'localhost', query: { host: path.join(server.folder, 'socket') } }),
    tls: server.url('moved', { host: 'localhost', query: { sslmode: 'verify-full', sslrootcert: server.ca } }),
  }
  const embedded = await emptyDatabase()
  try {
    await migrate(embedded.url)
    await sql`insert into identity.project (id, name, is_domain) values ('default', '雲', true)`.execute(embedded.db.read)
    const file = path.join(server.folder, 'cloud.wisp')
    const rows = await exportDatabase(embedded.url, file)
    assert.equal(await importDatabase(ways.password, file), rows)
    fs.rmSync(file)
    assert.equal(await exportDatabase(ways.socket, file), rows, 'and the way back is open')
  } finally {
    await embedded.drop()
  }
  for (const [way, url] of Object.entries(ways)) {
    assert.deepEqual(await migrate(url), [], `${way}: ${migrationNames().length} migrations are there`)
    const db = connect(url)
    try {
      const { rows } = await sql`select p.name, coalesce(s.ssl, false) as ssl from identity.project p, pg_stat_ssl s
        where s.pid = pg_backend_pid()`.execute(db.read)
      assert.deepEqual(rows, [{ name: '雲', ssl: way === 'tls' }])
    } finally {
      await db.close()
    }
  }
})

test('after kill -9 of the server queries and hints go on by themselves', async () => {
  await server.administer('create database killed owner wisp')
  const db = connect(server.url('killed'), { patience: 20_000 })
  try {
    const heard: string[] = []
    const deaf = await db.listen('news', (payload) => heard.push(payload))
    await sql`create table public.kept (n int)`.execute(db.read)
    await db.write((tx) => sql`insert into public.kept values (1)`.execute(tx))
    await server.kill()
    const asked = db.write((tx) => sql`insert into public.kept values (2)`.execute(tx))
    asked.catch(() => {})
    await server.start()
    // Whoever was in the middle of a question may have lost it, for nobody knows whether it was committed; the next one goes through.
    await asked.catch(() => db.write((tx) => sql`insert into public.kept values (2)`.execute(tx)))
    assert.deepEqual((await sql`select n from public.kept order by n`.execute(db.read)).rows, [{ n: 1 }, { n: 2 }])
    while (heard.length === 0) {
      await sql`select pg_notify('news', 'again')`.execute(db.read)
      await new Promise((later) => setTimeout(later, 50))
    }
    assert.equal(heard[0], 'again')
    await deaf()
  } finally {
    await db.close()
  }
})

test('what is wrong with an address is said with its place and its remedy, and never with the password', async () => {
  await server.administer('create database fine owner wisp')
  const socket = path.join(server.folder, 'absent')
  const verified = { sslmode: 'verify-full', sslrootcert: server.ca }
  const bad: [string, RegExp][] = [
    [server.url('fine', { password: 'Secret1' }), /127\.0\.0\.1:\d+\/fine\) .*password authentication failed.*The password is wrong/],
    [server.url('absent'), /database "absent" does not exist.*create database/],
    [server.url('fine', { host: 'localhost', query: { host: socket } }), /\/absent:\d+\/fine\).*ENOENT.*Does the server run/],
    [server.url('fine', { query: verified }), /not match.*certificate is for another name/],
    [server.url('fine', { host: 'localhost', query: { sslmode: 'verify-full' } }), /sslrootcert=/],
    [server.url('fine', { query: { ...verified, sslrootcert: socket } }), /cannot read .*absent/],
    [`postgres://wisp:Secret1@127.0.0.1:1/fine`, /127\.0\.0\.1:1\/fine\).*ECONNREFUSED.*Does the server run/],
  ]
  for (const [url, message] of bad) {
    const error = (await migrate(url).catch((reason: unknown) => reason)) as Error
    assert.match(error.message, message)
    assert.doesNotMatch(error.message, /Secret1|p w|p%20w/)
  }
})

test('a role without rights and another encoding are refused before anything is made', async () => {
  await server.administer('create database foreign_one')
  await server.administer(`create database narrow owner wisp encoding latin1 lc_collate 'C' lc_ctype 'C' template template0`)
  const foreign = server.url('foreign_one')
  await assert.rejects(migrate(foreign), /may not make schemas .* alter database "foreign_one" owner to "wisp"/)
  await assert.rejects(migrate(server.url('narrow')), /encoding LATIN1.*encoding UTF8/)
  const client = await open(foreign, 'test')
  try {
    assert.equal((await client.query(`select from pg_namespace where nspname = 'wisp'`)).rowCount, 0)
    await assert.rejects(mustFit(client), /may not make schemas/)
  } finally {
    await client.end()
  }
})

test('old servers, standbys and missing extensions are named', () => {
  const fine = { version: 150_018, encoding: 'UTF8', role: 'r', database: 'd', standby: false, create: true, public: true, lacking: [] }
  assert.equal(unfit(fine), undefined)
  assert.match(unfit({ ...fine, version: 140_011 })!, /PostgreSQL 14\.11; Wisp needs 15 or newer/)
  assert.match(unfit({ ...fine, standby: true })!, /standby.*primary/)
  assert.match(unfit({ ...fine, public: false })!, /owner to "r"/)
  assert.match(unfit({ ...fine, lacking: ['pg_trgm'] })!, /lacks the extensions pg_trgm.*contrib/)
})
