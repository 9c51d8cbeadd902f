// Implied roles: who has one role has the other, too. By default admin implies manager, that member, and that reader.

import type { Tx } from '../../database/connect.ts'
import { forbidden, notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { identityChanged } from '../control/changed.ts'
import { taken } from './fields.ts'
import { findRole } from './find.ts'
import { base, selfLink } from './list.ts'

/** Nothing may imply this role, or a slip would make everyone an administrator (keystone.conf's prohibited_implied_role). */
const prohibited = ['admin']

interface Named {
  id: string
  name: string
}

const brief = (call: Pick<Call, 'url'>, { id, name }: Named) => ({ id, name, links: selfLink(call, 'roles', id) })

const inference = (call: Pick<Call, 'url'>, prior: Named, implied: Named) => ({
  role_inference: { prior_role: brief(call, prior), implies: brief(call, implied) },
  links: selfLink(call, 'roles', prior.id, 'implies', implied.id),
})

/** Both roles and that the one implies the other. @throws Fault 404 */
async function findInference(tx: Tx, priorId: string, impliedId: string): Promise<{ prior: Named; implied: Named }> {
  const prior = await findRole(tx, priorId)
  const implied = await findRole(tx, impliedId)
  const known = await tx
    .selectFrom('identity.implied_role')
    .selectAll()
    .where('prior_role_id', '=', priorId)
    .where('implied_role_id', '=', impliedId)
    .executeTakeFirst()
  if (!known) throw notFound(`${priorId} does not imply ${impliedId}.`)
  return { prior, implied }
}

const inferences = (tx: Tx) =>
  tx
    .selectFrom('identity.implied_role as i')
    .innerJoin('identity.role as p', 'p.id', 'i.prior_role_id')
    .innerJoin('identity.role as r', 'r.id', 'i.implied_role_id')
    .select(['p.id as prior_id', 'p.name as prior_name', 'r.id', 'r.name'])
    .orderBy('p.id')
    .orderBy('r.id')

export const impliedRoles = [
  row({
    route: 'GET /roles/:prior_role_id/implies',
    policy: 'identity:list_implied_roles',
    reply: 200,
    summary: 'List what a role implies',
    async run(call) {
      const prior = await findRole(call.tx, call.params.prior_role_id)
      const implied = await inferences(call.tx).where('p.id', '=', prior.id).execute()
      const role_inference = { prior_role: brief(call, prior), implies: implied.map((role) => brief(call, role)) }
      return { role_inference, links: selfLink(call, 'roles', prior.id, 'implies') }
    },
  }),
  row({
    route: 'GET /roles/:prior_role_id/implies/:implied_role_id',
    policy: 'identity:get_implied_role',
    reply: 200,
    summary: 'Show that a role implies another',
    async run(call) {
      const { prior, implied } = await findInference(call.tx, call.params.prior_role_id, call.params.implied_role_id)
      return inference(call, prior, implied)
    },
  }),
  row({
    route: 'HEAD /roles/:prior_role_id/implies/:implied_role_id',
    policy: 'identity:check_implied_role',
    reply: 204,
    summary: 'Check whether a role implies another',
    async run({ tx, params }) {
      await findInference(tx, params.prior_role_id, params.implied_role_id)
    },
  }),
  row({
    route: 'PUT /roles/:prior_role_id/implies/:implied_role_id',
    policy: 'identity:create_implied_role',
    reply: 201,
    summary: 'Let a role imply another',
    async run(call) {
      const { tx, params } = call
      const prior = await findRole(tx, params.prior_role_id)
      const implied = await findRole(tx, params.implied_role_id)
      if (prohibited.includes(implied.name)) throw forbidden(`${implied.id} cannot be an implied roles.`)
      if (prior.domain_id === null && implied.domain_id !== null) throw forbidden('Global role cannot imply a domain-specific role')
      await tx
        .insertInto('identity.implied_role')
        .values({ prior_role_id: prior.id, implied_role_id: implied.id })
        .execute()
        .catch(taken('implied_role', `Duplicate entry found with ID ${prior.id}`))
      await identityChanged(tx)
      return inference(call, prior, implied)
    },
  }),
  row({
    route: 'DELETE /roles/:prior_role_id/implies/:implied_role_id',
    policy: 'identity:delete_implied_role',
    reply: 204,
    summary: 'Let a role no longer imply another',
    async run({ tx, params }) {
      await findInference(tx, params.prior_role_id, params.implied_role_id)
      await tx
        .deleteFrom('identity.implied_role')
        .where('prior_role_id', '=', params.prior_role_id)
        .where('implied_role_id', '=', params.implied_role_id)
        .execute()
      await identityChanged(tx)
    },
  }),
  row({
    route: 'GET /role_inferences',
    policy: 'identity:list_role_inference_rules',
    reply: 200,
    summary: 'List all that roles imply',
    async run(call) {
      const byPrior = Map.groupBy(await inferences(call.tx).execute(), ({ prior_id }) => prior_id)
      const role_inferences = [...byPrior].map(([id, rules]) => ({
        prior_role: brief(call, { id, name: rules[0]!.prior_name }),
        implies: rules.map((role) => brief(call, role)),
      }))
      return { role_inferences, links: { self: `${base(call)}/role_inferences` } }
    },
  }),
]
