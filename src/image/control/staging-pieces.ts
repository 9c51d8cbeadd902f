// Staging in pieces: data whose connection breaks stays, and the next request goes on where it was, also after a crash and on another
// controller. The row (image.staged) says how much lies on the disk for certain and which request writes; a request that comes while
// another one still does, because the network has not told it that its client is gone, ends that one.
import { randomUUID } from 'node:crypto'
import fs, { type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { sql } from 'kysely'
import type { Config } from '../../config.ts'
import type { Database, Tx } from '../../database/connect.ts'
import { badRequest, conflict, Fault, notFound, tooLarge } from '../../http/fault.ts'
import { crash } from '../../work/crash.ts'
import { hintChanged } from '../../work/hint.ts'
import { startHashing } from './hashing.ts'
import { living, patience, renewal } from './leftover.ts'
import { withinQuota } from './quota.ts'
import { complete, markStaged, stagedFile, stagingFault, waiting } from './staging.ts'

/** Bytes `from` to `to` (exclusive) of `total`. */
export interface Piece {
  from: number
  to: number
  total: number
}

/** Of a Content-Range such as `bytes 0-1023/4096`. @throws Fault 400 */
export function readPiece(text: string): Piece {
  const [from = 0, last = 0, total = 0] = (/^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(text) ?? []).slice(1).map(Number)
  if (last < from || last >= total)
    throw badRequest(
      `The header Content-Range must read as 'bytes 0-1023/4096' (first byte, last byte, size of the image), not '${text.slice(0, 60)}'.`,
    )
  return { from, to: last + 1, total }
}

/** The requests of this process that bring a piece, by image: how to end one, which then resolves. */
const writing = new Map<string, () => Promise<void>>()

/**
 * Appends a piece to what is staged of an image; the first one makes it 'uploading', one that begins at byte 0 again replaces what is there.
 * However it ends, the bytes that came stay, until the image is deleted or nothing was heard for a day.
 * @param limit most bytes of the image
 * @throws Fault 400 (cut off, longer than announced), 404, 409 (goes on elsewhere than at the end of what is there; not queued), 413
 */
export async function stagePiece(
  db: Database,
  { home }: Pick<Config, 'home'>,
  limit: number,
  id: string,
  data: Readable,
  piece: Piece,
): Promise<void> {
  if (piece.total > limit) throw tooLarge(`The image is larger than ${limit} bytes, the largest that this cloud takes (WISP_MAX_IMAGE_GB).`)
  for (let end = writing.get(id); end; end = writing.get(id)) await end()
  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  writing.set(id, () => {
    data.destroy(conflict('The data now comes with another request.'))
    return ended
  })
  try {
    const writer = randomUUID()
    const file = await db.write((tx) => takeUp(tx, id, piece, writer))
    if (file === undefined)
      throw conflict(`Another request still brings data of image ${id}; it has been told to end. Try again in a few seconds.`, {
        headers: { 'retry-after': '2' },
      })
    crash('image: piece begun')
    await fs.mkdir(path.dirname(stagedFile({ home }, file)), { recursive: true, mode: 0o750 })
    await write(db, stagedFile({ home }, file), { id, file, writer, piece }, data)
  } finally {
    writing.delete(id)
    end()
  }
}

/** @returns the file to write to; undefined while another controller's request does */
async function takeUp(tx: Tx, id: string, { from, total }: Piece, writer: string): Promise<string | undefined> {
  const image = await tx.selectFrom('image.image').select(['owner', 'status', 'size']).where('id', '=', id).forUpdate().executeTakeFirst()
  if (!image) throw notFound(`Failed to find image ${id} to stage.`)
  if (image.status !== 'queued' && image.status !== 'uploading')
    throw conflict(`Image status transition from ${image.status} to uploading is not allowed`)
  const staged = await unfinished(tx, id)
  if (image.status === 'uploading' && !staged) throw conflict(`The image ${id} has data on staging`)
  if (staged?.busy) {
    await tx.updateTable('image.staged').set({ writer: 'ended' }).where('file', '=', staged.file).execute()
    return undefined
  }
  const there = staged?.size ?? 0
  if (from > 0 && (from !== there || total !== staged?.total))
    throw conflict(
      `There are ${there} bytes${staged ? ` of ${staged.total}` : ''} of image ${id} in the staging area. Go on at byte ${there}, or begin anew at byte 0.`,
    )
  const file = staged?.file ?? randomUUID()
  if (!staged) await markStaged(tx, file, id)
  if (image.status === 'queued' || image.size !== total) {
    await tx
      .updateTable('image.image')
      .set({ status: 'uploading', size: total, updated_at: sql<Date>`now()` })
      .where('id', '=', id)
      .execute()
    await withinQuota(tx, image.owner, 'image_count_uploading', 'image_stage_total')
    hintChanged(tx, 'image', id, image.owner)
  }
  await tx.updateTable('image.staged').set({ writer, total, size: from, since: sql<Date>`now()` }).where('file', '=', file).execute()
  return file
}

const unfinished = (tx: Tx, image_id: string) =>
  tx
    .selectFrom('image.staged')
    .select(['file', 'size', 'total'])
    .select(sql<boolean>`writer is not null and since > now() - ${patience} * interval '1 millisecond'`.as('busy'))
    .where('image_id', '=', image_id)
    .where('complete', '=', false)
    .where('total', 'is not', null)
    .where('since', '>', sql<Date>`'epoch'`)
    .forUpdate()
    .executeTakeFirst()

interface Task {
  id: string
  file: string
  writer: string
  piece: Piece
}

async function write(db: Database, to: string, { id, file, writer, piece }: Task, data: Readable): Promise<void> {
  let handle: FileHandle | undefined
  let at = piece.from
  /** So much is on the disk for certain. */
  let safe = piece.from
  let syncing = false
  const sync = async () => {
    if (syncing) return
    syncing = true
    const size = at
    await handle?.datasync()
    safe = size
    syncing = false
  }
  /** Writes down what is there. Resolves to whether this request may go on. */
  const record = async (more: { writer: null } | object = {}): Promise<boolean> => {
    const { numUpdatedRows } = await db.read
      .updateTable('image.staged')
      .set({ size: safe, since: sql<Date>`now()`, ...more })
      .where('file', '=', file)
      .where('writer', '=', writer)
      .where('since', '>', sql<Date>`'epoch'`)
      .executeTakeFirst()
    return numUpdatedRows > 0
  }
  let heard = Date.now()
  const renew = async () => {
    const mine = await record().catch(() => undefined)
    if (mine) heard = Date.now()
    // Another controller takes a writer that it has not heard of for this long for dead.
    if (mine === false || Date.now() - heard > patience / 2)
      data.destroy(new Fault(410, `The data of image ${id} is not wanted any more: the image was deleted, or another request brings it.`))
  }
  let recording = Promise.resolve()
  const timer = setInterval(() => {
    void sync().catch(() => {}) // told by the sync at the end
    recording = recording.then(renew)
  }, renewal)
  /** The last word of this request. */
  const settle = async () => {
    clearInterval(timer)
    await recording
    await handle?.datasync()
    safe = at
    return await record({ writer: null })
  }
  living.add(file)
  try {
    handle = await fs.open(to, piece.from === 0 ? 'w' : 'r+', 0o640).catch(() => undefined)
    if (!handle || (await handle.stat()).size < piece.from) {
      at = 0
      throw conflict(`What was staged of image ${id} is no longer there. Begin anew at byte 0.`)
    }
    await handle.truncate(piece.from)
    for await (const chunk of data.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      if (at + chunk.length > piece.to)
        throw badRequest(`There is more data than the header Content-Range announced: ${piece.to - piece.from} bytes.`)
      for (let done = 0; done < chunk.length; ) {
        const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, at)
        done += bytesWritten
        at += bytesWritten
      }
    }
    if (at < piece.to) throw badRequest(`The data was cut off after byte ${at}. Go on there: what came is kept.`)
    if (!(await settle())) throw new Fault(410, `Image ${id} could not be found after staging. It may have been deleted meanwhile.`)
    crash('image: piece staged')
    if (at === piece.total) await db.write((tx) => complete(tx, id, file, at))
  } catch (error) {
    // If the database is away too, the last renewal counts.
    await settle().catch(() => {})
    throw stagingFault(error)
  } finally {
    living.delete(file)
    await handle?.close()
  }
}

