/** The address under which a client reached us, for the links in answers. */
import type { IncomingMessage } from 'node:http'
import { type BlockList, isIP, isIPv6 } from 'node:net'

const authority = /^(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?$/

/** Requests that came from one of WISP_TRUSTED_PROXIES. */
const proxied = new WeakSet<IncomingMessage>()

/** To be called first for each request: from then on what a trusted proxy says of it is believed. */
export function believe(request: IncomingMessage, proxies: BlockList): void {
  const { remoteAddress } = request.socket
  if (remoteAddress !== undefined && proxies.check(remoteAddress, isIPv6(remoteAddress) ? 'ipv6' : 'ipv4')) proxied.add(request)
}

const isForwarded = (request: IncomingMessage) => isLocal(request.socket.remoteAddress) || proxied.has(request)

/** scheme://host:port; X-Forwarded-Proto, -Host and -Port are believed only from a proxy on this machine, or a trusted one. */
export function originOf(request: IncomingMessage): string {
  const { socket, headers } = request
  const forwarded = isForwarded(request)
  const scheme =
    (forwarded && schemeOf(first(headers['x-forwarded-proto']))) || ('encrypted' in socket && socket.encrypted ? 'https' : 'http')
  const host = (forwarded && hostOf(first(headers['x-forwarded-host']))) || hostOf(headers.host) || `127.0.0.1:${socket.localPort ?? 80}`
  const port = forwarded ? first(headers['x-forwarded-port']) : undefined
  if (port === undefined || !/^\d{1,5}$/.test(port) || /:\d+$/.test(host)) return `${scheme}://${host}`
  return port === (scheme === 'https' ? '443' : '80') ? `${scheme}://${host}` : `${scheme}://${host}:${port}`
}

/** The client's address; X-Forwarded-For is believed from those proxies only, and only what that proxy itself added: the last one. */
export function remoteOf(request: IncomingMessage): string {
  const { socket, headers } = request
  const forwarded = isForwarded(request) ? headers['x-forwarded-for'] : undefined
  const last = (Array.isArray(forwarded) ? forwarded.join() : forwarded)?.split(',').at(-1)?.trim()
  return last && isIP(last) !== 0 ? last : (socket.remoteAddress ?? '127.0.0.1')
}

// A Unix socket has no address; whoever may open it is on this machine.
const isLocal = (address: string | undefined) =>
  address === undefined || address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.')

const first = (header: string | string[] | undefined) => (Array.isArray(header) ? header[0] : header)?.split(',')[0]?.trim()
const schemeOf = (value: string | undefined) => (value === 'https' || value === 'http' ? value : undefined)
const hostOf = (value: string | undefined) => (value !== undefined && authority.test(value) ? value : undefined)
