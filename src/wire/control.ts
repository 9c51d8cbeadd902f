// Control's side of the wire: four requests that hosts make. Everything goes from the host to control; a host opens no port.
//
//   POST /wire/v1/join                        a one-time token for an id and a secret
//   POST /wire/v1/hosts/{id}/hello            who I am, what I can carry
//   GET  /wire/v1/hosts/{id}/desired?since=N  one long answer: what my machine should look like, a JSON line per change
//   POST /wire/v1/hosts/{id}/observed         what I found and did
//   POST /wire/v1/hosts/{id}/answers/{ask}    the answer to a question

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sql } from 'kysely'
import type { Logger } from 'pino'
import { type Database, json, type Tx } from '../database/connect.ts'
import { badRequest, conflict, Fault, forbidden, notFound } from '../http/fault.ts'
import { crash } from '../work/crash.ts'
import { announceAnswer } from './ask.ts'
import { type Hello, type Kind, kinds, type Observation } from './documents.ts'
import { hostDoor, join } from './join.ts'
import { type Heard, type Host, observe } from './observe.ts'
import { startStreams } from './stream.ts'

export interface WireDeps {
  db: Database
  log: Logger
  /** This cloud's id; a host that knows another one compares everything before it removes anything. */
  cloud: string
  /** What rooms do when hosts report, by kind. */
  heard: Partial<Record<Kind, Heard>>
  /** What rooms do when a host says hello, in order, in one transaction. */
  hello: ((tx: Tx, host: Host, hello: Hello) => Promise<void>)[]
}

/** Adds the wire's routes to a server. Returns what ends its streams. */
export function registerWire(app: FastifyInstance, { db, log, cloud, heard, hello }: WireDeps): { stop(): void } {
  const streams = startStreams(db, cloud, log)
  const door = hostDoor(db)

  const hostOf = async (request: FastifyRequest): Promise<Host> => {
    const host = await door(request.headers.authorization)
    if ((request.params as { id: string }).id !== host.id) throw forbidden('A host speaks for itself only.')
    streams.alive(host.id)
    return host
  }

  app.register(async (wire) => {
    wire.removeAllContentTypeParsers()
    wire.addContentTypeParser('application/json', { parseAs: 'string', bodyLimit: 32 << 20 }, (_request, text, done) => {
      try {
        done(null, JSON.parse(text as string))
      } catch {
        done(badRequest('The body is not JSON.'), undefined)
      }
    })
    wire.setErrorHandler((error, request, reply) => {
      const fault = error instanceof Fault ? error : tooLarge(error)
      if (!fault) log.error({ err: error, url: request.url }, 'wire: a request failed')
      reply.code(fault?.status ?? 500).send({ error: fault?.message ?? 'The controller could not do this; its log says why.' })
    })

    wire.post('/wire/v1/join', async (request) => {
      const { token, name, machine_id } = fields(request.body, ['token', 'name', 'machine_id'])
      if (!/^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$/.test(name))
        throw badRequest(`'${name}' cannot name a host: letters, digits, '-' and '.' only, at most 63.`)
      return { ...(await db.write((tx) => join(tx, token, name, machine_id))), cloud }
    })

    wire.post('/wire/v1/hosts/:id/hello', async (request) => {
      const host = await hostOf(request)
      const said = request.body as Hello
      if (said?.v !== 1)
        throw badRequest('This controller understands version 1 of hello. Run the same version of Wisp on hosts and controllers.')
      await db.write(async (tx) => {
        const known = await tx.selectFrom('wire.host').select('machine_id').where('id', '=', host.id).executeTakeFirst()
        if (known?.machine_id && known.machine_id !== said.machine_id)
          throw conflict(`Host '${host.name}' is another machine (${known.machine_id}). Let this machine join under a name of its own.`)
        for (const room of hello) await room(tx, host, said)
        const { images: _, ...kept } = said // the image room has taken them
        // The host's row is locked after the rooms' rows, as everywhere.
        await tx
          .updateTable('wire.host')
          .set({ machine_id: said.machine_id, boot_id: said.boot_id, hello: json(kept as never), seen_at: sql<Date>`now()` })
          .where('id', '=', host.id)
          .execute()
      })
      return { cloud }
    })

    wire.get('/wire/v1/hosts/:id/desired', async (request, reply) => {
      const host = await hostOf(request)
      const { since = '0', cloud: known } = request.query as { since?: string; cloud?: string }
      const from = known === cloud && /^\d{1,15}$/.test(since) ? Number(since) : 0
      openStream(reply)
      reply.raw.on('error', () => reply.raw.destroy())
      await streams.open(host.id, from, {
        write: (text) => reply.raw.write(text),
        end: () => reply.raw.end(),
        onClose: (then) => reply.raw.once('close', then),
        pending: () => reply.raw.writableLength,
      })
      return reply
    })

    wire.post('/wire/v1/hosts/:id/observed', async (request) => {
      const host = await hostOf(request)
      const observations = checked(request.body)
      if (observations.length === 0) return { verdicts: [] } // only says that it is alive
      const verdicts = await db
        .write(async (tx) => {
          const result = await observe(tx, host, observations, heard)
          crash('wire: observed before commit')
          return result
        })
        .catch((error) => {
          // What PostgreSQL cannot take as data (NUL, half a character) it will never take: the host must not repeat it for ever.
          if (/^22/.test(String((error as { code?: unknown }).code)))
            throw badRequest(`The observations cannot be stored: ${error.message}`)
          throw error
        })
      crash('wire: observed')
      return { verdicts }
    })

    wire.post('/wire/v1/hosts/:id/answers/:ask', async (request) => {
      const host = await hostOf(request)
      const { ask } = request.params as { ask: string }
      const { status, body } = (request.body ?? {}) as { status?: number; body?: unknown }
      const answered = await db.read
        .updateTable('wire.question')
        .set({ status: Number(status) || 500, answer: json((body ?? null) as never), answered_at: sql<Date>`now()` })
        .where('id', '=', ask)
        .where('host_id', '=', host.id)
        .where('answered_at', 'is', null)
        .returning('id')
        .executeTakeFirst()
      if (!answered) throw notFound('Nobody waits for this answer any more.')
      announceAnswer(ask)
      return {}
    })
  })
  return { stop: () => streams.stop() }
}

