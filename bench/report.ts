// What a bench prints and writes: one line per measurement, with the ratio of the clouds round by round, and how busy the machine was with
// other things meanwhile.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { median } from './load.ts'
import type { Unit } from './measure.ts'

export interface Row {
  what: string
  unit: Unit
  /** One value per round. */
  wisp: number[]
  reference: number[]
  /** Processor cores that were busy with neither cloud nor this program, per round. */
  other: number[]
}

const higherIsBetter = (unit: Unit) => unit.endsWith('/s')

/** How many times better Wisp is, round by round. */
export const ratios = ({ unit, wisp, reference }: Row): number[] =>
  wisp.slice(0, reference.length).map((value, round) => (higherIsBetter(unit) ? value / reference[round]! : reference[round]! / value))

const short = (value: number) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2))

function spread(values: number[], unit = ''): string {
  if (values.length === 0) return '–'
  const middle = `${short(median(values))}${unit}`
  return values.length === 1 ? middle : `${middle} (${short(Math.min(...values))} … ${short(Math.max(...values))})`
}

export function line(row: Row): string {
  const cells = [
    row.what,
    spread(row.wisp, ` ${row.unit}`),
    spread(row.reference, ` ${row.unit}`),
    spread(ratios(row), '×'),
    spread(row.other),
  ]
  return `| ${cells.join(' | ')} |`
}

export const head = `| what | Wisp | OpenStack | Wisp is better by | other load, cores |\n|---|---|---|---|---|`

/** The page docs/measurements.md. */
export function page(rows: Row[], { command, referenceVersions }: { command: string; referenceVersions: string }): string {
  const version = JSON.parse(fs.readFileSync(path.join(import.meta.dirname, '../package.json'), 'utf8')).version as string
  return `# Measurements

Written by \`${command}\` (see [bench/README.md](../bench/README.md)) on ${new Date().toISOString().slice(0, 10)}; every number is from that one run.

- Machine: ${os.availableParallelism()} cores (${os.cpus()[0]?.model.trim()}), ${Math.round(os.totalmem() / 2 ** 30)} GiB of memory, ${system()}, Linux ${os.release()}.
- Wisp ${version} on Node ${process.versions.node}, with its embedded PostgreSQL, as \`wisp up\` starts it: one controller, one host. Servers run on a simulated host.
- OpenStack: ${referenceVersions}
- Clouds, their databases and the program that measures share the machine. Rounds alternate between the clouds. A cell shows the median of the rounds and, in
  brackets, the least and the most; the ratio is taken round by round. *Other load* is how many cores were busy with neither cloud nor the
  measuring program: where it is not near zero, both columns are worse than on a quiet machine.

${head}
${rows.map(line).join('\n')}
`
}

function system(): string {
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(fs.readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux'
}

/** Versions of the packages that the reference consists of, as Debian names them. */
export function installedVersions(): string {
  const packages = ['keystone', 'nova-api', 'neutron-server', 'glance-api', 'placement-api', 'mariadb-server', 'rabbitmq-server']
  try {
    const said = execFileSync('dpkg-query', ['--show', '--showformat', '${Package} ${Version}, ', ...packages], {
      encoding: 'utf8',
      stdio: 'pipe',
    })
    return `${said.replace(/, $/, '')} (Debian's packages).`
  } catch {
    return 'not installed on this machine.'
  }
}
