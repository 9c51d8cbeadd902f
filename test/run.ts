// What `./wisp test` runs: every test, stage by stage, each with a time of its own; then it looks whether anything was left on the machine.
// `./wisp test unit contract` runs those stages only. What failed is told again at the end, with the reason; the last line says how many
// passed, failed and were skipped, and nothing else.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Counts, Failure } from './count.ts'
import { leftovers, look } from './leftovers.ts'

const repository = path.join(import.meta.dirname, '..')

interface Stage {
  name: string
  /** What it is about, for the person who watches. */
  about: string
  /** Most minutes it may take; less where the whole run has less left. */
  minutes: number
  /** Patterns of test files, from the repository; none: `npm run check`. */
  files: string[]
  /** How many files at once. */
  parallel: number
}

const stages: Stage[] = [
  { name: 'check', about: 'types, style, directions of imports', minutes: 5, files: [], parallel: 1 },
  {
    name: 'unit',
    about: 'the tests beside the code, the guest image, the dashboard',
    minutes: 15,
    files: ['src/**/*.test.ts', 'images/**/*.test.ts', 'dashboard/src/**/*.test.ts', 'dashboard/test/*.test.ts'],
    parallel: Math.min(os.availableParallelism(), 4),
  },
  { name: 'contract', about: 'a host, simulated and real', minutes: 6, files: ['test/contract/*.test.ts'], parallel: 1 },
  { name: 'e2e', about: 'a cloud, the stock client, real guests', minutes: 20, files: ['test/e2e/*.test.ts'], parallel: 1 },
  { name: 'chaos', about: 'kills at every crash point', minutes: 12, files: ['test/chaos/*.test.ts'], parallel: 1 },
  { name: 'scale', about: 'many simulated hosts', minutes: 5, files: ['test/scale/*.test.ts'], parallel: 1 },
  { name: 'conformance', about: "OpenStack's own tests", minutes: 13, files: ['test/conformance/*.test.ts'], parallel: 1 },
]

/** Minutes for everything together. */
const whole = 44

/** In the environment of all that the run starts, to find again what it leaves. */
const mark = `WISP_TEST_RUN=${randomUUID()}`
let current: ChildProcess | undefined

// A temporary folder for this run alone: another run on this machine has its own test database, and what is killed leaves no file behind.
// The name is short because sockets' paths are, and all may enter it because PostgreSQL and QEMU run as users of their own.
const temporary = fs.mkdtempSync(path.join(os.tmpdir(), 'wt-'))
fs.chmodSync(temporary, 0o755)
process.env.TMPDIR = temporary

async function cleanUp(): Promise<void> {
  const { stopTestServer } = await import('../src/database/testing.ts')
  await stopTestServer()
  fs.rmSync(temporary, { recursive: true, force: true })
}

