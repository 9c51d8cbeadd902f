// The HTTP store: images whose bits are somebody else's, at a URL. It is only read; nothing is ever written or removed there. Clients name
// the URLs, and the controller connects to them: so only to hosts that the operator has named, and redirects are not followed.
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { Fault } from '../../http/fault.ts'
import type { ImageStore, Range } from './store.ts'

/** Milliseconds of silence after which a server is given up. */
const SILENCE = 60_000

export interface HttpSettings {
  id: string
  description: string
  weight: number
  /** Names of hosts that may be read: `images.example.com`, `*.example.com`, each with `:port` behind it or not; `*` is any. */
  hosts: string[]
}

export function httpStore({ id, description, weight, hosts }: HttpSettings): ImageStore {
  const check = (url: string): string => {
    const { host, hostname } = new URL(url)
    const allowed = hosts.some(
      (name) => name === '*' || [host, hostname].some((one) => (name.startsWith('*.') ? one.endsWith(name.slice(1)) : one === name)),
    )
    if (!allowed) throw new Fault(400, `The host ${host} is not among those that the store ${id} may read.`)
    return url
  }
  return {
    id,
    kind: 'http',
    description,
    weight,
    properties: {},
    url: (url) => url,
    async write() {
      throw new Fault(400, `The store ${id} is read-only; it takes no data.`)
    },
    async read(url, range) {
      const answer = await ask(check(url), 'GET', range)
      const status = range ? 206 : 200
      if (answer.statusCode === status) return answer
      answer.destroy()
      if (answer.statusCode === 404) return undefined
      throw new Fault(
        502,
        `${shown(url)} answered ${answer.statusCode}${range ? ' when asked for a part' : ''}, but the data of an image was expected.`,
      )
    },
    async size(url) {
      const answer = await ask(check(url), 'HEAD')
      answer.destroy()
      const length = answer.headers['content-length']
      return answer.statusCode === 200 && length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined
    },
    async remove() {},
  }
}

function ask(url: string, method: 'GET' | 'HEAD', range?: Range): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const request = (url.startsWith('https:') ? https : http).request(
    url,
    { method, agent: false, headers: { 'accept-encoding': 'identity', ...(range && { range: `bytes=${range.start}-${range.end}` }) } },
    resolve,
  )
  request.setTimeout(SILENCE, () => request.destroy(new Error(`nothing came for ${SILENCE / 1000} s`)))
  request.on('error', (error) => reject(new Fault(502, `${shown(url)} cannot be read: ${error.message}`, { cause: error })))
  request.end()
  return promise
}

/** Without a password. */
function shown(url: string): string {
  const safe = new URL(url)
  safe.password = safe.password && '***'
  return safe.href
}
