// Tokens: signing in, asking what a token may do, and giving it back.
import { type TObject, Type as t } from 'typebox'
import { badRequest, forbidden, notFound } from '../../http/fault.ts'
import { type AnyRow, type Call, row } from '../../http/table.ts'
import { tokenOf } from '../../http/token.ts'
import type { SecurityCompliance } from '../../security-compliance.ts'
import { domainsOf, projectsOf, reachesSystem } from '../control/reach.ts'
import type { Receipt } from '../control/receipts.ts'
import type { RememberedPasswords } from '../control/remembered-passwords.ts'
import { revokeToken } from '../control/revocations.ts'
import type { SealingKeys } from '../control/sealed.ts'
import type { Session, Sessions } from '../control/sessions.ts'
import { type AuthRequest, signIn } from '../control/sign-in.ts'
import { domainView } from './domains.ts'
import { base, collection, selfLink } from './list.ts'
import { signedRequest } from './oauth1.ts'
import { projectView } from './projects.ts'
import { timestamp, tokenViews } from './token-view.ts'

const text = t.Optional(t.String())
const domain = t.Optional(t.Object({ id: text, name: text }))
const user = { id: text, name: text, domain }
// keystone/auth/schema.py
const authRequest = t.Object({
  auth: t.Object({
    identity: t.Object({
      methods: t.Array(t.String()),
      password: t.Optional(t.Object({ user: t.Optional(t.Object({ ...user, password: text })) })),
      token: t.Optional(t.Object({ id: t.String() })),
      totp: t.Optional(t.Object({ user: t.Optional(t.Object({ ...user, passcode: text })) })),
      oauth1: t.Optional(t.Object({})),
      application_credential: t.Optional(t.Object({ id: text, name: text, secret: text, user: t.Optional(t.Object(user)) })),
    }),
    scope: t.Optional(
      t.Union([
        t.Object({
          project: t.Optional(t.Object({ id: text, name: text, domain })),
          domain,
          'OS-TRUST:trust': t.Optional(t.Object({ id: text })),
          system: t.Optional(t.Object({ all: t.Optional(t.Union([t.Boolean(), t.String()])) })),
        }),
        t.String(),
      ]),
    ),
  }),
})

export interface TokenDeps {
  sessions: Sessions
  /** What the data directory's secret.key holds. */
  key: SealingKeys
  /** Seconds for which a token is valid. */
  lifetime: number
  /** The cloud's address where it is not the one that the client used. */
  publicUrl: string | undefined
  compliance: SecurityCompliance
  remembered: RememberedPasswords
}

/** keystone/receipt/handlers.py */
const receiptView = ({ methods, user, issuedAt, expiresAt, required }: Receipt) => ({
  receipt: { methods, user, expires_at: timestamp(expiresAt), issued_at: timestamp(issuedAt) },
  required_auth_methods: required,
})

/** The refusals of validate_issue_token_auth, beyond the schema. */
function checkNames({ identity, scope }: AuthRequest): void {
  const needs = (field: string, named: { id?: unknown; name?: unknown } | undefined) => {
    if (named && !('id' in named) && !('name' in named)) throw badRequest(`Invalid input for field ${field}: id or name must be present.`)
  }
  needs('identity/password/user', identity.password?.user)
  needs('identity/password/user/domain', identity.password?.user?.domain)
  if (identity.methods.includes('password') && identity.password && !identity.password.user)
    throw badRequest("Invalid input for field 'identity/password': 'user' is a required property")
  if (typeof scope !== 'object') return
  needs('scope/project', scope.project)
  needs('scope/project/domain', scope.project?.domain)
  needs('scope/domain', scope.domain)
}

