/**
 * What went wrong, said once: a status and a message for people. Rooms throw a Fault and never think of JSON;
 * the service's envelope (envelope.ts) writes it in the dialect that its clients parse.
 */

export interface FaultOptions {
  headers?: Record<string, string>
  title?: string
  type?: string
  detail?: unknown
  cause?: unknown
}

export class Fault extends Error {
  /** HTTP status, 400 to 599 (or 300 for a choice of versions). */
  readonly status: number
  /** Headers that must go with the answer, such as `Retry-After`. */
  readonly headers?: Record<string, string>
  /** Short name of the error where a dialect has one; the status's phrase by default. */
  readonly title?: string
  /** The exception's name in neutron's envelope, such as `NetworkNotFound`. */
  readonly type?: string
  /** More for machines: neutron's `detail`, placement's `code`; never secrets. */
  readonly detail?: unknown

  constructor(status: number, message: string, options: FaultOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'Fault'
    this.status = status
    this.headers = options.headers
    this.title = options.title
    this.type = options.type
    this.detail = options.detail
  }
}

export const badRequest = (message: string, options?: FaultOptions) => new Fault(400, message, options)
export const unauthorized = (message = 'The request you have made requires authentication.', options?: FaultOptions) =>
  new Fault(401, message, options)
export const forbidden = (message: string, options?: FaultOptions) => new Fault(403, message, options)
export const notFound = (message = 'The resource could not be found.', options?: FaultOptions) => new Fault(404, message, options)
export const conflict = (message: string, options?: FaultOptions) => new Fault(409, message, options)
export const tooLarge = (message: string, options?: FaultOptions) => new Fault(413, message, options)
export const unsupportedMediaType = (message: string, options?: FaultOptions) => new Fault(415, message, options)

/**
 * A quota that would be exceeded. Nova and cinder answer 403 and 413, neutron 409; the room knows which is its own.
 * @param status 403 (nova), 409 (neutron) or 413 (cinder, glance)
 */
export const overQuota = (message: string, status: 403 | 409 | 413 = 403, options?: FaultOptions) =>
  new Fault(status, message, { type: 'OverQuota', ...options })

/** 501 for what OpenStack has and Wisp does not have yet; `what` names it as a user would, for example 'Floating IPs'. */
export const notBuilt = (what: string) => new Fault(501, `${what}: not available in this version of Wisp.`, { title: 'Not Implemented' })

/** 503 for what will be well again by itself; `seconds` tells clients when to come back. */
export const unavailable = (message: string, seconds = 2, cause?: unknown) =>
  new Fault(503, message, { headers: { 'retry-after': String(seconds) }, cause })
