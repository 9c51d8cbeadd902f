// From a checked auth request to a token: each method says who it is, all must mean the same user, then the scope is found and the roles
// there are looked up. What fails says only "authentication required", so that nobody can tell users, projects or domains from strangers.
import type { X509Certificate } from 'node:crypto'
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { forbidden, notFound, unauthorized } from '../../http/fault.ts'
import { byApplicationCredential } from './application-credentials.ts'
import { isHeld, notHeld } from './bound-tokens.ts'
import { readLent } from './delegations.ts'
import { proveOutside } from './directory.ts'
import { type Facts, readFacts } from './facts.ts'
import { expecting, forbiddenAction } from './faults.ts'
import { byOauth1 } from './oauth1.ts'
import type { SignedRequest } from './oauth1-signature.ts'
import { type Demands, type Named, noteActive, provePassword, refuseInactive } from './prove-password.ts'
import { makeReceipt, methodsOf, type Receipt, suffices } from './receipts.ts'
import type { SealingKeys } from './sealed.ts'
import type { Session, Sessions } from './sessions.ts'
import { type Claims, type Delegation, newAuditId, type Scope } from './tokens.ts'
import { byTotp } from './totp.ts'
import { consumeTrust } from './trusts.ts'

export interface AuthRequest {
  identity: {
    methods: string[]
    password?: { user: Named & { password: string } }
    token?: { id: string }
    totp?: { user?: Named & { passcode?: string } }
    oauth1?: object
    application_credential?: { id?: string; name?: string; user?: Named; secret?: string }
  }
  scope?:
    | 'unscoped'
    | { project?: Named; domain?: Named; system?: { all?: unknown }; unscoped?: unknown; 'OS-TRUST:trust'?: { id?: string } }
}

export interface SignedIn extends Pick<Session, 'claims' | 'facts'> {
  token: string
}

export interface SignInDeps extends Demands {
  db: Database
  /** What the data directory's secret.key holds. */
  key: SealingKeys
  sessions: Sessions
  /** Seconds for which a token is valid that was not made from another. */
  lifetime: number
  /** What the method oauth1 checks, where the caller has it. */
  signed?: SignedRequest
  /** That of the client who signs in. */
  certificate: () => X509Certificate | undefined
  /** For methods that were used before (see receipts.ts). */
  receipt?: string | undefined
}

/** Who it is, as one method has shown. */
export interface Proof {
  user: string
  since: number
  /** Those that an earlier sign-in has used, whose token is the proof. */
  methods: string[]
  claims?: Claims
  /** What decides on the scope and the roles. */
  delegation?: Delegation
}

/** Throws the 401 unless the payload of the request proves who it is. */
type Prove = (deps: SignInDeps, identity: AuthRequest['identity'], scope: AuthRequest['scope']) => Promise<Proof>

const provers: Record<string, Prove> = {
  totp: ({ db, key, remote }, { totp }) => byTotp(db, key, totp?.user, remote),
  token: (deps, { token }, scope) => byToken(deps, token!.id, scope),
  oauth1: ({ db, key, signed }) => byOauth1(db, key, signed),
  password: (deps, { password }) => byPassword(deps, password!.user),
  application_credential: ({ db, remote, remembered }, { application_credential }) =>
    byApplicationCredential(db, application_credential!, remote, remembered),
}

