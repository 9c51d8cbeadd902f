// What hosts report. Written here only, in one statement per batch; a report about a generation older than one already reported is refused,
// so late and doubled reports do no harm.
import { sql } from 'kysely'
import { json, type Tx } from '../database/connect.ts'
import type { Kind, Observation } from './documents.ts'

export interface Host {
  id: string
  name: string
}

/** What a room does when a host has reported on objects of its kind; in the same transaction. Usually it pokes their keys. */
export type Heard = (tx: Tx, host: Host, observations: Observation[]) => Promise<void>

export interface Verdict {
  kind: Kind
  id: string
  /** `stale`: something newer was reported before. */
  verdict: 'accepted' | 'stale'
}

export async function observe(tx: Tx, host: Host, observations: Observation[], heard: Partial<Record<Kind, Heard>>): Promise<Verdict[]> {
  // Of several reports about one object in a batch only the last one counts.
  const latest = [...new Map(observations.map((observation) => [`${observation.kind} ${observation.id}`, observation])).values()]
  const seen = latest.filter((observation) => observation.state !== 'gone')
  const gone = latest.filter((observation) => observation.state === 'gone')
  const accepted = new Set<string>()

  if (seen.length > 0) {
    const rows = seen.map(({ kind, id, generation, ...state }) => ({ kind, id, generation, state }))
    const { rows: written } = await sql<{ kind: string; id: string }>`
      insert into wire.observed (host_id, kind, id, generation, state)
      select ${host.id}, kind, id, generation, state from jsonb_to_recordset(${json(rows)}) as r (kind text, id text, generation bigint, state jsonb)
      on conflict (host_id, kind, id) do update set generation = excluded.generation, state = excluded.state, at = now()
        where wire.observed.generation <= excluded.generation
      returning kind, id`.execute(tx)
    for (const { kind, id } of written) accepted.add(`${kind} ${id}`)
  }
  if (gone.length > 0) {
    const rows = json(gone.map(({ kind, id, generation }) => ({ kind, id, generation })))
    // A tombstone has done its work once the host has reported that generation gone; a document that was wanted again meanwhile stays.
    const documents = sql`
      delete from wire.document d using jsonb_to_recordset(${rows}) as r (kind text, id text, generation bigint)
      where d.host_id = ${host.id} and d.kind = r.kind and d.id = r.id and d.body is null and d.generation <= r.generation`.execute(tx)
    const reports = sql`
      delete from wire.observed o using jsonb_to_recordset(${rows}) as r (kind text, id text, generation bigint)
      where o.host_id = ${host.id} and o.kind = r.kind and o.id = r.id and o.generation <= r.generation`.execute(tx)
    await Promise.all([documents, reports])
    for (const { kind, id } of gone) accepted.add(`${kind} ${id}`)
  }
  const taken = latest.filter((observation) => accepted.has(`${observation.kind} ${observation.id}`))
  const kinds = [...new Set(taken.map((observation) => observation.kind))]
  const of = (kind: Kind) => taken.filter((observation) => observation.kind === kind)
  await Promise.all(kinds.map((kind) => heard[kind]?.(tx, host, of(kind))))
  return latest.map(({ kind, id }) => ({ kind, id, verdict: accepted.has(`${kind} ${id}`) ? 'accepted' : 'stale' }))
}
