// Identical data is kept once: what happens when one lets go of it while another comes with the same bits, step by step in every order.
// Each transaction waits here at the places where a slow one would.
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { type Database, json, type Tx } from '../../database/connect.ts'
import { testDatabase, waiting } from '../../database/testing.ts'
import { fileStore } from '../store/file.ts'
import type { ImageStore } from '../store/store.ts'
import { mark } from './leftover.ts'
import { deleteImage, type Location, locationsOf, release, settle } from './locations.ts'
import type { Bits } from './receive.ts'

const text = 'the very same'
const bits: Bits = {
  size: text.length,
  virtual_size: null,
  checksum: '',
  os_hash_algo: 'sha512',
  os_hash_value: createHash('sha512').update(text).digest('hex'),
}

async function stage(context: TestContext) {
  const folder = fs.mkdtempSync(path.join(process.env.TMPDIR ?? '/tmp', 'wisp-locations-'))
  const store = (id: string) => fileStore({ id, description: '', weight: 0, folder: path.join(folder, id) })
  const { db, drop } = await testDatabase()
  context.after(async () => {
    await drop()
    fs.rmSync(folder, { recursive: true })
  })
  const rows = async () => (await db.read.selectFrom('image.data').select(['id', 'store']).orderBy('id').execute()).map(({ id }) => id)
  return { db, a: store('a'), b: store('b'), rows }
}

/** The bits are in the store under a new key, as an upload leaves them that is about to end. */
async function written(db: Database, store: ImageStore): Promise<string> {
  const key = randomUUID()
  await db.write((tx) => mark(tx, key, store.id))
  await store.write(
    key,
    (async function* () {
      yield Buffer.from(text)
    })(),
  )
  return key
}

/** An image with the bits of this key, or those that are there already. @returns where it found them */
async function named(tx: Tx, store: ImageStore, key: string, id: string = randomUUID()): Promise<{ location: Location; kept: boolean }> {
  const settled = await settle(tx, store, key, bits)
  await tx
    .insertInto('image.image')
    .values({ id, owner: 'p', status: 'active', visibility: 'private', locations: json([settled.location]) })
    .execute()
  return settled
}

const remove = async (tx: Tx, id: string) =>
  deleteImage(tx, await tx.selectFrom('image.image').selectAll().where('id', '=', id).forUpdate().executeTakeFirstOrThrow())

/** A transaction that waits for `go` before it commits; `ready` resolves when it has done its work. */
function slow<T>(db: Database, work: (tx: Tx) => Promise<T>) {
  const [ready, go] = [Promise.withResolvers<T>(), Promise.withResolvers<void>()]
  const done = db.write(async (tx) => {
    const result = await work(tx)
    ready.resolve(result)
    await go.promise
    return result
  })
  done.catch(ready.reject)
  return { ready: ready.promise, done, go: () => go.resolve() }
}

/** Whether it is still under way after the others had their turn. */
const waits = async (work: Promise<unknown>) => (await Promise.race([work.then(() => 'done'), sleep(300).then(() => 'waits')])) === 'waits'