/** Takes the answer out of Fastify's hands: it ends only when one of the two sides goes. */
function openStream(reply: FastifyReply): void {
  reply.hijack()
  reply.raw.setHeader('content-type', 'application/x-ndjson')
  reply.raw.writeHead(200)
  reply.raw.flushHeaders()
  reply.raw.socket?.setNoDelay(true)
  reply.raw.socket?.setTimeout(0)
}

/** What Fastify itself refuses, of which only the size can be met here. */
const tooLarge = (error: unknown): Fault | null =>
  (error as { code?: string }).code === 'FST_ERR_CTP_BODY_TOO_LARGE' ? badRequest('The body is larger than 32 MB.') : null

function fields<Name extends string>(body: unknown, names: Name[]): Record<Name, string> {
  const given = body as Record<string, unknown> | null
  for (const name of names)
    if (typeof given?.[name] !== 'string' || given[name] === '' || given[name].length > 255)
      throw badRequest(`'${name}' must be a text of 1 to 255 characters.`)
  return given as Record<Name, string>
}

function checked(body: unknown): Observation[] {
  const list = (body as { observations?: unknown } | null)?.observations
  if (!Array.isArray(list)) throw badRequest("'observations' must be a list.")
  for (const [index, one] of list.entries()) {
    const { kind, id, generation, state } = (one ?? {}) as Observation
    const good =
      kinds.includes(kind) &&
      typeof id === 'string' &&
      Number.isSafeInteger(generation) &&
      ['ready', 'failed', 'gone', 'working'].includes(state)
    if (!good) throw badRequest(`'observations[${index}]' wants kind, id, generation and state.`)
  }
  return list as Observation[]
}
