// Consoles: a one-time ticket for the browser, and the WebSocket that carries the console's bytes between the browser and the host that
// dials back. A ticket opens one connection: who loses it asks for another, so an address copied from a log or a history opens nothing.
import { createHash, randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type Duplex, pipeline } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import type { Logger } from 'pino'
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws'
import type { Database, Tx } from '../../database/connect.ts'
import { ask } from '../../wire/ask.ts'
import { acceptTunnels, refuse, type Tunnels } from '../../wire/tunnel.ts'

/** How long a ticket waits to be used, as Nova's `token_ttl`. */
const validMinutes = 10
const dialBackWithin = 10_000
const pingEvery = 30_000
/** What VNC viewers send is small; anything larger is no console. */
const largestMessage = 1 << 20

const sha256 = (text: string) => createHash('sha256').update(text).digest()

export type Protocol = 'vnc' | 'serial'

/** Makes a ticket; only its hash is kept. */
export async function makeTicket(tx: Tx, serverId: string, protocol: Protocol, type: string): Promise<string> {
  const token = randomBytes(24).toString('base64url')
  await tx.deleteFrom('compute.console_token').where('server_id', '=', serverId).where('expires_at', '<', sql<Date>`now()`).execute()
  await tx
    .insertInto('compute.console_token')
    .values({
      hash: sha256(token),
      server_id: serverId,
      protocol,
      type,
      expires_at: sql<Date>`now() + ${validMinutes} * interval '1 minute'`,
    })
    .execute()
  return token
}

interface Ticket {
  server_id: string
  protocol: string
  host_id: string
}

/** Uses a ticket up; undefined if it is unknown, used, expired or for another kind of console, or its server is on no host. */
async function takeTicket(db: Database, token: string, protocol: string): Promise<Ticket | undefined> {
  const { rows } = await sql<Ticket>`
    update compute.console_token t set used_at = now() from compute.server s join wire.host h on h.name = s.host
    where t.hash = ${sha256(token)} and t.used_at is null and t.expires_at > now() and t.protocol = ${protocol} and s.id = t.server_id
    returning t.server_id, t.protocol, h.id as host_id`.execute(db.read)
  return rows[0]
}

export interface ConsoleOptions {
  /** This controller's own address for hosts, where there are several controllers; null = where the host's stream comes from. */
  address?: string | null
}

/** The protocol of the console whose WebSocket this request is for, undefined when it is for none. */
const protocolOf = ({ url = '' }: IncomingMessage) => /^\/console\/v1\/(vnc|serial)(\?|$)/.exec(url)?.[1]
/** Whether this is a request for a console's WebSocket. */
export const isConsole = (request: IncomingMessage): boolean => protocolOf(request) !== undefined

/** To be called before the server listens. Serves WebSockets at /console/v1/vnc and /console/v1/serial, and the hosts' side of them at /wire/v1/tunnels. */
export function registerConsole(
  app: FastifyInstance,
  db: Database,
  log: Logger,
  { address = null }: ConsoleOptions = {},
): { stop(): void } {
  const tunnels = acceptTunnels(app.server, db)
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: largestMessage,
    handleProtocols: (offered) => (offered.has('binary') ? 'binary' : false),
  })

  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const url = URL.parse(request.url ?? '', 'http://console')
    const protocol = protocolOf(request)
    if (!url || protocol === undefined) return
    socket.on('error', () => socket.destroy())
    // A page of another origin must not open consoles with what the browser knows.
    if (!sameOrigin(request)) return void refuse(socket, '403 Forbidden')
    takeTicket(db, url.searchParams.get('token') ?? '', protocol)
      .then((ticket) => {
        if (!ticket) return void refuse(socket, '401 Unauthorized')
        sockets.handleUpgrade(request, socket, head, (browser) => void carry(browser, ticket, { db, log, tunnels, address }))
      })
      .catch((error) => {
        log.error({ err: error }, 'console: a ticket could not be checked')
        refuse(socket, '503 Service Unavailable')
      })
  }
  app.server.on('upgrade', upgrade)

  const stop = () => {
    app.server.off('upgrade', upgrade)
    tunnels.stop()
    for (const browser of sockets.clients) {
      browser.close(1001, 'The controller is going away.')
      setTimeout(() => browser.terminate(), 500).unref()
    }
    sockets.close()
  }
  // Before the server waits for its connections to end: these would not by themselves.
  app.addHook('preClose', async () => stop())
  return { stop }
}

/** Programs send no Origin; a browser's must name the host that it talks to. */
function sameOrigin({ headers }: IncomingMessage): boolean {
  if (headers.origin === undefined) return true
  const host = headers['x-forwarded-host'] ?? headers.host
  return URL.parse(headers.origin)?.host === host
}

interface Deps {
  db: Database
  log: Logger
  tunnels: Tunnels
  address: string | null
}

async function carry(browser: WebSocket, ticket: Ticket, { db, log, tunnels, address }: Deps): Promise<void> {
  const gone = new AbortController()
  browser.on('error', () => browser.terminate())
  browser.once('close', () => gone.abort())
  // From the first moment: what the browser says before the host has dialled back waits in here.
  const page = createWebSocketStream(browser)
  page.on('error', () => browser.terminate())
  const token = randomBytes(24).toString('base64url')
  try {
    const dialled = tunnels.expect(ticket.host_id, token, dialBackWithin, gone.signal)
    const protocol = ticket.protocol === 'serial' ? 'serial' : 'vnc'
    const refused = ask(
      db,
      ticket.host_id,
      { what: 'tunnel', server_id: ticket.server_id, protocol, token, to: address },
      dialBackWithin,
    ).then(({ status, body }) => (status < 300 ? dialled : Promise.reject(new Error(reason(body)))))
    const host = await Promise.race([dialled, refused])
    keepAlive(browser)
    pipeline(page, host, page, () => browser.close(1000))
  } catch (error) {
    gone.abort()
    const message = error instanceof Error ? error.message : String(error)
    log.warn({ server: ticket.server_id, problem: message }, 'console: not connected')
    browser.close(1011, message.slice(0, 120))
  }
}

const reason = (body: unknown) => (body as { message?: string } | null)?.message ?? 'The host could not open this console.'

/** Ends a connection whose browser is gone without a word. */
function keepAlive(browser: WebSocket): void {
  let heard = true
  browser.on('pong', () => {
    heard = true
  })
  const timer = setInterval(() => {
    if (!heard) return browser.terminate()
    heard = false
    browser.ping()
  }, pingEvery)
  browser.once('close', () => clearInterval(timer))
}
