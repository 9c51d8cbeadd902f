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

/** Listens at machine.metadataSocket. Everyone on this machine may connect, as the proxies run as nobody. */
export async function serveMetadata(machine: Machine): Promise<() => Promise<void>> {
  const server = http.createServer((request, response) => {
    const networkId = String(request.headers['x-wisp-network'] ?? '')
    const ip = String(request.headers['x-forwarded-for'] ?? '')
      .split(',')[0]!
      .trim()
    const guest = guestAt(machine, networkId, ip)
    if (!guest || request.method !== 'GET') {
      response.writeHead(guest ? 405 : 404).end(guest ? 'Only GET' : `No server has the address ${ip} in this network.`)
      return
    }
    const answer = answerPath(request.url ?? '/', guest, ip, { ports: machine.wanted('port'), networks: machine.wanted('network') })
    if (answer === null) {
      response.writeHead(404).end('Not found')
      return
    }
    const json = (request.url ?? '').split('?')[0]!.endsWith('.json')
    response.writeHead(200, { 'content-type': json ? 'application/json' : 'text/plain; charset=utf-8' }).end(answer)
  })
  fs.mkdirSync(path.dirname(machine.metadataSocket), { recursive: true })
  fs.rmSync(machine.metadataSocket, { force: true })
  await new Promise<void>((listening, failed) => server.once('error', failed).listen(machine.metadataSocket, listening))
  fs.chmodSync(machine.metadataSocket, 0o666)
  return () =>
    new Promise((closed) => {
      server.close(() => closed())
      server.closeAllConnections()
    })
}
