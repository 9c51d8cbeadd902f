// The HTTP store: images whose bits are somebody else's, at a URL. It is only read; nothing is ever written or removed there.
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
}

export function httpStore({ id, description, weight }: HttpSettings): ImageStore {
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
      const answer = await ask(url, 'GET', range)
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
      const answer = await ask(url, 'HEAD')
      answer.destroy()
      const length = answer.headers['content-length']
      return answer.statusCode === 200 && length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined
    },
    async remove() {},
  }
}

/** Redirects are not followed: the operator has allowed one address, not where that may lead. */
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
