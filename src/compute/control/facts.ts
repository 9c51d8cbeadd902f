// What is known of one server, read under the server's lock, and the one way to write it: `save` computes the states
// that follow, so that no writer can leave them behind.
import { type Selectable, sql, type Updateable } from 'kysely'
import { beforeCommit, json, type Tx } from '../../database/connect.ts'
import type { ComputeServer } from '../../database/types.ts'
import { downAfter } from '../../wire/stream.ts'
import { hintChanged } from '../../work/hint.ts'
import { type Observed, type State, type StateFacts, stateOf, type Wanted } from './state.ts'

/** The flavor as it was when the server was made. */
export interface ServerFlavor {
  id: string
  name: string
  description: string | null
  memory_mb: number
  vcpus: number
  root_gb: number
  ephemeral_gb: number
  swap_mb: number
  extra_specs: Record<string, string>
}

/** GB on the host's disk, swap rounded up, as Nova counts them. */
export const diskOf = ({ root_gb, ephemeral_gb, swap_mb }: ServerFlavor) => root_gb + ephemeral_gb + Math.ceil(swap_mb / 1024)

/** Where every host is until there are aggregates. */
export const defaultZone = 'nova'

/** The image as it was when the server was made. */
export interface ServerImage {
  name?: string
  disk_format?: string
  container_format?: string
  min_disk?: number
  size?: number
  os_hash_algo?: string
  os_hash_value?: string
  properties?: Record<string, string>
}

export interface ServerFault {
  code: number
  message: string
  /** For administrators. */
  details: string
  created: string
}

/** A host that could not start the server, and what it said. */
export interface Tried {
  host: string
  message: string
}

type Columns = Omit<Selectable<ComputeServer>, 'flavor' | 'image' | 'fault' | 'tried' | 'wanted' | 'metadata' | 'scheduler_hints'>
export interface Server extends Columns {
  flavor: ServerFlavor
  image: ServerImage
  fault: ServerFault | null
  tried: Tried[]
  wanted: Wanted
  metadata: Record<string, string>
  scheduler_hints: Record<string, unknown>
}

export interface Facts {
  server: Server
  /** Of the host that it is placed on; null when it is on none, or the host is no more. */
  hostId: string | null
  /** That host is connected (or was, a moment ago) and nobody has declared it down. */
  hostUp: boolean
  /** What that host was told: nothing (any more), the generation that it shall make true, or that the server shall be gone. */
  document: { generation: number; withdrawn: boolean } | null
  observed: Observed | null
  /** Of the newest request about it, for the host's log. */
  requestId: string | null
}

interface Read extends Server {
  host_id: string | null
  host_up: boolean | null
  document_generation: number | null
  withdrawn: boolean | null
  observed_generation: number | null
  observed_state: Omit<Observed, 'generation'> | null
  request_id: string | null
}

/**
 * Locks and reads a server; null when there is none. It is locked in a statement of its own: one that waits for a lock reads what is joined to
 * the row (the host's report) as it was before the wait.
 */
export async function readFacts(tx: Tx, id: string): Promise<Facts | null> {
  const joined = sql<Read>`
    select s.*, h.id as host_id, h.seen_at > now() - ${downAfter} and not coalesce(c.forced_down, false) as host_up,
      d.generation as document_generation, d.body is null as withdrawn, o.generation as observed_generation, o.state as observed_state,
      (select request_id from compute.server_action a where a.server_id = s.id order by a.id desc limit 1) as request_id
    from compute.server s
    left join wire.host h on h.name = s.host
    left join compute.service c on c.host = s.host
    left join wire.document d on d.host_id = h.id and d.kind = 'server' and d.id = s.id
    left join wire.observed o on o.host_id = h.id and o.kind = 'server' and o.id = s.id
    where s.id = ${id}`
  const [, { rows }] = await Promise.all([sql`select from compute.server where id = ${id} for update`.execute(tx), joined.execute(tx)])
  const row = rows[0]
  if (!row) return null
  const { host_id, host_up, document_generation, withdrawn, observed_generation, observed_state, request_id, ...server } = row
  return {
    server,
    hostId: host_id,
    hostUp: host_up ?? false,
    document: document_generation === null ? null : { generation: document_generation, withdrawn: withdrawn ?? false },
    observed: observed_state && observed_generation !== null ? { ...observed_state, generation: observed_generation } : null,
    requestId: request_id,
  }
}

/** The part of the facts from which the states follow. */
export const stateFacts = ({ server, observed }: Pick<Facts, 'server' | 'observed'>): StateFacts => ({
  wanted: server.wanted,
  host: server.host,
  moving: triedHere(server),
  generation: server.generation,
  reboots: server.reboots,
  reboot_type: server.reboot_type,
  launched: server.launched_at !== null,
  fault: server.fault !== null,
  observed,
  vm_state: server.vm_state,
})

export const triedHere = ({ host, tried }: Pick<Server, 'host' | 'tried'>): boolean => tried.some((one) => one.host === host)

const jsonColumns = new Set(['flavor', 'image', 'fault', 'tried', 'metadata', 'scheduler_hints'])

export type Change = Partial<Omit<Server, keyof State | 'id' | 'updated_at'>>

/** The statement that writes a change and the states that follow from it, and the facts as they are then; none if nothing changes. */
function saving<F extends Pick<Facts, 'server' | 'observed'>>(tx: Tx, facts: F, change: Change) {
  const changed = { ...facts.server, ...change }
  const state = stateOf(stateFacts({ server: changed, observed: facts.observed }))
  const { vm_state, task_state, power_state } = facts.server
  const same = state.vm_state === vm_state && state.task_state === task_state && state.power_state === power_state
  if (same && Object.keys(change).length === 0) return { query: null, after: facts }
  const columns = Object.entries(change).map(([name, value]) => [name, jsonColumns.has(name) && value !== null ? json(value) : value])
  const query = tx
    .updateTable('compute.server')
    .set({ ...(Object.fromEntries(columns) as Updateable<ComputeServer>), ...state, updated_at: sql<Date>`now()` })
    .where('id', '=', facts.server.id)
  hintChanged(tx, 'server', facts.server.id, facts.server.project_id)
  return { query, after: { ...facts, server: { ...changed, ...state, updated_at: new Date() } } }
}

/** Writes a change and the states that follow from it; nothing if nothing changes. Returns the facts as they are then. */
export async function save<F extends Pick<Facts, 'server' | 'observed'>>(tx: Tx, facts: F, change: Change = {}): Promise<F> {
  const { query, after } = saving(tx, facts, change)
  await query?.execute()
  return after
}

/** The same where nothing is read in this transaction any more: it is written with the commit. */
export function saveLast<F extends Pick<Facts, 'server' | 'observed'>>(tx: Tx, facts: F, change: Change = {}): F {
  const { query, after } = saving(tx, facts, change)
  if (query) beforeCommit(tx, { query: () => query.compile() })
  return after
}
