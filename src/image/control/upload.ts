// How bits get into an image, so that a crash at any moment leaves neither a stuck image nor a forgotten file: first a marker names the
// upload (image.leftover), then the bits are written, then one transaction makes the image active and takes the marker away.
// While the upload lives it renews its marker; a marker that nobody renews is swept (work.ts).
import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import { sql } from 'kysely'
import { type Database, json, type Tx } from '../../database/connect.ts'
import { badRequest, conflict, Fault } from '../../http/fault.ts'
import { crash } from '../../work/crash.ts'
import { poke } from '../../work/engine.ts'
import { hintChanged } from '../../work/hint.ts'
import { withinQuota } from './quota.ts'
import { type Bits, receive } from './receive.ts'
import type { Stores } from './stores.ts'

/** How long a marker lives without being renewed, and how often it is, in milliseconds. */
export const patience = 20_000
const renewal = 5_000

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
  await db.write((tx) => mark(tx, upload))
  await carry(db, stores, upload, data, image, undefined, async (tx, bits) => {
    await tx
      .insertInto('image.image')
      .values({ id, ...image, ...bits, properties: json(properties), upload, status: 'active' })
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
export async function uploadImage(db: Database, stores: Stores, id: string, data: Readable, expected?: number): Promise<void> {
  const upload = randomUUID()
  const image = await db.write((tx) => begin(tx, id, upload))
  crash('image: upload begun')
  await carry(db, stores, upload, data, image, expected, async (tx, bits) => {
    const done = await tx
      .updateTable('image.image')
      .set({ ...bits, status: 'active', updated_at: sql<Date>`now()` })
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

async function begin(tx: Tx, id: string, upload: string) {
  const image = await tx.selectFrom('image.image').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
  if (!image) throw new Fault(404, `Failed to find image ${id} to upload.`)
  if (image.status !== 'queued') throw conflict(`Image status transition from ${image.status} to saving is not allowed`)
  const missing = (['disk_format', 'container_format'] as const).filter((name) => !image[name])
  if (missing.length > 0)
    throw badRequest(`${missing.length === 1 ? 'Property' : 'Properties'} ${missing.join(', ')} must be set prior to saving data.`)
  await tx.updateTable('image.image').set({ status: 'saving', upload, updated_at: sql<Date>`now()` }).where('id', '=', id).execute()
  await withinQuota(tx, image.owner, 'image_count_uploading', 'image_size_total')
  await mark(tx, upload)
  hintChanged(tx, 'image', id, image.owner)
  return image
}

async function mark(tx: Tx, upload: string): Promise<void> {
  await tx.insertInto('image.leftover').values({ upload }).execute()
  await poke(tx, 'image-data', upload, patience)
}

/** Bits that no image names any more are removed soon, by whoever looks first. */
export async function abandon(tx: Tx, upload: string): Promise<void> {
  await sql`insert into image.leftover (upload, since) values (${upload}, 'epoch') on conflict (upload) do update set since = 'epoch'`.execute(
    tx,
  )
  await poke(tx, 'image-data', upload)
}

/** Receives the bits under a marker, and gives them to `activate` in the transaction that takes the marker away. */
async function carry(
  db: Database,
  stores: Stores,
  upload: string,
  data: Readable,
  declared: { disk_format: string | null; container_format: string | null },
  expected: number | undefined,
  activate: (tx: Tx, bits: Bits) => Promise<void>,
): Promise<void> {
  const renew = () => sql`update image.leftover set since = now() where upload = ${upload} and since > 'epoch'`.execute(db.read)
  const timer = setInterval(() => void renew().catch(() => {}), renewal)
  try {
    const bits = await receive(stores.default, upload, data, {
      declared,
      limit: stores.largest,
      algorithm: stores.hashing,
      ...(expected !== undefined && { expected }),
    })
    crash('image: written')
    await db.write(async (tx) => {
      await activate(tx, bits)
      const { numDeletedRows } = await tx.deleteFrom('image.leftover').where('upload', '=', upload).executeTakeFirst()
      if (numDeletedRows === 0n) throw conflict('The upload was given up, because nothing was heard of it for too long. Upload it again.')
      crash('image: before activate')
    })
    crash('image: activated')
  } catch (error) {
    // If the database is away too, the marker is swept later.
    await db.write((tx) => giveUp(tx, upload)).catch(() => {})
    await removeUnlessNamed(db, stores, upload)
    throw error
  } finally {
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
async function removeUnlessNamed(db: Database, stores: Stores, upload: string): Promise<void> {
  try {
    const marked = await db.read.selectFrom('image.leftover').select('upload').where('upload', '=', upload).executeTakeFirst()
    if (!marked) return
    await stores.default.remove(upload)
    await db.read.deleteFrom('image.leftover').where('upload', '=', upload).execute()
  } catch {
    // The sweep comes back to it.
  }
}