/** @throws Fault 400 for a request without sense, 401 for all that is not to be let in, 403 for what a delegation may not be used for */
export async function signIn(deps: SignInDeps, request: AuthRequest): Promise<SignedIn | Receipt> {
  const { db, sessions, lifetime } = deps
  const methods = [...new Set(request.identity.methods)]
  for (const method of methods) if (!(method in request.identity)) throw expecting(method, 'identity')
  for (const method of methods) {
    if (!Object.hasOwn(provers, method)) throw unauthorized('Attempted to authenticate with an unsupported method.')
  }
  if (methods.includes('application_credential') && request.scope !== undefined) {
    throw unauthorized('Error authenticating with application credential: Application credentials cannot request a scope.')
  }
  const wanted = readScope(request.scope)

  const proofs: Proof[] = []
  for (const method of methods) proofs.push(await provers[method]!(deps, request.identity, request.scope))
  const [first] = proofs
  if (!first || proofs.some(({ user, since }) => user !== first.user || since !== first.since)) throw unauthorized()
  const before = deps.receipt === undefined ? [] : await methodsOf(sessions, deps.receipt, first)
  const used = [...new Set([...methods, ...proofs.flatMap((proof) => proof.methods), ...before])]

  const parent = proofs.find(({ claims }) => claims)?.claims
  const lentBy = proofs.find((proof) => proof.delegation)?.delegation
  const { scope, facts } = lentBy
    ? await scopeByDelegation(db, first.user, lentBy)
    : await scopeFor(deps, first, wanted, parent?.federation)
  if (facts.userSince !== first.since) throw unauthorized()
  await refuseInactive(db.read, standingBehind(first.user, facts), deps.compliance)
  if (!suffices(facts, used)) return await makeReceipt(sessions, facts, first.user, used)
  if (wanted.kind === 'trust' && !lentBy) await db.write((tx) => consumeTrust(tx, wanted.id))
  return await issue(sessions, { user: first.user, scope, facts, methods: used, lifetime, parent })
}

/** Who must be a user in good standing for a sign-in: who signs in, and whose trust it is. */
export const standingBehind = (user: string, { delegation }: Facts): string[] =>
  delegation?.kind === 'trust' ? [user, delegation.trustor] : [user]

export interface Issue {
  user: string
  scope: Scope
  facts: Facts
  methods: string[]
  /** Seconds; shorter where the delegation or the parent ends earlier. */
  lifetime: number
  /** The token that this one is made from. */
  parent?: Claims | undefined
  /** Of the certificate that the token is bound to; else that of the parent. */
  thumbprint?: string
}

/** Makes the token for a user who was recognized. */
export async function issue(sessions: Sessions, asked: Issue): Promise<SignedIn> {
  const { user, scope, facts, methods, lifetime, parent, thumbprint = parent?.thumbprint } = asked
  const now = Date.now()
  const claims: Claims = {
    user,
    scope,
    methods,
    issuedAt: now,
    expiresAt: Math.min(
      now + lifetime * 1000,
      parent?.expiresAt ?? Number.POSITIVE_INFINITY,
      facts.delegatedUntil ?? Number.POSITIVE_INFINITY,
    ),
    auditIds: [newAuditId(), ...(parent ? parent.auditIds.slice(-1) : [])],
    since: facts.since,
    lives: facts.lives,
    ...(parent?.federation !== undefined && { federation: parent.federation }),
    ...(facts.delegation && { delegation: { kind: facts.delegation.kind, id: facts.delegation.id } }),
    ...(thumbprint !== undefined && { thumbprint }),
  }
  return { token: await sessions.seal(claims), claims, facts }
}

const another = (kind: string) => forbiddenAction(`Using ${kind} token to create another token. Create a new ${kind} token instead`)

async function byToken({ sessions, certificate }: SignInDeps, token: string, scope: AuthRequest['scope']): Promise<Proof> {
  const session = await sessions.open(token)
  // Keystone's answer here; who has a token that is not valid any more learns nothing that they don't know.
  if (!session) throw notFound('Could not find token.')
  const { claims, facts } = session
  if (!isHeld(claims, certificate)) throw notHeld()
  const { delegation } = claims
  if (delegation?.kind === 'oauth1') throw another('OAuth-scoped')
  if (delegation?.kind === 'trust') throw another('trust-scoped')
  if (delegation && scope !== undefined) {
    throw forbiddenAction('Using an application credential token to create a scoped token is not allowed.')
  }
  if (claims.scope.kind === 'system' && typeof scope === 'object' && (scope.project || scope.domain)) {
    throw forbiddenAction('Using a system-scoped token to create a project-scoped or domain-scoped token is not allowed.')
  }
  return { user: claims.user, since: facts.userSince, methods: claims.methods, claims, ...(delegation && { delegation }) }
}

