// Who is logged in, for which scope (a project, a domain, the whole system) and region. The token lives in sessionStorage only (gone with the
// tab); the choice of scope and region, which is no secret, is remembered in localStorage.
import { useSyncExternalStore } from 'react'
import type { Service } from './http.ts'

/** What a token is for. A domain's and the system's tokens are for administration: they reach no servers, networks and images. */
export type Scope = { kind: 'project' | 'domain'; id: string; name: string } | { kind: 'system'; id: 'all'; name: '' }

export type Session = {
  token: string
  /** The token without a scope that it was made of: a token of the system can't be exchanged for another. */
  unscoped: string
  expiresAt: string
  user: { id: string; name: string }
  scope: Scope
  /** The scope's project; its id and name are empty in a domain and in the system. */
  project: { id: string; name: string }
  /** What else one may choose. */
  projects: { id: string; name: string }[]
  domains: { id: string; name: string }[]
  system: boolean
  roles: string[]
  region: string
  regions: string[]
  /** Public address of each service type, per region, from the catalog. */
  catalog: { type: string; region: string; url: string }[]
}

export type WhyEnded = 'expired' | 'logged-out'

const storageKey = 'wisp.session'
const choiceKey = 'wisp.choice'
const webSsoKey = 'wisp.websso'
const backKey = 'wisp.back'

/** Where the controller mounts each service; the page comes from the same origin. */
const prefixes: Record<Service, string> = {
  identity: '/identity/v3',
  compute: '/compute/v2.1',
  image: '/image/v2',
  network: '/network/v2.0',
}

function stored(): Session | undefined {
  try {
    const session = JSON.parse(sessionStorage.getItem(storageKey) ?? 'null') as Session | null
    // One that an older version of this page left behind has no scope.
    return session?.scope !== undefined && Date.parse(session.expiresAt) > Date.now() ? session : undefined
  } catch {
    return undefined
  }
}

let session: Session | undefined = stored()
let ended: WhyEnded | undefined
let expiry: ReturnType<typeof setTimeout> | undefined
const listeners = new Set<() => void>()

function changed(): void {
  clearTimeout(expiry)
  if (session !== undefined) {
    // setTimeout counts in 32 bits; a longer-lived token is found out by its 401.
    const left = Date.parse(session.expiresAt) - Date.now()
    if (left < 2 ** 31) expiry = setTimeout(() => sessionEnded('expired'), left)
  }
  for (const listener of listeners) listener()
}

export function onSessionChange(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function currentSession(): Session | undefined {
  return session
}

/** Why the last session ended, for the log-in page's message. */
export function whyEnded(): WhyEnded | undefined {
  return ended
}

export function sessionStarted(next: Session): void {
  session = next
  ended = undefined
  sessionStorage.setItem(storageKey, JSON.stringify(next))
  localStorage.setItem(choiceKey, JSON.stringify({ kind: next.scope.kind, id: next.scope.id, region: next.region }))
  changed()
}

export function sessionEnded(why: WhyEnded): void {
  session = undefined
  ended = why
  sessionStorage.removeItem(storageKey)
  changed()
}

/** Where to go after a sign-in that leads away from this page; asked without an argument, and then forgotten. */
export function wayBack(to?: string): string | undefined {
  const known = sessionStorage.getItem(backKey) ?? undefined
  if (to === undefined) sessionStorage.removeItem(backKey)
  else sessionStorage.setItem(backKey, to)
  return known
}

/** The token that a sign-in by an identity provider left in this tab, once: the page that ends it writes it there. */
export function takeWebSsoToken(): string | undefined {
  const token = sessionStorage.getItem(webSsoKey) ?? undefined
  sessionStorage.removeItem(webSsoKey)
  return token
}

/** The scope and region chosen last time on this browser. */
export function rememberedChoice(): { kind?: string; id?: string; region?: string } {
  try {
    return (JSON.parse(localStorage.getItem(choiceKey) ?? '{}') ?? {}) as { kind?: string; id?: string; region?: string }
  } catch {
    return {}
  }
}

/** The session, for pages that are only shown to people who are logged in. */
export function useSession(): Session {
  const value = useSyncExternalStore(onSessionChange, currentSession)
  // Between the end of a session and the redirect to the log-in page the last pages render once more.
  return value ?? nobody
}

const nobody: Session = {
  token: '',
  unscoped: '',
  expiresAt: '',
  user: { id: '', name: '' },
  scope: { kind: 'project', id: '', name: '' },
  project: { id: '', name: '' },
  projects: [],
  domains: [],
  system: false,
  roles: [],
  region: '',
  regions: [],
  catalog: [],
}

/** Of the whole cloud: with a domain's token one administers that domain only. */
export function isAdmin({ roles, scope }: Session): boolean {
  return roles.includes('admin') && scope.kind !== 'domain'
}

/** Does one administer users, groups and projects: those of the cloud, or those of the domain that was chosen? */
export function administersPeople(of: Session): boolean {
  return isAdmin(of) || (of.scope.kind === 'domain' && of.roles.some((role) => role === 'admin' || role === 'manager'))
}

/** Does one see the cloud's own things (roles, all projects): as its administrator, or as a reader of the whole system. */
export function seesCloud(of: Session): boolean {
  return isAdmin(of) || (of.scope.kind === 'system' && of.roles.includes('reader'))
}

/** Does one see users, groups and projects that are not one's own: all of them, or those of the domain that was chosen? */
export function seesPeople(of: Session): boolean {
  return administersPeople(of) || (of.scope.kind !== 'project' && of.roles.includes('reader'))
}

/** In which domain one makes things, unless one says otherwise. */
export function useHomeDomain(): string {
  const { scope } = useSession()
  return scope.kind === 'domain' ? scope.id : 'default'
}

/** A service's address: this origin's own, or the catalog's when the cloud has several regions and another one is chosen. */
export function endpoint(service: Service): string {
  if (session === undefined || session.regions.length < 2 || service === 'identity') return prefixes[service]
  const entry = session.catalog.find(({ type, region }) => region === session?.region && type === service)
  if (entry === undefined) return prefixes[service]
  const url = entry.url.replace(/\/$/, '')
  if (service === 'image' && !/\/v2$/.test(url)) return `${url}/v2`
  if (service === 'network' && !/\/v2\.0$/.test(url)) return `${url}/v2.0`
  return url
}
changed()
