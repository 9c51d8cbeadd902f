// Users: who may log in. Passwords are hashed before the transaction begins, so that none stays open for as long as that takes.
import { type RawBuilder, sql } from 'kysely'
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, unauthorized } from '../../http/fault.ts'
import { type AnyRow, type Call, type RawQuery, row } from '../../http/table.ts'
import type { SecurityCompliance } from '../../security-compliance.ts'
import { identityChanged, newId } from '../control/changed.ts'
import { hashPassword } from '../control/passwords.ts'
import { forgetActors } from '../control/projects.ts'
import { isEnabled, provePassword, type UserOptions } from '../control/prove-password.ts'
import { projectsOf } from '../control/reach.ts'
import { checkAge, checkPassword, hashGiven, refuseReuse, setPassword, voidTokens } from '../control/users.ts'
import { federated, linked, linksOf, linkUser } from './federation/linked-users.ts'
import { enabled, extraOf, id, name, nullable, optionsOf, partial, sameDomain, sameId, taken, text, wrapped } from './fields.ts'
import { findDomain, findUser, found, lock, peekUser, type UserRow } from './find.ts'
import { groupView } from './groups.ts'
import { homeDomain } from './home.ts'
import { asked, collection, limitOf, matching, selfLink } from './list.ts'
import { projectView } from './projects.ts'

const flag = t.Optional(nullable(t.Boolean()))
const userOptions = t.Optional(
  t.Object(
    {
      ignore_change_password_upon_first_use: flag,
      ignore_password_expiry: flag,
      ignore_lockout_failure_attempts: flag,
      ignore_user_inactivity: flag,
      lock_password: flag,
      multi_factor_auth_enabled: flag,
      multi_factor_auth_rules: t.Optional(
        nullable(t.Array(t.Array(t.String(), { minItems: 1, uniqueItems: true }), { uniqueItems: true })),
      ),
    },
    { additionalProperties: false },
  ),
)
const properties = {
  name: name(),
  domain_id: t.Optional(id),
  enabled,
  description: text,
  email: text,
  default_project_id: text,
  password: text,
  options: userOptions,
  federated: t.Optional(federated),
}
const known = Object.keys(properties)

/** A user as lists read them: with the day on which the password expires. */
type Shown = UserRow & { password_expires_at: Date | null }

const given = (fields: Record<string, unknown>) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))

export const userView = (call: Pick<Call, 'url'>, user: Shown, compliance: SecurityCompliance) => ({
  ...(user.extra as object),
  id: user.id,
  name: user.name,
  domain_id: user.domain_id,
  enabled: isEnabled(user, compliance),
  ...given({ description: user.description, email: user.email, default_project_id: user.default_project_id }),
  options: user.options,
  password_expires_at: user.password_expires_at && timestamp(user.password_expires_at),
  links: selfLink(call, 'users', user.id),
})

/** As Keystone writes times here: with microseconds and without a zone. */
const timestamp = (time: Date) => time.toISOString().replace('Z', '000')

/** All users with what the view needs; add conditions on `u`. */
export const shownUsers = (tx: Tx) =>
  tx
    .selectFrom('identity.user as u')
    .selectAll('u')
    .select((eb) =>
      eb
        .selectFrom('identity.password as p')
        .select('p.expires_at')
        .whereRef('p.user_id', '=', 'u.id')
        .orderBy('p.id', 'desc')
        .limit(1)
        .as('password_expires_at'),
    )

const operators = new Map(Object.entries({ lt: '<', lte: '<=', gt: '>', gte: '>=', eq: '=', neq: '<>' }))

/** The condition of `?password_expires_at=lt:2016-12-08T22:02:00Z` on the alias `u`. @throws Fault 400 for what is no operator and time */
export function expiring(query: RawQuery): RawBuilder<boolean> {
  const given = asked(query, 'password_expires_at')
  if (given === undefined) return sql`true`
  const [, word = 'eq', time = ''] = /^(?:([a-z]+):)?(\d{4}-.*)$/.exec(given) ?? []
  const operator = operators.get(word)
  const at = new Date(/(Z|[+-]\d\d:?\d\d)$/i.test(time) ? time : `${time}Z`)
  if (operator === undefined || Number.isNaN(at.getTime())) {
    throw badRequest(
      `Invalid input for field 'password_expires_at': '${given.slice(0, 60)}' must be an operator (${[...operators.keys()].join(', ')}), a colon and a time as 2016-12-08T22:02:00Z`,
    )
  }
  return sql`u.id in (
    select p.user_id from identity.password p
    where p.expires_at ${sql.raw(operator)} ${at}
      and not exists (select from identity.password newer where newer.user_id = p.user_id and newer.id > p.id))`
}

