// The loop of a host: holds what control wants, compares it object by object with what is really there, makes it so, and reports.
// It keeps nothing that could not be found again: after a restart it hears the complete set and looks at the machine.
//
// - Each object is worked on by one task at a time; a newer document while it runs makes it run again. The sweep goes the same way.
// - A complete set counts once it is complete, all at once: half a set would show a port without its network.
// - A port waits for its network and security groups, a server for its ports; taking away goes in the reverse order.
// - One object that fails is tried again with growing pauses and never holds up the others.
// - Nothing is removed for being absent from the set before the set is complete.
import type { Logger } from 'pino'
import { type DesiredLine, type DocumentOf, type Kind, kinds, type Observation } from '../wire/documents.ts'
import { crash } from '../work/crash.ts'
import { Final, type Outcome, type Realiser } from './realise.ts'

export interface Loop {
  snapshot(): void
  desired(line: DesiredLine): void
  complete(): void
  /** The documents of a kind that are wanted now, by id. */
  wanted<K extends Kind>(kind: K): Map<string, DocumentOf[K]>
  /** Resolves when nothing is under way (objects that wait for another try do not count). */
  idle(): Promise<void>
  /** Lets what is under way end. Stop the wire first: a report is tried until it is taken or the wire stops. */
  stop(): Promise<void>
}

export interface LoopDeps {
  realisers: { [K in Kind]: Realiser<K> }
  report: (observations: Observation[]) => Promise<unknown>
  log: Logger
  /** How many objects of a kind are worked on at once. */
  parallel?: Partial<Record<Kind, number>>
}

interface Thing {
  kind: Kind
  id: string
  line: DesiredLine
  running: Promise<void> | null
  again: boolean
  tries: number
  retry: NodeJS.Timeout | null
}

const retryMin = 250
const retryMax = 30_000

