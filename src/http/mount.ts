/**
 * Puts a service's rows on the router. Each request passes the same gates in the same order: microversion, token, row, policy,
 * schema, transaction; then the answer leaves, after the commit.
 */
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Database, Tx } from '../database/connect.ts'
import { accessAllowed } from './access-rules.ts'
import { noteMade } from './audit.ts'
import { mediaTypes, readBody } from './body.ts'
import { type Made, makeCall, must, ownTarget } from './call.ts'
import type { CertificateOf } from './certificate.ts'
import { badRequest, notFound, unauthorized } from './fault.ts'
import { type Negotiate, negotiator, versionHeaders } from './microversion.ts'
import { openapi } from './openapi.ts'
import { originOf } from './origin.ts'
import type { Policy, PolicyEnforcer } from './policy.ts'
import { splitRoute } from './route.ts'
import { at, lives } from './schema.ts'
import type { AnyRow, Call, Method, Service, Target } from './table.ts'
import { type Authenticate, readToken } from './token.ts'
import { asFault } from './unforeseen.ts'
import { type Validator, validator } from './validate.ts'
import { anonymous, type Who } from './who.ts'

export interface MountDeps {
  db: Database
  authenticate: Authenticate
  certificateOf: CertificateOf
  policy: PolicyEnforcer
  log: Pick<Logger, 'info' | 'warn' | 'error' | 'debug'>
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set once the token was checked. */
    who: Who | null
    version: string
  }
  interface FastifyContextConfig {
    service?: string
    route?: string
    /** The row's path, without the service's prefix. */
    path?: string
    accepts?: readonly string[]
  }
}

/** A row with everything prepared that does not depend on the request. */
interface Ready {
  row: AnyRow
  /** For `POST …/action#reboot`: 'reboot'; else ''. */
  action: string
  checkBody: Validator | undefined
  checkQuery: Validator | undefined
  writes: boolean
  run(call: Call): unknown
  target: undefined | 'loaded' | ((call: Call) => Promise<Target> | Target)
}

/** Rows that share a method and path: the actions of one resource, or a row's forms at different microversions. */
interface Group {
  method: Method
  path: string
  rows: Ready[]
  open: boolean
  stream: boolean
}

export function mount(app: FastifyInstance, service: Service, deps: MountDeps): void {
  if (!app.hasRequestDecorator('who')) app.decorateRequest('who', null).decorateRequest('version', '').decorateRequest('audit', null)
  const groups = groupsOf(service.rows)
  const gate = gateOf(service, deps)
  const policy = deps.policy.of(service.type)
  const document = openapi(service)

  for (const stream of [false, true]) {
    app.register(async (scope) => {
      scope.removeAllContentTypeParsers()
      if (stream) scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
      else scope.addContentTypeParser('*', { parseAs: 'buffer' }, parseBody)
      scope.setErrorHandler((error, request, reply) => {
        // What is left of an upload that was refused would be read to its end; better to hang up.
        if (stream) reply.header('connection', 'close')
        sendFault(error, request, reply, service, deps)
      })
      for (const prefix of service.prefixes) {
        for (const group of groups) {
          if (group.stream === stream)
            addRoute(scope, prefix, group, groups, service, gate, (request, reply) => serve(group, request, reply, service, policy, deps))
        }
      }
      if (stream) return
      for (const prefix of new Set(service.prefixes.map((full) => full.split('/:')[0]))) {
        // A service that is mounted in two parts has one document: that of its first.
        if (scope.hasRoute({ method: 'GET', url: `${prefix}/openapi.json` })) continue
        scope.get(`${prefix}/openapi.json`, { config: { service: service.type, route: 'GET /openapi.json' } }, async (_request, reply) =>
          reply.type('application/json').send(document()),
        )
      }
    })
  }
}

/** Writes any error as the service's fault; also used where no row was found. */
export function sendFault(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  service: Pick<Service, 'envelope'>,
  deps: Pick<MountDeps, 'log'>,
): void {
  const { fault, log } = asFault(error, request.id, (request.params ?? {}) as Record<string, string>)
  if (log)
    deps.log[log](
      { request_id: request.id, method: request.method, path: request.url.split('?')[0], err: fault.cause ?? fault },
      fault.message,
    )
  const { contentType, body } = service.envelope.write(fault, request.id)
  if (fault.headers) reply.headers(fault.headers)
  reply.code(fault.status).header('content-type', contentType).send(body)
}

