// A reporter for node:test that says, in JSON, how many tests of the whole run passed, failed and were skipped, and why those failed.
import type { TestEvent } from 'node:test/reporters'
import { stripVTControlCharacters } from 'node:util'

export interface Counts {
  passed: number
  failed: number
  skipped: number
}

export interface Failure {
  /** Its names from the outside in: `two hosts › a guest cannot …`. */
  test: string
  /** `file:line`, the file as node:test names it. */
  where: string
  /** The error with the first lines of its stack and of its causes. */
  why: string
}

/** Lines of each error: a difference of two long objects is in the test's own output, further up. */
const most = 25

export default async function* count(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const failures: Failure[] = []
  /** Tests that run at the moment, by file: how deep they are nested is their place. */
  const names = new Map<string, string[]>()
  for await (const event of source) {
    if (event.type === 'test:start') {
      const { file = '', name, nesting } = event.data
      names.set(file, [...(names.get(file) ?? []).slice(0, nesting), name])
    }
    if (event.type === 'test:fail') {
      const { file = '', line, name, nesting, details } = event.data
      const { failureType, cause } = details.error as Error & { failureType?: string }
      // A suite fails with its tests, which say why.
      if (failureType === 'subtestsFailed') continue
      const outer = (names.get(file) ?? []).slice(0, nesting)
      failures.push({ test: [...outer, name].join(' › '), where: `${file}:${line}`, why: told(cause ?? details.error) })
    }
    // Each file has a summary of its own; that of the run has no file.
    if (event.type !== 'test:summary' || event.data.file !== undefined) continue
    const { tests, passed, skipped, todo } = event.data.counts
    // What neither passed nor was skipped has failed, or was cancelled when something before it did.
    const counts: Counts = { passed, failed: tests - passed - skipped - todo, skipped: skipped + todo }
    yield JSON.stringify({ ...counts, failures })
  }
}

function told(error: unknown): string {
  const text = error instanceof Error ? [error.stack ?? String(error), ...causes(error)].join('\n') : String(error)
  const lines = stripVTControlCharacters(text)
    .split('\n')
    .filter((line) => !/^ +at .*\bnode:/.test(line))
  return [...lines.slice(0, most), ...(lines.length > most ? [`… ${lines.length - most} more lines`] : [])].join('\n')
}

function causes(error: Error): string[] {
  return error.cause instanceof Error ? [`caused by ${error.cause.stack}`, ...causes(error.cause)] : []
}
