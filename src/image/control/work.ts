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

/** Handlers of the due keys that the image room owns. */
export const handlers = (stores: Stores): Record<string, Handler> => ({
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
    await stores.of(marker.store).remove(upload)
    crash('image: bits removed')
    await tx.deleteFrom('image.leftover').where('upload', '=', upload).execute()
    return null
  },
})
