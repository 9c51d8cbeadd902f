// Measures Wisp and, beside it, an OpenStack that runs already. See README.md.
import fs from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { type Cloud, reference, startWisp } from './clouds.ts'
import { listTests } from './lists.ts'
import { tests as plainTests, type Reading, type Ready, type Test } from './measure.ts'
import { cpuSeconds, machineCpuSeconds } from './processes.ts'
import { head, installedVersions, line, page, type Row } from './report.ts'
import { serverTests } from './servers.ts'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    reference: { type: 'boolean', default: false },
    'reference-folder': { type: 'string' },
    'reference-pids': { type: 'string', default: '/run/peer' },
    listed: { type: 'string', default: '1000' },
    keep: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})
const words = [...positionals]
const [authUrl, user, password] = options.reference ? words.splice(0, 3) : []
if (options.reference && !password) throw new Error('--reference wants AUTH_URL USER PASSWORD')

const all = [...plainTests, ...listTests({ keep: options.keep }), ...serverTests({ listed: Number(options.listed), keep: options.keep })]
const unknown = words.filter((word) => !all.some(({ name }) => name === word))
if (unknown.length > 0) throw new Error(`There is no test ${unknown.join(', ')}. There are: ${all.map(({ name }) => name).join(' ')}`)
const chosen = all.filter(({ name }) => words.length === 0 || words.includes(name))

const wisp = await startWisp()
const clouds: Cloud[] = [wisp]
if (authUrl && user && password) {
  const folder = options['reference-folder']
  clouds.push(reference(authUrl, user, password, { pids: options['reference-pids'], ...(folder && { folder }) }))
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void wisp.stop().finally(() => process.exit(130)))

const rows = new Map<string, Row>()
try {
  console.log(`Wisp's first start, with the making of its database, took ${wisp.firstStart.toFixed(1)} s.\n\n${head}`)
  for (const test of chosen) {
    for (const row of await measure(test)) {
      rows.set(row.what, row)
      console.log(line(row))
    }
  }
} finally {
  await wisp.stop()
}
if (options.write) {
  const file = path.join(import.meta.dirname, '../docs/measurements.md')
  fs.mkdirSync(path.dirname(file), { recursive: true })
  const command = ['node bench/run.ts', ...(options.reference ? ['--reference AUTH_URL USER PASSWORD'] : []), '--write', ...words].join(' ')
  fs.writeFileSync(
    file,
    page([...rows.values()], { command, referenceVersions: options.reference ? installedVersions() : 'not measured.' }),
  )
}
process.exit()

/** All rounds of a test, the clouds taking turns at being first. What fails is told, and the test goes on without that cloud. */
async function measure(test: Test): Promise<Row[]> {
  const found = new Map<string, Row>()
  const ready = new Map<Cloud, Ready>()
  const attempt = async <T>(cloud: Cloud, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work()
    } catch (error) {
      console.error(`${test.name}, ${cloud.name}: ${error instanceof Error ? error.message : String(error)}`)
      return undefined
    }
  }
  for (const cloud of clouds) {
    const made = await attempt(cloud, () => test.begin(cloud))
    if (made) ready.set(cloud, made)
  }
  for (let round = 0; round < test.rounds; round++) {
    for (const cloud of round % 2 ? clouds.toReversed() : clouds) {
      const { value, other } = await watched(async () => attempt(cloud, async () => ready.get(cloud)?.round()))
      for (const reading of value ?? []) note(found, cloud, reading, other)
    }
  }
  for (const [cloud, { end }] of ready) await attempt(cloud, end)
  return [...found.values()]
}

function note(found: Map<string, Row>, cloud: Cloud, { what, unit, value }: Reading, other: number): void {
  const row = found.get(what) ?? { what, unit, wisp: [], reference: [], other: [] }
  found.set(what, row)
  row[cloud === wisp ? 'wisp' : 'reference'].push(value)
  row.other.push(other)
}

/** What `work` answers, and how many cores were meanwhile busy with anything but the clouds and this program. */
async function watched<T>(work: () => Promise<T>): Promise<{ value: T; other: number }> {
  const used = () => {
    const { user, system } = process.cpuUsage()
    return {
      at: performance.now(),
      machine: machineCpuSeconds(),
      ours: (user + system) / 1e6 + clouds.reduce((sum, cloud) => sum + cpuSeconds(cloud.processes()), 0),
    }
  }
  const before = used()
  const value = await work()
  const after = used()
  // Processes that ended take their time with them: then ours would be too little, and negative at worst.
  const ours = Math.max(after.ours - before.ours, 0)
  return { value, other: Math.max(((after.machine - before.machine - ours) * 1000) / (after.at - before.at), 0) }
}