function groupsOf(rows: AnyRow[]): Group[] {
  const groups = new Map<string, Group>()
  for (const row of rows) {
    const { method, path, action } = splitRoute(row.route)
    const stream = row.input === 'stream'
    const key = `${method} ${path}`
    const group = groups.get(key) ?? { method, path, rows: [], open: true, stream }
    if (group.stream !== stream) throw new Error(`${key} has rows that read a stream and rows that read JSON`)
    groups.set(key, group)
    group.open &&= row.policy === null
    group.rows.push({
      row,
      action,
      checkBody: row.body && validator('body', row.body),
      checkQuery: row.query && validator('query', row.query),
      writes: method !== 'GET' && method !== 'HEAD' && row.transaction !== 'own',
      run: row.run as (call: Call) => unknown,
      target: row.target as Ready['target'],
    })
  }
  return [...groups.values()]
}

type Gate = (group: Group) => (request: FastifyRequest, reply: FastifyReply) => Promise<void>

/** What is settled before the body is read: the version and the caller. */
function gateOf(service: Service, deps: MountDeps): Gate {
  const versions = service.microversion
  const types = [service.type, ...(service.aliases ?? [])]
  const negotiate: Negotiate = versions ? negotiator(versions) : () => ''
  const known = new Map<string, Record<string, string>>()
  const headersOf = (version: string): Record<string, string> => {
    let headers = known.get(version)
    if (!headers) {
      headers = versions ? Object.fromEntries(versionHeaders(versions, version)) : {}
      known.set(version, headers)
    }
    return headers
  }
  return (group) => async (request, reply) => {
    if (service.requestIdHeader !== undefined) reply.header(service.requestIdHeader, request.id)
    if (versions) {
      // Also what a refusal of the version says.
      request.version = versions.min
      try {
        request.version = negotiate(request.raw.headers)
      } finally {
        reply.headers(headersOf(request.version))
      }
    }
    const { url } = request.raw
    if (url!.includes('%')) refuseBadEncoding(url!)
    if (group.open) return
    request.who = await readToken(
      request.raw,
      deps.authenticate,
      deps.certificateOf,
      service.wwwAuthenticate === false ? undefined : () => `${originOf(request.raw)}/identity`,
    )
    const path = url!.split('?', 1)[0]!
    if (!accessAllowed(request.who, types, request.method, path)) {
      throw unauthorized(
        `The access rules of the application credential do not allow ${request.method} ${path} of the service ${service.type}.`,
      )
    }
    if (service.strictSlash && /\/(\?|$)/.test(url!)) throw notFound()
  }
}

function refuseBadEncoding(url: string): void {
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  if (path.includes('%00')) throw notFound()
  if (mark < 0) return
  const search = url.slice(mark + 1)
  if (search.includes('%00')) throw badRequest('The query of the request contains a NUL character.')
  try {
    decodeURIComponent(search)
  } catch {
    throw badRequest('The query of the request has an invalid percent encoding.')
  }
}

function parseBody(request: FastifyRequest, raw: string | Buffer, done: (error: Error | null, body?: unknown) => void): void {
  try {
    done(null, readBody(raw as Buffer, request.headers['content-type'], request.routeOptions.config.accepts ?? mediaTypes.json))
  } catch (error) {
    done(error as Error)
  }
}

