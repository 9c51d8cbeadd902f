// The staging area: data that waits for its import. A row (image.staged) names each file before it is written, so that the sweep finds
// what a crash left behind; whoever writes renews the row.
import { randomUUID } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { sql } from 'kysely'
import type { Config } from '../../config.ts'
import type { Database, Tx } from '../../database/connect.ts'
import { badRequest, conflict, Fault, notFound, tooLarge } from '../../http/fault.ts'
import { crash } from '../../work/crash.ts'
import { type Handler, poke, pokeAll } from '../../work/engine.ts'
import { hintChanged } from '../../work/hint.ts'
import { living, patience, renewal } from './leftover.ts'
import { withinQuota } from './quota.ts'

/** How long what came in pieces waits for the next one, in milliseconds. */
export const waiting = 24 * 3600_000

type Home = Pick<Config, 'home'>

const folderOf = ({ home }: Home) => path.join(home, 'staging')
export const stagedFile = (home: Home, file: string) => path.join(folderOf(home), file)

/** Names a file before it is written, or once more before it is written anew. */
export async function markStaged(tx: Tx, file: string, image_id: string): Promise<void> {
  await tx
    .insertInto('image.staged')
    .values({ file, image_id })
    .onConflict((on) => on.column('file').doUpdateSet({ complete: false, size: 0, since: sql<Date>`now()` }))
    .execute()
  await poke(tx, 'image-staged', file, patience)
}

/** Files that are not wanted any more: the sweep removes them soon. @returns whether there are any */
export async function abandonStaged(tx: Tx, by: { file: string; complete?: false } | { image_id: string }): Promise<boolean> {
  const rows = await tx
    .updateTable('image.staged')
    .set({ since: sql<Date>`'epoch'`, complete: false })
    .$if('file' in by, (query) => query.where('file', '=', (by as { file: string }).file))
    .$if('complete' in by, (query) => query.where('complete', '=', false))
    .$if('image_id' in by, (query) => query.where('image_id', '=', (by as { image_id: string }).image_id))
    .returning('file')
    .execute()
  await pokeAll(
    tx,
    'image-staged',
    rows.map(({ file }) => file),
  )
  return rows.length > 0
}

/**
 * Writes the stream into a staged file, from the beginning; the data is safe when this resolves. The stream is neither read to its end
 * nor destroyed on an error.
 * @param limit most bytes
 * @param heard is told how many bytes there are so far
 * @throws Fault 413 for what is too large or finds the disk full, 400 for what was cut off
 */
export async function writeStaged(
  home: Home,
  file: string,
  data: Readable,
  limit: number,
  heard: (size: number) => void = () => {},
): Promise<number> {
  await fs.mkdir(folderOf(home), { recursive: true, mode: 0o750 })
  try {
    const handle = await fs.open(stagedFile(home, file), 'w', 0o640)
    try {
      let size = 0
      for await (const chunk of data.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        size += chunk.length
        if (size > limit) throw tooLarge(`The image is larger than ${limit} bytes, the largest that this cloud takes (WISP_MAX_IMAGE_GB).`)
        for (let at = 0; at < chunk.length; ) at += (await handle.write(chunk, at)).bytesWritten
        heard(size)
      }
      await handle.sync()
      return size
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw stagingFault(error)
  }
}

export const stagingFull = (cause: unknown) =>
  tooLarge('Image storage media is full: there is no room left on the disk of the staging area. Make room, then try again.', { cause })

/** What to tell a client of what went wrong with a staged file. */
export function stagingFault(error: unknown): unknown {
  if (error instanceof Fault) return error
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') return stagingFull(error)
  if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE' || message === 'aborted') {
    return badRequest('The data was cut off on its way. Send it again.', { cause: error })
  }
  return error
}

/**
 * Stages the data of a queued image. However it fails, the image is queued again.
 * @param limit most bytes
 * @param expected the announced size in bytes
 * @throws Fault 400 (cut off), 404, 409 (not queued), 410 (deleted meanwhile), 413
 */
