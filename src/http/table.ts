/**
 * How a resource's API is written down: a table of rows, each row data. Everything else (router, token, microversion, policy,
 * validation, transaction, envelope, OpenAPI, coverage tests) derives from the rows, so a room says only what is its own.
 */
import type { X509Certificate } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import type { Static, TSchema } from 'typebox'
import type { Database, Tx } from '../database/connect.ts'
import type { AuditDetails } from './audit.ts'
import type { Envelope } from './envelope.ts'
import type { PolicyDefaults, Scopes, Target } from './policy.ts'
import type { Who } from './who.ts'

export { type ApiDeps, api } from './api.ts'
export { type MountDeps, mount } from './mount.ts'
export { at, changed, lives, since, until } from './schema.ts'
export type { Envelope, PolicyDefaults, Scopes, Target, Who }

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** `GET /servers/:id`, or `POST /servers/:id/action#reboot`: then the first key of the body selects the row. */
export type Route = `${Method} /${string}`

/** The names after the colons of a route, so that `params.id` is known to be there. */
type ParamNames<R extends string> = R extends `${infer Path}#${string}`
  ? ParamNames<Path>
  : R extends `${string}:${infer Name}/${infer Rest}`
    ? Name | ParamNames<`/${Rest}`>
    : R extends `${string}:${infer Name}`
      ? Name
      : never
export type Params<R extends string> = { [K in ParamNames<R>]: string } & { [name: string]: string }

/** A query as it came, for rows that give no schema for it. */
export type RawQuery = Record<string, string | string[]>

export type Body<B extends TSchema | undefined> = B extends TSchema ? Static<B> : undefined
export type Query<Q extends TSchema | undefined> = Q extends TSchema ? Static<Q> : RawQuery

/** What a row's `run` is given: one request by one caller, checked. All functions may be taken out of it: `({ must, tx }) => …`. */
export interface Call<B = unknown, Q = unknown, P = Record<string, string>> {
  /** The transaction of this request; the plain read connection for GET and HEAD, and in rows with `transaction: 'own'`. */
  tx: Tx
  db: Database
  who: Who
  /** Negotiated microversion such as '2.90'; '' where the service has none. */
  version: string
  body: B
  query: Q
  params: P
  requestId: string
  /** The client's address. */
  remote: string
  /** The client's TLS certificate, verified. @throws Fault 400 if a trusted proxy sent something else */
  certificate(): X509Certificate | undefined
  headers: IncomingHttpHeaders
  /** `origin` is scheme://host:port as the client sees it; X-Forwarded-* is honoured from loopback and WISP_TRUSTED_PROXIES only. `path` has no query, `search` has its '?'. */
  url: { origin: string; path: string; search: string }
  /** The raw body; only where `input` is 'stream' has nobody read it yet. */
  input: Readable
  header(name: string, value: string): void
  /** Says for the audit log what the route does not; a GET is logged only if this was called. Never secrets. */
  audit(details: AuditDetails): void
  /** Answers with another status than the row's `reply`. */
  status(code: number): void
  /** Whether policy lets the caller do this to the target (default: the caller's own project and the path's params). */
  may(rule: string, target?: Target): boolean
  /** The same, as a 403 that names the rule. */
  must(rule: string, target?: Target): void
}

export interface Row<
  R extends Route = Route,
  B extends TSchema | undefined = TSchema | undefined,
  Q extends TSchema | undefined = TSchema | undefined,
> {
  route: R
  /** The rule that lets one in; null opens the row to anyone, without a token. */
  policy: string | null
  /**
   * What the policy is checked against, where the caller's own project and the params don't say it: a function that loads it
   * (in the row's transaction, before `run`), or 'loaded' for a row whose `run` loads the object and calls `must` itself;
   * a row that then answers without having asked is a 500, so a forgotten check never leaks.
   */
  target?: 'loaded' | ((call: Call<Body<B>, Query<Q>, Params<R>>) => Promise<Target> | Target)
  since?: string
  until?: string
  body?: B
  query?: Q
  /** Status of success; `changed('2.2', 200, 201)` where a microversion changed it. */
  reply: number
  returns?: TSchema
  /** 'json' by default; the fields of a 'form' are texts. A list names the media types accepted, all of them JSON ('application/openstack-images-v2.1-json-patch'). */
  input?: 'json' | 'stream' | 'json-patch' | 'form' | string[]
  /** 'row' by default: GET and HEAD read without begin, all else is one transaction and the reply leaves after commit. 'own': `run` opens its own with `db`. */
  transaction?: 'row' | 'own'
  /** What a person reads in the OpenAPI document. */
  summary?: string
  /** Returns the body as data (sent as JSON), a Buffer, a stream, a string (sent as text), or undefined for an empty answer. */
  run(call: Call<Body<B>, Query<Q>, Params<R>>): Promise<unknown> | unknown
}

/** A row of which only the data matters: what tables hold and `mount` takes. */
export type AnyRow = Omit<Row, 'run' | 'target'> & {
  target?: 'loaded' | ((call: Call<never, never, never>) => Promise<Target> | Target)
  run(call: Call<never, never, never>): unknown
}

/** Keeps each row's own types while the table stays one plain array. */
export const row = <const R extends Route, B extends TSchema | undefined = undefined, Q extends TSchema | undefined = undefined>(
  r: Row<R, B, Q>,
): AnyRow => r as unknown as AnyRow

export interface Microversions {
  /** The service's word in `OpenStack-API-Version: compute 2.90`. */
  header: string
  /** An older header that bears the bare version, such as `X-OpenStack-Nova-API-Version`. */
  legacyHeader?: string
  /** Also what a request without the header gets. */
  min: string
  max: string
}

export interface Service {
  /** As in the catalog: 'compute', 'identity', … Names the policy file, the metrics' label and the OpenAPI document. */
  type: string
  /** Its other names in the catalog, by which access rules may call it. */
  aliases?: string[]
  /** Where it is mounted; a prefix may hold params, as in '/volume/v3/:project_id'. The first is the one told to people. */
  prefixes: string[]
  microversion?: Microversions
  envelope: Envelope
  rows: AnyRow[]
  policies: PolicyDefaults
  /** Which tokens each rule is for; all, where it isn't said. */
  scopes?: Scopes
  /** False for a service that doesn't tell clients where to get a token; true by default. */
  wwwAuthenticate?: boolean
  /** An older name of x-openstack-request-id that clients of this service read. */
  requestIdHeader?: string
  /** A slash at the end of a guarded path names an object without a name, so nothing (Nova, Glance); elsewhere it has no meaning. */
  strictSlash?: boolean
}
