import assert from 'node:assert/strict'
import { it } from 'node:test'
import { inTurns } from './turns.ts'

it('runs once for all who ask while it runs, after they asked', async () => {
  const runs: PromiseWithResolvers<void>[] = []
  const turns = inTurns(() => {
    const run = Promise.withResolvers<void>()
    runs.push(run)
    return run.promise
  })
  const done: string[] = []
  const ask = (name: string) =>
    turns.ask().then(
      () => done.push(name),
      () => done.push(`${name} failed`),
    )
  const asked = [ask('first'), ask('second'), ask('third')]
  assert.equal(runs.length, 1)
  runs[0]!.reject(new Error('no'))
  await asked[0]
  await new Promise((go) => setImmediate(go))
  assert.deepEqual(done, ['first failed'])
  assert.equal(runs.length, 2, 'a run that failed does not keep the next one from running')
  asked.push(ask('fourth'))
  runs[1]!.resolve()
  await Promise.all(asked.slice(0, 3))
  await new Promise((go) => setImmediate(go))
  assert.deepEqual(done, ['first failed', 'second', 'third'])
  assert.equal(runs.length, 3)
  runs[2]!.resolve()
  await turns.idle()
  await asked[3]
  assert.deepEqual(done.at(-1), 'fourth')
  const late = ask('late')
  assert.equal(runs.length, 4)
  runs[3]!.resolve()
  await late
})