export interface Staged {
  /** Bytes that are there. */
  size: number
  /** Bytes that there will be; null for what comes in one piece and has not ended. */
  total: number | null
  complete: boolean
  /** When an unfinished image is given up, unless more comes. */
  expires_at: string | null
  /** Of the bytes that are there. */
  sha256?: string
}

/** How much of an image is staged. @param hashed whether what is there is read and hashed, too @throws Fault 404 for nothing */
export async function stagedOf(db: Database, home: Pick<Config, 'home'>, id: string, hashed: boolean): Promise<Staged> {
  const row = await db.read
    .selectFrom('image.staged as s')
    .innerJoin('image.image as i', 'i.id', 's.image_id')
    .select(['s.file', 's.size', 's.total', 's.complete', 's.since'])
    .where('s.image_id', '=', id)
    .where('i.status', '=', 'uploading')
    .where('s.since', '>', sql<Date>`'epoch'`)
    .executeTakeFirst()
  if (!row) throw notFound(`No data of image ${id} is in the staging area.`)
  const { file, size, total, complete, since } = row
  return {
    size,
    total: total ?? (complete ? size : null),
    complete,
    expires_at: total === null || complete ? null : new Date(since.getTime() + waiting).toISOString(),
    ...(hashed && { sha256: await hashOf(stagedFile(home, file), size, id) }),
  }
}

async function hashOf(file: string, size: number, id: string): Promise<string> {
  const hashing = startHashing(['sha256'])
  let handle: FileHandle | undefined
  try {
    handle = await fs.open(file)
    const block = Buffer.from(new SharedArrayBuffer(1024 * 1024))
    for (let at = 0; at < size; ) {
      const { bytesRead } = await handle.read(block, 0, Math.min(block.length, size - at), at)
      if (bytesRead === 0) throw Object.assign(new Error('ended'), { code: 'ENOENT' })
      await hashing.update(block.subarray(0, bytesRead))
      at += bytesRead
    }
    return (await hashing.digest())[0] ?? ''
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw conflict(`What was staged of image ${id} is no longer there. Begin anew at byte 0.`, { cause: error })
  } finally {
    hashing.drop()
    await handle?.close()
  }
}
