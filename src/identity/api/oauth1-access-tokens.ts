// What access users have given to programs (OS-OAUTH1), and taking it back.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { forbidden, notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import type { Who } from '../../http/who.ts'
import { identityChanged } from '../control/changed.ts'
import type { RoleRow } from './find.ts'
import { base, collection, limitOf, matching, selfLink } from './list.ts'
import { roleView } from './roles.ts'
import { timestamp } from './token-view.ts'

const shown = (tx: Tx, userId: string) =>
  tx
    .selectFrom('identity.oauth_access_token as t')
    .select(['id', 'consumer_id', 'authorizing_user_id', 'project_id', 'role_ids', 'expires_at'])
    .where('authorizing_user_id', '=', userId)
type Shown = Awaited<ReturnType<ReturnType<typeof shown>['executeTakeFirstOrThrow']>>

function view(call: Pick<Call, 'url'>, { id, consumer_id, authorizing_user_id, project_id, expires_at }: Shown) {
  const { self } = selfLink(call, 'users', authorizing_user_id, 'OS-OAUTH1', 'access_tokens', id)
  return {
    ...{ id, consumer_id, authorizing_user_id, project_id },
    expires_at: timestamp(expires_at.getTime()),
    links: { self, roles: `${self}/roles` },
  }
}

/** @throws Fault 404, also for a token that another user gave */
async function findAccessToken({ tx, params }: Pick<Call, 'tx' | 'params'>): Promise<Shown> {
  const token = await shown(tx, params.user_id ?? '')
    .where('id', '=', params.access_token_id ?? '')
    .executeTakeFirst()
  if (!token) throw notFound('Access token not found')
  return token
}

/** @throws Fault 403: what was lent is not there to lend, nor to take back what else was */
function refuseDelegated({ delegation }: Who): void {
  if (delegation) throw forbidden('Cannot manage OAuth access tokens with a token issued via delegation.')
}

const rolesOf = (tx: Tx, { role_ids }: Shown) =>
  tx.selectFrom('identity.role').selectAll().where('id', '=', sql<string>`any(${role_ids})`).orderBy('id').execute()

/** Keystone leaves the description out here. */
function shortView(call: Pick<Call, 'url'>, role: RoleRow) {
  const { description: _unshown, ...view } = roleView(call, role)
  return view
}

const path = '/users/:user_id/OS-OAUTH1/access_tokens'

export const oauth1AccessTokens = [
  row({
    route: `GET ${path}`,
    policy: 'identity:list_access_tokens',
    reply: 200,
    summary: 'List the access that a user has given to programs',
    async run(call) {
      const { tx, who, query, params } = call
      refuseDelegated(who)
      const rows = await shown(tx, params.user_id)
        .where(matching(query, {}, 't'))
        .orderBy('id')
        .limit(limitOf(query))
        .execute()
      return collection(call, 'access_tokens', rows, (token) => view(call, token))
    },
  }),
  row({
    route: `GET ${path}/:access_token_id`,
    policy: 'identity:get_access_token',
    reply: 200,
    summary: 'Show what access a user has given to a program',
    async run(call) {
      refuseDelegated(call.who)
      return { access_token: view(call, await findAccessToken(call)) }
    },
  }),
  row({
    route: `DELETE ${path}/:access_token_id`,
    policy: 'identity:delete_access_token',
    reply: 204,
    summary: 'Take back the access that a user has given to a program; its tokens end at once',
    async run(call) {
      const { tx, who } = call
      refuseDelegated(who)
      const { id } = await findAccessToken(call)
      await tx.deleteFrom('identity.oauth_access_token').where('id', '=', id).execute()
      await identityChanged(tx)
    },
  }),
  row({
    route: `GET ${path}/:access_token_id/roles`,
    policy: 'identity:list_access_token_roles',
    reply: 200,
    summary: 'List the roles that a user has given to a program',
    async run(call) {
      const roles = await rolesOf(call.tx, await findAccessToken(call))
      const links = { self: base(call) + call.url.path.replace(/^.*?\/v3/, ''), previous: null, next: null }
      return { links, roles: roles.map((role) => shortView(call, role)) }
    },
  }),
  row({
    route: `GET ${path}/:access_token_id/roles/:role_id`,
    policy: 'identity:get_access_token_role',
    reply: 200,
    summary: 'Show a role that a user has given to a program',
    async run(call) {
      const { tx, params } = call
      const role = (await rolesOf(tx, await findAccessToken(call))).find(({ id }) => id === params.role_id)
      if (!role) throw notFound(`Could not find role: ${params.role_id}.`)
      return { role: shortView(call, role) }
    },
  }),
]