function addRoute(
  scope: FastifyInstance,
  prefix: string,
  group: Group,
  all: Group[],
  service: Service,
  gate: Gate,
  handler: (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>,
): void {
  const { input } = group.rows[0]!.row
  const alone = group.method === 'GET' && !all.some(({ method, path }) => method === 'HEAD' && path === group.path)
  scope.route({
    method: alone ? ['GET', 'HEAD'] : group.method,
    url: prefix + group.path || '/',
    exposeHeadRoute: false,
    onRequest: gate(group),
    config: {
      service: service.type,
      route: `${group.method} ${prefix}${group.path}`,
      path: group.path,
      ...(group.stream
        ? {}
        : { accepts: Array.isArray(input) ? input : mediaTypes[input === undefined || input === 'stream' ? 'json' : input] }),
    },
    handler,
  })
}

async function serve(
  group: Group,
  request: FastifyRequest,
  reply: FastifyReply,
  service: Service,
  policy: Policy,
  deps: MountDeps,
): Promise<FastifyReply> {
  const { version } = request
  const who = request.who ?? anonymous
  const ready = choose(group, version, request.body)
  const { row, target } = ready
  // Who is let in nowhere learns nothing of what there is.
  if (row.policy !== null && Array.isArray(service.scopes) && !policy.fits(row.policy, who)) must(policy, row.policy, who, {})
  if (row.policy !== null && target === undefined) must(policy, row.policy, who, ownTarget(who, request.params as Record<string, string>))
  const invalid = ready.checkQuery?.(request.query, version) ?? ready.checkBody?.(request.body, version)
  const made = makeCall(request, version, who, ready.checkBody ? request.body : undefined, deps, policy)
  if (invalid) {
    await refuseAnyway(ready, made, policy, deps.db.read)
    throw service.envelope.invalid(invalid)
  }
  const out = ready.writes
    ? await deps.db.write((tx) => perform(ready, made, policy, tx))
    : await perform(ready, made, policy, deps.db.read)
  if (request.method === 'POST') noteMade(request, out)
  if (target === 'loaded' && !made.wanted.asked) throw new Error(`${row.route} answered without asking policy about what it loaded`)
  return send(reply, made.wanted.status ?? at(row.reply, version), made.wanted.headers, out, request.method === 'HEAD')
}

async function perform({ row, target, run }: Ready, { call, wanted }: Made, policy: Policy, tx: Tx): Promise<unknown> {
  call.tx = tx
  wanted.status = undefined
  wanted.headers = []
  wanted.asked = false
  if (row.policy !== null && typeof target === 'function') {
    must(policy, row.policy, call.who, { ...ownTarget(call.who, call.params), ...(await target(call)) })
  }
  return run(call)
}

/** Who may not do a thing hears that, before they hear what is wrong with their body; unless policy needs that body to know. */
async function refuseAnyway({ row, target }: Ready, { call }: Made, policy: Policy, tx: Tx): Promise<void> {
  if (row.policy === null || typeof target !== 'function') return
  call.tx = tx
  let loaded: Target
  try {
    loaded = await target(call)
  } catch {
    return
  }
  must(policy, row.policy, call.who, { ...ownTarget(call.who, call.params), ...loaded })
}

function choose({ rows }: Group, version: string, body: unknown): Ready {
  const first = rows[0]!
  if (first.action === '') {
    const row = rows.find((ready) => lives(ready.row, version))
    if (!row) throw notFound()
    return row
  }
  const keys = typeof body === 'object' && body !== null && !Array.isArray(body) ? Object.keys(body) : []
  if (keys.length !== 1) throw badRequest('Malformed request body: it must be an object with the name of one action.')
  const named = rows.filter(({ action }) => action === keys[0])
  if (named.length === 0) throw badRequest(`There is no such action: ${keys[0]!.slice(0, 100)}`)
  const row = named.find((ready) => lives(ready.row, version))
  if (!row) throw notFound(`The action ${keys[0]} does not exist in version ${version} of the API.`)
  return row
}

function send(reply: FastifyReply, status: number, headers: [string, string][], out: unknown, bare: boolean): FastifyReply {
  reply.code(status)
  for (const [name, value] of headers) reply.header(name, value)
  if (out === undefined || out === null) return reply.send()
  const data = out instanceof Readable || Buffer.isBuffer(out) || typeof out === 'string' ? out : JSON.stringify(out)
  if (!reply.hasHeader('content-type')) {
    reply.header(
      'content-type',
      data !== out ? 'application/json' : typeof out === 'string' ? 'text/plain; charset=utf-8' : 'application/octet-stream',
    )
  }
  if (!bare) return reply.send(data)
  if (data instanceof Readable) data.destroy()
  else reply.header('content-length', Buffer.byteLength(data))
  return reply.send()
}
