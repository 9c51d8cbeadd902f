// The one place where the page speaks HTTP: adds the token and the microversion, and turns every service's error envelope into one ApiError.
import { currentSession, endpoint, sessionEnded } from './session.ts'

export type Service = 'identity' | 'compute' | 'image' | 'network'

/** What a service refused: its HTTP status (0 = it could not be reached), its own words, and the request id to look for in the logs. */
export class ApiError extends Error {
  status: number
  requestId: string | undefined
  service: Service
  constructor(service: Service, status: number, message: string, requestId?: string) {
    super(message)
    this.name = 'ApiError'
    this.service = service
    this.status = status
    this.requestId = requestId
  }
}

export const computeMicroversion = '2.96'

export type RequestOptions = {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  body?: unknown
  query?: Record<string, string | number | boolean | undefined>
  signal?: AbortSignal
  /** Compute only: another microversion than the newest one. */
  microversion?: string
  contentType?: string
  /** A 401 is about what was sent (a password), not about the token, and leaves the session alone. */
  keepSession?: boolean
}

/** The words of an error, out of whichever envelope the service uses (keystone `error`, nova `badRequest`…, neutron `NeutronError`, glance text). */
export function messageOf(body: string, status: number): string {
  try {
    const parsed: unknown = JSON.parse(body)
    if (typeof parsed === 'object' && parsed !== null) {
      const inner = Object.values(parsed).find((value) => typeof value === 'object' && value !== null) ?? parsed
      const { message, detail, title } = inner as { message?: unknown; detail?: unknown; title?: unknown }
      for (const words of [message, detail, title]) if (typeof words === 'string' && words !== '') return words
    }
  } catch {
    // Not JSON: glance's oldest answers are text or a small page.
  }
  const text = body
    .replace(/<(title|head)>[\s\S]*?<\/\1>/g, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  return text === '' ? `HTTP ${status}` : text.slice(0, 600)
}

export function headersFor(service: Service, options: RequestOptions): Record<string, string> {
  const headers: Record<string, string> = { accept: 'application/json' }
  const token = currentSession()?.token
  if (token !== undefined) headers['x-auth-token'] = token
  if (service === 'compute') headers['openstack-api-version'] = `compute ${options.microversion ?? computeMicroversion}`
  if (options.body !== undefined) headers['content-type'] = options.contentType ?? 'application/json'
  return headers
}

/** Sends a request and returns the whole answer; an error status throws ApiError; 401 ends the session, which brings up the log-in page. */
export async function send(service: Service, path: string, options: RequestOptions = {}): Promise<Response> {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(options.query ?? {})) if (value !== undefined && value !== '') query.set(name, String(value))
  const search = query.size > 0 ? `?${query}` : ''
  let response: Response
  try {
    response = await fetch(`${endpoint(service)}${path}${search}`, {
      method: options.method ?? 'GET',
      headers: headersFor(service, options),
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal,
      cache: 'no-store',
    })
  } catch (reason) {
    if (reason instanceof DOMException && reason.name === 'AbortError') throw reason
    throw new ApiError(service, 0, reason instanceof Error ? reason.message : String(reason))
  }
  if (response.ok) return response
  const requestId = response.headers.get('x-openstack-request-id') ?? undefined
  const error = new ApiError(service, response.status, messageOf(await response.text(), response.status), requestId)
  if (response.status === 401 && options.keepSession !== true && currentSession() !== undefined) sessionEnded('expired')
  throw error
}

/** Sends a request and returns its JSON body. */
export async function request<T>(service: Service, path: string, options: RequestOptions = {}): Promise<T> {
  const response = await send(service, path, options)
  return (await response.json()) as T
}

/** Sends a request whose answer has no body that matters (202, 204). */
export async function command(service: Service, path: string, options: RequestOptions = {}): Promise<void> {
  await send(service, path, options)
}
