// A look at a key without an engine, for tests that want to see one step.
import type { Database } from '../database/connect.ts'
import type { Handler } from './engine.ts'

/** Looks once, with the errand that may follow. @returns null if the key is settled, or in how many milliseconds the handler wants to look again */
export async function lookAt(db: Database, handler: Handler, key: string): Promise<number | null> {
  const result = await db.write((tx) => handler(tx, key))
  if (typeof result !== 'object' || result === null) return result
  await result.run()
  return await db.write(result.after)
}
