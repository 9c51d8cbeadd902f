// What the chaos tests have in common: a controller as a real process that dies where it is told to, started again by the test as the
// supervisor would; the API as a client that is used to servers that go away; and the count of everything that may be left over.
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { sql } from 'kysely'
import { type Config, loadConfig } from '../../src/config.ts'
import { connect, type Database } from '../../src/database/connect.ts'
import { embeddedPid, startEmbedded } from '../../src/database/embedded.ts'
import { bootstrap } from '../../src/start/bootstrap.ts'
import { databaseOf } from '../../src/start/cloud.ts'
import { answering, ended, makeImage, settingsFor, signIn, spawnController } from '../controller.ts'
import { freePort } from '../free-port.ts'
import { miscounted } from '../miscounted.ts'

export interface ChaosCloud {
  home: string
  config: Config
  db: Database
  url: string
  /** Starts a controller; with a crash point it dies there. Resolves once it answers. */
  startController(crash?: string): Promise<void>
  /** Resolves when the controller has died at its crash point, and says whether it did. */
  crashed(ms: number): Promise<boolean>
  killController(): Promise<void>
  /** One request, repeated while no controller answers. */
  call(method: string, url: string, body?: unknown): Promise<{ status: number; body: never }>
  /** The headers of a request that this cloud's user makes by himself. */
  signedIn(): Promise<{ 'x-auth-token': string }>
  image: string
  stop(): Promise<void>
}

export interface ChaosOptions {
  /** PostgreSQL's URL; empty = the embedded one of the home, which the test has started. */
  databaseUrl?: string
  listen?: string
  home?: string
  imageFile?: string
  /** Settings of the controller. */
  settings?: NodeJS.ProcessEnv
  /** Calls come from the administrator instead of the demo user. */
  administrator?: boolean
}

export async function startChaosCloud({
  databaseUrl,
  listen = '127.0.0.1',
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-chaos-')),
  imageFile,
  settings = {},
  administrator = false,
}: ChaosOptions): Promise<ChaosCloud> {
  const port = await freePort()
  fs.chmodSync(home, 0o755)
  const env = {
    ...settingsFor(home, port),
    WISP_LISTEN: listen,
    WISP_LOG_LEVEL: 'warn',
    ...(databaseUrl && { DATABASE_URL: databaseUrl }),
    ...settings,
  }
  const config = loadConfig({ ...process.env, ...env })
  const db = connect(databaseOf(config), { connections: 4 })
  const { admin, demo } = await bootstrap(db, config)
  assert.ok(demo)
  const url = `http://${listen === '0.0.0.0' ? '127.0.0.1' : listen}:${port}`
  const image = await makeImage(db, config, 'tiny', '16M', imageFile)

  let controller: ChildProcess | null = null
  let died: Promise<NodeJS.Signals | null> = Promise.resolve(null)
  const log = path.join(home, 'controller.log')

  const startController = async (crash = '') => {
    const child = spawnController({ ...env, WISP_CRASH: crash }, log)
    controller = child
    died = once(child, 'exit').then(([, signal]) => signal as NodeJS.Signals | null)
    await answering(url, child, log).catch((error: unknown) => {
      // It died on the way up: also a crash.
      if (!crash || child.signalCode !== 'SIGKILL') throw error
    })
  }
  const killController = async () => {
    if (!controller || ended(controller)) return
    controller.kill('SIGKILL')
    await died
  }

  let token = ''
  const signedIn = async () => {
    if (!token) token = await signIn(url, administrator ? admin : demo)
    return { 'x-auth-token': token }
  }
  const call: ChaosCloud['call'] = async (method, where, body) => {
    for (let tries = 0; ; tries++) {
      try {
        const answer = await fetch(url + where, {
          method,
          headers: { ...(await signedIn()), 'content-type': 'application/json', 'openstack-api-version': 'compute 2.90' },
          ...(body !== undefined && { body: JSON.stringify(body) }),
        })
        if (answer.status === 503 && tries < 600) throw new Error('503')
        const text = await answer.text()
        if (answer.status === 500)
          assert.fail(`${method} ${where} answers 500; the controller's log ends: ${fs.readFileSync(log, 'utf8').slice(-2000)}`)
        return { status: answer.status, body: (text ? JSON.parse(text) : null) as never }
      } catch (error) {
        if (tries > 600 || error instanceof assert.AssertionError) throw error
        await pause(50)
      }
    }
  }

  return {
    home,
    config,
    db,
    url,
    image,
    startController,
    killController,
    crashed: async (ms) => (await Promise.race([died, pause(ms).then(() => 'alive' as const)])) === 'SIGKILL',
    call,
    signedIn,
    async stop() {
      await killController()
      await db.close()
      fs.rmSync(home, { recursive: true, force: true })
    },
  }
}

