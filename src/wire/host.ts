// The host's side of the wire: it dials out, asks for what is new since the last revision that it has seen, and reports by POST.
// Losing the connection is nothing special: it dials the next controller and goes on where it was.
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { Agent, request } from 'undici'
import type { DesiredLine, Hello, Line, Observation, Question } from './documents.ts'
import type { Verdict } from './observe.ts'

export interface Credentials {
  host_id: string
  secret: string
}

export interface Dialled {
  /** Controllers to try in turn: `http://…`, `https://…` or `unix:/path/of/a/socket`. */
  controllers: string[]
  /** PEM of the authority behind the controllers' certificates, when it is not a public one. */
  ca?: string
  credentials: Credentials
  log: Logger
  hello: () => Promise<Hello>
  /** A complete set begins: forget what was wanted; nothing may be removed until `complete`. */
  snapshot: (cloud: string) => void
  desired: (line: DesiredLine) => void
  complete: () => void
  lease: () => void
  /** Answers a question; what it throws becomes the answer's error. */
  answer: (question: Question, controller: string) => Promise<{ status: number; body: unknown }>
}

export interface Wire {
  /** Reports; resolves once control has taken it. Tries until it is taken or the wire stops (then with no verdict); rejects when control will never take it. */
  report(observations: Observation[]): Promise<Verdict[]>
  /** GET of anything under /wire/v1 with this host's credentials, for image data. */
  fetch(
    path: string,
    signal?: AbortSignal,
  ): Promise<{ status: number; body: Readable; headers: Record<string, string | string[] | undefined> }>
  stop(): Promise<void>
}

/** No line at all for so long means that the other end is gone without a word; leases come every 2.5 s. */
const silence = 15_000
/** How often the host says that it hears: without it a controller would count a machine that lost its power as alive until TCP gives up. */
const aliveEvery = 10_000
/** All hosts of a controller hear its leases at the same moment: if they all answered at once, its users would wait meanwhile. */
const aliveWithin = 2500
/** An answer that stops in its middle for so long is given up. */
const stalled = 60_000

interface Door {
  origin: string
  agent: Agent
}

/** A Unix socket goes into undici's connector, any origin will do. `ca` (PEM) is whom to trust when the controller's certificate is not a public one. */
export function doorTo(controller: string, ca?: string): Door {
  const socket = controller.startsWith('unix:') ? controller.slice(5) : null
  const connect = socket ? { socketPath: socket } : ca ? { ca } : {}
  return {
    origin: socket ? 'http://controller' : controller.replace(/\/$/, ''),
    // Enough for the stream, reports and answers beside the images that are on their way.
    agent: new Agent({ connect, connections: 32, bodyTimeout: stalled, headersTimeout: 30_000 }),
  }
}

export function dial({ controllers, ca, credentials, log, hello, snapshot, desired, complete, lease, answer }: Dialled): Wire {
  const headers = { authorization: `Bearer ${credentials.host_id}.${credentials.secret}` }
  const base = `/wire/v1/hosts/${credentials.host_id}`
  const doors = controllers.map((controller) => doorTo(controller, ca))
  const stopping = new AbortController()
  let at = 0
  /** The last revision of which everything before has been heard, too. Stands still while a complete set is on its way. */
  let since = 0
  let cloud = ''
  let whole = true
  let alive = Number.NEGATIVE_INFINITY

  const door = () => doors[at % doors.length]!

  const post = async (path: string, body: unknown): Promise<unknown> => {
    const { origin, agent } = door()
    const reply = await request(origin + path, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      dispatcher: agent,
      signal: stopping.signal,
    })
    const said = await reply.body.json()
    if (reply.statusCode >= 300) throw new Refused(reply.statusCode, String((said as { error?: string }).error ?? reply.statusCode))
    return said
  }

  const hear = (line: Line) => {
    if ('kind' in line) {
      desired(line)
      if (whole) since = line.rev
    } else if ('snapshot' in line) {
      snapshot(line.cloud) // throws when it is another's cloud: then nothing of it may be remembered
      cloud = line.cloud
      since = 0
      whole = false
    } else if ('complete' in line) {
      since = line.complete
      whole = true
      complete()
    } else if ('lease' in line) {
      lease()
      if (performance.now() - alive > aliveEvery) {
        alive = performance.now()
        setTimeout(() => void sayAlive(), Math.random() * aliveWithin).unref()
      }
    } else void reply(line.ask, line.question)
  }

  const sayAlive = async () => {
    alive = performance.now()
    await post(`${base}/observed`, { observations: [] }).catch((error: Error) => log.warn({ err: error }, 'wire: control does not answer'))
  }

  const reply = async (ask: string, question: Question) => {
    const said = await answer(question, controllers[at % controllers.length]!).catch((error: Error) => ({
      status: 500,
      body: { message: error.message },
    }))
    await post(`${base}/answers/${ask}`, said).catch((error: Error) => log.warn({ ask, err: error }, 'wire: the answer was not taken'))
  }

  /** One connection, until it ends. */
  const listen = async () => {
    await post(`${base}/hello`, await hello())
    const { origin, agent } = door()
    const quiet = new AbortController()
    let timer = setTimeout(() => quiet.abort(), silence)
    let body: Readable | null = null
    try {
      const stream = await request(`${origin}${base}/desired?since=${since}&cloud=${cloud}`, {
        headers,
        dispatcher: agent,
        bodyTimeout: 0, // `silence` watches this one
        signal: AbortSignal.any([stopping.signal, quiet.signal]),
      })
      if (stream.statusCode !== 200) throw new Refused(stream.statusCode, await stream.body.text())
      log.info({ controller: origin, since }, 'wire: connected')
      body = stream.body
      // The loop below hears of errors; once it has left nobody would, and that would end the process.
      const lines = createInterface({ input: body })
      for (const one of [body, lines]) one.on('error', () => undefined)
      for await (const text of lines) {
        clearTimeout(timer)
        timer = setTimeout(() => quiet.abort(), silence)
        if (text) hear(JSON.parse(text) as Line)
      }
    } finally {
      clearTimeout(timer)
      body?.destroy()
    }
  }

  const loop = async () => {
    let failures = 0
    while (!stopping.signal.aborted) {
      const started = performance.now()
      try {
        await listen()
        log.info('wire: the controller closed the stream')
      } catch (error) {
        if (stopping.signal.aborted) return
        log.warn({ err: error }, 'wire: not connected; what runs here runs on')
      }
      failures = performance.now() - started > 10_000 ? 0 : failures + 1
      at++
      await pause(Math.min(50 * 2 ** failures, 3000) * (0.5 + Math.random()))
    }
  }

  const pause = (ms: number) => sleep(ms, undefined, { signal: stopping.signal }).catch(() => undefined)

  const looping = loop()
  return {
    async report(observations) {
      for (let wait = 50; ; wait = Math.min(wait * 2, 3000)) {
        try {
          const said = (await post(`${base}/observed`, { observations })) as { verdicts: Verdict[] }
          return said.verdicts
        } catch (error) {
          if (stopping.signal.aborted) return []
          if (error instanceof Refused && error.status === 400) throw error
          await pause(wait)
        }
      }
    },
    async fetch(path, signal) {
      const { origin, agent } = door()
      const got = await request(origin + path, {
        headers,
        dispatcher: agent,
        signal: signal ? AbortSignal.any([signal, stopping.signal]) : stopping.signal,
      })
      return { status: got.statusCode, body: got.body as Readable, headers: got.headers }
    },
    async stop() {
      stopping.abort()
      await looping
      await Promise.all(doors.map(({ agent }) => agent.destroy()))
    },
  }
}

class Refused extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}