async function main(words: string[]): Promise<number> {
  const unknown = words.filter((word) => !stages.some(({ name }) => name === word))
  if (unknown.length > 0) {
    console.error(`wisp test: there is no stage ${unknown.join(', ')}. The stages are ${stages.map(({ name }) => name).join(', ')}`)
    return 2
  }
  const chosen = stages.filter(({ name }) => words.length === 0 || words.includes(name))
  const before = look()
  const verdicts: { name: string; counts: Counts; seconds: number; note: string }[] = []
  const failures: Failure[] = []
  for (const stage of chosen) {
    const began = performance.now()
    const files = fs.globSync(stage.files, { cwd: repository, exclude: ['**/node_modules/**'] }).sort()
    if (stage.files.length > 0 && files.length === 0) {
      verdicts.push({ name: stage.name, counts: { passed: 0, failed: 0, skipped: 0 }, seconds: 0, note: 'no tests yet' })
      continue
    }
    const minutes = Math.min(stage.minutes, whole - performance.now() / 60_000)
    if (minutes < 1) {
      verdicts.push({ name: stage.name, counts: { passed: 0, failed: 1, skipped: 0 }, seconds: 0, note: `no time left of ${whole} min` })
      continue
    }
    console.log(`\n── ${stage.name}: ${stage.about}\n`)
    const { counts, note, failures: failed = [] } = stage.files.length === 0 ? await check(minutes) : await tests(stage, files, minutes)
    failures.push(...failed)
    verdicts.push({ name: stage.name, counts, seconds: (performance.now() - began) / 1000, note })
  }
  await cleanUp()

  const left = await leftovers(before, mark)
  for (const what of left) console.log(`left behind: ${what}`)
  const clean = { passed: left.length === 0 ? 1 : 0, failed: left.length === 0 ? 0 : 1, skipped: 0 }
  verdicts.push({
    name: 'leftovers',
    counts: clean,
    seconds: 0,
    note: left.length === 0 ? '' : `${left.length} things left on the machine`,
  })

  for (const { test, where, why } of failures) {
    console.log(`\nFAILED  ${test}\n  ${path.relative(repository, where)}`)
    console.log(why.replaceAll(/^/gm, '  '))
  }
  console.log('')
  for (const { name, counts, seconds, note } of verdicts) {
    const verdict = counts.failed > 0 ? 'FAILED' : counts.passed > 0 ? 'passed' : 'skipped'
    const numbers = `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`
    console.log(`${verdict.padEnd(8)}${name.padEnd(12)} ${`${seconds.toFixed(0)} s`.padStart(6)}  ${numbers}${note && ` (${note})`}`)
  }
  const sum = (of: keyof Counts) => verdicts.reduce((all, { counts }) => all + counts[of], 0)
  console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`)
  return sum('failed') > 0 ? 1 : 0
}

interface Outcome {
  counts: Counts
  note: string
  failures?: Failure[]
}

async function check(minutes: number): Promise<Outcome> {
  const { status, late } = await run('npm', ['run', '--silent', 'check'], minutes)
  const good = status === 0
  return { counts: { passed: good ? 1 : 0, failed: good ? 0 : 1, skipped: 0 }, note: late ? stopped(minutes) : '' }
}

async function tests(stage: Stage, files: string[], minutes: number): Promise<Outcome> {
  const result = path.join(temporary, `${stage.name}.json`)
  const reporters = [
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    `--test-reporter=${path.join(import.meta.dirname, 'count.ts')}`,
    `--test-reporter-destination=${result}`,
  ]
  const argv = ['--test', `--test-concurrency=${stage.parallel}`, ...reporters, ...files]
  const { status, late } = await run(process.execPath, argv, minutes)
  const text = fs.existsSync(result) ? fs.readFileSync(result, 'utf8') : ''
  if (late) return { counts: { passed: 0, failed: 1, skipped: 0 }, note: stopped(minutes) }
  if (text === '') return { counts: { passed: 0, failed: 1, skipped: 0 }, note: `node --test ended with ${status}` }
  const { failures, ...counts } = JSON.parse(text) as Counts & { failures: Failure[] }
  // What goes wrong outside of any test (a file that cannot be read) is in the status only.
  if (status !== 0 && counts.failed === 0) return { counts: { ...counts, failed: 1 }, note: `node --test ended with ${status}` }
  return { counts, note: '', failures }
}

const stopped = (minutes: number) => `stopped after ${Math.round(minutes)} min`

/** In a group of its own, which is ended as a whole when its time is up. */
async function run(program: string, argv: string[], minutes: number): Promise<{ status: number; late: boolean }> {
  const child = spawn(program, argv, {
    cwd: repository,
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
    env: { ...process.env, [mark.split('=')[0]!]: mark.split('=')[1]! },
  })
  current = child
  let late = false
  const timer = setTimeout(() => {
    late = true
    end(child, 'SIGTERM')
    setTimeout(() => end(child, 'SIGKILL'), 15_000).unref()
  }, minutes * 60_000)
  const [status] = (await once(child, 'exit')) as [number | null]
  clearTimeout(timer)
  // Test files that outlived the runner.
  if (late) end(child, 'SIGKILL')
  current = undefined
  return { status: status ?? 1, late }
}

function end(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-child.pid!, signal)
  } catch {
    // The whole group is gone already.
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    if (current) end(current, 'SIGTERM')
    const over = current ? once(current, 'exit') : Promise.resolve()
    over.then(cleanUp).finally(() => process.exit(130))
  })

process.exitCode = await main(process.argv.slice(2))