export async function stageImage(db: Database, home: Home, limit: number, id: string, data: Readable, expected?: number): Promise<void> {
  if (expected !== undefined && expected > limit)
    throw tooLarge(`The image is larger than ${limit} bytes, the largest that this cloud takes.`)
  const file = randomUUID()
  await db.write((tx) => begin(tx, id, file))
  crash('image: staging begun')
  const renew = () => sql`update image.staged set since = now() where file = ${file} and since > 'epoch'`.execute(db.read)
  const timer = setInterval(() => void renew().catch(() => {}), renewal)
  living.add(file)
  try {
    const size = await writeStaged(home, file, data, limit)
    if (expected !== undefined && size !== expected)
      throw badRequest(`The data ended after ${size} bytes, but ${expected} bytes were announced. Send it again.`)
    crash('image: staged')
    await db.write((tx) => complete(tx, id, file, size))
  } catch (error) {
    // If the database is away too, the sweep comes to it. A commit whose answer was lost may have made it complete after all.
    const given = await db.write((tx) => unstage(tx, file)).catch(() => false)
    // The client may try again at once, and finds the room that this took.
    if (given) await fs.rm(stagedFile(home, file), { force: true }).catch(() => {})
    throw error
  } finally {
    living.delete(file)
    clearInterval(timer)
  }
}

async function begin(tx: Tx, id: string, file: string): Promise<void> {
  const image = await tx.selectFrom('image.image').select(['owner', 'status']).where('id', '=', id).forUpdate().executeTakeFirst()
  if (!image) throw notFound(`Failed to find image ${id} to stage.`)
  if (image.status === 'uploading') throw conflict(`The image ${id} has data on staging`)
  if (image.status !== 'queued') throw conflict(`Image status transition from ${image.status} to uploading is not allowed`)
  await tx.updateTable('image.image').set({ status: 'uploading', updated_at: sql<Date>`now()` }).where('id', '=', id).execute()
  await withinQuota(tx, image.owner, 'image_count_uploading', 'image_stage_total')
  await markStaged(tx, file, id)
  hintChanged(tx, 'image', id, image.owner)
}

export async function complete(tx: Tx, id: string, file: string, size: number): Promise<void> {
  const image = await tx
    .updateTable('image.image')
    .set({ size, updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('status', '=', 'uploading')
    .returning('owner')
    .executeTakeFirst()
  const { numUpdatedRows } = await tx
    .updateTable('image.staged')
    .set({ complete: true, size })
    .where('file', '=', file)
    .where('since', '>', sql<Date>`'epoch'`)
    .executeTakeFirst()
  if (!image || !numUpdatedRows) throw new Fault(410, `Image ${id} could not be found after staging. It may have been deleted meanwhile.`)
  hintChanged(tx, 'image', id, image.owner)
}

/** Puts the image whose staging failed back to 'queued'. @returns whether the file is given up, as it is unless it is complete */
async function unstage(tx: Tx, file: string): Promise<boolean> {
  const image = await tx
    .updateTable('image.image as i')
    .from('image.staged as s')
    .set({ status: 'queued', size: null, updated_at: sql<Date>`now()` })
    .whereRef('s.image_id', '=', 'i.id')
    .where('s.file', '=', file)
    .where('s.complete', '=', false)
    // Where it was given up before, new data may be on its way.
    .where(sql<boolean>`not exists (select from image.staged o where o.image_id = i.id and o.file <> s.file and o.since > 'epoch')`)
    .where('i.status', '=', 'uploading')
    .returning(['i.id', 'i.owner'])
    .executeTakeFirst()
  if (image) hintChanged(tx, 'image', image.id, image.owner)
  return await abandonStaged(tx, { file, complete: false })
}

/** Handler of 'image-staged': a file stays while a task needs it, its image waits for the import, or someone is writing it. */
export const sweepStaged =
  (home: Home): Handler =>
  async (tx, file) => {
    // Rows are locked in one order everywhere: task, image, staged.
    const image = await tx
      .selectFrom('image.image as i')
      .innerJoin('image.staged as s', 's.image_id', 'i.id')
      .select('i.status')
      .where('s.file', '=', file)
      .forUpdate('i')
      .executeTakeFirst()
    const staged = await tx
      .selectFrom('image.staged')
      .select((e) => [
        'complete',
        sql<boolean>`since = 'epoch'`.as('ended'),
        // Nobody could renew while the database was away, so that time does not count.
        sql<number>`extract(epoch from greatest(since, pg_postmaster_start_time()) - now()) * 1000
          + case when total is null then ${patience}::int else ${waiting}::int end`.as('left'),
        e.exists(e.selectFrom('image.task as t').select('t.id').where('t.file', '=', file).where('t.phase', '<>', 'end')).as('needed'),
      ])
      .where('file', '=', file)
      .forUpdate()
      .executeTakeFirst()
    if (!staged || staged.needed) return null
    if (staged.complete && image?.status === 'uploading') return null
    if (!staged.complete && !staged.ended && (staged.left > 0 || living.has(file))) return Math.max(staged.left, patience)
    await unstage(tx, file)
    await fs.rm(stagedFile(home, file), { force: true })
    crash('image: staged file removed')
    await tx.deleteFrom('image.staged').where('file', '=', file).execute()
    return null
  }
