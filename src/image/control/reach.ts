// Which addresses an import may fetch from (SSRF guard): a client names a URL, the controller connects to it, so it must not lead to
// what only the controller can reach. What a name resolves to is checked, the connection goes to exactly those addresses, and every
// redirect is checked again.
import dns from 'node:dns'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { badRequest } from '../../http/fault.ts'

/** One entry of WISP_IMPORT_ALLOW or WISP_IMPORT_DENY. */
interface Rule {
  /** Any address that is not private. */
  public: boolean
  name?: string
  network?: net.BlockList
  port?: number
}

export interface Reach {
  allow: Rule[]
  deny: Rule[]
}

// What is not the Internet: RFC 6890 and its successors. Addresses that carry another one inside (NAT64, 6to4, Teredo) would hide it.
const closed = new net.BlockList()
for (const [network, length] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const)
  closed.addSubnet(network, length, 'ipv4')
const open6 = new net.BlockList()
open6.addSubnet('2000::', 3, 'ipv6')
for (const [network, length] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  closed.addSubnet(network, length, 'ipv6')

const family = (address: string) => (net.isIPv6(address) ? 'ipv6' : 'ipv4')
const isPublic = (address: string) => !closed.check(address, family(address)) && (net.isIPv4(address) || open6.check(address, 'ipv6'))

/** Reads rules: `public`, a name, `*.name`, an address or a network, each with `:port` behind it or not. @throws Error that names the bad one */
export const readRules = (texts: string[]): Rule[] =>
  texts.map((text) => {
    const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+|[0-9a-f:]*:[0-9a-f:]*(?:\/\d+)?))(?::(\d{1,5}))?$/i.exec(text) ?? []
    const host = (bracketed ?? plain ?? '').toLowerCase()
    const [network = '', length] = host.split('/')
    const at = port === undefined ? {} : { port: Number(port) }
    if (host === 'public') return { public: true, ...at }
    if (net.isIP(network)) {
      const list = new net.BlockList()
      list.addSubnet(network, length === undefined ? (net.isIPv6(network) ? 128 : 32) : Number(length), family(network))
      return { public: false, network: list, ...at }
    }
    if (!/^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(host))
      throw new Error(`wants public, names, *.names, addresses or networks, each with :port or not; not '${text}'`)
    return { public: false, name: host, ...at }
  })

const named = (rule: Rule, host: string) =>
  rule.name !== undefined && (rule.name.startsWith('*.') ? host.endsWith(rule.name.slice(1)) : host === rule.name)
const hostOf = (url: URL) =>
  url.hostname
    .toLowerCase()
    .replace(/\.$/, '')
    .replace(/^\[|\]$/g, '')
const portOf = (url: URL) => Number(url.port || (url.protocol === 'https:' ? 443 : 80))

/** @param address what the host resolved to; undefined before it did: then only what is certain to be refused is */
function allowed({ allow, deny }: Reach, url: URL, address: string | undefined): boolean {
  const host = hostOf(url)
  const port = portOf(url)
  const inside = (rule: Rule) => address !== undefined && rule.network?.check(address, family(address)) === true
  const refused = (rule: Rule) =>
    (rule.port === undefined || rule.port === port) &&
    (named(rule, host) || inside(rule) || (rule.public && address !== undefined && isPublic(address)))
  if (deny.some(refused)) return false
  return allow.some((rule) => {
    if (rule.port === undefined ? port !== 80 && port !== 443 : rule.port !== port) return false
    if (named(rule, host)) return true
    if (rule.name !== undefined) return false
    return address === undefined || (rule.public ? isPublic(address) : inside(rule))
  })
}

/** The URL, as far as can be said without asking for its name. @throws Fault 400 */
export function checkUrl(reach: Reach, text: unknown): URL {
  const url = typeof text === 'string' && text.length <= 2048 && URL.canParse(text) ? new URL(text) : undefined
  const fine = url && (url.protocol === 'http:' || url.protocol === 'https:') && url.hostname !== ''
  const literal = url && net.isIP(hostOf(url)) ? hostOf(url) : undefined
  if (!fine || !allowed(reach, url, literal)) {
    throw badRequest(`URI for web-download does not pass filtering: ${shown(text)}. Its scheme, host or port is not among those allowed.`)
  }
  return url
}

/** Without a password, and not too long. */
export function shown(text: unknown): string {
  if (typeof text !== 'string') return ''
  if (!URL.canParse(text)) return text.slice(0, 200)
  const url = new URL(text)
  if (url.password) url.password = '***'
  return url.href.slice(0, 2048)
}

export interface Fetched {
  /** What the server announces, in bytes. */
  size: number | undefined
  data: IncomingMessage
}

export interface FetchOptions {
  signal: AbortSignal
  headers?: Record<string, string>
  /** Whom the operator named himself is not checked, and may not redirect. */
  trusted?: boolean
}

const redirects = 5
/** Milliseconds of silence after which a server is given up. */
const silence = 60_000

/** Begins to fetch. @throws Fault 400 that says what went wrong on the way */
export async function fetchUrl(reach: Reach, text: string, options: FetchOptions): Promise<Fetched> {
  let url = options.trusted ? new URL(text) : checkUrl(reach, text)
  for (let turn = 0; turn <= redirects; turn++) {
    const data = await request(reach, url, options)
    const status = data.statusCode ?? 0
    if (status === 200) {
      const length = data.headers['content-length']
      return { size: length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined, data }
    }
    data.destroy()
    const { location } = data.headers
    if (![301, 302, 303, 307, 308].includes(status) || !location || options.trusted)
      throw badRequest(`${shown(url.href)} answered ${status} ${data.statusMessage ?? ''}`.trim())
    if (!URL.canParse(location, url)) throw badRequest(`${shown(url.href)} redirects to what is no URL.`)
    url = checkUrl(reach, new URL(location, url).href)
  }
  throw badRequest(`${shown(text)} redirects more than ${redirects} times.`)
}

function request(reach: Reach, url: URL, { headers, signal, trusted }: FetchOptions): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const ask = (url.protocol === 'https:' ? https : http).get(
    url,
    {
      agent: false,
      signal,
      headers: { 'accept-encoding': 'identity', 'user-agent': 'wisp', ...headers },
      ...(!trusted && { lookup: checkedLookup(reach, url) }),
    },
    resolve,
  )
  ask.setTimeout(silence, () => ask.destroy(new Error(`nothing came for ${silence / 1000} s`)))
  ask.on('error', (error) =>
    reject(signal.aborted ? error : badRequest(`${shown(url.href)} cannot be fetched: ${error.message}`, { cause: error })),
  )
  return promise
}

/** Resolves like dns.lookup, and refuses the name if any of its addresses is not allowed; the connection is made to what this says. */
function checkedLookup(reach: Reach, url: URL): net.LookupFunction {
  return (hostname, options, done) => {
    dns.lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error, '', 0)
      const bad = addresses.find(({ address }) => !allowed(reach, url, address))
      const [first] = addresses
      if (bad || !first)
        return done(new Error(`${hostname} leads to ${bad?.address ?? 'nowhere'}, which is not among the addresses allowed`), '', 0)
      if (options.all) done(null, addresses)
      else done(null, first.address, first.family)
    })
  }
}
