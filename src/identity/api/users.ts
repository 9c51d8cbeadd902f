// Users: who may log in. Passwords are hashed before the transaction begins, so that none stays open for as long as that takes.
import { sql } from 'kysely'
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, unauthorized } from '../../http/fault.ts'
import { type AnyRow, type Call, row } from '../../http/table.ts'
import type { SecurityCompliance } from '../../security-compliance.ts'
import { identityChanged, newId } from '../control/changed.ts'
import { hashPassword } from '../control/passwords.ts'
import { forgetActors } from '../control/projects.ts'
import { provePassword, type UserOptions } from '../control/prove-password.ts'
import { projectsOf } from '../control/reach.ts'
import { checkAge, checkPassword, hashGiven, refuseReuse, setPassword, voidTokens } from '../control/users.ts'
import { federated, linksOf, linkUser } from './federation/linked-users.ts'
import { enabled, extraOf, id, name, nullable, optionsOf, partial, sameDomain, sameId, taken, text, wrapped } from './fields.ts'
import { findDomain, findUser, found, lock, peekUser } from './find.ts'
import { groupView } from './groups.ts'
import { homeDomain } from './home.ts'
import { collection, limitOf, matching } from './list.ts'
import { projectView } from './projects.ts'
import { listUsers, shownUsers, userView } from './user-list.ts'

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
  listUsers(compliance),
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
