// Roles: names for what one may do. What each allows is decided by the policies of the services; who has one, by assignments.
// A role of a domain is that domain's own name for other roles, which it implies.
import { Type as t } from 'typebox'
import { type Call, row } from '../../http/table.ts'
import { identityChanged, newId } from '../control/changed.ts'
import {
  extraOf,
  id,
  name,
  nullable,
  options,
  optionsOf,
  partial,
  refuseDelete,
  refuseUpdate,
  sameDomain,
  sameId,
  taken,
  text,
  wrapped,
} from './fields.ts'
import { findDomain, findRole, lock, orGone, type RoleRow } from './find.ts'
import { asked, collection, limitOf, matching, selfLink } from './list.ts'

const properties = { name: name(), description: text, domain_id: t.Optional(nullable(id)), options }
const known = Object.keys(properties)
const duplicate = (name: string) => taken('role', `Duplicate entry found with name ${name}`)

export const roleView = (call: Pick<Call, 'url'>, role: RoleRow) => ({
  ...(role.extra as object),
  id: role.id,
  name: role.name,
  domain_id: role.domain_id,
  description: role.description,
  options: role.options,
  links: selfLink(call, 'roles', role.id),
})

/** Roles of a domain have rules of their own: `get_role` and `get_domain_role`. */
function mustFor(call: Pick<Call, 'must' | 'who'>, verb: string, role: { id?: string; name?: string; domain_id?: string | null }): void {
  const rule = `identity:${verb}_${role.domain_id ? 'domain_role' : 'role'}`
  call.must(rule, { target: { role } })
}

/** The role of the path. Who may not see roles still learns which ids exist, as in Keystone. */
async function roleFor(call: Pick<Call, 'must' | 'who' | 'tx'>, verb: string, id: string): Promise<RoleRow> {
  const role = await findRole(call.tx, id)
  mustFor(call, verb, role)
  return role
}

export const roles = [
  row({
    route: 'GET /roles',
    policy: 'identity:list_roles',
    target: 'loaded',
    reply: 200,
    summary: 'List roles',
    async run(call) {
      const { query, tx, who } = call
      const rule = `identity:list_${asked(query, 'domain_id') ? 'domain_roles' : 'roles'}`
      call.must(rule, { target: { domain_id: who.domain?.id } })
      const rows = await tx
        .selectFrom('identity.role as r')
        .selectAll()
        .where(matching({ domain_id: '', ...query }, { name: 'text', domain_id: 'text' }, 'r'))
        .orderBy('id')
        .limit(limitOf(query))
        .execute()
      return collection(call, 'roles', rows, (role) => roleView(call, role))
    },
  }),
  row({
    route: 'POST /roles',
    policy: 'identity:create_role',
    target: 'loaded',
    body: wrapped('role', t.Object(properties, { additionalProperties: true })),
    reply: 201,
    summary: 'Create a role',
    async run(call) {
      const { body, tx } = call
      mustFor(call, 'create', body.role)
      const { name, description = null, domain_id = null, options } = body.role
      if (domain_id !== null) await findDomain(tx, domain_id)
      const role = await tx
        .insertInto('identity.role')
        .values({ id: newId(), name, description, domain_id, options: optionsOf(options), extra: extraOf(body.role, known) })
        .returningAll()
        .executeTakeFirstOrThrow()
        .catch(duplicate(name))
      await identityChanged(tx)
      return { role: roleView(call, role) }
    },
  }),
  row({
    route: 'GET /roles/:role_id',
    policy: 'identity:get_role',
    target: 'loaded',
    reply: 200,
    summary: 'Show a role',
    async run(call) {
      return { role: roleView(call, await roleFor(call, 'get', call.params.role_id)) }
    },
  }),
  row({
    route: 'PATCH /roles/:role_id',
    policy: 'identity:update_role',
    target: 'loaded',
    body: wrapped('role', partial(properties)),
    reply: 200,
    summary: 'Change a role',
    async run(call) {
      const { body, tx } = call
      await lock(tx, 'role', call.params.role_id)
      const old = await roleFor(call, 'update', call.params.role_id)
      sameId(body.role, old.id)
      sameDomain(body.role, old.domain_id)
      refuseUpdate('role', old, body.role)
      const { name = old.name, description = old.description, options } = body.role
      const role = await tx
        .updateTable('identity.role')
        .set({ name, description, options: optionsOf(options, old.options), extra: extraOf(body.role, known, old.extra) })
        .where('id', '=', old.id)
        .returningAll()
        .executeTakeFirstOrThrow(orGone('role', old.id))
        .catch(duplicate(name))
      await identityChanged(tx)
      return { role: roleView(call, role) }
    },
  }),
  row({
    route: 'DELETE /roles/:role_id',
    policy: 'identity:delete_role',
    target: 'loaded',
    reply: 204,
    summary: 'Delete a role, and take it from everyone who has it',
    async run(call) {
      const role = await roleFor(call, 'delete', call.params.role_id)
      refuseDelete('role', role)
      await call.tx.deleteFrom('identity.role').where('id', '=', role.id).execute()
      await identityChanged(call.tx)
    },
  }),
]
