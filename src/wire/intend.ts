// What rooms call, inside their own transaction, to say what a host shall make true. The revision is a counter per host, raised under that
// host's row lock: so the order of revisions is the order of commits, and a stream that resumes after N has missed nothing. (A database
// sequence would lose updates: 14 to 17 of 3,000 were never seen when measured.)
//
// The host row is locked last in every transaction; those that touch several hosts go in the order of their ids.
import { type RawBuilder, sql } from 'kysely'
import { beforeCommit, json, type Tx } from '../database/connect.ts'
import { hintHost } from '../work/hint.ts'
import type { DesiredLine, DocumentOf, Kind } from './documents.ts'

/** What a transaction of this process has told a host: the lines that follow revision `after`. */
export interface Written {
  after: number
  lines: DesiredLine[]
}

export type Intent = { [K in Kind]: { kind: K; id: string; generation: number; body: DocumentOf[K] | null } }[Kind]

/** Says what `hostId` shall make true; a `body` of null = this shall be gone. One statement, whatever the number. */
export async function intend(tx: Tx, hostId: string, intents: Intent[], requestId: string | null = null): Promise<void> {
  if (intents.length === 0) return
  await intending(hostId, intents, requestId).execute(tx)
  hintHost(tx, hostId)
}

/** The same where the transaction reads no documents any more: it travels with the commit. */
export function intendLast(tx: Tx, hostId: string, intents: Intent[], requestId: string | null): void {
  let written: Written | undefined
  beforeCommit(tx, {
    query: () => intending(hostId, intents, requestId).compile(tx),
    answered(rows) {
      const [first] = rows as { base: number }[]
      if (first === undefined) return // the host is no more
      const lines = intents.map(({ kind, id, generation, body }, index) => ({
        rev: first.base + index + 1,
        kind,
        id,
        generation,
        want: body,
        request_id: requestId,
      }))
      written = { after: first.base, lines }
    },
  })
  hintHost(tx, hostId, () => written)
}

function intending(hostId: string, intents: Intent[], requestId: string | null): RawBuilder<unknown> {
  const docs = intents.map((intent, index) => ({ ...intent, n: index + 1 }))
  return sql`
    with host as (update wire.host set rev = rev + ${intents.length} where id = ${hostId} returning id, rev - ${intents.length} as base)
    insert into wire.document (host_id, kind, id, rev, generation, body, request_id)
    select host.id, doc.kind, doc.id, host.base + doc.n, doc.generation, nullif(doc.body, 'null'::jsonb), ${requestId}
    from host, jsonb_to_recordset(${json(docs)}) as doc (n int, kind text, id text, generation bigint, body jsonb)
    on conflict (host_id, kind, id) do update
      set rev = excluded.rev, generation = excluded.generation, body = excluded.body, request_id = excluded.request_id
    returning (select base from host)`
}

/**
 * Says to many hosts what they shall make true of one object, in one statement however many they are. `body` is an SQL expression, which
 * may differ by host: `h` is the host's row.
 */
export async function intendOnAll(
  tx: Tx,
  kind: Kind,
  id: string,
  hosts: { host_id: string; generation: number }[],
  body: RawBuilder<unknown>,
): Promise<void> {
  if (hosts.length === 0) return
  await sql`
    with wanted as (select * from jsonb_to_recordset(${json(hosts)}) as w (host_id text, generation bigint)),
    locked as (select host.id from wire.host join wanted on host.id = wanted.host_id order by host.id for no key update of host),
    h as (update wire.host set rev = rev + 1 from locked where host.id = locked.id returning host.*)
    insert into wire.document (host_id, kind, id, rev, generation, body)
    select h.id, ${kind}, ${id}, h.rev, wanted.generation, ${body} from h join wanted on wanted.host_id = h.id
    on conflict (host_id, kind, id) do update
      set rev = excluded.rev, generation = excluded.generation, body = excluded.body, request_id = null`.execute(tx)
  for (const { host_id } of hosts) hintHost(tx, host_id)
}

type Objects = { kind: Kind; id: string }[]

/** Takes objects back from a host: each becomes a tombstone until the host has reported it gone. Unknown ones are ignored. */
export async function withdraw(tx: Tx, hostId: string, objects: Objects, requestId: string | null = null): Promise<void> {
  if (objects.length === 0) return
  await withdrawing(hostId, objects, requestId).execute(tx)
  hintHost(tx, hostId)
}

/** The same where the transaction reads no documents any more: it travels with the commit. */
export function withdrawLast(tx: Tx, hostId: string, objects: Objects, requestId: string | null): void {
  beforeCommit(tx, { query: () => withdrawing(hostId, objects, requestId).compile(tx) })
  hintHost(tx, hostId)
}

const withdrawing = (hostId: string, objects: Objects, requestId: string | null): RawBuilder<unknown> => sql`
  with host as (update wire.host set rev = rev + ${objects.length} where id = ${hostId} returning id, rev - ${objects.length} as base)
  update wire.document d
  set rev = host.base + doc.n, generation = d.generation + 1, body = null, request_id = ${requestId}
  from host, jsonb_to_recordset(${json(objects.map((object, index) => ({ ...object, n: index + 1 })))}) as doc (n int, kind text, id text)
  where d.host_id = host.id and d.kind = doc.kind and d.id = doc.id`
