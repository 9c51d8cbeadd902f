/**
 * The whole server: all services on one port, with what every answer shares (request id, access log, metrics, limits, timeouts)
 * and what belongs to no row (404, 405, health).
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { BlockList } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { sql } from 'kysely'
import { type AuditLog, auditWrites } from './audit.ts'
import { type CertificateOf, certificateReader } from './certificate.ts'
import { envelopes } from './envelope.ts'
import { Fault, notFound } from './fault.ts'
import { type Metrics, metrics } from './metrics.ts'
import { type MountDeps, mount, sendFault } from './mount.ts'
import { believe, remoteOf } from './origin.ts'
import { splitRoute } from './route.ts'
import type { Service } from './table.ts'

export interface ApiDeps extends Omit<MountDeps, 'certificateOf'> {
  /** Where TLS ends here, that of the socket by default. */
  certificateOf?: CertificateOf
  /** Largest JSON body in bytes; 1 MiB by default. Streams have no limit here. */
  bodyLimit?: number
  /** How long a client may take to send a JSON body, in milliseconds; 30,000 by default. */
  bodyTimeout?: number
  /** PEM texts; without them the server speaks plain HTTP. With `ca` clients are asked for a certificate, and may come without. */
  tls?: { key: string; cert: string; ca?: string }
  /** Proxies on other machines whose X-Forwarded headers count. */
  proxies?: BlockList
  /** Which requests may become something else than HTTP, where somebody listens for that; to the others it is as if they had not asked. */
  mayUpgrade?: (request: IncomingMessage) => boolean
  /** Where events of changes and sign-ins go; nowhere by default. */
  audit?: AuditLog
  /** Where requests are counted; a registry of its own by default. */
  metrics?: Metrics
}

const requestId = /^req-[0-9a-fA-F-]{36}$/

/** A server that is ready to `listen` (or to `inject`); more may be registered on it before that. */
export function api(services: Service[], deps: ApiDeps): FastifyInstance {
  const byPrefix = prefixesOf(services)
  const serviceOf = (url: string) => byPrefix.find(({ head }) => url === head || url.startsWith(`${head}/`) || url.startsWith(`${head}?`))
  const refuse = (error: unknown, request: FastifyRequest, reply: FastifyReply) =>
    sendFault(error, request, reply, serviceOf(request.raw.url!)?.service ?? { envelope: envelopes.errors }, deps)

  const app: FastifyInstance = Fastify({
    ...serverOptions(deps),
    bodyLimit: deps.bodyLimit ?? 1024 * 1024,
    genReqId: () => `req-${randomUUID()}`,
    exposeHeadRoutes: false,
    // Silence on a socket ends it; an upload or a long answer may take its time as long as bytes flow.
    connectionTimeout: 120_000,
    keepAliveTimeout: 75_000,
    forceCloseConnections: 'idle',
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 1024 },
    frameworkErrors: (error, request, reply) => {
      reply.header('x-openstack-request-id', request.id)
      refuse(error, request, reply)
    },
  })
  app.server.headersTimeout = 30_000
  // Clients that name a type for every body name it for none, too. Rows know that; where there is no row, Fastify would say 400 before 404.
  app.addHook('preParsing', (request, _reply, payload, done) => {
    if (request.is404 && isEmpty(request)) delete request.headers['content-type']
    done(null, payload)
  })

  const { proxies } = deps
  if (proxies) {
    app.addHook('onRequest', (request, _reply, done) => {
      believe(request.raw, proxies)
      done()
    })
  }
  observe(app, deps)
  if (deps.audit) auditWrites(app, deps.audit)
  limitBodyTime(app, deps.bodyTimeout ?? 30_000)
  const { certificateOf = certificateReader() } = deps
  for (const service of services) mount(app, service, { ...deps, certificateOf })
  app.setErrorHandler(refuse)
  app.setNotFoundHandler((request, reply) => {
    const found = serviceOf(request.raw.url!)
    const allowed = found ? allowedMethods(request.raw.url!, found.services) : []
    if (allowed.length === 0 || allowed.includes(request.method)) return refuse(notFound(), request, reply)
    const message = `The method ${request.method} is not allowed for this resource.`
    refuse(new Fault(405, message, { headers: { allow: allowed.join(', ') } }), request, reply)
  })
  app.get('/healthz', async (_request, reply) => {
    await Promise.race([sql`select 1`.execute(deps.db.read), late(2_000)]).catch((error: unknown) => {
      deps.log.warn({ err: error }, 'health check: the database does not answer')
      reply.code(503)
    })
    return { status: reply.statusCode === 503 ? 'database unavailable' : 'ok' }
  })
  return app
}

