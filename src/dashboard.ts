// Serves the dashboard's files at /dashboard, and one stream of hints by which open pages know what to fetch again. The dashboard knows
// nothing that the public APIs do not tell: the stream says only that something of the caller's project has changed.
import fs from 'node:fs'
import type { ServerResponse } from 'node:http'
import path from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Logger } from 'pino'
import type { CertificateOf } from './http/certificate.ts'
import { Fault } from './http/fault.ts'
import type { Authenticate } from './http/token.ts'
import { type Changed, hints } from './work/hint.ts'

const built = path.join(import.meta.dirname, '../dashboard/dist')

export interface DashboardDeps {
  authenticate: Authenticate
  certificateOf: CertificateOf
  log: Logger
  /** The folder of what has been built. */
  files?: string
}

const keepAliveEvery = 15_000
const maxPending = 1 << 20
const securityHeaders = {
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy':
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
}

export function registerDashboard(app: FastifyInstance, { authenticate, certificateOf, log, files = built }: DashboardDeps): void {
  // These answers never end by themselves: without this a controller could not stop while a page is open.
  const open = new Set<ServerResponse>()
  app.addHook('preClose', async () => {
    for (const stream of open) stream.destroy()
  })
  app.get('/dashboard/events', async (request, reply) => {
    const token = request.headers['x-auth-token']
    const certificate = () => certificateOf(request.raw)
    const who =
      typeof token === 'string' ? await authenticate(token, certificate) : new Fault(401, 'The stream of changes wants an X-Auth-Token.')
    if (!(who instanceof Fault) && who.accessRules !== undefined) {
      return reply
        .code(401)
        .send({ error: { code: 401, message: 'The stream of changes is not for application credentials with access rules.' } })
    }
    if (who instanceof Fault) return reply.code(401).send({ error: { code: 401, message: who.message } })
    const everything = who.roles.includes('admin') && (who.system || who.project !== null)
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
    reply.raw.write(': hello\n\n')
    const send = (changed: Changed) => {
      if (!everything && changed.project_id !== null && changed.project_id !== who.project?.id) return
      // A page that does not read gets no more; it fetches all when it comes back.
      if (reply.raw.writableLength > maxPending) reply.raw.destroy()
      else if (!reply.raw.writableEnded) reply.raw.write(`data: ${JSON.stringify({ kind: changed.kind, id: changed.id })}\n\n`)
    }
    // A token that was revoked meanwhile must not go on listening.
    const alive = setInterval(async () => {
      const still = await authenticate(token as string, certificate).catch(() => null) // null: the database is away, and with it the reason to listen
      if (still === null || still instanceof Fault) reply.raw.end()
      else if (!reply.raw.writableEnded) reply.raw.write(': still here\n\n')
    }, keepAliveEvery)
    open.add(reply.raw)
    reply.raw.on('error', () => reply.raw.destroy())
    hints.on('changed', send)
    reply.raw.once('close', () => {
      clearInterval(alive)
      open.delete(reply.raw)
      hints.off('changed', send)
    })
    return reply
  })

  // The root is the identity service's list of versions; a person's browser is shown the way.
  app.addHook('onRequest', async (request, reply) => {
    if (request.raw.url === '/' && request.headers.accept?.includes('text/html')) return reply.redirect('/dashboard/')
  })
  if (!fs.existsSync(files)) {
    log.warn({ folder: files }, 'dashboard: it has not been built; "./wisp up" builds it')
    return
  }
  app.register(async (pages) => {
    pages.addHook('onSend', async (_request, reply) => {
      reply.headers(securityHeaders)
    })
    // Files are looked for when they are asked for: another cloud that shares this checkout may build them anew at any time.
    await pages.register(fastifyStatic, { root: files, serve: false, immutable: true, maxAge: '365d' })
    const page = (reply: FastifyReply) =>
      reply
        .header('cache-control', 'no-cache')
        .type('text/html')
        .send(fs.createReadStream(path.join(files, 'index.html')))
    pages.get('/dashboard', (_request, reply) => page(reply))
    // Every address of the page itself is the same file; an asset that is not there is a 404.
    pages.get<{ Params: { '*': string } }>('/dashboard/*', (request, reply) => {
      const name = request.params['*']
      if (name === 'index.html' || !/\.[a-z0-9]+$/.test(name)) return page(reply)
      return reply.sendFile(name)
    })
  })
}
