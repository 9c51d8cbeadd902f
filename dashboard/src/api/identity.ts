// Logging in with identity v3: a password gives an unscoped token, what it may be scoped to is read with it, and it is exchanged for one with
// the chosen scope: a project, a domain, or the system.
import { ApiError, messageOf } from './http.ts'
import { currentSession, rememberedChoice, type Scope, type Session, sessionStarted } from './session.ts'

type Named = { id: string; name: string }

type TokenBody = {
  token: {
    expires_at: string
    user: { id: string; name: string }
    project?: Named
    domain?: Named
    roles?: { name: string }[]
    catalog?: { type: string; endpoints: { interface: string; region?: string; region_id?: string; url: string }[] }[]
  }
}

/** The user has no role on anything: nothing to show them. */
export class NoProject extends Error {}

async function authenticate(auth: unknown): Promise<{ id: string; body: TokenBody }> {
  let response: Response
  try {
    response = await fetch('/identity/v3/auth/tokens', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify({ auth }),
    })
  } catch (reason) {
    throw new ApiError('identity', 0, reason instanceof Error ? reason.message : String(reason))
  }
  const text = await response.text()
  if (!response.ok)
    throw new ApiError(
      'identity',
      response.status,
      messageOf(text, response.status),
      response.headers.get('x-openstack-request-id') ?? undefined,
    )
  return { id: response.headers.get('x-subject-token') ?? '', body: JSON.parse(text) as TokenBody }
}

async function read<T>(token: string, path: string): Promise<T> {
  const response = await fetch(`/identity/v3${path}`, { headers: { 'x-auth-token': token, accept: 'application/json' } })
  const text = await response.text()
  if (!response.ok)
    throw new ApiError(
      'identity',
      response.status,
      messageOf(text, response.status),
      response.headers.get('x-openstack-request-id') ?? undefined,
    )
  return JSON.parse(text) as T
}

/** What a session may be for. */
type Choices = Pick<Session, 'projects' | 'domains' | 'system'>

async function choicesOf(token: string): Promise<Choices> {
  const usable = (rows: (Named & { enabled?: boolean })[]) =>
    rows.filter(({ enabled }) => enabled !== false).map(({ id, name }) => ({ id, name }))
  const [{ projects }, { domains }, { system }] = await Promise.all([
    read<{ projects: Named[] }>(token, '/auth/projects'),
    read<{ domains: Named[] }>(token, '/auth/domains'),
    read<{ system: { all?: boolean }[] }>(token, '/auth/system'),
  ])
  return { projects: usable(projects), domains: usable(domains), system: system.some(({ all }) => all === true) }
}

const choicesIn = ({ projects, domains, system }: Session): Choices => ({ projects, domains, system })

const wholeSystem: Scope = { kind: 'system', id: 'all', name: '' }

/** The scopes in the order in which one of them is taken if none was chosen before. */
export function scopesOf({ projects, domains, system }: Choices): Scope[] {
  return [
    ...projects.map((project) => ({ kind: 'project' as const, ...project })),
    ...domains.map((domain) => ({ kind: 'domain' as const, ...domain })),
    ...(system ? [wholeSystem] : []),
  ]
}

async function begin(token: string, choices: Choices, scope: Scope): Promise<Session> {
  const wanted = scope.kind === 'system' ? { system: { all: true } } : { [scope.kind]: { id: scope.id } }
  const { id, body } = await authenticate({ identity: { methods: ['token'], token: { id: token } }, scope: wanted })
  const catalog = (body.token.catalog ?? []).flatMap(({ type, endpoints }) =>
    endpoints
      .filter((entry) => entry.interface === 'public')
      .map((entry) => ({ type, region: entry.region_id ?? entry.region ?? '', url: entry.url })),
  )
  const regions = [...new Set(catalog.map(({ region }) => region))].filter((region) => region !== '').sort()
  const remembered = rememberedChoice().region
  return {
    token: id,
    unscoped: token,
    expiresAt: body.token.expires_at,
    user: { id: body.token.user.id, name: body.token.user.name },
    scope,
    project: scope.kind === 'project' ? { id: scope.id, name: body.token.project?.name ?? scope.name } : { id: '', name: '' },
    ...choices,
    roles: (body.token.roles ?? []).map(({ name }) => name),
    region: remembered !== undefined && regions.includes(remembered) ? remembered : (regions[0] ?? ''),
    regions,
    catalog,
  }
}

/** Logs in and starts the session in the scope used last time, or the first one. Throws ApiError (401: wrong name or password) or NoProject. */
export async function logIn(domain: string, user: string, password: string): Promise<void> {
  const { id } = await authenticate({
    identity: { methods: ['password'], password: { user: { name: user, domain: { name: domain }, password } } },
  })
  await logInWith(id, user)
}

/** The same with an unscoped token, such as a sign-in by an identity provider leaves behind. */
export async function logInWith(token: string, user: string): Promise<void> {
  const choices = await choicesOf(token)
  const scopes = scopesOf(choices)
  const { kind, id } = rememberedChoice()
  const chosen = scopes.find((scope) => scope.kind === kind && scope.id === id) ?? scopes[0]
  if (chosen === undefined) throw new NoProject(user)
  sessionStarted(await begin(token, choices, chosen))
}

/** An identity provider by which one may sign in, and the address at which that begins. */
export type WebSso = { identity_provider: string; protocol: string; name: string; links: { dashboard: string } }

/** For the log-in page's buttons; none where the list can't be had, because a password may still do. */
export async function listWebSso(signal: AbortSignal): Promise<WebSso[]> {
  const response = await fetch('/identity/v3/auth/OS-FEDERATION/websso', { headers: { accept: 'application/json' }, signal })
  return response.ok ? ((await response.json()) as { websso: WebSso[] }).websso : []
}

/** Gets a token with another scope; what one may choose is read anew, because it may have changed. */
export async function switchScope(scope: Scope): Promise<void> {
  const session = currentSession()
  if (session !== undefined) sessionStarted(await begin(session.unscoped, await choicesOf(session.unscoped), scope))
}

export async function switchProject(id: string): Promise<void> {
  const name = currentSession()?.projects.find((project) => project.id === id)?.name ?? id
  await switchScope({ kind: 'project', id, name })
}

export function switchRegion(region: string): void {
  const session = currentSession()
  if (session !== undefined) sessionStarted({ ...session, region })
}

/** Starts the session anew with a password that was just changed: the tokens from before it are void. */
export async function renewSession(password: string): Promise<void> {
  const session = currentSession()
  if (session === undefined) return
  const { id } = await authenticate({ identity: { methods: ['password'], password: { user: { id: session.user.id, password } } } })
  sessionStarted(await begin(id, choicesIn(session), session.scope))
}

/** Where the identity service answers, as files for other programs name it. */
export function authUrl(): string {
  const entry = currentSession()?.catalog.find(({ type }) => type === 'identity')
  const url = (entry?.url ?? `${location.origin}/identity`).replace(/\/$/, '')
  return /\/v3$/.test(url) ? url : `${url}/v3`
}

/** Asks identity to forget the tokens. Failing is no reason to keep someone logged in, so the caller may ignore it. */
export async function revokeToken(): Promise<void> {
  const session = currentSession()
  if (session === undefined) return
  const { token, unscoped } = session
  const forget = (subject: string) =>
    fetch('/identity/v3/auth/tokens', { method: 'DELETE', headers: { 'x-auth-token': token, 'x-subject-token': subject } })
  await forget(unscoped)
  await forget(token)
}
