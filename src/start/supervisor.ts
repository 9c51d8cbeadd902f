// Keeps Wisp's processes alive: PostgreSQL (when it is the embedded one), the controller and the host. It may be killed at any moment: its
// programs run on and write to their own logs, and the next supervisor replaces them, so that there are never two of one kind.
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { lock } from '../lock.ts'
import { end, processesWith, readPidFile, writePidFile } from './process.ts'
import { lastLines, rotateLogs } from './rotate.ts'

/** A program that is started again whenever it ends. */
export interface Program {
  name: string
  argv: [string, ...string[]]
}

/** A server that is not our child and outlives us: looked at every half second. */
export interface Service {
  name: string
  alive(): boolean
  start(): Promise<void>
  stop(): Promise<void>
}

export interface Supervised {
  home: string
  /** Started in this order, before the programs; stopped in the opposite order, after them. */
  services: Service[]
  programs: Program[]
  /** Milliseconds that a program gets to end by itself. */
  patience?: number
}

const LOG_LIMIT = 10 * 1024 * 1024
const SLOWEST = 30_000
const STEADY = 30_000

export const pidFile = (home: string): string => path.join(home, 'run', 'supervisor.pid')
export const lockFile = (home: string): string => path.join(home, 'run', 'supervisor.lock')
export const logFolder = (home: string): string => path.join(home, 'log')

/** The supervisor of this home, if it runs. */
export function supervisorPid(home: string): number | undefined {
  return readPidFile(pidFile(home))
}

/** A program's pids, whoever started it. Recognised by an argument of its own, which (unlike its environment) its children do not inherit. */
export function programPids(home: string, name: string): number[] {
  return processesWith(mark(home, name))
}

const mark = (home: string, name: string): string => `--supervised=${path.resolve(home)}:${name}`

/** Runs until `stop` is aborted, then stops everything in order. Answers false at once when another supervisor has this home. */
export async function supervise(wanted: Supervised, stop: AbortSignal): Promise<boolean> {
  const { home, services, programs } = wanted
  fs.mkdirSync(path.join(home, 'run'), { recursive: true, mode: 0o711 })
  fs.mkdirSync(logFolder(home), { recursive: true, mode: 0o711 })
  let held = await lock(lockFile(home), { wait: false })
  if (!held) return false
  writePidFile(pidFile(home), process.pid)
  const say = logger(home)
  say('supervisor', `started, pid ${process.pid}`)

  // Someone killed the holder of our lock: take it again, or leave everything to the supervisor that took it meanwhile.
  const replaced = new AbortController()
  const guard = async () => {
    while (held && !stop.aborted) {
      await held.lost
      held = await lock(lockFile(home), { wait: false })
      if (!held) replaced.abort()
    }
  }
  void guard()
  const over = AbortSignal.any([stop, replaced.signal])

  const kept: Promise<void>[] = []
  for (const service of services) {
    await restart(service, say, over)
    kept.push(keepService(service, say, over))
  }
  kept.push(...programs.map((program) => keepProgram(wanted, program, say, over)))
  kept.push(keepLogsSmall(home, over))
  await Promise.all(kept)

  if (replaced.signal.aborted) {
    say('supervisor', 'another supervisor has taken over: leaving')
    return true
  }
  for (const service of services.toReversed()) {
    say(service.name, 'stopping')
    await service.stop()
  }
  say('supervisor', 'stopped')
  fs.rmSync(pidFile(home), { force: true })
  await held?.release()
  return true
}

type Say = (who: string, what: string) => void

function logger(home: string): Say {
  const file = path.join(logFolder(home), 'supervisor.log')
  // Under systemd the journal has it, too. The variable is inherited by what a service starts, so it must mean this very output.
  const { dev, ino } = fs.fstatSync(1)
  const journal = process.env.JOURNAL_STREAM === `${dev}:${ino}`
  return (who, what) => {
    fs.appendFileSync(file, `${new Date().toISOString()} ${who}: ${what}\n`, { mode: 0o640 })
    if (journal) console.log(`${who}: ${what}`)
  }
}

// Waits, but not when it is all over.
async function pause(milliseconds: number, over: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal: over }).catch(() => {})
}

async function restart(service: Service, say: Say, over: AbortSignal): Promise<void> {
  for (let delay = 200; !over.aborted && !service.alive(); delay = Math.min(delay * 2, SLOWEST)) {
    try {
      await service.start()
      say(service.name, 'started')
      return
    } catch (error) {
      say(service.name, `does not start, next try in ${delay} ms: ${error instanceof Error ? error.message : String(error)}`)
      await pause(delay, over)
    }
  }
}

async function keepService(service: Service, say: Say, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    if (!service.alive()) {
      say(service.name, 'is gone: starting it again')
      await restart(service, say, over)
    }
    await pause(500, over)
  }
}

async function keepProgram({ home, patience = 15_000 }: Supervised, { name, argv }: Program, say: Say, over: AbortSignal): Promise<void> {
  let delay = 0
  while (!over.aborted) {
    for (const pid of programPids(home, name)) {
      say(name, `replacing pid ${pid}, which an earlier supervisor left`)
      await end(pid, patience)
    }
    if (over.aborted) return
    const began = performance.now()
    const log = fs.openSync(path.join(logFolder(home), `${name}.log`), 'a', 0o640)
    // A session of its own, so that Ctrl-C in a terminal reaches only the supervisor, which then stops all in order.
    const child = spawn(argv[0], [...argv.slice(1), mark(home, name)], { stdio: ['ignore', log, log], detached: true })
    fs.closeSync(log)
    if (child.pid) say(name, `started, pid ${child.pid}`)
    const ended = new Promise<string>((done) => {
      child.once('error', (error) => done(`could not be started: ${error.message}`))
      child.once('exit', (status, signal) => done(signal ? `was ended by ${signal}` : `ended with status ${status}`))
    })
    const why = await Promise.race([
      ended,
      new Promise<undefined>((done) => over.addEventListener('abort', () => done(undefined), { once: true })),
    ])
    if (why === undefined || over.aborted) {
      // Whoever replaced us replaces our programs too; else they end with us.
      if (child.pid) await end(child.pid, patience)
      say(name, 'stopped')
      return
    }
    delay = performance.now() - began > STEADY ? 100 : Math.min(Math.max(delay * 2, 100), SLOWEST)
    say(
      name,
      `${why} after ${Math.round((performance.now() - began) / 1000)} s; starting it again in ${delay} ms. Its last words: ${lastLines(path.join(logFolder(home), `${name}.log`), 3)}`,
    )
    await pause(delay, over)
  }
}

async function keepLogsSmall(home: string, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    rotateLogs(logFolder(home), LOG_LIMIT, 3)
    await pause(10_000, over)
  }
}
