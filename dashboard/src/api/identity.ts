// Logging in with identity v3: a password gives an unscoped token, the list of projects is read with it, and it is exchanged for one scoped to the
// chosen project.
import { ApiError, messageOf } from './http.ts'
import { currentSession, rememberedChoice, type Session, sessionStarted } from './session.ts'

export type Project = { id: string; name: string }

type TokenBody = {
  token: {
    expires_at: string
    user: { id: string; name: string }
    project?: { id: string; name: string }
    roles?: { name: string }[]
    catalog?: { type: string; endpoints: { interface: string; region?: string; region_id?: string; url: string }[] }[]
  }
}

/** The user has no role on any project: nothing to show them. */
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

async function projectsOf(token: string): Promise<Project[]> {
  const response = await fetch('/identity/v3/auth/projects', { headers: { 'x-auth-token': token, accept: 'application/json' } })
  const text = await response.text()
  if (!response.ok)
    throw new ApiError(
      'identity',
      response.status,
      messageOf(text, response.status),
      response.headers.get('x-openstack-request-id') ?? undefined,
    )
  const { projects } = JSON.parse(text) as { projects: (Project & { enabled?: boolean })[] }
  return projects.filter(({ enabled }) => enabled !== false).map(({ id, name }) => ({ id, name }))
}

async function scope(token: string, projects: Project[], projectId: string): Promise<Session> {
  const { id, body } = await authenticate({ identity: { methods: ['token'], token: { id: token } }, scope: { project: { id: projectId } } })
  const catalog = (body.token.catalog ?? []).flatMap(({ type, endpoints }) =>
    endpoints
      .filter((entry) => entry.interface === 'public')
      .map((entry) => ({ type, region: entry.region_id ?? entry.region ?? '', url: entry.url })),
  )
  const regions = [...new Set(catalog.map(({ region }) => region))].filter((region) => region !== '').sort()
  const remembered = rememberedChoice().region
  return {
    token: id,
    expiresAt: body.token.expires_at,
    user: { id: body.token.user.id, name: body.token.user.name },
    project: { id: projectId, name: body.token.project?.name ?? projectId },
    projects,
    roles: (body.token.roles ?? []).map(({ name }) => name),
    region: remembered !== undefined && regions.includes(remembered) ? remembered : (regions[0] ?? ''),
    regions,
    catalog,
  }
}

/** Logs in and starts the session in the project used last time, or the first one. Throws ApiError (401: wrong name or password) or NoProject. */
export async function logIn(domain: string, user: string, password: string): Promise<void> {
  const { id } = await authenticate({
    identity: { methods: ['password'], password: { user: { name: user, domain: { name: domain }, password } } },
  })
  await logInWith(id, user)
}

/** The same with an unscoped token, such as a sign-in by an identity provider leaves behind. */
export async function logInWith(token: string, user: string): Promise<void> {
  const projects = await projectsOf(token)
  const remembered = projects.find((project) => project.id === rememberedChoice().project)
  const chosen = remembered ?? projects[0]
  if (chosen === undefined) throw new NoProject(user)
  sessionStarted(await scope(token, projects, chosen.id))
}

/** An identity provider by which one may sign in, and the address at which that begins. */
export type WebSso = { identity_provider: string; protocol: string; name: string; links: { dashboard: string } }

/** For the log-in page's buttons; none where the list can't be had, because a password may still do. */
export async function listWebSso(signal: AbortSignal): Promise<WebSso[]> {
  const response = await fetch('/identity/v3/auth/OS-FEDERATION/websso', { headers: { accept: 'application/json' }, signal })
  return response.ok ? ((await response.json()) as { websso: WebSso[] }).websso : []
}

/** Exchanges the token for one scoped to another project. */
export async function switchProject(projectId: string): Promise<void> {
  const session = currentSession()
  if (session !== undefined) sessionStarted(await scope(session.token, session.projects, projectId))
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
  sessionStarted(await scope(id, session.projects, session.project.id))
}

/** Where the identity service answers, as files for other programs name it. */
export function authUrl(): string {
  const entry = currentSession()?.catalog.find(({ type }) => type === 'identity')
  const url = (entry?.url ?? `${location.origin}/identity`).replace(/\/$/, '')
  return /\/v3$/.test(url) ? url : `${url}/v3`
}

/** Asks identity to forget the token. Failing is no reason to keep someone logged in, so the caller may ignore it. */
export async function revokeToken(): Promise<void> {
  const session = currentSession()
  if (session === undefined) return
  await fetch('/identity/v3/auth/tokens', {
    method: 'DELETE',
    headers: { 'x-auth-token': session.token, 'x-subject-token': session.token },
  })
}
