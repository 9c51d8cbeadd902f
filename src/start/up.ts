// `wisp up`: brings everything up, from whatever state it was left in, and says how to use it. Up to the supervisor each step can be
// repeated at will, so a Ctrl-C in between leaves nothing that the next `up` would stumble over.
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ensureLibvirtd } from '../agent/libvirtd.ts'
import type { Config } from '../config.ts'
import { embeddedPid, startEmbedded, stopEmbedded } from '../database/embedded.ts'
import { readPair } from '../http/tls.ts'
import { lock } from '../lock.ts'
import { answers, databaseOf, isOnlyHost, localUrl, MAIN, supervised } from './cloud.ts'
import { buildDashboard } from './dashboard.ts'
import { hostReadyFile } from './files.ts'
import { hasUnit, startUnit } from './install.ts'
import { mustHaveKernel } from './kernel.ts'
import { portTrouble } from './port.ts'
import { readPidFile } from './process.ts'
import { type Progress, progress } from './progress.ts'
import { lastLines } from './rotate.ts'
import { logFolder, programPids, supervise, supervisorPid } from './supervisor.ts'

const PATIENCE = 60_000

export async function up(config: Config, words: string[]): Promise<void> {
  const { values } = parseArgs({ args: words, options: { foreground: { type: 'boolean', default: false } } })
  const began = performance.now()
  mustBeReachable(config.home)
  fs.mkdirSync(path.join(config.home, 'run'), { recursive: true, mode: 0o711 })
  fs.mkdirSync(logFolder(config.home), { recursive: true, mode: 0o711 })
  const say = progress()
  const lone = await onlyUp(config, say)
  const stop = new AbortController()
  let inBackground = supervisorPid(config.home) !== undefined
  const stopped = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        stop.abort()
        const rest = inBackground
          ? 'the cloud goes on in the background. "wisp down" stops it'
          : 'stopped. Nothing is half done; "wisp up" goes on from here'
        reject(new Error(`${signal === 'SIGINT' ? 'Ctrl-C' : signal}: ${rest}`))
      })
    }
  })
  stopped.catch(() => {})

  if (supervisorPid(config.home) && values.foreground)
    throw new Error(`This cloud is up already (supervisor pid ${supervisorPid(config.home)}). "wisp down" first`)
  const adopted = inBackground
  const ours = !config.databaseUrl && embeddedPid(config.home) === undefined
  const prepared = adopted ? undefined : prepare(config, say, stop.signal)
  try {
    await Promise.race([prepared, stopped])
  } catch (error) {
    say.done()
    // After Ctrl-C the step that has begun comes to its end, or its program was ended too: nothing goes on behind our back.
    await prepared?.catch(() => undefined)
    if (ours) await stopEmbedded(config.home)
    throw error
  }
  // What outlived its supervisor answers still, and is about to be replaced.
  const outlived = adopted ? [] : programs(config)
  let supervision: Promise<boolean> | undefined
  if (values.foreground) supervision = supervise(supervised(config), stop.signal)
  else if (!adopted && hasUnit(config.home)) {
    // Where the cloud is a service it runs as that; what was prepared here belongs to this shell's session, and ends with it.
    await stopEmbedded(config.home)
    await lone.release()
    startUnit(config.home)
    inBackground = true
  } else if (!adopted) {
    startSupervisor(config)
    inBackground = true
  }

  await Promise.race([ready(config, outlived, say), stopped]).catch((error) => {
    if (!supervision) throw error
    console.error(error instanceof Error ? error.message : String(error)) // systemd's service goes on trying
  })
  say.done()
  await lone.release()
  if (!stop.signal.aborted) greet(config, performance.now() - began, adopted)
  await supervision
}

async function onlyUp(config: Config, say: Progress) {
  const file = path.join(config.home, 'run', 'up.lock')
  const free = await lock(file, { wait: false })
  if (free) return free
  say.step('waiting for another "wisp up" of this cloud')
  const mine = await lock(file)
  if (!mine) throw new Error(`The lock ${file} could not be taken`)
  return mine
}

