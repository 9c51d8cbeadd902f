// What processes take: memory as PSS (pages that several share are divided among them), and CPU time. From /proc, so on Linux only.
import fs from 'node:fs'

interface Process {
  pid: number
  name: string
  parent: number
  session: number
  /** Seconds of CPU, with those of children that have ended. */
  cpu: number
}

const ticks = 100

function processes(): Process[] {
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = fs.readFileSync(`/proc/${name}/stat`, 'utf8')
        const fields = stat
          .slice(stat.lastIndexOf(')') + 2)
          .split(' ')
          .map(Number)
        const [, parent, , session] = fields as [number, number, number, number]
        const cpu = (fields[11]! + fields[12]! + fields[13]! + fields[14]!) / ticks
        return [{ pid: Number(name), name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')), parent, session, cpu }]
      } catch {
        return [] // it ended meanwhile
      }
    })
}

/** The processes of these pids, all that they started, and all in their sessions; by the root that they belong to. */
function family(roots: Map<number, string>): (Process & { root: string })[] {
  const all = processes()
  const byPid = new Map(all.map((process) => [process.pid, process]))
  const rootOf = (process: Process | undefined): string | undefined => {
    for (let at = process; at; at = byPid.get(at.parent)) {
      const root = roots.get(at.pid) ?? roots.get(at.session)
      if (root !== undefined) return root
    }
    return undefined
  }
  return all.flatMap((process) => {
    const root = rootOf(process)
    return root === undefined ? [] : [{ ...process, root }]
  })
}

export interface Memory {
  root: string
  processes: number
  /** MiB. */
  pss: number
}

/** Memory by root (pid → name), the largest first. */
export function memory(roots: Map<number, string>): Memory[] {
  const sums = new Map<string, Memory>()
  for (const { pid, root } of family(roots)) {
    const sum = sums.get(root) ?? { root, processes: 0, pss: 0 }
    try {
      const rollup = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
      sums.set(root, { root, processes: sum.processes + 1, pss: sum.pss + Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0) / 1024 })
    } catch {
      // it ended meanwhile
    }
  }
  return [...sums.values()].sort((a, b) => b.pss - a.pss)
}

/** Seconds of CPU that the processes under `roots` have used. */
export const cpuSeconds = (roots: Map<number, string>): number => family(roots).reduce((sum, { cpu }) => sum + cpu, 0)

/** Seconds of CPU that anything on this machine has used. */
export function machineCpuSeconds(): number {
  const [user, nice, system, , , irq, softirq] = fs.readFileSync('/proc/stat', 'utf8').split('\n')[0]!.split(/\s+/).slice(1).map(Number)
  return (user! + nice! + system! + irq! + softirq!) / ticks
}
