// Serves the imitated cloud on loopback: the APIs, the event stream, the WebSockets of consoles, and the built page with its history fallback.
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'
import { type WebSocket, WebSocketServer } from 'ws'
import { type Cloud, createCloud, stopCloud } from './cloud.ts'
import { type Answer, authenticate, requestId, routesOf } from './routes.ts'
import { speakSerial } from './serial.ts'
import { speakRfb } from './vnc.ts'

export type Mock = { url: string; cloud: Cloud; close: () => Promise<void> }

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function reply(response: ServerResponse, { status, body, headers }: Answer): void {
  const json = typeof body !== 'string'
  const type = body === undefined ? {} : { 'content-type': json ? 'application/json' : 'text/plain' }
  response.writeHead(status, { 'x-openstack-request-id': requestId(), ...type, ...headers })
  response.end(body === undefined ? undefined : json ? JSON.stringify(body) : body)
}

async function servePage(folder: string, path: string, response: ServerResponse): Promise<void> {
  const name = normalize(path.replace(/^\/dashboard\/?/, ''))
  const file = extname(name) === '' || name.startsWith('..') ? 'index.html' : name
  try {
    const content = await readFile(join(folder, file))
    response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream' })
    response.end(content)
  } catch {
    reply(response, { status: 404, body: 'no such file' })
  }
}

function follow(cloud: Cloud, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  response.write(': welcome\n\n')
  const tell = (event: unknown) => response.write(`data: ${JSON.stringify(event)}\n\n`)
  cloud.events.on('changed', tell)
  response.on('close', () => cloud.events.off('changed', tell))
}

/** Starts the imitated cloud. `stream: false` leaves the event stream out, as an older controller would. */
export async function startMock(options: { page: string; port?: number; delay?: number; stream?: boolean }): Promise<Mock> {
  const cloud = createCloud(options)
  const routes = Object.entries(routesOf(cloud)).map(([key, run]) => {
    const [method, path = ''] = key.split(' ')
    return { method, pattern: new RegExp(`^${path.replaceAll('.', '\\.').replaceAll('*', '([^/]+)')}$`), run }
  })
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const origin = `http://${request.headers.host}`
    const { pathname, searchParams } = new URL(request.url ?? '/', origin)
    if (pathname.startsWith('/dashboard') && pathname !== '/dashboard/events') return servePage(options.page, pathname, response)
    const raw = await bodyOf(request)
    if (request.method === 'POST' && pathname === '/identity/v3/auth/tokens')
      return reply(response, authenticate(cloud, JSON.parse(raw.toString())))
    const token = String(request.headers['x-auth-token'] ?? '')
    const session = cloud.tokens.get(token)
    if (session === undefined) return reply(response, { status: 401, body: { error: { code: 401, message: 'The token is not valid.' } } })
    if (pathname === '/identity/v3/auth/projects') return reply(response, { status: 200, body: { projects: session.user.projects } })
    if (pathname === '/identity/v3/auth/domains') return reply(response, { status: 200, body: { domains: [] } })
    if (pathname === '/identity/v3/auth/system') return reply(response, { status: 200, body: { system: [] } })
    if (pathname === '/identity/v3/auth/tokens') {
      cloud.tokens.delete(String(request.headers['x-subject-token']))
      return reply(response, { status: 204 })
    }
    if (pathname === '/dashboard/events') {
      if (options.stream === false) return reply(response, { status: 404, body: 'no events' })
      return follow(cloud, response)
    }
    const upload = /^\/image\/v2\/images\/([^/]+)\/stage$/.exec(pathname)
    if (request.method === 'PUT' && upload?.[1] !== undefined) {
      Object.assign(cloud.images.get(upload[1]) ?? {}, { status: 'uploading', size: raw.length })
      cloud.changed('image', upload[1])
      return reply(response, { status: 204 })
    }
    const route = routes.find(({ method, pattern }) => method === request.method && pattern.test(pathname))
    if (route === undefined || session.project === undefined)
      return reply(response, { status: 404, body: { itemNotFound: { code: 404, message: `no ${pathname}` } } })
    const microversion = String(request.headers['openstack-api-version'] ?? '').split(' ')[1] ?? ''
    const params = route.pattern.exec(pathname)?.slice(1) ?? []
    const body = raw.length === 0 ? {} : (JSON.parse(raw.toString()) as Record<string, unknown>)
    const who = { user: session.user, project: session.project }
    reply(response, route.run({ cloud, who, params, query: searchParams, body, microversion, origin }))
  }
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) =>
      reply(response, { status: 500, body: { computeFault: { code: 500, message: String(error) } } }),
    )
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket: WebSocket, request: IncomingMessage) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://mock')
    const token = searchParams.get('token') ?? ''
    if (cloud.consoles.delete(token)) (pathname === '/console/v1/serial' ? speakSerial : speakRfb)(socket)
    else socket.close(4001, 'the console token has been used or has expired')
  })
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    cloud,
    close: async () => {
      stopCloud(cloud)
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