/** Scope and roles as they were lent. @throws Fault 401 if the delegation is gone, 403 if it lends this user nothing */
async function scopeByDelegation(db: Database, user: string, delegation: Delegation): Promise<{ scope: Scope; facts: Facts }> {
  const lent = await readLent(db.read, delegation)
  if (!lent) throw unauthorized()
  if (lent.user !== user) throw forbidden('User is not a trustee.')
  const scope: Scope = lent.projectId === null ? { kind: 'none' } : { kind: 'project', id: lent.projectId }
  const facts = await readFacts(db.read, user, scope, undefined, delegation)
  if (!facts) throw delegation.kind === 'trust' ? forbidden('Trustee has no delegated roles.') : unauthorized()
  return { scope, facts }
}

async function byPassword(deps: SignInDeps, user: Named & { password: string }): Promise<Proof> {
  if (!user.id && !user.name) throw expecting('id or name', 'user')
  if (!user.id && !user.domain) throw expecting('domain', 'user')
  if (typeof user.password !== 'string') throw expecting('password', 'user')
  const outside = await proveOutside(deps, user)
  if (outside) {
    if (deps.compliance.disable_user_account_days_inactive > 0) await noteActive(deps.db.read, outside.id)
    return { user: outside.id, since: outside.since, methods: [] }
  }
  const { id, since, expired } = await provePassword(deps.db, user, deps)
  if (expired) {
    deps.audit?.({ reason: 'The password is expired' })
    throw unauthorized(`The password is expired and needs to be changed for user: ${id}.`)
  }
  return { user: id, since, methods: [] }
}

type Wanted = { kind: 'default' | 'none' | 'system' } | { kind: 'project' | 'domain'; named: Named } | { kind: 'trust'; id: string }

function readScope(scope: AuthRequest['scope']): Wanted {
  if (scope === undefined) return { kind: 'default' }
  if (scope === 'unscoped') return { kind: 'none' }
  const given =
    typeof scope === 'object' ? ['system', 'project', 'domain', 'OS-TRUST:trust', 'unscoped'].filter((kind) => kind in scope) : []
  if (typeof scope !== 'object' || given.length !== 1) throw expecting('system, project, domain, OS-TRUST:trust or unscoped', 'scope')
  if (scope.system) return { kind: 'system' }
  if (scope.project) {
    if (!scope.project.id && !scope.project.domain) throw expecting('domain', 'project')
    return { kind: 'project', named: scope.project }
  }
  if (scope.domain) return { kind: 'domain', named: scope.domain }
  const trust = scope['OS-TRUST:trust']
  if (trust) {
    if (!trust.id) throw expecting('trust_id', 'trust')
    return { kind: 'trust', id: trust.id }
  }
  return { kind: 'none' }
}

async function scopeFor(deps: SignInDeps, proof: Proof, wanted: Wanted, federation?: number): Promise<{ scope: Scope; facts: Facts }> {
  const { db, sessions } = deps
  const { user } = proof
  if (wanted.kind === 'trust') return await scopeByDelegation(db, user, wanted)
  const factsIn = (scope: Scope) =>
    sessions.facts({ user, scope, ...(federation !== undefined && { federation }) }, ({ userSince }) => userSince === proof.since)
  if (wanted.kind === 'default') {
    const row = await db.read.selectFrom('identity.user').select('default_project_id').where('id', '=', user).executeTakeFirst()
    if (row?.default_project_id) {
      const scope: Scope = { kind: 'project', id: row.default_project_id }
      const facts = await factsIn(scope)
      if (facts) return { scope, facts }
    }
    return await scopeFor(deps, proof, { kind: 'none' }, federation)
  }
  const scope: Scope = 'named' in wanted ? { kind: wanted.kind, id: await find(db, wanted.kind, wanted.named) } : { kind: wanted.kind }
  const facts = await factsIn(scope)
  if (!facts) throw unauthorized()
  return { scope, facts }
}

/** The id; '' for what does not exist, which nobody has a role on. */
async function find(db: Database, kind: 'project' | 'domain', { id, name, domain }: Named): Promise<string> {
  if (id) return id
  const { rows } = await sql<{ id: string }>`
    select p.id from identity.project p left join identity.project d on d.id = p.domain_id
    where p.name = ${name ?? ''} and p.is_domain = ${kind === 'domain'}
      and (${kind === 'domain'} or d.id = ${domain?.id ?? ''} or ${domain?.id === undefined} and d.name = ${domain?.name ?? ''})`.execute(
    db.read,
  )
  return rows[0]?.id ?? ''
}
