// What `wisp rotate-keys --secret-key` must know of, and how it goes on where controllers run on other machines.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { sql } from 'kysely'
import { type Config, loadConfig } from '../config.ts'
import { type TestDatabase, testDatabase } from '../database/testing.ts'
import { sealIn, sealingKeyIn, unseal } from '../identity/control/sealed.ts'
import { ensureTokenKey, tokenKeys } from '../identity/control/token-keys.ts'
import { readSecretKeys, sealingKeys, secretKeyFile, writeSecret } from './files.ts'
import { replaceSecretKey, sealedColumns } from './secret-key.ts'

/** Columns of bytes that secret.key does not seal. */
const others = new Set([
  'wire.host.secret_hash',
  'wire.join_token.hash',
  'compute.console_token.hash',
  // Sealed by a credential key, and that made anew with each new secret.key (identity/control/credentials.ts).
  'identity.credential.blob',
  'identity.credential_key.sealed',
])

describe('another secret.key', () => {
  let database: TestDatabase
  let config: Config
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-key-'))
  before(async () => {
    database = await testDatabase()
    config = { ...loadConfig({ WISP_HOME: home }), databaseUrl: 'postgres://elsewhere' }
  })
  after(async () => {
    await database.drop()
    fs.rmSync(home, { recursive: true })
  })

  test('every column of bytes is sealed anew, or known to be something else', async () => {
    const { rows } = await sql<{ name: string }>`
      select table_schema || '.' || table_name || '.' || column_name as name from information_schema.columns
      where data_type = 'bytea' and table_schema not in ('pg_catalog', 'information_schema')`.execute(database.db.read)
    const known = [...sealedColumns.map(({ table, column }) => `${table}.${column}`), ...others]
    assert.deepEqual(rows.map(({ name }) => name).sort(), known.sort())
  })

  test('with controllers on other machines it waits until they have the file', async () => {
    const { db } = database
    const keys = sealingKeys(home)
    const [first] = keys()
    const id = 'consumer'
    const name = `oauth consumer ${id}`
    await db.write(async (tx) => {
      const secret = await sealIn(tx, keys, name, Buffer.from('secret'))
      await tx.insertInto('identity.oauth_consumer').values({ id, secret }).execute()
    })
    const read = async () =>
      (await db.read.selectFrom('identity.oauth_consumer').select('secret').where('id', '=', id).executeTakeFirstOrThrow()).secret

    assert.match(await replaceSecretKey(config, db), /Copy the file to every controller/)
    const [, second] = readSecretKeys(secretKeyFile(home))
    assert.equal(unseal(first!, name, await read()).toString(), 'secret')
    assert.deepEqual(await db.write((tx) => sealingKeyIn(tx, keys)), first, 'the next one does not seal yet')
    assert.match(await replaceSecretKey(config, db), /Copy the file/, 'asked again, it is the same key')
    assert.deepEqual(readSecretKeys(secretKeyFile(home)), [first, second])

    const elsewhere = () => [first!, second!]
    assert.match(await replaceSecretKey(config, db, { copied: true }), /has a new key/)
    assert.deepEqual(keys(), [second])
    assert.equal(unseal(second!, name, await read()).toString(), 'secret')
    assert.throws(() => unseal(first!, name, Buffer.alloc(40)), /another secret\.key/)
    assert.deepEqual(await db.write((tx) => sealingKeyIn(tx, elsewhere)), second, 'who has both seals with the one in use')
    await assert.rejects(
      db.write((tx) => sealingKeyIn(tx, () => [first!])),
      /another secret\.key/,
      'who has the last one only seals no more',
    )
  })

  test('where all tokens shall be void, no key of theirs is left but the next', async () => {
    const { db } = database
    const keys = sealingKeys(home)
    await db.write((tx) => ensureTokenKey(tx, keys))
    const left = async () =>
      (await db.read.selectFrom('identity.token_key').select('id').orderBy('created_at').execute()).map(({ id }) => id)
    const [first] = await left()
    await replaceSecretKey(config, db)
    await replaceSecretKey(config, db, { copied: true })
    assert.deepEqual([(await left()).length, (await left())[0]], [2, first], 'else the last one still opens')
    assert.match(await replaceSecretKey(config, db, { revoke: true }), /--copied --revoke-tokens/)
    assert.equal((await left()).length, 2, 'nothing is void before all controllers have the file')
    assert.match(await replaceSecretKey(config, db, { copied: true, revoke: true }), /everybody has to sign in again/)
    assert.equal((await left()).length, 1)
    assert.notEqual((await left())[0], first)
    await tokenKeys(db, keys).newest()
  })

  test('a file of another cloud changes nothing', async () => {
    const file = secretKeyFile(home)
    writeSecret(file, randomBytes(32).toString('base64'))
    const before = fs.readFileSync(file, 'utf8')
    await assert.rejects(replaceSecretKey(config, database.db, { copied: true }), /another secret\.key/)
    assert.equal(fs.readFileSync(file, 'utf8'), before)
  })
})
