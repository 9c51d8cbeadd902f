// The phases of an import: fetch brings the data into the staging area, prepare does what the operator's plug-ins want, store writes it into
// one store after the other. A phase ends in one transaction that names the next, so that whoever comes after a crash begins where the
// last one ended.
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { addAbortSignal, Readable } from 'node:stream'
import { sql } from 'kysely'
import type { Logger } from 'pino'
import type { Config } from '../../config.ts'
import { type Database, json, type Tx } from '../../database/connect.ts'
import type { JsonObject } from '../../database/types.ts'
import { Fault } from '../../http/fault.ts'
import type { SealingKeys } from '../../identity/control/sealed.ts'
import { crash } from '../../work/crash.ts'
import { hintChanged } from '../../work/hint.ts'
import { openImage } from './download.ts'
import { fetchMetadata, type GlanceMetadata } from './import-glance.ts'
import { compression, convert, decompress, headOf, isConvertible, type Plugins } from './import-plugins.ts'
import { endImport, someStored, type TaskRow, tellStores } from './import-task.ts'
import { living, mark } from './leftover.ts'
import { fetchUrl, type Reach } from './reach.ts'
import { abandonStaged, markStaged, stagedFile, writeStaged } from './staging.ts'
import type { Stores } from './stores.ts'
import { carry } from './upload.ts'

export interface Importing {
  db: Database
  config: Pick<Config, 'home'>
  stores: Stores
  /** Opens what tasks keep sealed. */
  key: SealingKeys
  reach: Reach
  plugins: Plugins
  log: Pick<Logger, 'error'>
}

/** What a task keeps sealed, and what its image was before it. */
export interface Secret {
  url: string
  token?: string
  before?: JsonObject
}

/** The worker is no longer appointed: the image is gone, or another one has taken over. */
export class Dismissed extends Error {}

/** One worker and what it may use while it is appointed. */
export interface Work extends Importing {
  id: string
  worker: string
  signal: AbortSignal
  /** What the heartbeat tells the client. */
  message: string
  /** The file that is being written, which the heartbeat keeps from the sweep. */
  writing: string
}

/** The task under lock, if this worker is still its worker. @throws Dismissed */
export async function held(tx: Tx, { id, worker }: Pick<Work, 'id' | 'worker'>): Promise<TaskRow> {
  const task = await tx
    .selectFrom('image.task')
    .selectAll()
    .where('id', '=', id)
    .where('worker', '=', worker)
    .forUpdate()
    .executeTakeFirst()
  if (!task || task.phase === 'end') throw new Dismissed()
  return task
}

const mebibytes = (size: number) => Math.floor(size / 2 ** 20)

/** A new file of the staging area, named before it is written. */
async function newFile(work: Work, task: TaskRow): Promise<string> {
  const file = randomUUID()
  await work.db.write(async (tx) => {
    await held(tx, work)
    await markStaged(tx, file, task.image_id!)
  })
  living.delete(work.writing)
  living.add(file)
  work.writing = file
  return file
}

/** The file is whole: the task goes on with it, and with what `change` says of its image. */
async function proceed(work: Work, file: string, size: number, phase: 'prepare' | 'store', change: object = {}): Promise<void> {
  await work.db.write(async (tx) => {
    const task = await held(tx, work)
    const image = await tx
      .updateTable('image.image')
      .set({ size, updated_at: sql<Date>`now()`, ...change })
      .where('id', '=', task.image_id)
      .returning(['id', 'owner'])
      .executeTakeFirst()
    if (!image) throw new Dismissed()
    if (task.file !== null && task.file !== file) await abandonStaged(tx, { file: task.file })
    await tx.updateTable('image.staged').set({ complete: true, size }).where('file', '=', file).execute()
    await tx.updateTable('image.task').set({ file, phase, updated_at: sql<Date>`now()` }).where('id', '=', work.id).execute()
    hintChanged(tx, 'image', image.id, image.owner)
  })
}

export async function fetchPhase(work: Work, task: TaskRow, secret: Secret): Promise<void> {
  const { config, reach, signal } = work
  if (secret.url === '') throw new Fault(400, 'The catalog has no image service in that region, with that interface.')
  const metadata = secret.token === undefined ? undefined : await fetchMetadata(secret, signal)
  const { data, size: announced } = await fetchUrl(
    reach,
    metadata ? `${secret.url}/file` : secret.url,
    metadata ? { signal, trusted: true, headers: { 'x-auth-token': secret.token! } } : { signal },
  )
  const file = await newFile(work, task)
  try {
    const size = await writeStaged(config, file, data, work.stores.largest, (sofar) => {
      work.message = `Fetched ${mebibytes(sofar)} MiB`
    })
    const expected = metadata?.size ?? announced
    if (expected !== undefined && size !== expected)
      throw new Fault(400, `The data ended after ${size} bytes, but ${expected} bytes were announced.`)
    crash('image: import fetched')
    await proceed(work, file, size, 'prepare', metadata && metadataChange(metadata))
  } catch (error) {
    data.destroy()
    await work.db.write((tx) => abandonStaged(tx, { file })).catch(() => {})
    throw error
  }
}