/** Everything before the supervisor, step by step; `stop` ends it before the next one. */
async function prepare(config: Config, progress: Progress, stop: AbortSignal): Promise<void> {
  const step = (what: string) => {
    stop.throwIfAborted()
    progress.step(what)
  }
  step('libvirt and the kernel')
  await Promise.all([ensureLibvirtd(config.libvirtSocket), mustHaveKernel()])
  if (isOnlyHost(config)) return
  const trouble = await portTrouble(config)
  if (trouble) throw new Error(`The API cannot be served: ${trouble.what}. Remedy: ${trouble.remedy}`)
  if (config.tlsCertificate && config.tlsKey) readPair({ certificate: config.tlsCertificate, key: config.tlsKey }) // throws what is wrong
  if (config.dashboard) await buildDashboard(step)
  if (!config.databaseUrl) await startEmbedded(config.home, { progress: step })
  step('the database schema')
  const [{ migrate }, { connect }, { bootstrap }] = await Promise.all([
    import('../database/migrate.ts'),
    import('../database/connect.ts'),
    import('./bootstrap.ts'),
  ])
  await migrate(databaseOf(config), { progress: (name) => step(`migrating the database: ${name}`) })
  step('what every cloud begins with')
  const db = connect(databaseOf(config), { name: 'wisp up', connections: 2 })
  try {
    await bootstrap(db, config, step)
  } finally {
    await db.close()
  }
}

/** PostgreSQL, QEMU and dnsmasq run as users of their own: each folder above theirs must let them through. */
function mustBeReachable(home: string): void {
  if (fs.existsSync(home) && !fs.statSync(home).isDirectory())
    throw new Error(`WISP_HOME=${home} is a file: a cloud wants a folder of its own`)
  for (let folder = home; folder !== '/'; folder = path.dirname(folder))
    if (fs.existsSync(folder) && (fs.statSync(folder).mode & 0o001) === 0)
      throw new Error(
        `${folder} lets only its owner through, but the programs that use ${home} run as others. Choose another WISP_HOME, or: chmod o+x ${folder}`,
      )
}

// In a session of its own, so that it outlives this terminal.
function startSupervisor(config: Config): void {
  const log = fs.openSync(path.join(logFolder(config.home), 'supervisor.log'), 'a', 0o640)
  const child = spawn(process.execPath, [MAIN, 'supervise'], {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: '/',
    env: { ...process.env, WISP_HOME: config.home },
  })
  fs.closeSync(log)
  child.unref()
}

/** Waits for the controller and for this machine's host: the first server would find no place to go while that one still looks for KVM. */
async function ready(config: Config, outlived: number[], say: Progress): Promise<void> {
  if (outlived.length > 0) await waitFor(config, say, 'supervisor', () => !programs(config).some((pid) => outlived.includes(pid)))
  if (isOnlyHost(config)) return await waitFor(config, say, 'host', () => programPids(config.home, 'host').length > 0)
  await waitFor(config, say, 'controller', () => answers(config))
  await waitFor(config, say, 'host', () => readPidFile(hostReadyFile(config.home)) !== undefined).catch((error: Error) => {
    say.done()
    console.error(`${error.message}. Until then servers find no place on this machine`) // the rest of the cloud is up all the same
  })
}

const programs = ({ home }: Config) => [...programPids(home, 'controller'), ...programPids(home, 'host')]

async function waitFor(config: Config, say: Progress, program: string, up: () => Promise<boolean> | boolean): Promise<void> {
  say.step(`waiting for the ${program}`)
  const until = performance.now() + PATIENCE
  while (!(await up())) {
    if (performance.now() > until) {
      const log = path.join(logFolder(config.home), `${program}.log`)
      throw new Error(
        `The ${program} does not answer after ${PATIENCE / 1000} s. The end of ${log}:\n${lastLines(log, 10)}\nThe supervisor goes on trying; "wisp doctor" may know more`,
      )
    }
    await sleep(30)
  }
}

function greet(config: Config, took: number, adopted: boolean): void {
  const seconds = (took / 1000).toFixed(1)
  if (isOnlyHost(config)) {
    console.log(`This host is up (${seconds} s). "wisp status" says how it is.`)
    return
  }
  const openrc = path.join(config.home, 'demo-openrc')
  const dashboard = config.dashboard ? `  dashboard   ${localUrl(config)}/dashboard\n` : ''
  console.log(`Wisp is up${adopted ? ' already' : ''} (${seconds} s).

${dashboard}  API         ${localUrl(config)}/identity/v3
  log in as   demo (or admin); the passwords are in ${openrc} (and openrc)

Try next:
  . ${openrc}
  openstack image list
  openstack server create --image wisp-guest --flavor m1.nano --network private --wait one`)
}
