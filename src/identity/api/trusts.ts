// Trusts (OS-TRUST): a user lends roles in a project to another, who signs in with them, in the lender's name (impersonation) or their own.

import { sql } from 'kysely'
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { forbidden, notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import type { Who } from '../../http/who.ts'
import { identityChanged, newId } from '../control/changed.ts'
import { hasRoles } from '../control/facts.ts'
import { forbiddenAction } from '../control/faults.ts'
import { rolesNamed } from '../control/role-names.ts'
import { deleteTrust, peekTrust, type Redelegation, redelegations, type TrustRow, trustsUpFrom } from '../control/trusts.ts'
import { expiryOf, withMicroseconds } from './expiry.ts'
import { name, nullable, taken, text, wrapped } from './fields.ts'
import { findProject, findUser } from './find.ts'
import { asked, base, collection, limitOf, matching } from './list.ts'
import { roleView } from './roles.ts'

// keystone/trust/schema.py
const trustBody = t.Object(
  {
    trustor_user_id: t.String(),
    trustee_user_id: t.String(),
    impersonation: t.Boolean(),
    project_id: text,
    remaining_uses: t.Optional(nullable(t.Integer({ minimum: 1, maximum: 2_147_483_647 }))),
    expires_at: text,
    allow_redelegation: t.Optional(nullable(t.Boolean())),
    redelegation_count: t.Optional(nullable(t.Integer({ minimum: 0, maximum: 2_147_483_647 }))),
    roles: t.Optional(
      t.Array(
        t.Object(
          { id: t.Optional(t.String({ minLength: 1, maxLength: 64 })), name: t.Optional(name()) },
          { minProperties: 1, maxProperties: 1, additionalProperties: false },
        ),
      ),
    ),
  },
  { additionalProperties: true },
)

/** A program must not reach further by a trust than by its own credential (keystone/api/trusts.py). */
function refuseApplicationCredential({ delegation }: Who): void {
  if (delegation?.kind === 'application_credential') {
    throw forbiddenAction("Using method 'application_credential' is not allowed for managing trusts.")
  }
}

/** @throws Fault 404, before policy is asked: for trusts Keystone does it so */
async function findTrust(tx: Tx, id: string): Promise<TrustRow> {
  const trust = await peekTrust(tx, id)
  if (!trust) throw notFound(`Could not find trust: ${id}.`)
  return trust
}

const theTrust = async ({ tx, params }: { tx: Tx; params: Record<string, string> }) => ({
  target: { trust: await findTrust(tx, params.trust_id ?? '') },
})

const shown = (tx: Tx) => tx.selectFrom('identity.trust as t').selectAll('t').select(withMicroseconds('t.expires_at').as('until'))
type Shown = Awaited<ReturnType<ReturnType<typeof shown>['executeTakeFirstOrThrow']>>

const view = (call: Pick<Call, 'url'>, trust: Shown) => ({
  id: trust.id,
  trustor_user_id: trust.trustor_user_id,
  trustee_user_id: trust.trustee_user_id,
  project_id: trust.project_id,
  impersonation: trust.impersonation,
  expires_at: trust.until && `${trust.until}Z`,
  remaining_uses: trust.remaining_uses,
  deleted_at: null,
  redelegated_trust_id: trust.redelegated_trust_id,
  redelegation_count: trust.redelegation_count,
  links: { self: `${base(call)}/OS-TRUST/trusts/${trust.id}` },
})

const rolesOf = (tx: Tx, { role_ids }: Pick<TrustRow, 'role_ids'>) =>
  tx.selectFrom('identity.role').selectAll().where('id', '=', sql<string>`any(${role_ids})`).orderBy('name').execute()

const rolesLinks = (call: Pick<Call, 'url'>, id: string) => ({
  self: `${base(call)}/OS-TRUST/trusts/${id}/roles`,
  next: null,
  previous: null,
})

async function show(call: Pick<Call, 'url' | 'tx'>, id: string) {
  const trust = await shown(call.tx).where('t.id', '=', id).executeTakeFirstOrThrow()
  const roles = (await rolesOf(call.tx, trust)).map((role) => roleView(call, role))
  return { trust: { ...view(call, trust), roles, roles_links: rolesLinks(call, id) } }
}

/** The trusts by which the caller acts, from which a new one is lent on; none for the caller's own roles. */
async function sourceOf(tx: Tx, { delegation }: Who): Promise<TrustRow[]> {
  if (delegation === undefined) return []
  if (delegation.kind !== 'trust') throw forbiddenAction('Redelegation allowed for delegated by trust only')
  return await trustsUpFrom(tx, delegation.id)
}

/** @throws Fault 404 for a role that the first lender doesn't have in the project */
async function checkRoles(tx: Tx, lender: string, projectId: string | null, roles: { id: string }[]): Promise<void> {
  if (projectId !== null) {
    await findProject(tx, projectId)
    if (
      await hasRoles(
        tx,
        lender,
        projectId,
        roles.map(({ id }) => id),
      )
    )
      return
  }
  for (const { id } of roles) {
    if (projectId === null || !(await hasRoles(tx, lender, projectId, [id]))) throw notFound(`Could not find role: ${id}.`)
  }
}

export const trusts = [
  row({
    route: 'GET /OS-TRUST/trusts',
    policy: 'identity:list_trusts',
    target: 'loaded',
    reply: 200,
    summary: 'List trusts: those of a trustor, of a trustee, or all',
    async run(call) {
      const { query, tx, who } = call
      const trustor_user_id = asked(query, 'trustor_user_id')
      const trustee_user_id = asked(query, 'trustee_user_id')
      const rule = `identity:list_trusts${trustor_user_id ? '_for_trustor' : trustee_user_id ? '_for_trustee' : ''}`
      call.must(rule, { target: { trust: { trustor_user_id, trustee_user_id } } })
      refuseApplicationCredential(who)
      const rows = await shown(tx)
        .where('t.deleted_at', 'is', null)
        .where(matching(query, { trustor_user_id: 'text', trustee_user_id: 'text' }, 't'))
        .orderBy('t.id')
        .limit(limitOf(query))
        .execute()
      return collection(call, 'trusts', rows, (trust) => view(call, trust))
    },
  }),
  row({
    route: 'POST /OS-TRUST/trusts',
    policy: 'identity:create_trust',
    target: ({ body }) => ({ target: { trust: body.trust } }),
    body: wrapped('trust', trustBody),
    reply: 201,
    summary: 'Lend roles in a project to another user',
    async run(call) {
      const { body, tx, who } = call
      const { trustor_user_id, trustee_user_id, impersonation, remaining_uses = null, ...given } = body.trust
      const project_id = given.project_id || null
      refuseApplicationCredential(who)
      if (project_id !== null && !given.roles?.length) throw forbiddenAction('At least one role should be specified')
      if (who.user.id !== trustor_user_id) throw forbiddenAction('The authenticated user should match the trustor')
      await findUser(tx, trustee_user_id)
      const roles = await rolesNamed(tx, (given.roles ?? []) as { id?: string; name?: string }[])
      const source = await sourceOf(tx, who)
      await checkRoles(tx, source.at(-1)?.trustor_user_id ?? trustor_user_id, project_id, roles)
      const from = source[0]
      if (from && from.project_id !== project_id) throw forbidden('Some of requested roles are not in redelegated trust')
      const role_ids = roles.map(({ id }) => id)
      const end = expiryOf(given.expires_at)
      const until = end?.at ?? from?.expires_at?.getTime() ?? null
      const id = newId()
      await tx
        .insertInto('identity.trust')
        .values({
          ...{ id, trustor_user_id, trustee_user_id, project_id, impersonation, role_ids, remaining_uses },
          expires_at: end?.value ?? from?.expires_at ?? null,
          redelegation_count: redelegations(body.trust as Redelegation, source, role_ids, until),
          redelegated_trust_id: from?.id ?? null,
        })
        .execute()
        .catch(taken('trust', 'Duplicate entry'))
      return await show(call, id)
    },
  }),
  row({
    route: 'GET /OS-TRUST/trusts/:trust_id',
    policy: 'identity:get_trust',
    target: theTrust,
    reply: 200,
    summary: 'Show a trust',
    run(call) {
      refuseApplicationCredential(call.who)
      return show(call, call.params.trust_id)
    },
  }),
  row({
    route: 'DELETE /OS-TRUST/trusts/:trust_id',
    policy: 'identity:delete_trust',
    target: theTrust,
    reply: 204,
    summary: 'Take back what a trust lends, and all that was lent on from it; its tokens are void at once',
    async run({ tx, who, params }) {
      refuseApplicationCredential(who)
      await deleteTrust(tx, params.trust_id)
      await identityChanged(tx)
    },
  }),
  row({
    route: 'GET /OS-TRUST/trusts/:trust_id/roles',
    policy: 'identity:list_roles_for_trust',
    target: theTrust,
    reply: 200,
    summary: 'List the roles that a trust lends',
    async run(call) {
      refuseApplicationCredential(call.who)
      const trust = await findTrust(call.tx, call.params.trust_id)
      return { roles: (await rolesOf(call.tx, trust)).map((role) => roleView(call, role)), links: rolesLinks(call, trust.id) }
    },
  }),
  row({
    route: 'GET /OS-TRUST/trusts/:trust_id/roles/:role_id',
    policy: 'identity:get_role_for_trust',
    target: theTrust,
    reply: 200,
    summary: 'Show a role that a trust lends',
    async run(call) {
      refuseApplicationCredential(call.who)
      const { trust_id, role_id } = call.params
      const role = (await rolesOf(call.tx, await findTrust(call.tx, trust_id))).find(({ id }) => id === role_id)
      if (!role) throw notFound(`Could not find role: ${role_id}.`)
      return { role: roleView(call, role) }
    },
  }),
]
