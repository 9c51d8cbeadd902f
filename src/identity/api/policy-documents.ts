// Policy documents (/v3/policies): blobs that operators may store for other services to fetch. Nothing in Wisp reads them; its own rules
// are in the policy file.
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { newId } from '../control/changed.ts'
import { extraOf, partial, sameId, wrapped } from './fields.ts'
import { lock, orGone } from './find.ts'
import { collection, limitOf, matching, selfLink } from './list.ts'

const properties = { blob: t.String(), type: t.String({ maxLength: 255 }) }
const known = Object.keys(properties)

const peek = (tx: Tx, id: string) => tx.selectFrom('identity.policy').selectAll().where('id', '=', id).executeTakeFirst()
export type PolicyRow = NonNullable<Awaited<ReturnType<typeof peek>>>

/** @throws Fault 404 */
export async function findPolicy(tx: Tx, id: string): Promise<PolicyRow> {
  const policy = await peek(tx, id)
  if (!policy) throw notFound(`Could not find policy: ${id}.`)
  return policy
}

export const policyView = (call: Pick<Call, 'url'>, { id, type, blob, extra }: PolicyRow) => ({
  ...(extra as object),
  id,
  type,
  blob,
  links: selfLink(call, 'policies', id),
})

export const policyDocuments = [
  row({
    route: 'GET /policies',
    policy: 'identity:list_policies',
    reply: 200,
    summary: 'List policy documents',
    async run(call) {
      const rows = await call.tx
        .selectFrom('identity.policy as p')
        .selectAll()
        .where(matching(call.query, { type: 'text' }, 'p'))
        .orderBy('id')
        .limit(limitOf(call.query))
        .execute()
      return collection(call, 'policies', rows, (policy) => policyView(call, policy))
    },
  }),
  row({
    route: 'POST /policies',
    policy: 'identity:create_policy',
    body: wrapped('policy', t.Object(properties, { additionalProperties: true })),
    reply: 201,
    summary: 'Store a policy document',
    async run(call) {
      const { type, blob } = call.body.policy
      const values = { id: newId(), type, blob, extra: extraOf(call.body.policy, known) }
      return {
        policy: policyView(call, await call.tx.insertInto('identity.policy').values(values).returningAll().executeTakeFirstOrThrow()),
      }
    },
  }),
  row({
    route: 'GET /policies/:policy_id',
    policy: 'identity:get_policy',
    reply: 200,
    summary: 'Show a policy document',
    async run(call) {
      return { policy: policyView(call, await findPolicy(call.tx, call.params.policy_id)) }
    },
  }),
  row({
    route: 'PATCH /policies/:policy_id',
    policy: 'identity:update_policy',
    body: wrapped('policy', partial(properties)),
    reply: 200,
    summary: 'Change a policy document',
    async run(call) {
      const { body, tx } = call
      await lock(tx, 'policy', call.params.policy_id)
      const old = await findPolicy(tx, call.params.policy_id)
      sameId(body.policy, old.id)
      const { type = old.type, blob = old.blob } = body.policy
      const values = { type, blob, extra: extraOf(body.policy, known, old.extra) }
      const policy = await tx
        .updateTable('identity.policy')
        .set(values)
        .where('id', '=', old.id)
        .returningAll()
        .executeTakeFirstOrThrow(orGone('policy', old.id))
      return { policy: policyView(call, policy) }
    },
  }),
  row({
    route: 'DELETE /policies/:policy_id',
    policy: 'identity:delete_policy',
    reply: 204,
    summary: 'Delete a policy document',
    async run({ tx, params }) {
      const { id } = await findPolicy(tx, params.policy_id)
      await tx.deleteFrom('identity.policy').where('id', '=', id).execute()
    },
  }),
]
