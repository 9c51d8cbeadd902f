// The streams down: one HTTP answer per host that never ends, a JSON line per change. Each resumes after the last revision that its host
// has seen; `curl -N` shows what a host is told.
import { sql } from 'kysely'
import type { Logger } from 'pino'
import type { Database } from '../database/connect.ts'
import { hints } from '../work/hint.ts'
import type { DesiredLine, Line } from './documents.ts'
import type { Written } from './intend.ts'

/** The open answer to a host. */
export interface Sink {
  write(text: string): boolean
  end(): void
  onClose(then: () => void): void
  /** Bytes that wait in memory because the host reads slowly. */
  pending(): number
}

export interface Streams {
  /** Serves a host that has seen everything up to `since` (0 = nothing). A second stream of one host ends the first. */
  open(hostId: string, since: number, sink: Sink): Promise<void>
  connected(): string[]
  /** The host has said something, so its stream is not a dead machine's. */
  alive(hostId: string): void
  stop(): void
}

interface Stream {
  hostId: string
  sink: Sink
  sent: number
  asked: Set<string>
  /** When the host last said something (performance.now()). */
  heard: number
  ended: boolean
  /** A look at the database is under way; `again` = something happened meanwhile. */
  looking: boolean
  again: boolean
}

const pollEvery = 1000
const leaseEvery = 2500
/** A host that has not been heard for so long counts as down, everywhere; Nova's default, too. */
export const downAfter = sql`interval '60 seconds'`
const batch = 500
const maxPending = 16 << 20
/** A host says at least every 10 s that it hears. One that is silent for so long has lost its power or its network. */
const silence = 30_000

