// A reporter for node:test that says one thing, in JSON: how many tests of the whole run passed, failed and were skipped.
import type { TestEvent } from 'node:test/reporters'

export interface Counts {
  passed: number
  failed: number
  skipped: number
}

export default async function* count(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    // Each file has a summary of its own; that of the run has no file.
    if (event.type !== 'test:summary' || event.data.file !== undefined) continue
    const { tests, passed, skipped, todo } = event.data.counts
    // What neither passed nor was skipped has failed, or was cancelled when something before it did.
    const counts: Counts = { passed, failed: tests - passed - skipped - todo, skipped: skipped + todo }
    yield JSON.stringify(counts)
  }
}
