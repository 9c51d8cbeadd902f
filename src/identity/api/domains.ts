// Domains: realms of users, groups and projects, run by their own managers. In the database a domain is a project that acts as one.
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, forbidden } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { identityChanged, newId } from '../control/changed.ts'
import { forgetActors, forgetTargets } from '../control/projects.ts'
import {
  enabled,
  extraOf,
  name,
  options,
  optionsOf,
  partial,
  refuseDelete,
  refuseUpdate,
  sameId,
  tags,
  taken,
  text,
  wrapped,
} from './fields.ts'
import { findDomain, livesOf, lock, orGone, type ProjectRow, peekDomain } from './find.ts'
import { collection, limitOf, matching, selfLink } from './list.ts'

const properties = { name: name(64), description: text, enabled, options, tags: t.Optional(tags) }
const known = [...Object.keys(properties), 'explicit_domain_id', 'domain_id', 'parent_id', 'is_domain']
const duplicate = (name: string) =>
  taken('project', `it is not permitted to have two projects acting as domains with the same name: ${name}`)

export const domainView = (call: Pick<Call, 'url'>, domain: ProjectRow) => ({
  ...(domain.extra as object),
  id: domain.id,
  name: domain.name,
  description: domain.description,
  enabled: domain.enabled,
  tags: domain.tags,
  options: domain.options,
  links: selfLink(call, 'domains', domain.id),
})

/** An id that the client chose: a UUID, kept as Keystone keeps it. */
function explicitId(wanted: string | undefined): string {
  if (wanted === undefined) return newId()
  const id = wanted.replaceAll('-', '').toLowerCase()
  if (!/^[0-9a-f]{32}$/.test(id)) throw badRequest('Domain ID does not conform to required UUID format.')
  return id
}

/** Where policy looks at the domain that the path names. */
const namedDomain = async ({ tx, params }: { tx: Tx; params: Record<string, string> }) => ({
  target: { domain: await findDomain(tx, params.domain_id ?? '') },
})

export const domains = [
  row({
    route: 'GET /domains',
    policy: 'identity:list_domains',
    target: ({ who }) => ({ target: { domain: { id: who.domain?.id } } }),
    reply: 200,
    summary: 'List domains',
    async run(call) {
      const { query, tx, who } = call
      const rows = await tx
        .selectFrom('identity.project as p')
        .selectAll()
        .where('is_domain', '=', true)
        .$if(who.domain !== null, (q) => q.where('id', '=', who.domain!.id))
        .where(matching(query, { name: 'text', enabled: 'boolean' }, 'p'))
        .orderBy('id')
        .limit(limitOf(query))
        .execute()
      return collection(call, 'domains', rows, (domain) => domainView(call, domain))
    },
  }),
  row({
    route: 'POST /domains',
    policy: 'identity:create_domain',
    body: wrapped(
      'domain',
      t.Object({ ...properties, explicit_domain_id: t.Optional(t.String({ maxLength: 64 })) }, { additionalProperties: true }),
    ),
    reply: 201,
    summary: 'Create a domain',
    async run(call) {
      const { body, tx } = call
      const { description, enabled = true, options, tags = [] } = body.domain
      const name = body.domain.name.trim()
      const values = {
        id: explicitId(body.domain.explicit_domain_id),
        name,
        description: description ?? '',
        enabled,
        tags,
        is_domain: true,
      }
      const domain = await tx
        .insertInto('identity.project')
        .values({ ...values, options: optionsOf(options), extra: extraOf(body.domain, known) })
        .returningAll()
        .executeTakeFirstOrThrow()
        .catch(duplicate(name))
      await identityChanged(tx)
      return { domain: domainView(call, domain) }
    },
  }),
  row({
    route: 'GET /domains/:domain_id',
    policy: 'identity:get_domain',
    target: async ({ tx, params }) => ({ target: { domain: await peekDomain(tx, params.domain_id) } }),
    reply: 200,
    summary: 'Show a domain',
    async run(call) {
      return { domain: domainView(call, await findDomain(call.tx, call.params.domain_id)) }
    },
  }),
  row({
    route: 'PATCH /domains/:domain_id',
    policy: 'identity:update_domain',
    target: namedDomain,
    body: wrapped('domain', partial(properties)),
    reply: 200,
    summary: 'Change a domain; while it is disabled, nobody of it can log in',
    async run(call) {
      const { body, tx } = call
      await lock(tx, 'project', call.params.domain_id)
      const old = await findDomain(tx, call.params.domain_id)
      sameId(body.domain, old.id)
      refuseUpdate('domain', old, body.domain)
      const { description, enabled = old.enabled, options, tags = old.tags } = body.domain
      const name = body.domain.name?.trim() ?? old.name
      const domain = await tx
        .updateTable('identity.project')
        .set({ name, enabled, tags, description: description === undefined ? old.description : (description ?? '') })
        .set({ options: optionsOf(options, old.options), extra: extraOf(body.domain, known, old.extra), lives: livesOf(old, enabled) })
        .where('id', '=', old.id)
        .returningAll()
        .executeTakeFirstOrThrow(orGone('domain', old.id))
        .catch(duplicate(name))
      await identityChanged(tx)
      return { domain: domainView(call, domain) }
    },
  }),
  row({
    route: 'DELETE /domains/:domain_id',
    policy: 'identity:delete_domain',
    target: namedDomain,
    reply: 204,
    summary: 'Delete a disabled domain with its users, groups, roles and projects',
    async run({ tx, params }) {
      await deleteDomain(tx, await findDomain(tx, params.domain_id))
    },
  }),
]

/** @throws Fault 403 if the domain is immutable or enabled */
export async function deleteDomain(tx: Tx, domain: ProjectRow): Promise<void> {
  const { id, enabled } = domain
  refuseDelete('domain', domain)
  if (enabled) throw forbidden('Cannot delete a domain that is enabled, please disable it first.')
  const idsIn = async (table: 'identity.project' | 'identity.user' | 'identity.group') =>
    (await tx.selectFrom(table).select('id').where('domain_id', '=', id).execute()).map((row) => row.id)
  // Itself first: from then on nothing new comes into it.
  await forgetTargets(tx, [id])
  await forgetTargets(tx, await idsIn('identity.project'))
  await forgetActors(tx, 'user', await idsIn('identity.user'))
  await forgetActors(tx, 'group', await idsIn('identity.group'))
  for (const table of ['identity.user', 'identity.group', 'identity.role', 'identity.project'] as const) {
    await tx.deleteFrom(table).where('domain_id', '=', id).execute()
  }
  await tx.deleteFrom('identity.project').where('id', '=', id).execute()
  await identityChanged(tx)
}
