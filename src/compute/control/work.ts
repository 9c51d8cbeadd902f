// What the program calls of this room by itself: the keys that it owns, and what it does when hosts report or say hello.
import { sql } from 'kysely'
import { afterCommit, type Tx } from '../../database/connect.ts'
import type { Hello, Kind } from '../../wire/documents.ts'
import type { Heard, Host } from '../../wire/observe.ts'
import { type Handler, pokeAll, settled } from '../../work/engine.ts'
import { next } from '../../work/ladder.ts'
import { recordEvents } from './action.ts'
import { readFacts } from './facts.ts'
import { rungs, server } from './server.ts'

export const handlers: Record<string, Handler> = { server }

export const heard: Partial<Record<Kind, Heard>> = {
  server: async (tx, host, observations) => {
    const ids = observations.map(({ id }) => id)
    const [rest] = await Promise.all([ids.length <= few ? settleAtOnce(tx, ids.sort()) : ids, recordEvents(tx, host, observations)])
    await pokeAll(tx, 'server', rest)
  },
}

const few = 4
/** Servers whose settling failed here once (or is under way): the engine does it, which waits longer each time, and the host's next report is not refused again. */
const left = new Set<string>()

/**
 * Most reports say that a server has become what was wanted: that is settled in the transaction of the report, which spares a look. Returns
 * the servers to which it does not apply.
 */
async function settleAtOnce(tx: Tx, ids: string[]): Promise<string[]> {
  const rest: string[] = []
  for (const id of ids) {
    const facts = await readFacts(tx, id)
    const rung = facts && next(rungs, facts)
    if (facts && rung?.name === 'settle' && !left.has(id)) {
      left.add(id)
      afterCommit(tx, () => left.delete(id))
      await rung.step(tx, facts)
      settled(tx, 'server', id)
    } else rest.push(id)
  }
  return rest
}

/** A host that says hello carries the compute service; what an operator switched on it stays as it was. */
export async function hello(tx: Tx, host: Host, _hello: Hello): Promise<void> {
  await tx
    .insertInto('compute.service')
    .values({ id: crypto.randomUUID(), host: host.name, updated_at: sql<Date>`now()` })
    .onConflict((on) => on.column('host').doUpdateSet({ updated_at: sql<Date>`now()` }))
    .execute()
}

export { bootstrapCompute as bootstrap } from './bootstrap.ts'
