// Hints: "look now" between controllers and to watching browsers. They only save waiting time; polling finds everything that a lost hint
// would have told. Each process gathers what its committed transactions touched and sends one NOTIFY per 20 ms, because a NOTIFY in
// every transaction takes a global lock at commit (4,700 commits/s became 560/s when measured).
import { EventEmitter } from 'node:events'
import { sql } from 'kysely'
import { afterCommit, type Database, type Tx } from '../database/connect.ts'

export interface Changed {
  kind: string
  id: string
  project_id: string | null
}

/** What may have changed; sets, so that a thousand changes in 20 ms stay one message. */
interface Batch {
  hosts: Set<string>
  asked: Set<string>
  due: boolean
  identity: boolean
  changed: Map<string, Changed>
}

const empty = (): Batch => ({ hosts: new Set(), asked: new Set(), due: false, identity: false, changed: new Map() })

/** Emits, in this process: `due` (), `host` (host id, Written of wire/intend.ts or undefined), `asked` (host id), `answer` (question id), `identity` (), `changed` (Changed). */
export const hints = new EventEmitter().setMaxListeners(0)

let batch = empty()
let announce: (() => void) | null = null

/** PostgreSQL refuses payloads of 8,000 bytes; more goes as several in one statement. */
const maxPayload = 7900
const pause = 20

function touched(change: (b: Batch) => void, emit: () => void): void {
  emit()
  if (!announce) return // nobody to tell: what nobody fetches must not gather
  change(batch)
  announce()
}

/** After commit: there is work in the queue. */
export const hintDue = (tx: Tx) =>
  afterCommit(tx, () =>
    touched(
      (b) => {
        b.due = true
      },
      () => hints.emit('due'),
    ),
  )

/** After commit: this host's desired documents changed. `news` = what is new, for a stream of this process: it need not be read again. */
export const hintHost = (tx: Tx, hostId: string, news: () => unknown = () => undefined) =>
  afterCommit(tx, () =>
    touched(
      (b) => b.hosts.add(hostId),
      () => hints.emit('host', hostId, news()),
    ),
  )

/** After commit: there is a question to this host. */
export const hintAsked = (tx: Tx, hostId: string) =>
  afterCommit(tx, () =>
    touched(
      (b) => b.asked.add(hostId),
      () => hints.emit('asked', hostId),
    ),
  )

/** After commit: what controllers remember of users, roles and projects may be wrong. */
export const hintIdentity = (tx: Tx) =>
  afterCommit(tx, () =>
    touched(
      (b) => {
        b.identity = true
      },
      () => hints.emit('identity'),
    ),
  )

/** After commit: an object that people watch changed. */
export const hintChanged = (tx: Tx, kind: string, id: string, project_id: string | null) =>
  afterCommit(tx, () => {
    const changed = { kind, id, project_id }
    touched(
      (b) => b.changed.set(`${kind} ${id}`, changed),
      () => hints.emit('changed', changed),
    )
  })

interface Message {
  from: string
  hosts: string[]
  asked: string[]
  due: boolean
  identity: boolean
  changed: Changed[]
}

/** The batch as texts of at most `maxPayload` bytes each. What is too large for one by itself is left to polling. */
function payloads(from: string, { hosts, asked, due, identity, changed }: Batch): string[] {
  const blank: Message = { from, hosts: [], asked: [], due: false, identity: false, changed: [] }
  const texts: string[] = []
  let open: Message = { ...blank, due, identity }
  let size = Buffer.byteLength(JSON.stringify(open))
  let filled = due || identity
  const add = <Name extends 'hosts' | 'asked' | 'changed'>(name: Name, items: Iterable<Message[Name][number]>) => {
    for (const item of items) {
      const more = Buffer.byteLength(JSON.stringify(item)) + 1
      if (filled && size + more > maxPayload) {
        texts.push(JSON.stringify(open))
        open = { ...blank, hosts: [], asked: [], changed: [] }
        size = Buffer.byteLength(JSON.stringify(open))
        filled = false
      }
      if (size + more > maxPayload) continue
      ;(open[name] as (typeof item)[]).push(item)
      size += more
      filled = true
    }
  }
  open = { ...open, hosts: [], asked: [], changed: [] }
  add('hosts', hosts)
  add('asked', asked)
  add('changed', changed.values())
  if (filled) texts.push(JSON.stringify(open))
  return texts
}

/** Joins this process to the others through `db`. Returns the way to leave. */
export async function startHints(db: Database): Promise<() => Promise<void>> {
  const me = crypto.randomUUID()
  let timer: NodeJS.Timeout | null = null
  const send = async () => {
    timer = null
    const texts = payloads(me, batch)
    batch = empty()
    await sql`select pg_notify('wisp', payload) from unnest(${texts}::text[]) as payload`.execute(db.read).catch(() => undefined)
  }
  const mine = () => {
    timer ??= setTimeout(send, pause)
  }
  announce = mine
  const unlisten = await db.listen('wisp', (payload) => {
    let message: Message
    try {
      message = JSON.parse(payload) as Message
    } catch {
      return // not ours: anyone with a login to the database may notify
    }
    if (message.from === me) return
    if (message.due) hints.emit('due')
    if (message.identity) hints.emit('identity')
    for (const host of message.hosts ?? []) hints.emit('host', host)
    for (const host of message.asked ?? []) hints.emit('asked', host)
    for (const changed of message.changed ?? []) hints.emit('changed', changed)
  })
  return async () => {
    if (announce === mine) announce = null
    if (timer) clearTimeout(timer)
    await unlisten()
  }
}
