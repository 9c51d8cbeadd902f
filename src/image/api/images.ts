// Images: create, list, show, delete, and the switch that keeps one from being used.
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { json } from '../../database/connect.ts'
import { badRequest, conflict, forbidden } from '../../http/fault.ts'
import { glanceLinks, glancePage, listPage } from '../../http/page.ts'
import { type Call, row } from '../../http/table.ts'
import { hintChanged } from '../../work/hint.ts'
import { forgetCopies } from '../control/cache.ts'
import { forgetImports, methods } from '../control/import-task.ts'
import { deleteImage, locationsOf, refuseInUse } from '../control/locations.ts'
import { withinQuota } from '../control/quota.ts'
import type { Stores } from '../control/stores.ts'
import { findImage, imageTarget, viewerOf } from './find.ts'
import { filtered, listed } from './image-filters.ts'
import { imageBody, isSettable, noOwner, refuseName, refuseTooMany, refuseValue, uniqueTags } from './properties.ts'
import { imageView } from './view.ts'

const listing = {
  id: 'i.id',
  columns: {
    name: { ref: 'i.name', nullable: true },
    status: 'i.status',
    container_format: { ref: 'i.container_format', nullable: true },
    disk_format: { ref: 'i.disk_format', nullable: true },
    size: { ref: 'i.size', nullable: true },
    id: 'i.id',
    created_at: 'i.created_at',
    updated_at: 'i.updated_at',
  },
  sort: [{ key: 'created_at', direction: 'desc' }],
} satisfies Parameters<typeof listPage>[2]

/** Asks the rule that a visibility has of its own. */
export function mustVisibility({ must }: Pick<Call, 'must'>, visibility: string, target: Record<string, unknown>): void {
  if (visibility === 'public') must('publicize_image', target)
  if (visibility === 'community') must('communitize_image', target)
}

export const images = (stores: Stores) => [
  row({
    route: 'GET /v2/images',
    policy: 'get_images',
    reply: 200,
    summary: 'List images',
    async run(call) {
      const { query, tx, url } = call
      const viewer = viewerOf(call)
      const page = glancePage(query, listing)
      const all = tx.selectFrom('image.image as i').selectAll().where(listed(viewer, query))
      const { rows, more } = await listPage(all.where(filtered(viewer, query)), page, listing, all)
      return {
        images: rows.filter((image) => call.may('get_image', imageTarget(image))).map((image) => imageView(stores, image)),
        schema: '/v2/schemas/images',
        ...glanceLinks('/v2/images', url, more, rows.at(-1)?.id),
      }
    },
  }),
  row({
    route: 'POST /v2/images',
    policy: 'add_image',
    target: 'loaded',
    body: imageBody,
    reply: 201,
    summary: 'Create an image; its data is uploaded afterwards',
    async run(call) {
      const { body, header, may, must, tx, url, who } = call
      for (const name of Object.keys(body)) refuseName(name, true)
      const own: Record<string, string> = {}
      for (const [name, value] of Object.entries(body)) {
        if (isSettable(name) || name === 'id') continue
        refuseValue(name, value)
        if (value !== null) own[name] = value as string
      }
      const { name = null, visibility = 'shared', disk_format = null, container_format = null } = body
      const { min_disk = 0, min_ram = 0, protected: kept = false, os_hidden = false } = body
      // Glance makes images that are nobody's; here each counts in the quota of a project, so null is none that was named.
      const owner = body.owner ?? who.project?.id ?? ''
      if (owner === '') throw badRequest(noOwner)
      const target = { project_id: owner, owner, visibility }
      if (who.project && !may('add_image', target) && owner !== who.project.id)
        throw forbidden(`You are not permitted to create images owned by '${owner}'`)
      must('add_image', target)
      mustVisibility(call, visibility, target)
      const tags = uniqueTags(body.tags ?? [])
      refuseTooMany('properties', Object.keys(own).length)
      refuseTooMany('tags', tags.length)

      const id = body.id ?? randomUUID()
      const image = await tx
        .insertInto('image.image')
        .values({
          id,
          owner,
          name,
          visibility,
          disk_format,
          container_format,
          min_disk,
          min_ram,
          protected: kept,
          os_hidden,
          tags,
          properties: json(own),
        })
        .onConflict((on) => on.doNothing())
        .returningAll()
        .executeTakeFirst()
      if (!image) throw conflict(`Image ID ${id} already exists!`)
      await withinQuota(tx, owner, 'image_count_total')
      hintChanged(tx, 'image', id, owner)
      header('location', `${url.origin}/image/v2/images/${id}`)
      header('openstack-image-import-methods', methods.join(','))
      header('openstack-image-store-ids', stores.all.map((store) => store.id).join(','))
      return imageView(stores, image)
    },
  }),
  row({
    route: 'GET /v2/images/:image_id',
    policy: 'get_image',
    target: 'loaded',
    reply: 200,
    summary: 'Show an image',
    run: async (call) => imageView(stores, await findImage(call, call.params.image_id, 'get_image')),
  }),
  row({
    route: 'DELETE /v2/images/:image_id',
    policy: 'delete_image',
    target: 'loaded',
    reply: 204,
    summary: 'Delete an image that is not protected; servers made of it keep running',
    async run(call) {
      const { params, tx } = call
      const image = await findImage(call, params.image_id, 'delete_image', 'lock')
      if (image.protected) throw forbidden(`Image ${image.id} is protected and cannot be deleted.`)
      await refuseInUse(tx, stores, image, locationsOf(image))
      // Its wishes first: else they would go with its row, before this waits for whoever is clearing all wishes.
      await forgetCopies(tx, image.id)
      await deleteImage(tx, image)
      await forgetImports(tx, image.id)
      hintChanged(tx, 'image', image.id, image.owner)
    },
  }),
  ...switches('deactivate', 'active', 'deactivated'),
  ...switches('reactivate', 'deactivated', 'active'),
]

/** An image that is there already is left as it is. */
function switches(word: 'deactivate' | 'reactivate', from: string, to: string) {
  return [
    row({
      route: `POST /v2/images/:image_id/actions/${word}`,
      policy: word,
      target: 'loaded',
      reply: 204,
      summary: word === 'deactivate' ? 'Keep an image from being downloaded and used' : 'Let a deactivated image be used again',
      async run(call) {
        const { headers, params, tx } = call
        if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0)
          throw badRequest('A body is not expected with this request.')
        const image = await findImage(call, params.image_id, word, 'lock')
        if (image.status === to) return
        if (image.status !== from) throw forbidden(`Not allowed to ${word} image in status '${image.status}'`)
        await tx.updateTable('image.image').set({ status: to, updated_at: sql<Date>`now()` }).where('id', '=', image.id).execute()
        hintChanged(tx, 'image', image.id, image.owner)
      },
    }),
  ]
}
