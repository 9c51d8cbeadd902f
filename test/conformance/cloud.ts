// The cloud that conformance is tested on: a real controller and a real database, but simulated hosts, so that a server starts at once and
// nothing of the machine is touched. Made as `wisp up` makes one, with a second image and a shared network that all tests' projects use.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Config, loadConfig } from '../../src/config.ts'
import type { Database } from '../../src/database/connect.ts'
import { testDatabase } from '../../src/database/testing.ts'
import { openStores } from '../../src/image/control/stores.ts'
import { storeImage } from '../../src/image/control/upload.ts'
import { bootstrap, type Login } from '../../src/start/bootstrap.ts'
import { controllerSocket } from '../../src/start/files.ts'
import { startSimulatedHosts } from '../scale/simulated-hosts.ts'

const run = promisify(execFile)
/** Milliseconds after which an answer is late, and the test that wanted it fails. */
const bound = 60_000
const main = path.join(import.meta.dirname, '../../src/main.ts')

export interface Answer {
  status: number
  headers: Headers
  text: string
  /** Parsed where it is JSON, else undefined. */
  body: unknown
}

export interface AskOptions {
  token?: string
  body?: unknown
  headers?: Record<string, string>
}

export interface Cloud {
  url: string
  home: string
  log: string
  admin: Login
  demo: Login
  images: [string, string]
  network: { id: string; name: string }
  ask(method: string, route: string, options?: AskOptions): Promise<Answer>
  /** Bytes that the controller's JavaScript keeps, after it has cleaned up. */
  heap(): Promise<number>
  /** A token scoped to the login's project. */
  token(login: Login): Promise<string>
  stop(): Promise<void>
}

export interface CloudOptions {
  /** Simulated ones; 2 by default. */
  hosts?: number
  /** So that `heap` can look into the controller. */
  inspect?: boolean
}

export async function startCloud({ hosts = 2, inspect = false }: CloudOptions = {}): Promise<Cloud> {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-conformance-'))
  const { db, url: databaseUrl, drop } = await testDatabase()
  const port = await freePort()
  const env = {
    WISP_HOME: home,
    WISP_PORT: String(port),
    WISP_GUEST_IMAGE: 'off',
    WISP_DASHBOARD: 'off',
    WISP_LOG_LEVEL: 'info',
    WISP_IMPORT_ALLOW: `public,127.0.0.1:${port}`,
    DATABASE_URL: databaseUrl,
  }
  const config = loadConfig({ ...process.env, ...env })
  const url = `http://127.0.0.1:${port}`
  const log = path.join(home, 'controller.log')
  let controller: ChildProcess | undefined
  let simulated: { stop(): Promise<void> } | undefined
  const stop = async () => {
    await simulated?.stop()
    if (controller && controller.exitCode === null && controller.signalCode === null) {
      const gone = once(controller, 'exit')
      controller.kill('SIGTERM')
      await gone
    }
    await drop()
    fs.rmSync(home, { recursive: true, force: true })
  }
  try {
    const { admin, demo } = await bootstrap(db, config)
    if (!demo) throw new Error('the bootstrap made no demo project')
    const images: [string, string] = [await makeImage(db, config, 'tiny'), await makeImage(db, config, 'tiny-alt')]
    controller = startController({ ...process.env, ...env }, log, inspect)
    await answering(url, controller, log)
    simulated = await startSimulatedHosts({ controller: `unix:${controllerSocket(home)}`, db, count: hosts })
    const network = await makeNetwork(url, await tokenOf(url, admin))
    return {
      url,
      home,
      log,
      admin,
      demo,
      images,
      network,
      ask: (method, route, options) => ask(url, method, route, options),
      heap: () => heapOf(log),
      token: (login) => tokenOf(url, login),
      stop,
    }
  } catch (error) {
    await stop().catch((second) => console.error(second))
    throw error
  }
}

