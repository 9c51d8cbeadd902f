// What the engine does for this room: the sweep of image bits, for which each upload has a key 'image-data' from its beginning, so that
// after a crash someone comes to look; and the documents of a host's cache.
import { sql } from 'kysely'
import { crash } from '../../work/crash.ts'
import type { Handler } from '../../work/engine.ts'
import * as cache from './cache.ts'
import { living, patience } from './leftover.ts'
import type { Stores } from './stores.ts'
import { giveUp } from './upload.ts'

export { hello } from './cache.ts'

/** How many removals one store is asked for at once: a removal may be a process, or take minutes. */
const atOnce = 2

/** Handlers of the due keys that the image room owns. */
export function handlers(stores: Stores): Record<string, Handler> {
  const queues = new Map(stores.all.map(({ id }) => [id, queue(atOnce)]))
  return {
    ...cache.handlers,
    /** An upload's marker that nobody has renewed: its image is queued again, its bits go, then the marker. */
    'image-data': async (tx, upload) => {
      const image = await tx.selectFrom('image.image').select(['id', 'status']).where('upload', '=', upload).forUpdate().executeTakeFirst()
      // Nobody could renew while the database was away, so that time does not count.
      const marker = await tx
        .selectFrom('image.leftover')
        .select(['store', sql<boolean>`since = 'epoch'`.as('ended')])
        .select(sql<boolean>`greatest(since, pg_postmaster_start_time()) < now() - ${patience} * interval '1 millisecond'`.as('stale'))
        .where('upload', '=', upload)
        .forUpdate()
        .executeTakeFirst()
      if (!marker) return null
      if (!marker.ended && (!marker.stale || living.has(upload))) return patience
      if (image && image.status !== 'saving') throw new Error(`The bits of image ${image.id} (${image.status}) are marked as left over`)
      await giveUp(tx, upload)
      const store = stores.of(marker.store)
      return {
        async run() {
          await queues.get(store.id)!(() => store.remove(upload))
          crash('image: bits removed')
        },
        async after(tx) {
          await tx.deleteFrom('image.leftover').where('upload', '=', upload).execute()
          return null
        },
      }
    },
  }
}

/** Runs what it is given, only so many at a time. */
function queue(places: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = places
  const waiting: (() => void)[] = []
  return async (work) => {
    if (free > 0) free--
    else await new Promise<void>((go) => waiting.push(go))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}
