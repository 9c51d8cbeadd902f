// How bits get into an image, so that a crash at any moment leaves neither a stuck image nor a forgotten file: first a marker names the
// upload (image.leftover), then the bits are written, then one transaction makes the image active and takes the marker away.
// While the upload lives it renews its marker; a marker that nobody renews is swept (work.ts).
import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import { sql } from 'kysely'
import { type Database, json, type Tx } from '../../database/connect.ts'
import { badRequest, conflict, Fault } from '../../http/fault.ts'
import { crash } from '../../work/crash.ts'
import { hintChanged } from '../../work/hint.ts'
import type { Blocks, ImageStore } from '../store/store.ts'
import type { Declared } from './formats.ts'
import { living, mark, renewal } from './leftover.ts'
import { type Location, settle } from './locations.ts'
import { withinQuota } from './quota.ts'
import { type Bits, receive } from './receive.ts'
import type { Stores } from './stores.ts'

export interface NewImage {
  name: string
  owner: string
  visibility: 'public' | 'private' | 'shared' | 'community'
  disk_format: string
  container_format: string
  min_disk: number
  min_ram: number
  properties: Record<string, string>
  data: Readable
}

/** Stores an image of Wisp's own. It appears complete or not at all. @returns its id @throws Fault as `receive` does */
export async function storeImage(db: Database, stores: Stores, { data, properties, ...image }: NewImage): Promise<string> {
  const id = randomUUID()
  const upload = randomUUID()
  const store = stores.default
  await db.write((tx) => mark(tx, upload, store.id))
  await carry(db, stores, { store, upload, data, declared: image }, async (tx, bits, location) => {
    await tx
      .insertInto('image.image')
      .values({ id, ...image, ...bits, properties: json(properties), locations: json([location]), status: 'active' })
      .execute()
    hintChanged(tx, 'image', id, image.owner)
  })
  return id
}

/**
 * Uploads the bits of a queued image. However it fails, the image is queued again and can be uploaded anew.
 * @param expected the announced size in bytes
 * @throws Fault 400 (no acceptable image, cut off, no format set), 404, 409 (not queued), 410 (deleted meanwhile), 413
 */
export async function uploadImage(
  db: Database,
  stores: Stores,
  id: string,
  data: Readable,
  { expected, store = stores.default }: { expected?: number | undefined; store?: ImageStore } = {},
): Promise<void> {
  await fill(db, stores, id, { data, expected, store })
}

/**
 * Gives a queued image what is at a URL: it is read once, to be hashed and inspected, and stays there.
 * @param algorithm of os_hash_value
 * @param hash what that must be
 * @throws Fault as uploadImage does; 409 for another hash
 */
export async function locateImage(
  db: Database,
  stores: Stores,
  id: string,
  { store, url, hash, algorithm }: { store: ImageStore; url: string; hash?: string | undefined; algorithm: string },
): Promise<void> {
  const data = await store.read(url)
  if (!data) throw badRequest(`There is nothing at ${url}.`)
  const onlyRead: ImageStore = { ...store, write: drain }
  try {
    await fill(db, stores, id, { data, store: onlyRead, location: { store: store.id, url, metadata: {} }, hash, algorithm })
  } finally {
    data.destroy()
  }
}

async function drain(_key: string, blocks: Blocks): Promise<void> {
  for await (const _ of blocks);
}

/** Makes a queued image active with these bits, or leaves it queued. */
async function fill(
  db: Database,
  stores: Stores,
  id: string,
  { hash, ...from }: Pick<Upload, 'data' | 'store' | 'expected' | 'location' | 'algorithm'> & { hash?: string | undefined },
): Promise<void> {
  const upload = randomUUID()
  const declared = await db.write((tx) => begin(tx, id, upload, from.store.id))
  crash('image: upload begun')
  await carry(db, stores, { ...from, upload, declared }, async (tx, bits, location) => {
    if (hash !== undefined && hash !== bits.os_hash_value)
      throw conflict(`The ${bits.os_hash_algo} of the data is ${bits.os_hash_value}, not ${hash}.`)
    const done = await tx
      .updateTable('image.image')
      .set({ ...bits, locations: json([location]), upload: null, status: 'active', updated_at: sql<Date>`now()` })
      .where('id', '=', id)
      .where('upload', '=', upload)
      .where('status', '=', 'saving')
      .returning('owner')
      .executeTakeFirst()
    if (!done) throw gone(id)
    hintChanged(tx, 'image', id, done.owner)
  })
}