export function startLoop({ realisers, report, log, parallel = {} }: LoopDeps): Loop {
  const things = new Map<string, Thing>()
  const gates = new Map(kinds.map((kind) => [kind, gate(parallel[kind] ?? 8)]))
  const waiting = new Map<string, Observation>()
  const unwatch: (() => void)[] = []
  let coming: Map<string, DesiredLine> | null = null // the complete set that is on its way; null = none is
  let reporting: Promise<void> | null = null
  let sweeping: Promise<void> | null = null
  let sweepAgain: NodeJS.Timeout | null = null
  let stopped = false

  const keyOf = (kind: Kind, id: string) => `${kind} ${id}`

  /** Of one object only the newest goes out; but what happened to a server in between is part of its story. */
  const say = (observation: Observation) => {
    const key = keyOf(observation.kind, observation.id)
    const earlier = waiting.get(key)?.server?.events ?? []
    const { server } = observation
    waiting.set(
      key,
      server && earlier.length > 0
        ? { ...observation, server: { ...server, events: [...earlier, ...(server.events ?? [])] } }
        : observation,
    )
    reporting ??= send()
  }

  /** One report at a time; what gathers meanwhile goes with the next one. */
  const send = async () => {
    await new Promise(setImmediate) // what is done in one turn of the event loop is one report, and one transaction of control's
    while (waiting.size > 0 && !stopped) {
      const batch = [...waiting.values()]
      waiting.clear()
      // One observation that control cannot take must not cost the others.
      const refused = (error: unknown) => log.error({ err: error, report: batch.length }, 'agent: control refuses this report')
      await report(batch).catch(async (error) => {
        if (batch.length === 1) return refused(error)
        for (const one of batch) await report([one]).catch(refused)
      })
    }
    reporting = null
  }

  const start = (thing: Thing) => {
    if (stopped) return
    if (thing.retry) clearTimeout(thing.retry)
    thing.retry = null
    if (thing.running) {
      thing.again = true
      return
    }
    thing.running = work(thing).finally(() => {
      thing.running = null
      if (thing.again) {
        thing.again = false
        start(thing)
      }
    })
  }

  const work = async (thing: Thing) => {
    const { kind, id } = thing
    await Promise.allSettled(before(thing))
    const leave = await gates.get(kind)!()
    const line = thing.line
    thing.again = false // whatever asked for another look meanwhile: this is it
    try {
      if (stopped) return
      crash(`agent: ${kind}`)
      const outcome = line.want ? await ensure(kind, line) : await remove(kind, id)
      thing.tries = 0
      say({ kind, id, generation: line.generation, ...outcome })
      if (!line.want && thing.line === line) {
        // What the removal itself stirred up (a domain that ended) is no reason to look again.
        thing.again = false
        if (thing.retry) clearTimeout(thing.retry)
        things.delete(keyOf(kind, id))
      }
    } catch (error) {
      const final = error instanceof Final
      thing.tries++
      const message = clean(error instanceof Error ? error.message : String(error))
      log.warn(
        { kind, id, generation: line.generation, request_id: line.request_id, tries: thing.tries, final, err: error },
        'agent: failed',
      )
      say({ kind, id, generation: line.generation, state: 'failed', error: { message, final, tries: thing.tries } })
      if (!final && !stopped) thing.retry = setTimeout(() => start(thing), Math.min(retryMin * 2 ** thing.tries, retryMax))
    } finally {
      leave()
    }
  }

  const ensure = async (kind: Kind, line: DesiredLine): Promise<Outcome> => {
    // Work is kept apart by the line's id: under another one two tasks could meet at one object.
    if (line.want!.id !== line.id) throw new Final(`The document of ${kind} ${line.id} speaks of ${line.want!.id}.`)
    return (realisers[kind] as Realiser).ensure(line.want as DocumentOf[Kind], line.generation)
  }

  const remove = async (kind: Kind, id: string): Promise<Outcome> => {
    await realisers[kind].remove(id)
    return { state: 'gone' }
  }

  /** What must come to rest before this object's turn. A failed predecessor counts as at rest: waiting for it would spread the failure. */
  const before = (thing: Thing): Promise<void>[] => {
    const busy = (kind: Kind, id: string) => things.get(keyOf(kind, id))?.running ?? []
    const want = thing.line.want
    if (!want) {
      const later = kinds.slice(kinds.indexOf(thing.kind) + 1)
      return [...things.values()].filter((other) => later.includes(other.kind) && !other.line.want).flatMap((other) => other.running ?? [])
    }
    if (thing.kind === 'port') {
      const port = want as DocumentOf['port']
      return [busy('network', port.network_id), ...port.security_groups.map((group) => busy('security-group', group))].flat()
    }
    if (thing.kind === 'server') return (want as DocumentOf['server']).nics.flatMap((nic) => busy('port', nic.port_id))
    return []
  }

  const hear = (line: DesiredLine): Thing => {
    const key = keyOf(line.kind, line.id)
    const thing = things.get(key) ?? { kind: line.kind, id: line.id, line, running: null, again: false, tries: 0, retry: null }
    thing.line = line
    thing.tries = 0
    things.set(key, thing)
    return thing
  }

  /** What is wanted from the lowest kind up, then what goes from the topmost down; so each finds those it must wait for at work. */
  const startAll = () => {
    const all = [...things.values()]
    for (const kind of kinds) for (const thing of all) if (thing.kind === kind && thing.line.want) start(thing)
    for (const kind of [...kinds].reverse()) for (const thing of all) if (thing.kind === kind && !thing.line.want) start(thing)
  }

  /** After a complete set: what really exists and no document names is taken away, the topmost kinds first. */
  const sweep = async () => {
    let missed = false
    for (const kind of [...kinds].reverse()) {
      try {
        for (const id of await realisers[kind].existing()) {
          if (things.has(keyOf(kind, id)) || stopped) continue
          log.warn({ kind, id }, 'agent: no document names this object; removing it')
          start(hear({ rev: 0, kind, id, generation: Number.MAX_SAFE_INTEGER, want: null, request_id: null }))
        }
      } catch (error) {
        missed = true
        log.error({ kind, err: error }, 'agent: cannot see what exists on this machine; looking again in 30 s')
      }
    }
    if (missed && !stopped) sweepAgain = setTimeout(startSweep, retryMax)
  }

  const startSweep = () => {
    if (sweepAgain) clearTimeout(sweepAgain)
    sweepAgain = null
    sweeping = (sweeping ?? Promise.resolve()).then(sweep)
  }

  for (const kind of kinds)
    realisers[kind]
      .watch?.((id) => {
        const thing = things.get(keyOf(kind, id))
        if (thing) start(thing)
      })
      .then((stop) => unwatch.push(stop))
      .catch((error) => log.error({ kind, err: error }, 'agent: changes on this machine cannot be watched'))

  return {
    snapshot() {
      coming = new Map()
    },
    desired(line) {
      if (coming) coming.set(keyOf(line.kind, line.id), line)
      else start(hear(line))
    },
    complete() {
      const set = coming
      coming = null
      if (!set) return
      for (const line of set.values()) hear(line)
      // Objects of which an earlier set spoke and this one does not: control has forgotten them, so they shall go.
      for (const [key, { line }] of things)
        if (!set.has(key)) hear({ ...line, generation: Math.min(line.generation + 1, Number.MAX_SAFE_INTEGER), want: null })
      startAll()
      startSweep()
    },
    wanted<K extends Kind>(kind: K) {
      const found = new Map<string, DocumentOf[K]>()
      for (const thing of things.values()) if (thing.kind === kind && thing.line.want) found.set(thing.id, thing.line.want as DocumentOf[K])
      return found
    },
    async idle() {
      for (;;) {
        const busy = [...[...things.values()].flatMap((thing) => thing.running ?? []), reporting ?? [], sweeping ?? []].flat()
        await Promise.all(busy)
        if (reporting === null && ![...things.values()].some((thing) => thing.running)) return
      }
    },
    async stop() {
      stopped = true
      if (sweepAgain) clearTimeout(sweepAgain)
      for (const stop of unwatch) stop()
      for (const thing of things.values()) if (thing.retry) clearTimeout(thing.retry)
      await Promise.allSettled([...things.values()].map((thing) => thing.running))
      await reporting
    },
  }
}

/** A text that a database takes: without NUL and halves of characters, which a cut output may have. */
const clean = (text: string) => text.replaceAll('\0', '').toWellFormed()

/** Lets `count` in at once; what it returns lets the next one in. */
function gate(count: number): () => Promise<() => void> {
  const queue: (() => void)[] = []
  let free = count
  const leave = () => {
    const next = queue.shift()
    if (next) next()
    else free++
  }
  return async () => {
    if (free > 0) free--
    else await new Promise<void>((go) => queue.push(go))
    return leave
  }
}
