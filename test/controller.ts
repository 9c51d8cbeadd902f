// A controller as a process of its own, for tests that need a real one: on a free port, in a home of its own, with what it needs to be asked.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Config } from '../src/config.ts'
import type { Database } from '../src/database/connect.ts'
import { openStores } from '../src/image/control/stores.ts'
import { storeImage } from '../src/image/control/upload.ts'
import type { Login } from '../src/start/bootstrap.ts'

const run = promisify(execFile)
const main = path.join(import.meta.dirname, '../src/main.ts')

/** Settings of a cloud for tests: no guest image is built, no dashboard served. */
export const settingsFor = (home: string, port: number) => ({
  WISP_HOME: home,
  WISP_PORT: String(port),
  WISP_GUEST_IMAGE: 'off',
  WISP_DASHBOARD: 'off',
})

/** `log` is a file, to which it appends; `options` are Node's. */
export function spawnController(env: NodeJS.ProcessEnv, log: string, options: string[] = []): ChildProcess {
  const file = fs.openSync(log, 'a')
  try {
    return spawn(process.execPath, [...options, main, 'controller'], { env: { ...process.env, ...env }, stdio: ['ignore', file, file] })
  } finally {
    fs.closeSync(file)
  }
}

export const ended = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null

/** Resolves when the controller answers. @throws when it has ended before */
export async function answering(url: string, controller: ChildProcess, log: string): Promise<void> {
  for (;;) {
    if (ended(controller)) throw new Error(`The controller does not start: ${fs.readFileSync(log, 'utf8').slice(-4000)}`)
    const answer = await fetch(`${url}/identity/v3`).catch(() => undefined)
    if (answer?.ok) return
    await sleep(30)
  }
}

/** A public image, by default an empty one of `size`. Returns its id. */
export async function makeImage(db: Database, config: Config, name: string, size = '1M', file?: string): Promise<string> {
  const bits = file ?? path.join(config.home, `${name}.qcow2`)
  if (!file) await run('qemu-img', ['create', '-q', '-f', 'qcow2', bits, size])
  const { id: owner } = await db.read
    .selectFrom('identity.project')
    .select('id')
    .where('name', '=', 'admin')
    .where('is_domain', '=', false)
    .executeTakeFirstOrThrow()
  return storeImage(db, openStores(config), {
    name,
    owner,
    visibility: 'public',
    disk_format: 'qcow2',
    container_format: 'bare',
    min_disk: 0,
    min_ram: 0,
    properties: {},
    data: fs.createReadStream(bits),
  })
}

/** A token for the login's project. */
export async function signIn(url: string, { user, password, project }: Login): Promise<string> {
  const domain = { id: 'default' }
  const identity = { methods: ['password'], password: { user: { name: user, domain, password } } }
  const answer = await fetch(`${url}/identity/v3/auth/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ auth: { identity, scope: { project: { name: project, domain } } } }),
  })
  const token = answer.headers.get('x-subject-token')
  if (!token) throw new Error(`${user} gets no token: ${await answer.text()}`)
  return token
}
