// Taking an image out of one of several stores. The stores themselves are listed with what else the service is (info.ts).
import { sql } from 'kysely'
import { json } from '../../database/connect.ts'
import { conflict, forbidden, notFound } from '../../http/fault.ts'
import { row } from '../../http/table.ts'
import { hintChanged } from '../../work/hint.ts'
import { locationsOf, refuseInUse, release } from '../control/locations.ts'
import type { Stores } from '../control/stores.ts'
import { imageTarget, seeImage } from './find.ts'

export const imageStores = (stores: Stores) => [
  row({
    route: 'DELETE /v2/stores/:store_id/:image_id',
    policy: 'delete_image_location',
    target: 'loaded',
    reply: 204,
    summary: 'Remove the data of an image from one of its stores',
    async run(call) {
      const { must, params, tx } = call
      const { store_id } = params
      if (!stores.all.some(({ id }) => id === store_id))
        throw conflict(`The selected store ${store_id.slice(0, 64)} is not available on this node.`)
      const image = await seeImage(call, params.image_id, 'lock')
      must('get_image_location', imageTarget(image))
      must('delete_image_location', imageTarget(image))
      if (image.status !== 'active') throw conflict("It's not allowed to remove image data from store if image status is not 'active'")
      const locations = locationsOf(image)
      if (locations.length === 1) {
        throw forbidden('Cannot delete image data from the only store containing it. Consider deleting the image instead.')
      }
      const gone = locations.find(({ store }) => store === store_id)
      if (!gone) throw notFound(`Image ${image.id} is not stored in store ${store_id}.`)
      await refuseInUse(tx, stores, image, [gone])
      await tx
        .updateTable('image.image')
        .set({ locations: json(locations.filter((location) => location !== gone)), updated_at: sql<Date>`now()` })
        .where('id', '=', image.id)
        .execute()
      await release(tx, [gone])
      hintChanged(tx, 'image', image.id, image.owner)
    },
  }),
]