/** Every crash point of the program that stands in these files, by name. @param kindsOfDue that the engine looks at meanwhile */
export function crashPoints(files: string[], kindsOfDue: string[] = []): string[] {
  const kindsOfDocument = ['network', 'security-group', 'group-members', 'port', 'server']
  return files.flatMap((file) => {
    const text = fs.readFileSync(path.join(import.meta.dirname, '../../src', file), 'utf8')
    return [...text.matchAll(/\bcrash\((['`])(.+?)\1\)/g)].flatMap(([, , name]) => {
      if (name!.includes('${due.kind}')) return kindsOfDue.map((kind) => name!.replace('${due.kind}', kind))
      if (name!.includes('${kind}')) return kindsOfDocument.map((kind) => name!.replace('${kind}', kind))
      return name!
    })
  })
}

/** What is there of a cloud in which every server was deleted: all zeros. Images stay in the caches of hosts, which say so. */
export async function leftovers(db: Database): Promise<Record<string, number>> {
  const { rows } = await sql<Record<string, number>>`
    select (select count(*)::int from compute.server) servers,
      (select count(*)::int from network.port where device_owner like 'compute:%' or (device_id <> '' and device_owner <> 'network:dhcp')) ports,
      (select count(*)::int from placement.allocation) allocations,
      (select count(*)::int from placement.consumer) consumers,
      (select coalesce(sum(used), 0)::int from placement.inventory) used,
      (select count(*)::int from wire.document) documents,
      (select count(*)::int from wire.observed where kind <> 'image') observed,
      (select count(*)::int from work.due where kind not in ('identity', 'image-data')) due`.execute(db.read)
  return { ...rows[0]!, miscounted: (await miscounted(db.read)).length }
}

export const nothing = { servers: 0, ports: 0, allocations: 0, consumers: 0, used: 0, documents: 0, observed: 0, due: 0, miscounted: 0 }

/** Has the controller die at this point, twice, while `life` goes on, and starts it again as the supervisor would. */
export async function diesTwice(cloud: ChaosCloud, point: string, life: () => Promise<unknown>): Promise<void> {
  await cloud.killController()
  await cloud.startController(point)
  let over = false
  const deaths = (async () => {
    let died = 0
    while (!over) {
      if (!(await cloud.crashed(100))) continue
      died++
      await cloud.startController(died < 2 ? point : '')
    }
    return died
  })()
  await life().finally(() => {
    over = true
  })
  assert.ok((await deaths) >= 1, `the point '${point}' is never passed`)
}

/** Kills the embedded PostgreSQL every `ms` while `life` goes on, at most so often, and starts it again. */
export async function losesPostgres(cloud: ChaosCloud, ms: number, most: number, life: () => Promise<unknown>): Promise<void> {
  await cloud.killController()
  await cloud.startController()
  let over = false
  const killer = (async () => {
    let kills = 0
    for (; !over && kills < most; kills++) {
      await pause(ms)
      const pid = embeddedPid(cloud.home)
      if (pid) process.kill(pid, 'SIGKILL')
      await startEmbedded(cloud.home, { user: 'nobody' })
    }
    return kills
  })()
  await life().finally(() => {
    over = true
  })
  assert.ok((await killer) > 1)
}

export const pause = (ms: number) => new Promise<void>((go) => setTimeout(go, ms))

/** Waits until `what` gives `wanted`; the last value seen tells what was wrong. */
export async function converges<T>(what: () => Promise<T>, wanted: T, seconds: number, name: string): Promise<void> {
  const end = Date.now() + seconds * 1000
  for (;;) {
    const seen = await what().catch((error: Error) => error.message as T)
    if (JSON.stringify(seen) === JSON.stringify(wanted)) return
    if (Date.now() > end) assert.deepEqual(seen, wanted, name)
    await pause(50)
  }
}
