// Groups of users: a role that a group has, all its members have.
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { notFound } from '../../http/fault.ts'
import { type AnyRow, type Call, row } from '../../http/table.ts'
import type { SecurityCompliance } from '../../security-compliance.ts'
import { identityChanged, newId } from '../control/changed.ts'
import { forgetActors } from '../control/projects.ts'
import { extraOf, id, name, partial, sameDomain, sameId, taken, text, wrapped } from './fields.ts'
import { findDomain, findGroup, findUser, type GroupRow, lock, orGone, peekGroup, peekUser } from './find.ts'
import { homeDomain } from './home.ts'
import { collection, limitOf, matching, selfLink } from './list.ts'
import { expiring, shownUsers, userView } from './user-list.ts'

const properties = { name: name(), description: text, domain_id: t.Optional(id) }
const known = Object.keys(properties)
const duplicate = (name: string) => taken('group', `Duplicate entry found with name ${name}`)

export const groupView = (call: Pick<Call, 'url'>, group: GroupRow) => ({
  ...(group.extra as object),
  id: group.id,
  name: group.name,
  domain_id: group.domain_id,
  description: group.description,
  links: selfLink(call, 'groups', group.id),
})

const theGroup = async ({ tx, params }: { tx: Tx; params: Record<string, string> }) => ({
  target: {
    group: await peekGroup(tx, params.group_id ?? ''),
    ...(params.user_id !== undefined && { user: await peekUser(tx, params.user_id) }),
  },
})

export const groups = (compliance: SecurityCompliance): AnyRow[] => [
  row({
    route: 'GET /groups',
    policy: 'identity:list_groups',
    target: ({ who }) => ({ target: { group: { domain_id: who.domain?.id } } }),
    reply: 200,
    summary: 'List groups',
    async run(call) {
      const { query, tx, who } = call
      const rows = await tx
        .selectFrom('identity.group as g')
        .selectAll()
        .$if(who.domain !== null, (q) => q.where('domain_id', '=', who.domain!.id))
        .where(matching(query, { name: 'text', domain_id: 'text' }, 'g'))
        .orderBy('id')
        .limit(limitOf(query))
        .execute()
      return collection(call, 'groups', rows, (group) => groupView(call, group))
    },
  }),
  row({
    route: 'POST /groups',
    policy: 'identity:create_group',
    target: ({ body }) => ({ target: { group: body.group } }),
    body: wrapped('group', t.Object(properties, { additionalProperties: true })),
    reply: 201,
    summary: 'Create a group',
    async run(call) {
      const { body, tx, who } = call
      const { name, description, domain_id = homeDomain(who) } = body.group
      await findDomain(tx, domain_id)
      const group = await tx
        .insertInto('identity.group')
        .values({ id: newId(), name, domain_id, description: description ?? '', extra: extraOf(body.group, known) })
        .returningAll()
        .executeTakeFirstOrThrow()
        .catch(duplicate(name))
      return { group: groupView(call, group) }
    },
  }),
  row({
    route: 'GET /groups/:group_id',
    policy: 'identity:get_group',
    target: theGroup,
    reply: 200,
    summary: 'Show a group',
    async run(call) {
      return { group: groupView(call, await findGroup(call.tx, call.params.group_id)) }
    },
  }),
  row({
    route: 'PATCH /groups/:group_id',
    policy: 'identity:update_group',
    target: theGroup,
    body: wrapped('group', partial(properties)),
    reply: 200,
    summary: 'Change a group',
    async run(call) {
      const { body, tx } = call
      await lock(tx, 'group', call.params.group_id)
      const old = await findGroup(tx, call.params.group_id)
      sameId(body.group, old.id)
      sameDomain(body.group, old.domain_id)
      const { name = old.name, description } = body.group
      const group = await tx
        .updateTable('identity.group')
        .set({
          name,
          description: description === undefined ? old.description : (description ?? ''),
          extra: extraOf(body.group, known, old.extra),
        })
        .where('id', '=', old.id)
        .returningAll()
        .executeTakeFirstOrThrow(orGone('group', old.id))
        .catch(duplicate(name))
      return { group: groupView(call, group) }
    },
  }),
  row({
    route: 'DELETE /groups/:group_id',
    policy: 'identity:delete_group',
    target: async ({ tx, params }) => ({ target: { group: await findGroup(tx, params.group_id) } }),
    reply: 204,
    summary: 'Delete a group; its members lose what they had through it',
    async run({ tx, params }) {
      const { id } = await findGroup(tx, params.group_id)
      await forgetActors(tx, 'group', [id])
      await tx.deleteFrom('identity.group').where('id', '=', id).execute()
      await identityChanged(tx)
    },
  }),
  row({
    route: 'GET /groups/:group_id/users',
    policy: 'identity:list_users_in_group',
    target: theGroup,
    reply: 200,
    summary: 'List the members of a group',
    async run(call) {
      const { query, tx, who, params } = call
      await findGroup(tx, params.group_id)
      const rows = await shownUsers(tx)
        .innerJoin('identity.group_member as m', 'm.user_id', 'u.id')
        .where('m.group_id', '=', params.group_id)
        .$if(who.domain !== null, (q) => q.where('u.domain_id', '=', who.domain!.id))
        .where(matching(query, { name: 'text', domain_id: 'text', enabled: 'boolean' }, 'u'))
        .where(expiring(query))
        .orderBy('u.id')
        .limit(limitOf(query))
        .execute()
      return collection(call, 'users', rows, (user) => userView(call, user, compliance))
    },
  }),
  row({
    route: 'PUT /groups/:group_id/users/:user_id',
    policy: 'identity:add_user_to_group',
    target: theGroup,
    reply: 204,
    summary: 'Add a user to a group',
    async run({ tx, params }) {
      const { id: group_id } = await findGroup(tx, params.group_id)
      const { id: user_id } = await findUser(tx, params.user_id)
      await tx
        .insertInto('identity.group_member')
        .values({ group_id, user_id })
        .onConflict((c) => c.columns(['group_id', 'user_id']).doUpdateSet({ expires_at: null }))
        .execute()
      await identityChanged(tx)
    },
  }),
  row({
    route: 'GET /groups/:group_id/users/:user_id',
    policy: 'identity:check_user_in_group',
    target: theGroup,
    reply: 204,
    summary: 'Check whether a user is a member of a group',
    async run({ tx, params }) {
      await findMember(tx, params.group_id, params.user_id)
    },
  }),
  row({
    route: 'DELETE /groups/:group_id/users/:user_id',
    policy: 'identity:remove_user_from_group',
    target: theGroup,
    reply: 204,
    summary: 'Remove a user from a group',
    async run({ tx, params }) {
      await findMember(tx, params.group_id, params.user_id)
      await tx.deleteFrom('identity.group_member').where('group_id', '=', params.group_id).where('user_id', '=', params.user_id).execute()
      await identityChanged(tx)
    },
  }),
]

/** @throws Fault 404 if either does not exist, or the user is no member */
async function findMember(tx: Tx, groupId: string, userId: string): Promise<void> {
  await findGroup(tx, groupId)
  await findUser(tx, userId)
  const member = await tx
    .selectFrom('identity.group_member')
    .select('user_id')
    .where('group_id', '=', groupId)
    .where('user_id', '=', userId)
    .executeTakeFirst()
  if (!member) throw notFound(`User '${userId}' not found in group '${groupId}'`)
}