function serverOptions({ tls, mayUpgrade }: Pick<ApiDeps, 'tls' | 'mayUpgrade'>) {
  const http = mayUpgrade ? { shouldUpgradeCallback: mayUpgrade } : {}
  if (!tls) return { http }
  // What a client shows that its authority did not sign is as if it had shown none: see certificate.ts.
  return { https: { ...http, ...tls, ...(tls.ca !== undefined && { requestCert: true, rejectUnauthorized: false }) } }
}

/** The request id on every answer, one line in the log and one count for each. */
function observe(app: FastifyInstance, deps: ApiDeps): void {
  const counted = deps.metrics ?? metrics()
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-openstack-request-id', request.id)
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    const { service = 'none', route = 'none' } = request.routeOptions.config ?? {}
    const milliseconds = reply.elapsedTime
    counted.observe(service, route, request.method, reply.statusCode, milliseconds / 1000)
    const global = request.headers['x-openstack-request-id']
    deps.log[service === 'none' && reply.statusCode < 400 ? 'debug' : 'info'](
      {
        request_id: request.id,
        ...(typeof global === 'string' && requestId.test(global) && { global_request_id: global }),
        service,
        method: request.method,
        path: request.raw.url!.split('?', 1)[0],
        status: reply.statusCode,
        ms: Math.round(milliseconds * 10) / 10,
        ...(request.who && { user_id: request.who.user.id, project_id: request.who.project?.id }),
        remote: remoteOf(request.raw),
      },
      'request',
    )
    done()
  })
  app.get('/metrics', async (_request, reply) => reply.type(counted.registry.contentType).send(await counted.registry.metrics()))
}

/** A client that drips its JSON would hold memory for as long as it likes. Streams are read by their rows, at their pace. */
function limitBodyTime(app: FastifyInstance, limit: number): void {
  app.addHook('preParsing', (request, reply, payload, done) => {
    if (isEmpty(request) || request.routeOptions.config?.accepts === undefined) return done(null, payload)
    const timer = setTimeout(() => request.raw.destroy(), limit).unref()
    const clear = () => clearTimeout(timer)
    payload.once('end', clear)
    // A body that was refused is never read to its end, and the socket may serve other requests by then.
    reply.raw.once('close', clear)
    done(null, payload)
  })
}

const isEmpty = ({ headers }: FastifyRequest) => headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0'

function late(milliseconds: number): Promise<never> {
  return new Promise((_resolve, reject) => {
    setTimeout(() => reject(new Error(`No answer within ${milliseconds} ms`)), milliseconds).unref()
  })
}

interface Mounted {
  /** The part of the prefix before its params. */
  head: string
  service: Service
  services: { prefix: string; service: Service }[]
}

/** The longest first, so that /compute/v2.1 is asked before /compute. */
function prefixesOf(services: Service[]): Mounted[] {
  const all = services.flatMap((service) => service.prefixes.map((prefix) => ({ prefix, head: prefix.split('/:')[0]!, service })))
  return all
    .map(({ head, service }) => ({ head, service, services: all.filter((other) => other.head === head) }))
    .sort((a, b) => b.head.length - a.head.length)
}

/** The methods that some row takes at this path; worked out only when the router has found none. */
function allowedMethods(url: string, mounted: { prefix: string; service: Service }[]): string[] {
  const asked = segments(url.split('?', 1)[0]!)
  const methods = new Set<string>()
  for (const { prefix, service } of mounted) {
    if (service.strictSlash && /\/(\?|$)/.test(url)) continue
    for (const row of service.rows) {
      const { method, path } = splitRoute(row.route)
      const known = segments(prefix + path)
      if (known.length !== asked.length || !known.every((part, i) => part === asked[i] || part.startsWith(':'))) continue
      methods.add(method)
      if (method === 'GET') methods.add('HEAD')
    }
  }
  return [...methods].sort()
}

const segments = (path: string) => path.split('/').filter((part) => part !== '')
