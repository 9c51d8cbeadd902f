/** The address under which a client reached us, for the links in answers. */
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'

const authority = /^(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?$/

/** scheme://host:port; X-Forwarded-Proto, -Host and -Port are believed only from a proxy on this machine. */
export function originOf(request: IncomingMessage): string {
  const { socket, headers } = request
  const forwarded = isLocal(socket.remoteAddress)
  const scheme =
    (forwarded && schemeOf(first(headers['x-forwarded-proto']))) || ('encrypted' in socket && socket.encrypted ? 'https' : 'http')
  const host = (forwarded && hostOf(first(headers['x-forwarded-host']))) || hostOf(headers.host) || `127.0.0.1:${socket.localPort ?? 80}`
  const port = forwarded ? first(headers['x-forwarded-port']) : undefined
  if (port === undefined || !/^\d{1,5}$/.test(port) || /:\d+$/.test(host)) return `${scheme}://${host}`
  return port === (scheme === 'https' ? '443' : '80') ? `${scheme}://${host}` : `${scheme}://${host}:${port}`
}

/** The client's address; X-Forwarded-For is believed only from a proxy on this machine, and only what that proxy itself added: the last one. */
export function remoteOf({ socket, headers }: IncomingMessage): string {
  const forwarded = isLocal(socket.remoteAddress) ? headers['x-forwarded-for'] : undefined
  const last = (Array.isArray(forwarded) ? forwarded.join() : forwarded)?.split(',').at(-1)?.trim()
  return last && isIP(last) !== 0 ? last : (socket.remoteAddress ?? '127.0.0.1')
}

// A Unix socket has no address; whoever may open it is on this machine.
const isLocal = (address: string | undefined) =>
  address === undefined || address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.')

const first = (header: string | string[] | undefined) => (Array.isArray(header) ? header[0] : header)?.split(',')[0]?.trim()
const schemeOf = (value: string | undefined) => (value === 'https' || value === 'http' ? value : undefined)
const hostOf = (value: string | undefined) => (value !== undefined && authority.test(value) ? value : undefined)
