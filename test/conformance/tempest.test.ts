// tempest and its plugins against a cloud: every test in must-pass.txt and must-pass-plugins.txt has to pass, also those that tempest would
// rather skip. With WISP_FULL=1 all their tests run; those that pass and are not listed are named, to be added.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { startCloud } from './cloud.ts'
import { makeWorkspace, outcomeOf, readOutcomes, runTempest } from './tempest.ts'

const full = process.env.WISP_FULL === '1'
const listed = (file: string) =>
  fs
    .readFileSync(path.join(import.meta.dirname, file), 'utf8')
    .trim()
    .split('\n')
const tempest = listed('must-pass.txt')
const plugins = listed('must-pass-plugins.txt')

test('the lists are sorted', () => {
  for (const list of [tempest, plugins]) assert.deepEqual(list, [...new Set(list)].sort(), 'a list is not sorted, or names a test twice')
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

test('every test of tempest that must pass passes', { timeout: (full ? 60 : 11) * 60_000 }, () =>
  mustPass(tempest, { pattern: '^tempest\\.api\\.(identity|image|network|compute)\\.' }),
)

test('every test of the plugins that must pass passes', { timeout: (full ? 60 : 8) * 60_000 }, () =>
  mustPass(full ? plugins : spread(plugins), { plugins: true, pattern: '^(keystone|glance)_tempest_plugin\\.' }),
)

/** The plugins ask the same of some ten personas: of each file three classes, not the same ones of every file. */
function spread(tests: string[]): string[] {
  const files = Map.groupBy(tests, (name) => name.split('.').slice(0, -2).join('.'))
  return [...files.values()].flatMap((all, file) => {
    const classes = [...new Set(all.map((name) => name.split('.').at(-2)!))]
    const chosen = new Set([0, 1, 2].map((k) => classes[(file + Math.floor((k * classes.length) / 3)) % classes.length]))
    return all.filter((name) => chosen.has(name.split('.').at(-2)!))
  })
}

/** Runs these tests, or in a full run all that `pattern` finds. */
async function mustPass(wanted: string[], { plugins = false, pattern }: { plugins?: boolean; pattern: string }): Promise<void> {
  const cloud = await startCloud()
  const lines: string[] = []
  try {
    const workspace = await makeWorkspace(cloud, path.join(cloud.home, 'tempest'), { plugins })
    const outcomes = await runTempest(workspace, { ...(full ? { pattern } : { only: wanted }), hear: (line) => lines.push(line) })
    const wrong = wanted.filter((name) => outcomeOf(outcomes, name) !== 'pass')
    for (const name of wrong)
      console.log(lastWords(lines, name) || `${name}: ${outcomeOf(outcomes, name) ?? 'did not run'} ${outcomes.reasons.get(name) ?? ''}`)
    const more = [...outcomes.tests].filter(([name, outcome]) => outcome === 'pass' && !wanted.includes(name)).map(([name]) => name)
    if (full && more.length > 0) console.log(`could be added to the list:\n${more.sort().join('\n')}`)
    console.log(`${wanted.length - wrong.length} of ${wanted.length} tests pass`)
    assert.deepEqual(wrong, [])
  } finally {
    await cloud.stop()
  }
}

/** What stestr printed of one failed test: from its line to the next test's. */
function lastWords(lines: string[], name: string): string {
  const start = lines.findIndex((line) => /^\{\d+\} /.test(line) && line.includes(`${name} `) && line.includes('FAILED'))
  if (start < 0) return ''
  const length = lines.slice(start + 1).findIndex((line) => /^\{\d+\} /.test(line))
  return lines.slice(start, start + 1 + Math.max(length, 0)).join('\n')
}
