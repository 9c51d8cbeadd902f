// With whom a shared image is shared: projects that its owner names, and that accept or reject it.

import { type Selectable, sql } from 'kysely'
import { Type as t } from 'typebox'
import type { ImageMember } from '../../database/types.ts'
import { badRequest, conflict, forbidden, notFound } from '../../http/fault.ts'
import { row } from '../../http/table.ts'
import { hintChanged } from '../../work/hint.ts'
import { type Asking, type ImageRow, imageTarget, seeImage, viewerOf } from './find.ts'
import { refuseTooMany } from './properties.ts'
import { isoTime } from './view.ts'

const memberView = (member: Selectable<ImageMember>) => ({
  member_id: member.member_id,
  image_id: member.image_id,
  status: member.status,
  created_at: isoTime(member.created_at),
  updated_at: isoTime(member.updated_at),
  schema: '/v2/schemas/member',
})

/** The shared image that the caller sees. */
async function sharedImage(call: Asking, id: string, doing: string, lock: 'lock' | 'look' = 'look'): Promise<ImageRow> {
  const image = await seeImage(call, id, lock)
  if (image.visibility === 'shared') return image
  throw forbidden(`Not allowed to ${doing} members for image ${id}: Only shared images have members.`)
}

const findMember = (call: Asking, image_id: string, member_id: string) =>
  call.tx.selectFrom('image.member').selectAll().where('image_id', '=', image_id).where('member_id', '=', member_id).executeTakeFirst()

const noMember = (member: string, image: string) => notFound(`${member} not found in the member list of the image ${image}.`)

/** A member sees and answers its own membership only; `member_id` is whose it is. */
const memberTarget = (image: ImageRow, member_id: string | undefined) => ({ ...imageTarget(image), member_id })

export const members = [
  row({
    route: 'GET /v2/images/:image_id/members',
    policy: 'get_members',
    target: 'loaded',
    reply: 200,
    summary: 'List the members of a shared image: all of them for its owner, oneself for a member',
    async run(call) {
      const { must, params, tx, who } = call
      const image = await sharedImage(call, params.image_id, 'list')
      const mine = who.project?.id
      must('get_members', memberTarget(image, mine))
      const all = viewerOf(call).admin || mine === image.owner
      const rows = await tx
        .selectFrom('image.member')
        .selectAll()
        .where('image_id', '=', image.id)
        .$if(!all, (query) => query.where('member_id', '=', mine ?? ''))
        .orderBy('created_at')
        .orderBy('member_id')
        .execute()
      return { members: rows.map(memberView), schema: '/v2/schemas/members' }
    },
  }),
  row({
    route: 'POST /v2/images/:image_id/members',
    policy: 'add_member',
    target: 'loaded',
    body: t.Object({ member: t.String({ maxLength: 255 }) }, { additionalProperties: true }),
    reply: 200,
    summary: 'Share an image with a project',
    async run(call) {
      const { body, must, params, tx } = call
      if (body.member === '') throw badRequest("Member can't be empty")
      const image = await sharedImage(call, params.image_id, 'create', 'lock')
      must('add_member', memberTarget(image, undefined))
      const { count } = await tx
        .selectFrom('image.member')
        .select((e) => e.fn.countAll<number>().as('count'))
        .where('image_id', '=', image.id)
        .executeTakeFirstOrThrow()
      refuseTooMany('members', count + 1)
      const member = await tx
        .insertInto('image.member')
        .values({ image_id: image.id, member_id: body.member })
        .onConflict((on) => on.doNothing())
        .returningAll()
        .executeTakeFirst()
      if (!member) throw conflict(`Member ${body.member} is duplicated for image ${image.id}`)
      hintChanged(tx, 'image', image.id, body.member)
      return memberView(member)
    },
  }),
  row({
    route: 'GET /v2/images/:image_id/members/:member_id',
    policy: 'get_member',
    target: 'loaded',
    reply: 200,
    summary: 'Show a membership',
    async run(call) {
      const { may, params } = call
      const image = await seeImage(call, params.image_id)
      const member = await findMember(call, image.id, params.member_id)
      if (!member || image.visibility !== 'shared' || !may('get_member', memberTarget(image, params.member_id))) {
        throw noMember(params.member_id, image.id)
      }
      return memberView(member)
    },
  }),
  row({
    route: 'PUT /v2/images/:image_id/members/:member_id',
    policy: 'modify_member',
    target: 'loaded',
    body: t.Object({ status: t.Unknown() }, { additionalProperties: true }),
    reply: 200,
    summary: 'Accept or reject an image that was shared with the project',
    async run(call) {
      const { body, must, params, tx } = call
      const image = await sharedImage(call, params.image_id, 'update', 'lock')
      must('modify_member', memberTarget(image, params.member_id))
      const { status } = body
      if (status !== 'pending' && status !== 'accepted' && status !== 'rejected') {
        throw badRequest('Incorrect request: Status must be "pending", "accepted" or "rejected".')
      }
      const member = await tx
        .updateTable('image.member')
        .set({ status, updated_at: sql<Date>`now()` })
        .where('image_id', '=', image.id)
        .where('member_id', '=', params.member_id)
        .returningAll()
        .executeTakeFirst()
      if (!member) throw noMember(params.member_id, image.id)
      hintChanged(tx, 'image', image.id, params.member_id)
      return memberView(member)
    },
  }),
  row({
    route: 'DELETE /v2/images/:image_id/members/:member_id',
    policy: 'delete_member',
    target: 'loaded',
    reply: 204,
    summary: 'No longer share an image with a project',
    async run(call) {
      const { must, params, tx } = call
      const image = await sharedImage(call, params.image_id, 'delete', 'lock')
      must('delete_member', memberTarget(image, params.member_id))
      const { numDeletedRows } = await tx
        .deleteFrom('image.member')
        .where('image_id', '=', image.id)
        .where('member_id', '=', params.member_id)
        .executeTakeFirst()
      if (numDeletedRows === 0n) throw noMember(params.member_id, image.id)
      hintChanged(tx, 'image', image.id, params.member_id)
    },
  }),
]
