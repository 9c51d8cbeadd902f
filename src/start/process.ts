// Finding and ending processes of ours. A pid alone says little, for the kernel gives it out again; with its start time it is one process.
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** The start time of a process in clock ticks since boot, or undefined when it is gone (a zombie is gone). */
export function startTime(pid: number): string | undefined {
  try {
    // The name, in brackets, may hold anything; what follows the last bracket is regular: state is field 3, starttime field 22.
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined
  }
}

export function writePidFile(file: string, pid: number): void {
  fs.writeFileSync(`${file}.part`, `${pid} ${startTime(pid)}\n`, { mode: 0o644 })
  fs.renameSync(`${file}.part`, file)
}

/** The pid in the file, if that very process still runs. */
export function readPidFile(file: string): number | undefined {
  try {
    const [pid, started] = fs.readFileSync(file, 'utf8').trim().split(' ')
    return started !== undefined && startTime(Number(pid)) === started ? Number(pid) : undefined
  } catch {
    return undefined
  }
}

/** All processes that have `word` as one of their arguments. */
export function processesWith(word: string): number[] {
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(word) && startTime(pid) !== undefined
      } catch {
        return false
      }
    })
}

/** Asks a process to end, waits `patience` milliseconds, then ends it. Settles when it is gone. */
export async function end(pid: number, patience: number): Promise<void> {
  const started = startTime(pid)
  const alive = () => started !== undefined && startTime(pid) === started
  const until = performance.now() + patience
  if (alive()) process.kill(pid, 'SIGTERM')
  while (alive() && performance.now() < until) await sleep(20)
  if (alive()) process.kill(pid, 'SIGKILL')
  while (alive()) await sleep(5)
}
