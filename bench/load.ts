// The load generator: plain HTTP as any client would send it, closed loops of a given concurrency, and how long each answer took.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import { Agent, request } from 'undici'

const agent = new Agent({ connections: 64, pipelining: 1, keepAliveTimeout: 4000, headersTimeout: 300_000, bodyTimeout: 300_000 })

export interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  /** Length of the body in bytes. */
  bytes: number
  json<T>(): T
}

export interface Asked {
  headers?: Record<string, string>
  /** Sent as JSON. */
  body?: unknown
  /** Statuses that are fine; anything else throws. */
  expect: number[]
}

/** One request, the whole answer read. A kept connection that the server closed just then is tried once more, if nothing was changed. */
export async function ask(method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, { headers, body, expect }: Asked): Promise<Answer> {
  const send = () =>
    request(url, {
      method,
      headers: { accept: 'application/json', ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      dispatcher: agent,
    })
  const reply = await send().catch((error: NodeJS.ErrnoException) => {
    if (method === 'POST' || !['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(error.code ?? '')) throw error
    return send()
  })
  const raw = Buffer.from(await reply.body.arrayBuffer())
  if (!expect.includes(reply.statusCode)) throw new Error(`${method} ${url}: ${reply.statusCode} ${raw.toString().slice(0, 300)}`)
  return {
    status: reply.statusCode,
    headers: reply.headers,
    bytes: raw.length,
    json: <T>() => JSON.parse(raw.toString()) as T,
  }
}

/** Sends `chunk` `count` times as one body, with Node's own client: with undici's streams some uploads to the reference never got an answer. */
export async function upload(url: string, headers: Record<string, string>, chunk: Buffer, count: number): Promise<void> {
  const length = String(chunk.length * count)
  const sent = http.request(url, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream', 'content-length': length, ...headers },
  })
  const answered = once(sent, 'response') as Promise<[http.IncomingMessage]>
  answered.catch(() => {}) // told to whoever awaits it below
  for (let n = 0; n < count; n++) if (!sent.write(chunk)) await once(sent, 'drain')
  sent.end()
  const [reply] = await answered
  const text = (await reply.toArray()).join('')
  if (reply.statusCode !== 204) throw new Error(`PUT ${url}: ${reply.statusCode} ${text.slice(0, 300)}`)
}

/** Reads a body and throws it away. Returns its length in bytes. */
export async function download(url: string, headers: Record<string, string>): Promise<number> {
  const reply = await request(url, { headers, dispatcher: agent })
  if (reply.statusCode !== 200) throw new Error(`GET ${url}: ${reply.statusCode} ${(await reply.body.text()).slice(0, 300)}`)
  let bytes = 0
  for await (const chunk of reply.body) bytes += (chunk as Buffer).length
  return bytes
}

/**
 * Downloads by curl, which takes in 3.4 GiB a second: Node's own clients would be what is measured. Its start is not counted.
 * Returns bytes, and bytes a second.
 */
export function downloadByCurl(url: string, headers: Record<string, string>): { bytes: number; rate: number } {
  const settings = [`url = "${url}"`, ...Object.entries(headers).map(([name, value]) => `header = "${name}: ${value}"`)].join('\n')
  const said = execFileSync('curl', ['--config', '-', '-sSf', '-o', '/dev/null', '-w', '%{size_download} %{speed_download}'], {
    input: settings,
    encoding: 'utf8',
  })
  const [bytes = 0, rate = 0] = said.split(' ').map(Number)
  return { bytes, rate }
}

export interface Loop<T> {
  /** Per second. */
  rate: number
  /** Milliseconds of each. */
  latencies: number[]
  results: T[]
}

/** Repeats `work` with `concurrency` at once for `seconds`, at most `most` times. The first error ends it. */
export async function repeat<T>(concurrency: number, seconds: number, most: number, work: (n: number) => Promise<T>): Promise<Loop<T>> {
  const latencies: number[] = []
  const results: T[] = []
  const began = performance.now()
  let next = 0
  const worker = async () => {
    while (next < most && performance.now() - began < seconds * 1000) {
      const n = next++
      const sent = performance.now()
      results.push(await work(n))
      latencies.push(performance.now() - sent)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  return { rate: (latencies.length * 1000) / (performance.now() - began), latencies, results }
}

/** `work` for each of `items`, `concurrency` at once. */
export const forAll = <I, T>(items: I[], concurrency: number, work: (item: I) => Promise<T>): Promise<Loop<T>> =>
  repeat(concurrency, Number.POSITIVE_INFINITY, items.length, (n) => work(items[n]!))

/**
 * Asks until `done`. The pause is a tenth of the time that has gone by, so that a cloud that takes long is not slowed down by the asking,
 * one that is quick is not measured too slow, and both are measured by one rule.
 */
export async function until(done: () => Promise<boolean>, seconds: number): Promise<void> {
  const began = performance.now()
  while (!(await done())) {
    const gone = performance.now() - began
    if (gone > seconds * 1000) throw new Error(`not done after ${seconds} s`)
    await new Promise((go) => setTimeout(go, Math.min(Math.max(gone / 10, 1), 200)))
  }
}

export function quantile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