export function tokens(deps: TokenDeps): AnyRow[] {
  const { sessions, key, lifetime, compliance, remembered, publicUrl } = deps
  const { catalog, text: textOf, view } = tokenViews(deps)

  /** The groups that the caller is in by their federated token. */
  const groupsOf = async ({ headers }: Pick<Call, 'headers'>): Promise<string[]> =>
    (await sessions.open(tokenOf(headers) ?? ''))?.facts.federation?.groups ?? []

  /** The token that the request is about. @throws Fault 404 if it is not valid */
  const subject = async (headers: Call['headers']): Promise<{ token: string; session: Session }> => {
    const header = headers['x-subject-token']
    const token = Array.isArray(header) ? header[0] : header
    const session = token === undefined ? null : await sessions.open(token)
    if (!session || token === undefined) throw notFound('Could not find token.')
    // A service that doesn't say that it heeds access rules would let the token do everything.
    if (session.who.accessRules && !(Number(headers['openstack-identity-access-rules']) >= 1)) throw notFound('Could not find token.')
    return { token, session }
  }
  const target = async ({ headers }: Pick<Call, 'headers'>) => ({
    target: { token: { user_id: (await subject(headers)).session.claims.user } },
  })

  const validate = async (call: Call<undefined>) => {
    const { token, session } = await subject(call.headers)
    call.header('x-subject-token', token)
    call.header('vary', 'X-Auth-Token')
    call.header('content-type', 'application/json')
    return await textOf(call as Call<undefined, object>, session)
  }

  return [
    row({
      route: 'POST /auth/tokens',
      policy: null,
      body: authRequest as TObject,
      reply: 201,
      transaction: 'own',
      summary: 'Sign in: get a token',
      async run(call) {
        const { auth } = call.body as { auth: AuthRequest }
        call.audit({ action: 'authenticate', target: { typeURI: 'service/security/account/user' } })
        checkNames(auth)
        const { db, remote, audit, certificate } = call
        const receipt = call.headers['openstack-auth-receipt']
        const signed = signedRequest(call, 'POST', publicUrl)
        const deps = {
          db,
          key,
          sessions,
          lifetime,
          compliance,
          remembered,
          remote,
          audit,
          certificate,
          signed,
          ...(receipt !== undefined && { receipt: String(receipt) }),
        }
        const signedIn = await signIn(deps, auth)
        if ('receipt' in signedIn) {
          call.status(401)
          call.header('openstack-auth-receipt', signedIn.receipt)
          return receiptView(signedIn)
        }
        const { token, ...session } = signedIn
        const { user, project, domain } = session.facts
        call.audit({
          initiator: { id: user.id, name: user.name, ...(project && { project_id: project.id }), ...(domain && { domain_id: domain.id }) },
        })
        call.header('x-subject-token', token)
        call.header('vary', 'X-Auth-Token')
        return await view(call, session)
      },
    }),
    row({
      route: 'GET /auth/tokens',
      policy: 'identity:validate_token',
      target,
      reply: 200,
      summary: 'Show what a token may do',
      run: (call) => validate(call as unknown as Call<undefined>),
    }),
    row({
      route: 'HEAD /auth/tokens',
      policy: 'identity:check_token',
      target,
      reply: 200,
      summary: 'Check a token',
      run: (call) => validate(call as unknown as Call<undefined>),
    }),
    row({
      route: 'DELETE /auth/tokens',
      policy: 'identity:revoke_token',
      target,
      reply: 204,
      summary: 'Revoke a token',
      async run({ tx, headers }) {
        await revokeToken(tx, (await subject(headers)).session.claims)
      },
    }),
    row({
      route: 'GET /auth/catalog',
      policy: 'identity:get_auth_catalog',
      reply: 200,
      summary: "Show the token's service catalog",
      async run(call) {
        const { who } = call
        if (!who.project) throw forbidden('A project-scoped token is required to produce a service catalog.')
        return { catalog: await catalog(call, who.user.id, who.project.id), links: { self: `${base(call)}/auth/catalog` } }
      },
    }),
    ...(['auth', 'OS-FEDERATION'] as const).flatMap((place) => [
      row({
        route: `GET /${place}/projects`,
        policy: 'identity:get_auth_projects',
        reply: 200,
        summary: 'List the projects that one may scope a token to',
        async run(call) {
          const rows = await projectsOf(call.tx, call.who.user.id, await groupsOf(call))
          return collection(call, 'projects', rows, (project) => projectView(call, project))
        },
      }),
      row({
        route: `GET /${place}/domains`,
        policy: 'identity:get_auth_domains',
        reply: 200,
        summary: 'List the domains that one may scope a token to',
        async run(call) {
          const rows = await domainsOf(call.tx, call.who.user.id, await groupsOf(call))
          return collection(call, 'domains', rows, (domain) => domainView(call, domain))
        },
      }),
    ]),
    row({
      route: 'GET /auth/system',
      policy: 'identity:get_auth_system',
      reply: 200,
      summary: 'Show whether one may scope a token to the system',
      run: async (call) => ({
        system: (await reachesSystem(call.tx, call.who.user.id, await groupsOf(call))) ? [{ all: true }] : [],
        links: selfLink(call, 'auth', 'system'),
      }),
    }),
  ]
}
