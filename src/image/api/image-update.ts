// PATCH of an image, and its tags: both change the row under its lock, so that two changes at once both hold.

import { sql } from 'kysely'
import { Type as t } from 'typebox'
import { json, type Tx } from '../../database/connect.ts'
import { notFound } from '../../http/fault.ts'
import { row } from '../../http/table.ts'
import { hintChanged } from '../../work/hint.ts'
import { changeLocations, type GivenLocation, type LocationChange, sizesOf } from '../control/location-changes.ts'
import type { Stores } from '../control/stores.ts'
import { findImage, type ImageRow, imageTarget, seeImage, viewerOf } from './find.ts'
import { mustVisibility } from './images.ts'
import { applyPatch, type Change, readPatch } from './patch.ts'
import { refuseTooMany, refuseValue, uniqueTags } from './properties.ts'
import { imageView } from './view.ts'

async function setTags(tx: Tx, image: ImageRow, tags: string[]): Promise<void> {
  await tx.updateTable('image.image').set({ tags, updated_at: sql<Date>`now()` }).where('id', '=', image.id).execute()
  hintChanged(tx, 'image', image.id, image.owner)
}

const asLocationChange = ({ op, position = '-', value }: Change): LocationChange => {
  if (op === 'remove') return { op, position }
  return op === 'add' ? { op, position, value: value as GivenLocation } : { op, value: value as GivenLocation[] }
}

export const imageUpdate = (stores: Stores) => [
  row({
    route: 'PATCH /v2/images/:image_id',
    policy: 'modify_image',
    target: 'loaded',
    body: t.Unknown(),
    input: 'json-patch',
    reply: 200,
    summary: 'Change properties of an image',
    transaction: 'own',
    async run(call) {
      const { body, db, headers, params } = call
      const changes = readPatch(body, headers['content-type']?.includes('v2.0') ?? false, stores.showLocations)
      const moves = changes.filter(({ name }) => name === 'locations').map(asLocationChange)
      // Other servers are asked before the row is locked.
      const sizes = moves.length > 0 ? await sizesOf(stores, await seeImage(call, params.image_id), moves) : new Map<string, number>()
      return db.write(async (tx) => {
        const image = await seeImage({ ...call, tx }, params.image_id, 'lock')
        const target = imageTarget(image)
        for (const { name, value, op } of changes) {
          if (name === 'visibility' && op !== 'remove') mustVisibility(call, value as string, target)
          if (name === 'locations') call.must(op === 'remove' ? 'delete_image_location' : 'set_image_location', target)
        }
        call.must('modify_image', target)
        if (changes.length === 0) return imageView(stores, image)
        const { properties, ...columns } = applyPatch(
          image,
          changes.filter(({ name }) => name !== 'locations'),
          viewerOf(call).admin,
        )
        const changed = await tx
          .updateTable('image.image')
          .set({ ...columns, properties: json(properties), updated_at: sql<Date>`now()` })
          .where('id', '=', image.id)
          .returningAll()
          .executeTakeFirstOrThrow()
        hintChanged(tx, 'image', image.id, image.owner)
        if (moves.length === 0) return imageView(stores, changed)
        await changeLocations(tx, stores, changed, moves, sizes)
        return imageView(stores, await seeImage({ ...call, tx }, params.image_id))
      })
    },
  }),
  row({
    route: 'PUT /v2/images/:image_id/tags/:tag',
    policy: 'modify_image',
    target: 'loaded',
    reply: 204,
    summary: 'Add a tag to an image',
    async run(call) {
      const { params, tx } = call
      refuseValue('tags', [params.tag])
      const image = await findImage(call, params.image_id, 'modify_image', 'lock')
      const tags = uniqueTags([...image.tags, params.tag])
      refuseTooMany('tags', tags.length)
      if (tags.length > image.tags.length) await setTags(tx, image, tags)
    },
  }),
  row({
    route: 'DELETE /v2/images/:image_id/tags/:tag',
    policy: 'modify_image',
    target: 'loaded',
    reply: 204,
    summary: 'Remove a tag from an image',
    async run(call) {
      const { params, tx } = call
      const image = await findImage(call, params.image_id, 'modify_image', 'lock')
      if (!image.tags.includes(params.tag)) throw notFound(`Image ${image.id} has no tag '${params.tag.slice(0, 60)}'.`)
      await setTags(
        tx,
        image,
        image.tags.filter((tag) => tag !== params.tag),
      )
    },
  }),
]