const metadataChange = ({ disk_format, container_format, properties }: GlanceMetadata) => ({
  disk_format,
  container_format,
  properties: sql`properties || ${json(properties)}`,
})

export async function preparePhase(work: Work, task: TaskRow): Promise<void> {
  const { config, plugins } = work
  const image = await work.db.read
    .selectFrom('image.image')
    .select(['disk_format', 'container_format'])
    .where('id', '=', task.image_id)
    .executeTakeFirst()
  if (!image || task.file === null) throw new Dismissed()
  const path = (file: string) => stagedFile(config, file)
  let file = task.file
  let change: object = {}
  const head = await headOf(path(file)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    throw new Fault(400, 'The data in the staging area is missing. Stage it again.')
  })
  const packed = plugins.decompress ? compression(head, image) : undefined
  if (packed) {
    work.message = 'Decompressing'
    const next = await newFile(work, task)
    await decompress(packed, path(file), path(next), work.stores.largest)
    crash('image: import decompressed')
    await proceed(work, next, fs.statSync(path(next)).size, 'prepare')
    file = next
  }
  if (plugins.convert && isConvertible(image, plugins.convert)) {
    work.message = `Converting to ${plugins.convert}`
    const next = await newFile(work, task)
    await convert(path(file), path(next), image, plugins.convert)
    file = next
    change = { disk_format: plugins.convert }
  }
  crash('image: import prepared')
  await proceed(work, file, fs.statSync(path(file)).size, 'store', change)
}

export async function storePhase(work: Work, task: TaskRow): Promise<void> {
  const { db } = work
  const [store, ...rest] = task.stores
  if (store === undefined) return await db.write(async (tx) => endImport(tx, await held(tx, work)))
  try {
    await storeIn(work, task, store, rest)
    crash('image: import stored')
  } catch (error) {
    if (task.every || error instanceof Dismissed || work.signal.aborted) throw error
    await db.write(async (tx) => {
      const now = await held(tx, work)
      const failed = [...now.failed, store]
      const message = error instanceof Fault ? error.message : `The store ${store} could not take the data.`
      await tx.updateTable('image.task').set({ stores: rest, failed, message }).where('id', '=', now.id).execute()
      // If none takes it, the last one's reason is the import's.
      if (rest.length === 0 && !someStored({ ...now, stores: rest, failed })) throw new Fault(400, message)
      await tellStores(tx, now, rest, failed)
    })
  }
}

async function storeIn(work: Work, task: TaskRow, id: string, rest: string[]): Promise<void> {
  const { config, db, stores } = work
  const image = await db.read.selectFrom('image.image').selectAll().where('id', '=', task.image_id).executeTakeFirst()
  if (!image) throw new Dismissed()
  const store = stores.of(id)
  const upload = randomUUID()
  await db.write(async (tx) => {
    await held(tx, work)
    await mark(tx, upload, id)
  })
  const source =
    task.file === null
      ? (await openImage(stores, image, undefined)).stream
      : fs.createReadStream(stagedFile(config, task.file), { highWaterMark: 2 ** 20 })
  const data = addAbortSignal(work.signal, Readable.from(counted(source, work), { objectMode: false }))
  const whole = { expected: image.size ?? undefined, algorithm: image.os_hash_algo ?? undefined }
  await carry(db, stores, { store, upload, data, declared: image, ...whole }, async (tx, bits, location) => {
    const now = await held(tx, work)
    // The image is active with its first store where one is enough, else with its last.
    const status = now.every && rest.length > 0 ? image.status : 'active'
    const stored = await tx
      .updateTable('image.image')
      .set({ ...bits, locations: sql`locations || ${json([location])}`, status, updated_at: sql<Date>`now()` })
      .where('id', '=', task.image_id)
      .where('status', '=', image.status)
      .where((e) => e.or([e('os_hash_value', 'is', null), e('os_hash_value', '=', bits.os_hash_value)]))
      .returning(['id', 'owner'])
      .executeTakeFirst()
    if (!stored) throw new Fault(409, `Image ${task.image_id} changed while its data was written into the store ${id}.`)
    const message = `Copied ${mebibytes(bits.size)} MiB`
    await tx.updateTable('image.task').set({ stores: rest, message, updated_at: sql<Date>`now()` }).where('id', '=', now.id).execute()
    await tellStores(tx, now, rest, now.failed)
    hintChanged(tx, 'image', stored.id, stored.owner)
  })
}

async function* counted(file: Readable, work: Work): AsyncGenerator<Buffer, void> {
  let size = 0
  for await (const chunk of file as AsyncIterable<Buffer>) {
    size += chunk.length
    work.message = `Copied ${mebibytes(size)} MiB`
    yield chunk
  }
}
