// What an import is, from its request to its end, as rows: the task that clients watch and the marks on its image. What is done in between
// is in import-work.ts.
import { randomUUID } from 'node:crypto'
import { type Selectable, sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import type { ImageTask, JsonObject } from '../../database/types.ts'
import type { SealedColumn } from '../../identity/control/secret-key.ts'
import { poke } from '../../work/engine.ts'
import { hintChanged } from '../../work/hint.ts'
import { type Location, locationsOf, release } from './locations.ts'
import { withinQuota } from './quota.ts'
import { abandonStaged } from './staging.ts'

export type TaskRow = Selectable<ImageTask>
export type Method = 'glance-direct' | 'web-download' | 'glance-download' | 'copy-image'
export const methods: Method[] = ['glance-direct', 'web-download', 'copy-image', 'glance-download']

const firstPhase: Record<Method, string> = {
  'glance-direct': 'prepare',
  'web-download': 'fetch',
  'glance-download': 'fetch',
  'copy-image': 'store',
}

/** How long an ended task is told of: Glance's task_time_to_live. */
const lifetime = '48 hours'

export interface NewTask {
  type: 'api_image_import' | 'import'
  owner: string
  user_id: string
  request_id: string
  image_id: string
  method: Method
  /** As shown. */
  input: JsonObject
  /** Those that are to get the data, in order. */
  stores: string[]
  /** all_stores_must_succeed */
  every: boolean
  /** In the staging area; with glance-direct it is there already. */
  file: string | null
  secret: { id: string; sealed: Buffer } | null
  /** What the operator adds to the image's properties. */
  inject: Record<string, string>
}

/** Begins an import of an image whose row is locked and fit for it. @throws Fault 413 if its project is over a limit */
export async function beginImport(tx: Tx, image: { id: string; owner: string; properties: unknown }, task: NewTask): Promise<TaskRow> {
  const { inject, secret, input, type, owner, user_id, request_id, image_id, method, stores, every, file } = task
  const id = secret?.id ?? randomUUID()
  const made = await tx
    .insertInto('image.task')
    .values({
      ...{ id, type, owner, user_id, request_id, image_id, method, stores, every, file },
      input: json(input),
      secret: secret?.sealed ?? null,
      phase: firstPhase[method],
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  const properties = {
    ...(image.properties as JsonObject),
    ...inject,
    os_glance_import_task: id,
    os_glance_importing_to_stores: stores.join(','),
    os_glance_failed_import: '',
  }
  await tx
    .updateTable('image.image')
    .set({ properties: json(properties), updated_at: sql<Date>`now()`, ...(method !== 'copy-image' && { status: 'importing' }) })
    .where('id', '=', image.id)
    .execute()
  await withinQuota(
    tx,
    image.owner,
    'image_size_total',
    ...(method === 'glance-direct' ? [] : (['image_stage_total', 'image_count_uploading'] as const)),
  )
  await poke(tx, 'image-import', id)
  hintChanged(tx, 'image', image.id, image.owner)
  return made
}

/** Writes on the image which stores still get the data, and which could not take it. */
export async function tellStores(tx: Tx, { image_id }: Pick<TaskRow, 'image_id'>, stores: string[], failed: string[]): Promise<void> {
  const told = json({ os_glance_importing_to_stores: stores.join(','), os_glance_failed_import: failed.join(',') })
  await tx
    .updateTable('image.image')
    .set({ properties: sql`properties || ${told}`, updated_at: sql<Date>`now()` })
    .where('id', '=', image_id)
    .execute()
}

/** Ends a task that is not over yet: its image is free again, what lies in the staging area goes. */
export async function endImport(tx: Tx, task: TaskRow, failure?: string, before: JsonObject = {}): Promise<void> {
  const failed = failure === undefined ? task.failed : [...task.failed, ...task.stores]
  const image = await tx
    .selectFrom('image.image')
    .select(['id', 'status', 'locations', 'properties'])
    .where('id', '=', task.image_id)
    .forUpdate()
    .executeTakeFirst()
  if (image) {
    const { os_glance_import_task: _, ...properties } = image.properties as JsonObject
    // A copy that failed leaves its image as it was; any other import begins anew.
    const again = failure !== undefined && task.method !== 'copy-image'
    const { properties: earlier, ...formats } = before
    const locations = locationsOf(image)
    const undone = failure === undefined ? [] : locations.filter((location) => madeBy(task, location))
    await tx
      .updateTable('image.image')
      .set({
        properties: json({
          ...properties,
          ...(again && (earlier as JsonObject | undefined)),
          os_glance_importing_to_stores: '',
          os_glance_failed_import: failed.join(','),
        }),
        updated_at: sql<Date>`now()`,
        ...(again && {
          status: 'queued',
          size: null,
          virtual_size: null,
          checksum: null,
          os_hash_algo: null,
          os_hash_value: null,
        }),
        ...(again && (formats as object)),
        locations: json(locations.filter((location) => !undone.includes(location))),
      })
      .where('id', '=', image.id)
      .execute()
    await release(tx, undone)
  }
  await tx
    .updateTable('image.task')
    .set({
      phase: 'end',
      status: failure === undefined ? 'success' : 'failure',
      stores: [],
      failed,
      secret: null,
      worker: null,
      updated_at: sql<Date>`now()`,
      expires_at: sql<Date>`now() + ${lifetime}::interval`,
      ...(failure === undefined ? { result: json({ image_id: task.image_id }) } : { message: failure }),
    })
    .where('id', '=', task.id)
    .execute()
  if (task.file !== null) await abandonStaged(tx, { file: task.file })
  await poke(tx, 'image-import', task.id)
  hintChanged(tx, 'image', task.image_id!, task.owner)
}

/** To what the secret of a task is sealed. */
export const nameOfTaskSecret = (id: string): string => `image task ${id}`

/** What secret.key seals of images; see identity/control/secret-key.ts. */
export const sealedColumns: SealedColumn[] = [{ table: 'image.task', column: 'secret', ids: ['id'], name: nameOfTaskSecret }]

/** Whether some store has the data already. */
export const someStored = ({ input, stores, failed }: TaskRow): boolean =>
  ((input as { backend?: string[] }).backend ?? []).length > stores.length + failed.length

/** Whether this import brought the data to where it is. */
function madeBy({ input, stores, failed }: TaskRow, { store }: Location): boolean {
  const { backend = [] } = input as { backend?: string[] }
  return backend.includes(store) && !stores.includes(store) && !failed.includes(store)
}

/** An image is being deleted: what is staged for it goes, its imports end. */
export async function forgetImports(tx: Tx, image_id: string): Promise<void> {
  await abandonStaged(tx, { image_id })
  const tasks = await tx.selectFrom('image.task').select('id').where('image_id', '=', image_id).where('phase', '<>', 'end').execute()
  for (const { id } of tasks) await poke(tx, 'image-import', id)
}
