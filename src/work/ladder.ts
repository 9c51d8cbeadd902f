// A ladder is how the life of an object is written down: rungs from top to bottom, each with the condition under which it is the next
// step. Reading the facts and choosing the rung are apart from doing it, so that every case can be tested without a database.
import type { Tx } from '../database/connect.ts'
import type { Handler } from './engine.ts'

export interface Rung<Facts> {
  name: string
  /** Pure: is this the next step, given the facts? */
  when: (facts: Facts) => boolean
  /** Does the step in the caller's transaction. Returns like a handler: null = settled, else look again in so many ms. */
  step: (tx: Tx, facts: Facts) => Promise<number | null>
}

/** The first rung whose condition holds; undefined = nothing to do. Pure. */
export const next = <Facts>(rungs: Rung<Facts>[], facts: Facts): Rung<Facts> | undefined => rungs.find((rung) => rung.when(facts))

/** A handler that reads the facts (null = the object is no more) and takes the first rung that applies. */
export const ladder =
  <Facts>(read: (tx: Tx, key: string) => Promise<Facts | null>, rungs: Rung<Facts>[]): Handler =>
  async (tx, key) => {
    const facts = await read(tx, key)
    if (!facts) return null
    const rung = next(rungs, facts)
    return rung ? rung.step(tx, facts) : null
  }
