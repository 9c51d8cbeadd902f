// Application credentials: some of one's roles in a project, for a program to use, that can be taken away again without a new password.
import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { jsonArrayFrom } from 'kysely/helpers/postgres'
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, forbidden, notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { identityChanged, newId } from '../control/changed.ts'
import { hashPassword } from '../control/passwords.ts'
import { type NamedRole, rolesNamed, withImplied } from '../control/role-names.ts'
import { type GivenRule, ruleProperties, takeRules } from './access-rules.ts'
import { expiryOf, withMicroseconds } from './expiry.ts'
import { name, nullable, taken, text, wrapped } from './fields.ts'
import { refuseRestricted, refuseTrustAndOauth } from './lent.ts'
import { collection, limitOf, matching, selfLink } from './list.ts'

// keystone/application_credential/schema.py
const properties = {
  id: t.Optional(t.String()),
  name: name(),
  description: text,
  secret: t.Optional(nullable(t.String({ maxLength: 4096 }))),
  expires_at: text,
  project_id: t.Optional(t.String()),
  roles: t.Optional(
    t.Array(
      t.Object(
        { id: t.Optional(t.String({ minLength: 1, maxLength: 64 })), name: t.Optional(name()) },
        { minProperties: 1, maxProperties: 1, additionalProperties: false },
      ),
    ),
  ),
  access_rules: t.Optional(t.Array(t.Object(ruleProperties, { additionalProperties: false }), { maxItems: 100 })),
  unrestricted: t.Optional(nullable(t.Boolean())),
  system: text,
}

const shown = (tx: Tx) =>
  tx
    .selectFrom('identity.application_credential as c')
    .select(['c.id', 'c.name', 'c.description', 'c.user_id', 'c.project_id', 'c.unrestricted'])
    .select((eb) => [
      withMicroseconds('c.expires_at').as('expires_at'),
      jsonArrayFrom(
        eb
          .selectFrom('identity.role as r')
          .select(['r.id', 'r.name', 'r.domain_id', 'r.description', 'r.options'])
          .where('r.id', '=', sql<string>`any(c.role_ids)`)
          .orderBy('r.name'),
      ).as('roles'),
      jsonArrayFrom(
        eb
          .selectFrom('identity.access_rule as a')
          .innerJoin('identity.application_credential_access_rule as u', 'u.access_rule_id', 'a.id')
          .select(['a.id', 'a.path', 'a.method', 'a.service'])
          .whereRef('u.application_credential_id', '=', 'c.id')
          .orderBy('a.id'),
      ).as('access_rules'),
    ])
const peek = (tx: Tx, id: string) => shown(tx).where('c.id', '=', id).executeTakeFirst()
type Shown = NonNullable<Awaited<ReturnType<typeof peek>>>

const view = (call: Pick<Call, 'url'>, { access_rules, ...credential }: Shown) => ({
  ...credential,
  system: null,
  ...(access_rules.length > 0 && { access_rules }),
  links: selfLink(call, 'users', credential.user_id, 'application_credentials', credential.id),
})

/** @throws Fault 404 */
async function findCredential(tx: Tx, id: string): Promise<Shown> {
  const credential = await peek(tx, id)
  if (!credential) throw notFound(`Could not find Application Credential: ${id}.`)
  return credential
}

/** The owner is whom the credential belongs to, whatever the path says. */
const owner = async ({ tx, params }: { tx: Tx; params: Record<string, string> }) => {
  const credential = await peek(tx, params.application_credential_id ?? '')
  return credential ? { user_id: credential.user_id } : {}
}