function startController(env: NodeJS.ProcessEnv, log: string, inspect: boolean): ChildProcess {
  const file = fs.openSync(log, 'a')
  try {
    const options = inspect ? ['--inspect=127.0.0.1:0'] : []
    return spawn(process.execPath, [...options, main, 'controller'], { env, stdio: ['ignore', file, file] })
  } finally {
    fs.closeSync(file)
  }
}

/** By the inspector, whose address Node says where it logs. */
async function heapOf(log: string): Promise<number> {
  const address = /Debugger listening on (ws:\S+)/.exec(fs.readFileSync(log, 'utf8'))?.[1]
  if (!address) throw new Error('The controller was started without the inspector')
  const socket = new WebSocket(address)
  await new Promise<void>((opened, failed) => {
    socket.onopen = () => opened()
    socket.onerror = () => failed(new Error(`The inspector at ${address} does not answer`))
  })
  let id = 0
  const ask = (method: string) =>
    new Promise<Record<string, number>>((answered) => {
      const mine = ++id
      socket.addEventListener('message', ({ data }) => {
        const said = JSON.parse(String(data)) as { id?: number; result: Record<string, number> }
        if (said.id === mine) answered(said.result)
      })
      socket.send(JSON.stringify({ id: mine, method }))
    })
  try {
    await ask('HeapProfiler.collectGarbage')
    const { usedSize = 0, backingStorageSize = 0 } = await ask('Runtime.getHeapUsage')
    return usedSize + backingStorageSize
  } finally {
    socket.close()
  }
}

async function answering(url: string, controller: ChildProcess, log: string): Promise<void> {
  for (;;) {
    if (controller.exitCode !== null || controller.signalCode !== null)
      throw new Error(`The controller does not start: ${fs.readFileSync(log, 'utf8')}`)
    const answer = await fetch(`${url}/identity/v3`).catch(() => undefined)
    if (answer?.ok) return
    await sleep(50)
  }
}

/** An image is only ever looked at by the simulated host's database row, so it is small. */
async function makeImage(db: Database, config: Config, name: string): Promise<string> {
  const file = path.join(config.home, `${name}.qcow2`)
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', file, '1M'])
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
    data: fs.createReadStream(file),
  })
}

async function makeNetwork(url: string, token: string): Promise<{ id: string; name: string }> {
  const name = 'shared'
  const made = await ask(url, 'POST', '/network/v2.0/networks', { token, body: { network: { name, shared: true } } })
  const { network } = made.body as { network?: { id: string } }
  if (!network) throw new Error(`No network could be made: ${made.text}`)
  const subnet = { network_id: network.id, name, ip_version: 4, cidr: '10.250.0.0/16' }
  const answer = await ask(url, 'POST', '/network/v2.0/subnets', { token, body: { subnet } })
  if (answer.status !== 201) throw new Error(`No subnet could be made: ${answer.text}`)
  return { id: network.id, name }
}

async function tokenOf(url: string, { user, password, project }: Login): Promise<string> {
  const domain = { id: 'default' }
  const identity = { methods: ['password'], password: { user: { name: user, domain, password } } }
  const answer = await ask(url, 'POST', '/identity/v3/auth/tokens', {
    body: { auth: { identity, scope: { project: { name: project, domain } } } },
  })
  const token = answer.headers.get('x-subject-token')
  if (!token) throw new Error(`${user} gets no token: ${answer.text}`)
  return token
}

async function ask(url: string, method: string, route: string, { token, body, headers }: AskOptions = {}): Promise<Answer> {
  const answer = await fetch(url + route, {
    method,
    redirect: 'manual',
    headers: {
      ...(token && { 'x-auth-token': token }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    signal: AbortSignal.timeout(bound),
  })
  const text = await answer.text()
  const json = answer.headers.get('content-type')?.includes('json') && text !== ''
  return { status: answer.status, headers: answer.headers, text, body: json ? JSON.parse(text) : undefined }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