export function startStreams(db: Database, cloud: string, log: Logger): Streams {
  const streams = new Map<string, Stream>()

  const say = (stream: Stream, lines: Line[]) => {
    if (lines.length > 0 && !stream.ended) stream.sink.write(`${lines.map((line) => JSON.stringify(line)).join('\n')}\n`)
  }

  const end = (stream: Stream) => {
    if (streams.get(stream.hostId) === stream) streams.delete(stream.hostId)
    if (stream.ended) return
    stream.ended = true
    stream.sink.end()
  }

  const changesAfter = async (hostId: string, rev: number): Promise<DesiredLine[]> =>
    (
      await sql<DesiredLine>`
        select rev, kind, id, generation, body as want, request_id from wire.document
        where host_id = ${hostId} and rev > ${rev} order by rev limit ${batch}`.execute(db.read)
    ).rows

  /** Sends what is new. Never twice at once for a stream, and once more if something happened meanwhile. */
  const look = async (stream: Stream) => {
    if (stream.looking) {
      stream.again = true
      return
    }
    stream.looking = true
    try {
      do {
        stream.again = false
        const lines = await changesAfter(stream.hostId, stream.sent)
        say(stream, lines)
        stream.sent = lines.at(-1)?.rev ?? stream.sent
        if (lines.length === batch) stream.again = true
        if (stream.sink.pending() > maxPending) {
          log.warn({ host: stream.hostId }, 'wire: the host does not read its stream; closing it, so that it resumes later')
          end(stream)
          return
        }
      } while (stream.again && !stream.ended)
    } catch (error) {
      log.warn({ err: error, host: stream.hostId }, 'wire: changes cannot be read; trying again')
    } finally {
      stream.looking = false
    }
  }

  const sayEverything = async (stream: Stream, rev: number) => {
    stream.sent = 0
    say(stream, [{ snapshot: true, cloud }])
    while (!stream.ended) {
      const lines = await changesAfter(stream.hostId, stream.sent)
      say(stream, lines)
      stream.sent = lines.at(-1)?.rev ?? stream.sent
      if (lines.length < batch) break
    }
    stream.sent = Math.max(stream.sent, rev)
    say(stream, [{ complete: stream.sent }])
  }

  const sendQuestions = async (hostIds: string[]) => {
    const rows = await sql<{ id: string; host_id: string; question: never }>`
      select id, host_id, question from wire.question
      where host_id = any(${hostIds}) and answered_at is null and deadline > now()`.execute(db.read)
    for (const { id, host_id, question } of rows.rows) {
      const stream = streams.get(host_id)
      if (!stream || stream.asked.has(id)) continue
      stream.asked.add(id)
      say(stream, [{ ask: id, question }])
    }
    // Only what is still open must be remembered as asked.
    const open = new Set(rows.rows.map(({ id }) => id))
    for (const hostId of hostIds) {
      const asked = streams.get(hostId)?.asked
      for (const id of asked ?? []) if (!open.has(id)) asked?.delete(id)
    }
  }

  /** What this process wrote itself goes out as it is, if the host has heard all that was before it; else the database says what is new. */
  const heard = (hostId: string, written?: Written) => {
    const stream = streams.get(hostId)
    if (!stream) return
    if (!written || stream.looking || stream.sent !== written.after || stream.sink.pending() > maxPending) return void look(stream)
    say(stream, written.lines)
    stream.sent = written.lines.at(-1)?.rev ?? stream.sent
  }
  const asked = (hostId: string) => {
    if (streams.has(hostId))
      sendQuestions([hostId]).catch((error) => log.warn({ err: error }, 'wire: questions cannot be read; trying again'))
  }
  hints.on('host', heard)
  hints.on('asked', asked)

  // The truth behind the hints: one statement for all hosts that are connected here.
  const poll = setInterval(async () => {
    if (streams.size === 0) return
    const ids = [...streams.keys()]
    try {
      const behind = await sql<{ id: string; rev: number }>`select id, rev from wire.host where id = any(${ids})`.execute(db.read)
      for (const { id, rev } of behind.rows) {
        const stream = streams.get(id)
        if (stream && rev > stream.sent) void look(stream)
      }
      await sendQuestions(ids)
    } catch (error) {
      log.warn({ err: error }, 'wire: the database is away; hosts go on with what they have')
    }
  }, pollEvery)

  const renewed = setInterval(async () => {
    for (const stream of streams.values())
      if (performance.now() - stream.heard > silence) {
        log.warn({ host: stream.hostId }, 'wire: the host has fallen silent; closing its stream')
        end(stream)
      }
    if (streams.size === 0) return
    try {
      await sql`update wire.host set seen_at = now() where id = any(${[...streams.keys()]})`.execute(db.read)
      const lease: Line = { lease: new Date().toISOString() }
      for (const stream of streams.values()) say(stream, [lease])
    } catch {
      // No lease line: that is how hosts learn that control cannot vouch for them.
    }
  }, leaseEvery)

  return {
    connected: () => [...streams.keys()],
    async open(hostId, since, sink) {
      // Before anything is awaited: of two streams that open at once the one that came last stays.
      const before = streams.get(hostId)
      if (before) end(before)
      const stream: Stream = {
        hostId,
        sink,
        sent: since,
        asked: new Set(),
        heard: performance.now(),
        ended: false,
        looking: true,
        again: true,
      }
      streams.set(hostId, stream)
      sink.onClose(() => {
        stream.ended = true
        if (streams.get(hostId) === stream) streams.delete(hostId)
      })
      try {
        const host = await sql<{ rev: number }>`update wire.host set seen_at = now() where id = ${hostId} returning rev`.execute(db.read)
        const rev = host.rows[0]?.rev ?? 0
        // A host that is ahead of us has seen another database (restored from a backup): it must compare everything.
        if (since === 0 || since > rev) await sayEverything(stream, rev)
      } catch (error) {
        log.warn({ err: error, host: hostId }, 'wire: the complete set cannot be read; the host will ask again')
        end(stream)
        return
      }
      stream.looking = false
      await look(stream)
    },
    alive(hostId) {
      const stream = streams.get(hostId)
      if (stream) stream.heard = performance.now()
    },
    stop() {
      hints.off('host', heard)
      hints.off('asked', asked)
      clearInterval(poll)
      clearInterval(renewed)
      for (const stream of [...streams.values()]) end(stream)
    },
  }
}
