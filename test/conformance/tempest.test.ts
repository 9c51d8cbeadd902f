// tempest against a cloud: every test in must-pass.txt has to pass, also those that tempest would rather skip. With WISP_FULL=1 all tests of
// the four services run; those that pass and are not listed are named, to be added.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { startCloud } from './cloud.ts'
import { makeWorkspace, outcomeOf, readOutcomes, runTempest } from './tempest.ts'

const full = process.env.WISP_FULL === '1'
const wanted = fs
  .readFileSync(path.join(import.meta.dirname, 'must-pass.txt'), 'utf8')
  .trim()
  .split('\n')
const services = '^tempest\\.api\\.(identity|image|network|compute)\\.'

test('the list is sorted', () => {
  assert.deepEqual(wanted, [...new Set(wanted)].sort(), 'must-pass.txt is not sorted, or names a test twice')
})

test('what tempest prints is read as it is meant', () => {
  const outcomes = readOutcomes([
    '{0} tempest.api.a.B.test_good [0.5s] ... ok',
    '{1} tempest.api.a.B.test_bad[id-1,smoke] [0.5s] ... FAILED',
    '{0} tempest.api.a.C.test_later ... SKIPPED: no router',
    '{0} setUpClass (tempest.api.a.D) [0.0s] ... FAILED',
    '{0} setUpClass (tempest.api.a.E) ... SKIPPED: no volumes',
    '    a line of a traceback',
  ])
  assert.deepEqual(
    ['B.test_good', 'B.test_bad', 'C.test_later', 'D.test_any', 'E.test_any', 'F.test_any'].map((name) =>
      outcomeOf(outcomes, `tempest.api.a.${name}`),
    ),
    ['pass', 'fail', 'skip', 'fail', 'skip', undefined],
  )
  assert.equal(outcomes.reasons.get('tempest.api.a.C.test_later'), 'no router')
})

test('every test that must pass passes', { timeout: (full ? 60 : 11) * 60_000 }, async () => {
  const cloud = await startCloud()
  const lines: string[] = []
  try {
    const folder = path.join(cloud.home, 'tempest')
    await makeWorkspace(cloud, folder)
    const outcomes = await runTempest(folder, { ...(full ? { pattern: services } : { only: wanted }), hear: (line) => lines.push(line) })
    const wrong = wanted.filter((name) => outcomeOf(outcomes, name) !== 'pass')
    for (const name of wrong)
      console.log(lastWords(lines, name) || `${name}: ${outcomeOf(outcomes, name) ?? 'did not run'} ${outcomes.reasons.get(name) ?? ''}`)
    const more = [...outcomes.tests].filter(([name, outcome]) => outcome === 'pass' && !wanted.includes(name)).map(([name]) => name)
    if (full && more.length > 0) console.log(`could be added to must-pass.txt:\n${more.sort().join('\n')}`)
    console.log(`${wanted.length - wrong.length} of ${wanted.length} tests of tempest pass`)
    assert.deepEqual(wrong, [])
  } finally {
    await cloud.stop()
  }
})

/** What stestr printed of one failed test: from its line to the next test's. */
function lastWords(lines: string[], name: string): string {
  const start = lines.findIndex((line) => /^\{\d+\} /.test(line) && line.includes(`${name} `) && line.includes('FAILED'))
  if (start < 0) return ''
  const length = lines.slice(start + 1).findIndex((line) => /^\{\d+\} /.test(line))
  return lines.slice(start, start + 1 + Math.max(length, 0)).join('\n')
}
