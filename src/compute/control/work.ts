// What the program calls of this room by itself: the keys that it owns, and what it does when hosts report or say hello.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type { Hello, Kind } from '../../wire/documents.ts'
import type { Heard, Host } from '../../wire/observe.ts'
import { type Handler, pokeAll } from '../../work/engine.ts'
import { recordEvents } from './action.ts'
import { server } from './server.ts'

export const handlers: Record<string, Handler> = { server }

export const heard: Partial<Record<Kind, Heard>> = {
  server: async (tx, host, observations) => {
    await recordEvents(tx, host, observations)
    await pokeAll(
      tx,
      'server',
      observations.map(({ id }) => id),
    )
  },
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
