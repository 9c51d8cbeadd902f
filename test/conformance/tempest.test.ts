// tempest and its plugins against a cloud: every test in must-pass.txt and must-pass-plugins.txt has to pass, also those that tempest would
// rather skip; those of the two other lists, against the cloud that they are for. Of identity and image every test that there is stands on a
// list or in excused.tsv, which says why nobody passes it. With WISP_FULL=1 all tests run; those that pass and are not listed are named, to
// be added.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { type Cloud, type CloudOptions, startCloud } from './cloud.ts'
import { startFederation } from './federation.ts'
import { listTests, makeWorkspace, outcomeOf, readOutcomes, runTempest, type WorkspaceOptions } from './tempest.ts'

const full = process.env.WISP_FULL === '1'
const listed = (file: string) =>
  fs
    .readFileSync(path.join(import.meta.dirname, file), 'utf8')
    .trim()
    .split('\n')
const tempest = listed('must-pass.txt')
const plugins = listed('must-pass-plugins.txt')
const openid = listed('must-pass-openid.txt')
const compliance = listed('must-pass-compliance.txt')
// Tests, or how the names of many begin, with the reason why they are skipped: one that holds for OpenStack, too.
const excused = listed('excused.tsv').map((line) => line.split('\t')[0]!)
const identity = tempest.filter((name) => name.startsWith('tempest.api.identity.'))

// Several stores, one of which reads from the web, and locations that may be seen and set.
const stores = {
  default: 'file',
  show_multiple_locations: true,
  stores: [
    { id: 'file', kind: 'file', folder: 'images' },
    { id: 'second', kind: 'file', folder: 'more-images' },
    { id: 'web', kind: 'http', hosts: ['127.0.0.1'] },
  ],
}

// tempest removes locations as a member, which Glance's newest rules leave to administrators.
const policy = { delete_image_location: 'role:admin or (role:member and project_id:%(project_id)s)' }

test('the lists are sorted', () => {
  for (const list of [tempest, plugins, openid, compliance])
    assert.deepEqual(list, [...new Set(list)].sort(), 'a list is not sorted, or names a test twice')
})

test('what the Sovereign Cloud Stack asks of identity and image is on the lists', () => {
  const asked = listed('scs.txt')
  assert.equal(asked.length, 39)
  assert.deepEqual(
    asked.filter((name) => !tempest.includes(name) && !compliance.includes(name)),
    [],
  )
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
  onCloud({ stores, policy, second: true }, async (cloud) => {
    const pattern = '^tempest\\.api\\.(identity|image|network|compute)\\.'
    await mustPass(cloud, tempest, pattern, { complete: '^tempest\\.api\\.(identity|image)\\.' })
  }),
)

test('every test of the plugins that must pass passes', { timeout: (full ? 60 : 8) * 60_000 }, () =>
  onCloud({}, async (cloud) => {
    const federation = await startFederation(cloud)
    try {
      const pattern = '^(keystone|glance)_tempest_plugin\\.'
      const settings = federation.settings('mapped')
      await mustPass(cloud, full ? plugins : spread(plugins), pattern, { plugins: true, settings, complete: pattern })
      await mustPass(cloud, openid, '\\.test_oidc_', { plugins: true, settings: federation.settings('openid') })
    } finally {
      await federation.end()
    }
  }),
)

test('every test of identity that must pass passes where the rules for passwords are strict', { timeout: (full ? 15 : 5) * 60_000 }, () => {
  const rules = {
    lockout_failure_attempts: 2,
    lockout_duration: 2,
    unique_last_password_count: 2,
    password_expires_days: 90,
    disable_user_account_days_inactive: 90,
    password_regex: '^(?=.*\\d)(?=.*[a-zA-Z]).{7,}$',
  }
  const settings = {
    'identity-feature-enabled': { security_compliance: true },
    identity: {
      user_lockout_failure_attempts: rules.lockout_failure_attempts,
      user_lockout_duration: rules.lockout_duration,
      user_unique_last_password_count: rules.unique_last_password_count,
    },
  }
  return onCloud({ settings: { WISP_SECURITY_COMPLIANCE: JSON.stringify(rules) } }, (cloud) =>
    mustPass(cloud, full ? [...compliance, ...identity] : compliance, '^tempest\\.api\\.identity\\.', { settings, patient: true }),
  )
})

async function onCloud(options: CloudOptions, ask: (cloud: Cloud) => Promise<void>): Promise<void> {
  const cloud = await startCloud(options)
  try {
    await ask(cloud)
  } finally {
    await cloud.stop()
  }
}

/** The plugins ask the same of some ten personas: of each file three classes, not the same ones of every file. */
function spread(tests: string[]): string[] {
  const files = Map.groupBy(tests, (name) => name.split('.').slice(0, -2).join('.'))
  return [...files.values()].flatMap((all, file) => {
    const classes = [...new Set(all.map((name) => name.split('.').at(-2)!))]
    const chosen = new Set([0, 1, 2].map((k) => classes[(file + Math.floor((k * classes.length) / 3)) % classes.length]))
    return all.filter((name) => chosen.has(name.split('.').at(-2)!))
  })
}

/** Runs these tests, or in a full run all that `pattern` finds. What `complete` finds has to be on the lists or excused, all of it. */
async function mustPass(
  cloud: Cloud,
  wanted: string[],
  pattern: string,
  { complete, ...options }: WorkspaceOptions & { complete?: string } = {},
): Promise<void> {
  const lines: string[] = []
  const workspace = await makeWorkspace(cloud, fs.mkdtempSync(path.join(cloud.home, 'tempest-')), options)
  const outcomes = await runTempest(workspace, { ...(full ? { pattern } : { only: wanted }), hear: (line) => lines.push(line) })
  const wrong = wanted.filter((name) => outcomeOf(outcomes, name) !== 'pass')
  for (const name of wrong)
    console.log(lastWords(lines, name) || `${name}: ${outcomeOf(outcomes, name) ?? 'did not run'} ${outcomes.reasons.get(name) ?? ''}`)
  const more = [...outcomes.tests].filter(([name, outcome]) => outcome === 'pass' && !wanted.includes(name)).map(([name]) => name)
  if (full && more.length > 0) console.log(`could be added to the list:\n${more.sort().join('\n')}`)
  console.log(`${wanted.length - wrong.length} of ${wanted.length} tests pass`)
  assert.deepEqual(wrong, [])
  if (complete === undefined) return
  const all = await listTests(workspace, complete)
  const free = all.filter((name) => ![tempest, plugins, openid, compliance].some((list) => list.includes(name)))
  const unexplained = free.filter((name) => !excused.some((start) => name.startsWith(start)))
  assert.deepEqual(unexplained, [], 'these tests are on no list and in excused.tsv there is no reason')
  const idle = excused.filter((start) => new RegExp(complete).test(start) && !free.some((name) => name.startsWith(start)))
  assert.deepEqual(idle, [], 'excused.tsv excuses what is not there')
  if (full) assert.deepEqual(new Set(free.map((name) => outcomeOf(outcomes, name))), new Set(['skip']), 'an excused test was not skipped')
}

/** What stestr printed of one failed test: from its line to the next test's. */
function lastWords(lines: string[], name: string): string {
  const start = lines.findIndex((line) => /^\{\d+\} /.test(line) && line.includes(`${name} `) && line.includes('FAILED'))
  if (start < 0) return ''
  const length = lines.slice(start + 1).findIndex((line) => /^\{\d+\} /.test(line))
  return lines.slice(start, start + 1 + Math.max(length, 0)).join('\n')
}