describe('identical data', () => {
  it('that is being let go of is not shared: who comes meanwhile keeps its own', async (context) => {
    const { db, a, rows } = await stage(context)
    const [first, second, old] = [await written(db, a), await written(db, a), randomUUID()]
    await db.write((tx) => named(tx, a, first, old))
    const deleting = slow(db, (tx) => remove(tx, old))
    await deleting.ready
    const coming = db.write((tx) => named(tx, a, second))
    assert.ok(await waits(coming))
    deleting.go()
    await deleting.done
    assert.deepEqual(await coming, { location: { store: 'a', data: second, metadata: {} }, kept: true })
    assert.deepEqual(await rows(), [second])
  })

  it('stays if its last image goes while another is about to share it', async (context) => {
    const { db, a, rows } = await stage(context)
    const [first, second, old] = [await written(db, a), await written(db, a), randomUUID()]
    await db.write((tx) => named(tx, a, first, old))
    const coming = slow(db, (tx) => named(tx, a, second))
    assert.deepEqual(await coming.ready, { location: { store: 'a', data: first, metadata: {} }, kept: false })
    const deleting = db.write((tx) => remove(tx, old))
    assert.ok(await waits(deleting))
    coming.go()
    await Promise.all([coming.done, deleting])
    assert.deepEqual(await rows(), [first])
    const due = await db.read.selectFrom('image.leftover').select('upload').where('upload', '=', first).where('store', '=', 'a').execute()
    assert.equal(due.length, 1, 'only the marker that the test itself has made')
  })

  it('is held before its images are counted, by who lets go of it as by who comes with it', async (context) => {
    const { db, a, rows } = await stage(context)
    const [first, second, old] = [await written(db, a), await written(db, a), randomUUID()]
    await db.write((tx) => named(tx, a, first, old))
    let turns = 0
    const change = (what: (tx: Tx) => Promise<unknown>) =>
      db.write(async (tx) => {
        turns++
        await what(tx)
      })
    let changes: Promise<void>[] = []
    await db.write(async (tx) => {
      await sql`select from identity.usage where project_id = 'p' for update`.execute(tx)
      changes = [change((tx) => remove(tx, old))]
      await waiting(db, 1)
      changes.push(change((tx) => named(tx, a, second)))
      await waiting(db, 2)
    })
    await Promise.all(changes)
    assert.equal(turns, 2, 'PostgreSQL found no deadlock, so nobody had to begin again')
    assert.deepEqual(await rows(), [second])
  })

  it('goes if who was about to share it gives up', async (context) => {
    const { db, a, rows } = await stage(context)
    const [first, second, old] = [await written(db, a), await written(db, a), randomUUID()]
    await db.write((tx) => named(tx, a, first, old))
    const coming = slow(db, async (tx) => {
      await named(tx, a, second)
      throw new Error('cut off')
    })
    await assert.rejects(coming.ready, /cut off/)
    await db.write((tx) => remove(tx, old))
    assert.deepEqual(await rows(), [])
  })

  it('that comes twice at once is settled one after the other', async (context) => {
    const { db, a, rows } = await stage(context)
    const [first, second] = [await written(db, a), await written(db, a)]
    const one = slow(db, (tx) => named(tx, a, first))
    assert.equal((await one.ready).kept, true)
    const other = db.write((tx) => named(tx, a, second))
    assert.ok(await waits(other))
    one.go()
    await one.done
    assert.deepEqual(await other, { location: { store: 'a', data: first, metadata: {} }, kept: false })
    assert.deepEqual(await rows(), [first])
  })

  it('is another thing in each store', async (context) => {
    const { db, a, b, rows } = await stage(context)
    const [inA, inB, both, only] = [await written(db, a), await written(db, b), randomUUID(), randomUUID()]
    await db.write((tx) => named(tx, a, inA, both))
    const copied = await db.write(async (tx) => {
      const settled = await settle(tx, b, inB, bits)
      const { locations } = await tx.selectFrom('image.image').select('locations').where('id', '=', both).executeTakeFirstOrThrow()
      await tx
        .updateTable('image.image')
        .set({ locations: json([...locationsOf({ locations }), settled.location]) })
        .where('id', '=', both)
        .execute()
      return settled
    })
    assert.equal(copied.kept, true)
    assert.equal((await db.write(async (tx) => named(tx, b, await written(db, b), only))).location.data, inB)

    // The first is taken out of b, where the other one still is; then the other one goes.
    await db.write(async (tx) => {
      await tx
        .updateTable('image.image')
        .set({ locations: json([{ store: 'a', data: inA, metadata: {} }]) })
        .where('id', '=', both)
        .execute()
      await release(tx, [copied.location])
    })
    assert.deepEqual(await rows(), [inA, inB].sort())
    await db.write((tx) => remove(tx, only))
    assert.deepEqual(await rows(), [inA])
    await db.write((tx) => remove(tx, both))
    assert.deepEqual(await rows(), [])
  })
})
