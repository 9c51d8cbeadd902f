// Giving roles: to a user or a group; on a project, a domain or the system; for the thing itself or (OS-INHERIT) for all projects below.
// It is the same five questions for each combination, so the rows are made from the combinations.
import type { Tx } from '../../database/connect.ts'
import { Fault, forbidden, notFound } from '../../http/fault.ts'
import { type Method, row } from '../../http/table.ts'
import { identityChanged } from '../control/changed.ts'
import { findDomain, findGroup, findProject, findRole, findUser, keep } from './find.ts'
import { collection } from './list.ts'
import { roleView } from './roles.ts'

interface Kind {
  actor: 'user' | 'group'
  target: 'project' | 'domain' | 'system'
  inherited: boolean
}

const kinds: Kind[] = (['user', 'group'] as const).flatMap((actor) => [
  { actor, target: 'project', inherited: false },
  { actor, target: 'project', inherited: true },
  { actor, target: 'domain', inherited: false },
  { actor, target: 'domain', inherited: true },
  { actor, target: 'system', inherited: false },
])

/** The path of the actor's roles: '/projects/:project_id/users/:user_id/roles'. */
function pathOf({ actor, target, inherited }: Kind): `/${string}` {
  const on = target === 'system' ? '/system' : `/${target}s/:${target}_id`
  return `${inherited ? '/OS-INHERIT' : ''}${on as '/system'}/${actor}s/:${actor}_id/roles`
}

const ruleOf = ({ actor, target }: Kind, verb: 'check' | 'list' | 'create' | 'revoke') =>
  target === 'system'
    ? `identity:${verb}_system_grant${verb === 'list' ? 's' : ''}_for_${actor}`
    : `identity:${verb}_grant${verb === 'list' ? 's' : ''}`

type Params = Record<string, string>

/** Actor, target and role as policy wants to see them. An actor who is gone may still lose a role. @throws Fault 404 for the rest */
async function load({ actor, target }: Kind, tx: Tx, params: Params, actorMayBeGone: boolean) {
  const actorId = params[`${actor}_id`] ?? ''
  const found = {
    ...(params.role_id !== undefined && { role: await findRole(tx, params.role_id) }),
    ...(target === 'project' && { project: await findProject(tx, params.project_id ?? '') }),
    ...(target === 'domain' && { domain: await findDomain(tx, params.domain_id ?? '') }),
  }
  try {
    return { ...found, [actor]: actor === 'user' ? await findUser(tx, actorId) : await findGroup(tx, actorId) }
  } catch (error) {
    if (actorMayBeGone && error instanceof Fault && error.status === 404) return found
    throw error
  }
}

const keyOf = ({ actor, target, inherited }: Kind, params: Params) => ({
  actor_type: actor,
  actor_id: params[`${actor}_id`] ?? '',
  target_type: target,
  target_id: target === 'system' ? 'all' : (params[`${target}_id`] ?? ''),
  inherited,
})

/** @throws Fault 404 if the actor does not have the role there */
async function findGrant(kind: Kind, tx: Tx, params: Params) {
  const key = { ...keyOf(kind, params), role_id: params.role_id ?? '' }
  const grant = await tx
    .selectFrom('identity.assignment')
    .selectAll()
    .where((eb) => eb.and(key))
    .executeTakeFirst()
  if (!grant) {
    throw notFound(
      `Could not find role assignment with role: ${key.role_id}, user or group: ${key.actor_id}, project, domain, or system: ${key.target_id}.`,
    )
  }
  return key
}

/** A domain's own roles are for its own projects; on another domain they may be given (and mean nothing), as in Keystone. */
async function refuseForeignRole(kind: Kind, tx: Tx, params: Params): Promise<void> {
  const { id, domain_id } = await findRole(tx, params.role_id ?? '')
  if (domain_id === null || kind.target === 'domain') return
  const { target_id } = keyOf(kind, params)
  const place = kind.target === 'system' ? null : (await findProject(tx, target_id)).domain_id
  if (place !== domain_id) throw forbidden(`Project ${target_id} must be in the same domain as the role ${id} being assigned.`)
}

function rowsOf(kind: Kind) {
  const path = pathOf(kind)
  const end = kind.inherited ? '/inherited_to_projects' : ''
  const one = <M extends Method>(method: M) => `${method} ${path as '/x'}/:role_id${end as ''}` as const
  const whom = `a ${kind.actor} on ${kind.target === 'system' ? 'the system' : `a ${kind.target}`}${kind.inherited ? ', for the projects below' : ''}`
  const target =
    (actorMayBeGone = false) =>
    async ({ tx, params }: { tx: Tx; params: Params }) => ({ target: await load(kind, tx, params, actorMayBeGone) })
  return [
    row({
      route: `GET ${path as '/x'}${end as ''}`,
      policy: ruleOf(kind, 'list'),
      target: target(),
      reply: 200,
      summary: `List the roles of ${whom}`,
      async run(call) {
        const rows = await call.tx
          .selectFrom('identity.role as r')
          .innerJoin('identity.assignment as a', 'a.role_id', 'r.id')
          .selectAll('r')
          .where((eb) => eb.and(keyOf(kind, call.params)))
          .orderBy('r.id')
          .execute()
        return collection(call, 'roles', rows, (role) => roleView(call, role))
      },
    }),
    row({
      route: one('GET'),
      policy: ruleOf(kind, 'check'),
      target: target(),
      reply: 204,
      summary: `Check a role of ${whom}`,
      async run({ tx, params }) {
        await findGrant(kind, tx, params)
      },
    }),
    row({
      route: one('PUT'),
      policy: ruleOf(kind, 'create'),
      target: target(),
      reply: 204,
      summary: `Give a role to ${whom}`,
      async run({ tx, params }) {
        await refuseForeignRole(kind, tx, params)
        const grant = { ...keyOf(kind, params), role_id: params.role_id }
        // In the order in which a domain goes with all that is in it.
        if (kind.target !== 'system') await keep(tx, kind.target, grant.target_id)
        await keep(tx, kind.actor, grant.actor_id)
        await tx
          .insertInto('identity.assignment')
          .values(grant)
          .onConflict((c) => c.doNothing())
          .execute()
        await identityChanged(tx)
      },
    }),
    row({
      route: one('DELETE'),
      policy: ruleOf(kind, 'revoke'),
      target: target(true),
      reply: 204,
      summary: `Take a role from ${whom}`,
      async run({ tx, params }) {
        const grant = await findGrant(kind, tx, params)
        await tx
          .deleteFrom('identity.assignment')
          .where((eb) => eb.and(grant))
          .execute()
        await identityChanged(tx)
      },
    }),
  ]
}

export const grants = kinds.flatMap(rowsOf)