const gone = (id: string) =>
  new Fault(
    410,
    `Image ${id} could not be found after upload. The image may have been deleted during the upload, cleaning up the chunks uploaded.`,
  )

async function begin(tx: Tx, id: string, upload: string, store: string) {
  const image = await tx.selectFrom('image.image').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
  if (!image) throw new Fault(404, `Failed to find image ${id} to upload.`)
  if (image.status !== 'queued') throw conflict(`Image status transition from ${image.status} to saving is not allowed`)
  const missing = (['disk_format', 'container_format'] as const).filter((name) => !image[name])
  if (missing.length > 0)
    throw badRequest(`${missing.length === 1 ? 'Property' : 'Properties'} ${missing.join(', ')} must be set prior to saving data.`)
  await tx.updateTable('image.image').set({ status: 'saving', upload, updated_at: sql<Date>`now()` }).where('id', '=', id).execute()
  await withinQuota(tx, image.owner, 'image_count_uploading', 'image_size_total')
  await mark(tx, upload, store)
  hintChanged(tx, 'image', id, image.owner)
  return image
}

export interface Upload {
  store: ImageStore
  /** The key of the bits, already marked. */
  upload: string
  data: Readable
  declared: Declared
  /** The announced size in bytes. */
  expected?: number | undefined
  /** Of os_hash_value, where the image has one; else the cloud's. */
  algorithm?: string | undefined
  /** Where the bits stay, if they are not the store's to keep. */
  location?: Location | undefined
}

/** Receives the bits under a marker, and gives them to `activate` in the transaction that takes the marker away. @throws Fault as `receive` does */
export async function carry(
  db: Database,
  stores: Stores,
  { store, upload, data, declared, expected, algorithm = stores.hashing, location }: Upload,
  activate: (tx: Tx, bits: Bits, location: Location) => Promise<void>,
): Promise<void> {
  const renew = () => sql`update image.leftover set since = now() where upload = ${upload} and since > 'epoch'`.execute(db.read)
  const timer = setInterval(() => void renew().catch(() => {}), renewal)
  living.add(upload)
  try {
    const wanted = { declared, limit: stores.largest, algorithm, ...(expected !== undefined && { expected }) }
    const bits = await receive(store, upload, data, wanted)
    crash('image: written')
    const kept = await db.write(async (tx) => {
      const settled = location ? { location, kept: true } : await settle(tx, store, upload, bits)
      await activate(tx, bits, settled.location)
      const marker = settled.kept
        ? await sql`delete from image.leftover where upload = ${upload} and since > 'epoch'`.execute(tx)
        : await sql`update image.leftover set since = 'epoch' where upload = ${upload} and since > 'epoch'`.execute(tx)
      if (!marker.numAffectedRows) throw conflict('The upload was given up, because nothing was heard of it for too long. Upload it again.')
      crash('image: before activate')
      return settled.kept
    })
    crash('image: activated')
    if (!kept) await removeUnlessNamed(db, store, upload)
  } catch (error) {
    // If the database is away too, the marker is swept later.
    await db.write((tx) => giveUp(tx, upload)).catch(() => {})
    await removeUnlessNamed(db, store, upload)
    throw error
  } finally {
    living.delete(upload)
    clearInterval(timer)
  }
}

/** Puts the image of an upload that failed back to 'queued'. */
export async function giveUp(tx: Tx, upload: string): Promise<void> {
  const image = await tx
    .updateTable('image.image')
    .set({ status: 'queued', upload: null, size: null, virtual_size: null, updated_at: sql<Date>`now()` })
    .where('upload', '=', upload)
    .where('status', '=', 'saving')
    .returning(['id', 'owner'])
    .executeTakeFirst()
  if (image) hintChanged(tx, 'image', image.id, image.owner)
  await sql`update image.leftover set since = 'epoch' where upload = ${upload}`.execute(tx)
}

/** A commit whose answer was lost may have made the image active after all; then its bits stay. Otherwise they go at once. */
async function removeUnlessNamed(db: Database, store: ImageStore, upload: string): Promise<void> {
  try {
    const marked = await db.read.selectFrom('image.leftover').select('upload').where('upload', '=', upload).executeTakeFirst()
    if (!marked) return
    await store.remove(upload)
    crash('image: needless bits removed')
    await db.read.deleteFrom('image.leftover').where('upload', '=', upload).execute()
  } catch {
    // The sweep comes back to it.
  }
}
