// The metadata service of this host: answers its own guests from the documents that the host has anyway. A guest is known by the network
// that the proxy in its namespace names and by its address there, which the rules against spoofing make it tell truly.
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import type { Machine } from '../../agent/machine.ts'
import type { ServerDocument } from '../../wire/documents.ts'
import { answerPath } from './metadata.ts'

/** The server behind an address of a network; null when no guest of this host has it. */
export function guestAt(machine: Pick<Machine, 'wanted'>, networkId: string, ip: string): ServerDocument | null {
  for (const port of machine.wanted('port').values())
    if (port.network_id === networkId && port.server_id && port.ips.some((address) => address.ip === ip))
      return machine.wanted('server').get(port.server_id) ?? null
  return null
}

/** The proxies run as nobody. */
const nobody = 65_534

/** Listens at machine.metadataSocket, which the proxies alone may open: user data may hold secrets, and whoever connects names the guest. */
export async function serveMetadata(machine: Machine): Promise<() => Promise<void>> {
  let complete = false
  void machine.complete.then(() => {
    complete = true
  })
  const server = http.createServer((request, response) => {
    try {
      // An agent that has just started does not know its guests yet: not "there is nothing", but "ask again".
      if (complete) reply(machine, request, response)
      else response.writeHead(503, { 'retry-after': '1' }).end('This host has not heard yet what it carries. Ask again.')
    } catch (error) {
      machine.log.error({ err: error, url: request.url }, 'metadata: a request failed')
      response.writeHead(500).end()
    }
  })
  fs.mkdirSync(path.dirname(machine.metadataSocket), { recursive: true })
  fs.rmSync(machine.metadataSocket, { force: true })
  await new Promise<void>((listening, failed) => server.once('error', failed).listen(machine.metadataSocket, listening))
  fs.chownSync(machine.metadataSocket, nobody, nobody)
  fs.chmodSync(machine.metadataSocket, 0o600)
  return () =>
    new Promise((closed) => {
      server.close(() => closed())
      server.closeAllConnections()
    })
}

function reply(machine: Machine, request: http.IncomingMessage, response: http.ServerResponse): void {
  const networkId = String(request.headers['x-wisp-network'] ?? '')
  const ip = String(request.headers['x-forwarded-for'] ?? '')
    .split(',')[0]!
    .trim()
  const guest = guestAt(machine, networkId, ip)
  if (!guest) {
    response.writeHead(404).end(`No server has the address ${ip} in this network.`)
    return
  }
  if (request.method !== 'GET') {
    response.writeHead(405, { allow: 'GET' }).end('Only GET')
    return
  }
  const url = request.url ?? '/'
  const answer = answerPath(url, guest, ip, { ports: machine.wanted('port'), networks: machine.wanted('network') })
  if (answer === null) {
    response.writeHead(404).end('Not found')
    return
  }
  const json = url.split('?')[0]!.endsWith('.json')
  response.writeHead(200, { 'content-type': json ? 'application/json' : 'text/plain; charset=utf-8' }).end(answer)
}
