// Tunnels: hosts open no port, so for a console the host dials back with an HTTP Upgrade to /wire/v1/tunnels/{token}, and that socket is
// paired here with whoever waits for the token. The token is good for one dial, by the host that was asked, within a few seconds.
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Database } from '../database/connect.ts'
import { hostDoor } from './join.ts'

const path = /^\/wire\/v1\/tunnels\/([\w-]{20,100})$/

interface Waiting {
  hostId: string
  take: (socket: Duplex) => void
}

export interface Tunnels {
  /** Waits for the host to dial back with this token; rejects after `deadline` ms, or when `signal` says that nobody wants it any more. */
  expect(hostId: string, token: string, deadline: number, signal?: AbortSignal): Promise<Duplex>
  stop(): void
}

interface Server {
  on(event: 'upgrade', heard: (request: IncomingMessage, socket: Duplex, head: Buffer) => void): unknown
  off(event: 'upgrade', heard: (request: IncomingMessage, socket: Duplex, head: Buffer) => void): unknown
}

const tokenIn = ({ url = '' }: IncomingMessage): string | undefined => path.exec(url)?.[1]
/** Whether this is a host that dials back. */
export const isTunnel = (request: IncomingMessage): boolean => tokenIn(request) !== undefined

/** Answers the Upgrades of hosts on this HTTP server; those of other paths are left to others. */
export function acceptTunnels(server: Server, db: Database): Tunnels {
  const door = hostDoor(db)
  const waiting = new Map<string, Waiting>()

  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const token = tokenIn(request)
    if (token === undefined) return
    socket.on('error', () => socket.destroy())
    door(request.headers.authorization)
      .then((host) => {
        const expected = waiting.get(token)
        if (!expected || expected.hostId !== host.id) return refuse(socket, '404 Not Found')
        waiting.delete(token)
        const protocol = String(request.headers.upgrade ?? 'wisp-tunnel').replaceAll(/[^\w./-]/g, '')
        socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`)
        if (head.length > 0) socket.unshift(head)
        expected.take(socket)
      })
      .catch(() => refuse(socket, '401 Unauthorized'))
  }
  server.on('upgrade', upgrade)

  return {
    expect: (hostId, token, deadline, signal) =>
      new Promise((resolve, reject) => {
        const settle = () => {
          clearTimeout(timer)
          signal?.removeEventListener('abort', abort)
          waiting.delete(token)
        }
        const abort = () => {
          settle()
          reject(new Error('Nobody waits for this tunnel any more.'))
        }
        const timer = setTimeout(() => {
          settle()
          reject(new Error('The host did not dial back in time.'))
        }, deadline)
        signal?.addEventListener('abort', abort)
        waiting.set(token, {
          hostId,
          take: (socket) => {
            settle()
            resolve(socket)
          },
        })
      }),
    stop: () => server.off('upgrade', upgrade),
  }
}

export const refuse = (socket: Duplex, status: string) => socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