/** Those asked for, or all that the token has. @throws Fault 400 for a role that the token doesn't have */
async function rolesFor({ tx, who }: Pick<Call, 'tx' | 'who'>, wanted: { id?: string; name?: string }[] | undefined): Promise<NamedRole[]> {
  if (!wanted?.length)
    return await rolesNamed(
      tx,
      who.roles.map((name) => ({ name })),
    )
  const unassigned = (role: string) =>
    badRequest(`Invalid application credential: Cannot create an application credential with unassigned role ${role}`)
  // Clients that may not list roles take those of their token, and send what is not among them as an id: it need not be one.
  const own = await tx
    .selectFrom('identity.role')
    .select('id')
    .where('name', '=', sql<string>`any(${who.roles})`)
    .where('domain_id', 'is', null)
    .execute()
  const foreign = wanted.find(({ id }) => id !== undefined && !own.some((role) => role.id === id))
  if (foreign) throw unassigned(foreign.id!)
  const given = await rolesNamed(tx, wanted)
  const all = await withImplied(
    tx,
    given.map(({ id }) => id),
  )
  const beyond = all.find(({ name, domain_id }) => domain_id !== null || !who.roles.includes(name))
  if (beyond) throw unassigned(beyond.name)
  return all
}

export const applicationCredentials = [
  row({
    route: 'GET /users/:user_id/application_credentials',
    policy: 'identity:list_application_credentials',
    reply: 200,
    summary: 'List the application credentials of a user',
    async run(call) {
      const { query, tx, who, params } = call
      refuseTrustAndOauth(who)
      const rows = await shown(tx)
        .where('c.user_id', '=', params.user_id)
        .where(matching(query, { name: 'text' }, 'c'))
        .orderBy('c.id')
        .limit(limitOf(query))
        .execute()
      return collection(call, 'application_credentials', rows, (credential) => view(call, credential))
    },
  }),
  row({
    route: 'POST /users/:user_id/application_credentials',
    policy: 'identity:create_application_credential',
    body: wrapped('application_credential', t.Object(properties, { additionalProperties: false })),
    reply: 201,
    transaction: 'own',
    summary: 'Create an application credential in the project of the token; its secret is shown this once',
    async run(call) {
      const { db, who, params, body, remote } = call
      const { name, description = null, roles, access_rules, unrestricted, ...given } = body.application_credential
      refuseTrustAndOauth(who)
      refuseRestricted(who, 'application credentials')
      if (who.user.id !== params.user_id) throw forbidden('Cannot create an application credential for another user.')
      const { project } = who
      if (project === null) throw forbidden('An application credential is made with a token of the project that it is for.')
      const expires_at = expiryOf(given.expires_at)?.value ?? null
      const secret = given.secret || randomBytes(64).toString('base64url')
      const secret_hash = await hashPassword(secret, remote)
      return await db.write(async (tx) => {
        const id = newId()
        const role_ids = (await rolesFor({ tx, who }, roles as { id?: string; name?: string }[] | undefined)).map(({ id }) => id)
        await tx
          .insertInto('identity.application_credential')
          .values({
            ...{ id, name, description, secret_hash, role_ids, expires_at },
            user_id: who.user.id,
            project_id: project.id,
            unrestricted: unrestricted ?? false,
          })
          .execute()
          .catch(taken('application_credential', `Duplicate entry found with name ${name}`))
        const rules = await takeRules(tx, who.user.id, (access_rules ?? []) as GivenRule[])
        const uses = rules.map((access_rule_id) => ({ application_credential_id: id, access_rule_id }))
        if (uses.length > 0) await tx.insertInto('identity.application_credential_access_rule').values(uses).execute()
        return { application_credential: { ...view(call, await findCredential(tx, id)), secret } }
      })
    },
  }),
  row({
    route: 'GET /users/:user_id/application_credentials/:application_credential_id',
    policy: 'identity:get_application_credential',
    target: owner,
    reply: 200,
    summary: 'Show an application credential',
    async run(call) {
      refuseTrustAndOauth(call.who)
      return { application_credential: view(call, await findCredential(call.tx, call.params.application_credential_id)) }
    },
  }),
  row({
    route: 'DELETE /users/:user_id/application_credentials/:application_credential_id',
    policy: 'identity:delete_application_credential',
    target: owner,
    reply: 204,
    summary: 'Delete an application credential; its tokens are void at once',
    async run({ tx, who, params }) {
      refuseTrustAndOauth(who)
      refuseRestricted(who, 'application credentials')
      const { id } = await findCredential(tx, params.application_credential_id)
      await tx.deleteFrom('identity.application_credential').where('id', '=', id).execute()
      await identityChanged(tx)
    },
  }),
]