const showUser = async (call: Pick<Call, 'tx' | 'url'>, id: string, compliance: SecurityCompliance) => {
  const user = await shownUsers(call.tx).where('u.id', '=', id).executeTakeFirst()
  return { user: { ...userView(call, found(user, 'user', id), compliance), ...(await linksOf(call.tx, id)) } }
}

/** Where policy looks at the user that the path names. */
export const theUser = async ({ tx, params }: { tx: Tx; params: Record<string, string> }) => ({
  target: { user: await peekUser(tx, params.user_id ?? '') },
})

const duplicate = (name: string) => taken('user', `Duplicate entry found with name ${name}`)

async function refuseDomainAsProject(tx: Tx, id: string | null | undefined): Promise<void> {
  if (typeof id !== 'string') return
  const project = await tx.selectFrom('identity.project').select('is_domain').where('id', '=', id).executeTakeFirst()
  if (project?.is_domain) throw badRequest(`User's default project ID cannot be a domain ID: ${id}`)
}

export const users = (compliance: SecurityCompliance): AnyRow[] => [
  row({
    route: 'GET /users',
    policy: 'identity:list_users',
    target: ({ who }) => ({ target: { domain_id: who.domain?.id } }),
    reply: 200,
    summary: 'List users',
    async run(call) {
      const { query, tx, who } = call
      const rows = await shownUsers(tx)
        .$if(who.domain !== null, (q) => q.where('u.domain_id', '=', who.domain!.id))
        .where(matching(query, { name: 'text', domain_id: 'text', enabled: 'boolean' }, 'u'))
        .where(expiring(query))
        .where(linked(query))
        .orderBy('u.id')
        .limit(limitOf(query))
        .execute()
      return collection(call, 'users', rows, (user) => userView(call, user, compliance))
    },
  }),
  row({
    route: 'POST /users',
    policy: 'identity:create_user',
    // The domain must be named by those who are bound to one: what is left out belongs to nobody yet.
    target: ({ body }) => ({ target: { user: body.user } }),
    body: wrapped('user', t.Object(properties, { additionalProperties: true })),
    reply: 201,
    transaction: 'own',
    summary: 'Create a user',
    async run(call) {
      const { db, who, body } = call
      const { description = null, email = null, default_project_id = null, enabled = true, options } = body.user
      const name = body.user.name.trim()
      const domain_id = body.user.domain_id ?? homeDomain(who)
      const hash = (await hashGiven(body.user.password, compliance, who.user.id)) ?? null
      return await db.write(async (tx) => {
        await findDomain(tx, domain_id)
        await refuseDomainAsProject(tx, default_project_id)
        const id = newId()
        await tx
          .insertInto('identity.user')
          .values({
            id,
            name,
            domain_id,
            description,
            email,
            default_project_id,
            enabled,
            options: optionsOf(options),
            extra: extraOf(body.user, known),
          })
          .execute()
          .catch(duplicate(name))
        await setPassword(tx, id, hash, { compliance, options: (options ?? {}) as UserOptions, selfService: false })
        await linkUser(tx, id, body.user.federated)
        await identityChanged(tx)
        return await showUser({ ...call, tx }, id, compliance)
      })
    },
  }),
  row({
    route: 'GET /users/:user_id',
    policy: 'identity:get_user',
    target: theUser,
    reply: 200,
    summary: 'Show a user',
    run: (call) => showUser(call, call.params.user_id, compliance),
  }),
  row({
    route: 'PATCH /users/:user_id',
    policy: 'identity:update_user',
    target: theUser,
    body: wrapped('user', partial(properties)),
    reply: 200,
    transaction: 'own',
    summary: 'Change a user; a new password or being disabled voids their tokens',
    async run(call) {
      const { db, body, params, who } = call
      const hash = await hashGiven(body.user.password, compliance, who.user.id)
      return await db.write(async (tx) => {
        await lock(tx, 'user', params.user_id)
        const old = await findUser(tx, params.user_id)
        sameId(body.user, old.id)
        sameDomain(body.user, old.domain_id)
        const { description = old.description, email = old.email, enabled = old.enabled, options } = body.user
        const { default_project_id = old.default_project_id } = body.user
        if (default_project_id !== old.default_project_id) await refuseDomainAsProject(tx, default_project_id)
        const name = body.user.name?.trim() ?? old.name
        await tx
          .updateTable('identity.user')
          .set({ name, description, email, enabled, default_project_id })
          .set({ options: optionsOf(options, old.options), extra: extraOf(body.user, known, old.extra) })
          // Enabling ends a lockout, and the days of inactivity are counted anew.
          .$if(body.user.enabled === true, (q) => q.set({ failed_auth_count: 0, failed_auth_at: null, last_active_at: sql`now()` }))
          .where('id', '=', old.id)
          .execute()
          .catch(duplicate(name))
        if (hash !== undefined) {
          const holds = { ...(old.options as UserOptions), ...options } as UserOptions
          await setPassword(tx, old.id, hash, { compliance, options: holds, selfService: false })
        }
        if (hash !== undefined || (old.enabled && !enabled)) await voidTokens(tx, [old.id])
        await linkUser(tx, old.id, body.user.federated)
        await identityChanged(tx)
        return await showUser({ ...call, tx }, old.id, compliance)
      })
    },
  }),
  row({
    route: 'DELETE /users/:user_id',
    policy: 'identity:delete_user',
    target: theUser,
    reply: 204,
    summary: 'Delete a user',
    async run({ tx, params }) {
      const { id } = await findUser(tx, params.user_id)
      await forgetActors(tx, 'user', [id])
      await tx.deleteFrom('identity.user').where('id', '=', id).execute()
      await identityChanged(tx)
    },
  }),
  row({
    // Open, because a user whose password has expired can't get a token; the old password is the proof.
    route: 'POST /users/:user_id/password',
    policy: null,
    body: wrapped('user', t.Object({ original_password: t.String(), password: t.String() }, { additionalProperties: false })),
    reply: 204,
    transaction: 'own',
    summary: 'Change one’s own password',
    async run({ db, params, body, remote, audit }) {
      const { original_password, password } = body.user
      const id = params.user_id
      const { password: old, options } = await provePassword(db, { id, password: original_password }, { compliance, remote, audit })
      checkPassword(password, compliance)
      if (options.lock_password) {
        throw badRequest(
          'You cannot change your password at this time due to password policy disallowing password changes. Please contact your administrator to reset your password.',
        )
      }
      checkAge(old, compliance)
      await refuseReuse(db, id, password, compliance)
      const hash = await hashPassword(password, remote)
      await db.write(async (tx) => {
        await lock(tx, 'user', id)
        const newest = await tx
          .selectFrom('identity.password')
          .select('id')
          .where('user_id', '=', id)
          .orderBy('id', 'desc')
          .limit(1)
          .executeTakeFirst()
        // Somebody set another one meanwhile.
        if (newest?.id !== old.id) throw unauthorized()
        await setPassword(tx, id, hash, { compliance, options, selfService: true })
        await voidTokens(tx, [id])
        await identityChanged(tx)
      })
    },
  }),
  row({
    route: 'GET /users/:user_id/groups',
    policy: 'identity:list_groups_for_user',
    target: theUser,
    reply: 200,
    summary: 'List the groups of a user',
    async run(call) {
      const { query, tx, who, params } = call
      await findUser(tx, params.user_id)
      const rows = await tx
        .selectFrom('identity.group as g')
        .innerJoin('identity.group_member as m', 'm.group_id', 'g.id')
        .selectAll('g')
        .where('m.user_id', '=', params.user_id)
        .$if(who.domain !== null, (q) => q.where('g.domain_id', '=', who.domain!.id))
        .where(matching(query, { name: 'text' }, 'g'))
        .orderBy('g.id')
        .limit(limitOf(query))
        .execute()
      return collection(call, 'groups', rows, (group) => groupView(call, group))
    },
  }),
  row({
    route: 'GET /users/:user_id/projects',
    policy: 'identity:list_user_projects',
    target: theUser,
    reply: 200,
    summary: 'List the projects that a user has a role in',
    async run(call) {
      await findUser(call.tx, call.params.user_id)
      return collection(call, 'projects', await projectsOf(call.tx, call.params.user_id), (project) => projectView(call, project))
    },
  }),
]
