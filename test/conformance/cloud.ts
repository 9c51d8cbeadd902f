// The cloud that conformance is tested on: a real controller and a real database, but simulated hosts, so that a server starts at once and
// nothing of the machine is touched. Made as `wisp up` makes one, with a second image and a shared network that all tests' projects use.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { loadConfig } from '../../src/config.ts'
import { testDatabase } from '../../src/database/testing.ts'
import { bootstrap, type Login } from '../../src/start/bootstrap.ts'
import { controllerSocket } from '../../src/start/files.ts'
import { answering, ended, makeImage, settingsFor, signIn, spawnController } from '../controller.ts'
import { freePort } from '../free-port.ts'
import { startSimulatedHosts } from '../scale/simulated-hosts.ts'
import { serveImage } from './serve.ts'

/** Milliseconds after which an answer is late, and the test that wanted it fails. */
const bound = 60_000

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
  /** Of an image on a web server that this cloud may import from. */
  image: string
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
  /** Beside those that all these clouds have. */
  settings?: Record<string, string>
  /** What image-stores.json says. */
  stores?: object
  /** What policy.yaml says. */
  policy?: Record<string, string>
  /** With a second controller, which the catalog has as the service image_remote. */
  second?: boolean
  /** So that `heap` can look into the controller. */
  inspect?: boolean
}

export async function startCloud(options: CloudOptions = {}): Promise<Cloud> {
  const { hosts = 2, settings = {}, stores, policy, second = false, inspect = false } = options
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-conformance-'))
  const { db, url: databaseUrl, drop } = await testDatabase()
  const port = await freePort()
  const web = await serveImage()
  const env = {
    ...settingsFor(home, port),
    WISP_LOG_LEVEL: 'info',
    WISP_IMPORT_ALLOW: `public,${new URL(web.url).host}`,
    DATABASE_URL: databaseUrl,
    ...settings,
  }
  if (stores) fs.writeFileSync(path.join(home, 'image-stores.json'), JSON.stringify(stores), { mode: 0o600 })
  if (policy) fs.writeFileSync(path.join(home, 'policy.yaml'), JSON.stringify(policy))
  const config = loadConfig({ ...process.env, ...env })
  const url = `http://127.0.0.1:${port}`
  const log = path.join(home, 'controller.log')
  const controllers: ChildProcess[] = []
  let simulated: { stop(): Promise<void> } | undefined
  const stop = async () => {
    await simulated?.stop()
    for (const controller of controllers) {
      if (ended(controller)) continue
      const gone = once(controller, 'exit')
      controller.kill('SIGTERM')
      await gone
    }
    await web.end()
    await drop()
    fs.rmSync(home, { recursive: true, force: true })
  }
  try {
    const { admin, demo } = await bootstrap(db, config)
    if (!demo) throw new Error('the bootstrap made no demo project')
    const images: [string, string] = [await makeImage(db, config, 'tiny'), await makeImage(db, config, 'tiny-alt')]
    const start = async (at: number) => {
      const controller = spawnController({ ...env, WISP_PORT: String(at) }, log, inspect ? ['--inspect=127.0.0.1:0'] : [])
      controllers.push(controller)
      await answering(`http://127.0.0.1:${at}`, controller, log)
    }
    const other = second ? await freePort() : undefined
    if (other !== undefined) await start(other)
    // The last one that starts has the socket that hosts come to.
    await start(port)
    // An image that is to come to a host is seen to be on its way.
    const size = { fetchMs: 1000 }
    simulated = await startSimulatedHosts({ controller: `unix:${controllerSocket(home)}`, db, count: hosts, size })
    const network = await makeNetwork(url, await signIn(url, admin))
    if (other !== undefined) await makeService(url, await signIn(url, admin), 'image_remote', `http://127.0.0.1:${other}/image`)
    return {
      url,
      image: `${web.url}/image.raw`,
      home,
      log,
      admin,
      demo,
      images,
      network,
      ask: (method, route, options) => ask(url, method, route, options),
      heap: () => heapOf(log),
      token: (login) => signIn(url, login),
      stop,
    }
  } catch (error) {
    await stop().catch((second) => console.error(second))
    throw error
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

async function makeService(url: string, token: string, type: string, address: string): Promise<void> {
  const made = await ask(url, 'POST', '/identity/v3/services', { token, body: { service: { type, name: type } } })
  const { service } = made.body as { service?: { id: string } }
  if (!service) throw new Error(`No service could be made: ${made.text}`)
  const endpoint = { service_id: service.id, interface: 'public', region_id: 'RegionOne', url: address }
  const answer = await ask(url, 'POST', '/identity/v3/endpoints', { token, body: { endpoint } })
  if (answer.status !== 201) throw new Error(`No endpoint could be made: ${answer.text}`)
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
