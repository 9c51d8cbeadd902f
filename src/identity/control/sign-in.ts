// From a checked auth request to a token: each method says who it is, all must mean the same user, then the scope is found and the roles
// there are looked up. What fails says only "authentication required", so that nobody can tell users, projects or domains from strangers.
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { badRequest, forbidden, notFound, unauthorized } from '../../http/fault.ts'
import { type Facts, readFacts } from './facts.ts'
import { type Demands, type Named, provePassword } from './prove-password.ts'
import type { Session, Sessions } from './sessions.ts'
import { type Claims, newAuditId, type Scope } from './tokens.ts'

export interface AuthRequest {
  identity: { methods: string[]; password?: { user: Named & { password: string } }; token?: { id: string } }
  scope?: 'unscoped' | { project?: Named; domain?: Named; system?: { all?: unknown }; unscoped?: unknown; 'OS-TRUST:trust'?: unknown }
}

export interface SignedIn extends Pick<Session, 'claims' | 'facts'> {
  token: string
}

/** Keystone's words for what is missing (keystone/exception.py, ValidationError). */
export const expecting = (attribute: string, target: string) =>
  badRequest(
    `Expecting to find ${attribute} in ${target}. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.`,
  )

export interface SignInDemands extends Demands {
  /** Seconds for which a token is valid that was not made from another. */
  lifetime: number
}

/**
 * @throws Fault 400 for a request without sense, 401 for all that is not to be let in
 */
export async function signIn(db: Database, sessions: Sessions, request: AuthRequest, demands: SignInDemands): Promise<SignedIn> {
  const methods = [...new Set(request.identity.methods)]
  for (const method of methods) if (!(method in request.identity)) throw expecting(method, 'identity')
  for (const method of methods) {
    if (method !== 'password' && method !== 'token') throw unauthorized('Attempted to authenticate with an unsupported method.')
  }
  const wanted = readScope(request.scope)

  const proofs: Proof[] = []
  if (methods.includes('token')) proofs.push(await byToken(sessions, request.identity.token!.id))
  if (methods.includes('password')) proofs.push(await byPassword(db, request.identity.password!.user, demands))
  const [first] = proofs
  if (!first || proofs.some(({ user, since }) => user !== first.user || since !== first.since)) throw unauthorized()
  const used = [...new Set([...methods, ...proofs.flatMap((proof) => proof.methods)])]

  const parent = proofs.find(({ claims }) => claims)?.claims
  if (parent?.scope.kind === 'system' && 'named' in wanted) {
    throw forbidden('Using a system-scoped token to create a project-scoped or domain-scoped token is not allowed.')
  }

  const { scope, facts } = await scopeFor(db, first.user, wanted, parent?.federation)
  if (facts.since !== first.since) throw unauthorized()
  const { factors } = facts
  if (factors.length > 0 && !factors.some((rule) => rule.every((method) => used.includes(method)))) throw unauthorized()
  const now = Date.now()
  const claims: Claims = {
    user: first.user,
    scope,
    methods: used,
    issuedAt: now,
    expiresAt: Math.min(now + demands.lifetime * 1000, parent?.expiresAt ?? Number.POSITIVE_INFINITY),
    auditIds: [newAuditId(), ...(parent ? parent.auditIds.slice(-1) : [])],
    since: first.since,
    lives: facts.lives,
    ...(parent?.federation !== undefined && { federation: parent.federation }),
  }
  return { token: await sessions.seal(claims), claims, facts }
}

/** Who it is, as one method has shown. */
interface Proof {
  user: string
  since: number
  methods: string[]
  claims?: Claims
}

async function byToken(sessions: Sessions, token: string): Promise<Proof> {
  const session = await sessions.open(token)
  // Keystone's answer here; who has a token that is not valid any more learns nothing that they don't know.
  if (!session) throw notFound('Could not find token.')
  const { claims } = session
  return { user: claims.user, since: claims.since, methods: claims.methods, claims }
}

async function byPassword(db: Database, user: Named & { password: string }, demands: Demands): Promise<Proof> {
  if (!user.id && !user.name) throw expecting('id or name', 'user')
  if (!user.id && !user.domain) throw expecting('domain', 'user')
  if (typeof user.password !== 'string') throw expecting('password', 'user')
  const { id, since, expired } = await provePassword(db, user, demands)
  if (expired) throw unauthorized(`The password is expired and needs to be changed for user: ${id}.`)
  return { user: id, since, methods: [] }
}

type Wanted = { kind: 'default' } | { kind: 'none' } | { kind: 'system' } | { kind: 'project' | 'domain'; named: Named }

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
  // There are no trusts, so none is found.
  if (given[0] === 'OS-TRUST:trust') throw unauthorized()
  return { kind: 'none' }
}

async function scopeFor(db: Database, user: string, wanted: Wanted, federation?: number): Promise<{ scope: Scope; facts: Facts }> {
  if (wanted.kind === 'default') {
    const row = await db.read.selectFrom('identity.user').select('default_project_id').where('id', '=', user).executeTakeFirst()
    if (row?.default_project_id) {
      const scope: Scope = { kind: 'project', id: row.default_project_id }
      const facts = await readFacts(db.read, user, scope, federation)
      if (facts) return { scope, facts }
    }
    return await scopeFor(db, user, { kind: 'none' }, federation)
  }
  const scope: Scope = 'named' in wanted ? { kind: wanted.kind, id: await find(db, wanted.kind, wanted.named) } : { kind: wanted.kind }
  const facts = await readFacts(db.read, user, scope, federation)
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
