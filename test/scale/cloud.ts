// A controller with many simulated hosts for tests and measurements of scale; launching servers at a given pace; and the account afterwards,
// which finds whatever does not add up.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { pino } from 'pino'
import { request } from 'undici'
import type { SimulatedMachine } from '../../src/agent/simulated.ts'
import { loadConfig } from '../../src/config.ts'
import { startController } from '../../src/controller.ts'
import { connect, type Database } from '../../src/database/connect.ts'
import { testDatabase } from '../../src/database/testing.ts'
import { bootstrap } from '../../src/start/bootstrap.ts'
import { controllerSocket } from '../../src/start/files.ts'
import { freePort } from '../free-port.ts'
import { miscounted } from '../miscounted.ts'
import { type SimulatedHosts, startSimulatedHosts } from './simulated-hosts.ts'

export interface Client {
  call<T>(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    service: 'compute/v2.1' | 'network/v2.0' | 'identity/v3' | 'image/v2',
    path: string,
    body?: object,
  ): Promise<T>
  upload(imageId: string, bits: Buffer): Promise<void>
  project: string
}

export interface ScaleCloud {
  db: Database
  url: string
  hosts: SimulatedHosts
  client: Client
  stop(): Promise<void>
}

/** A controller in this process over a database of its own, and `count` hosts that dial it. */
export async function startScaleCloud(count: number): Promise<ScaleCloud> {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-scale-'))
  const test = await testDatabase()
  const port = await freePort()
  const config = loadConfig({
    WISP_HOME: home,
    WISP_PORT: String(port),
    DATABASE_URL: test.url,
    WISP_GUEST_IMAGE: 'off',
    WISP_DASHBOARD: 'off',
    WISP_LOG_LEVEL: 'error',
  })
  const { admin } = await bootstrap(test.db, config)
  const controller = await startController(config)
  const db = connect(test.url, { connections: 2, name: 'scale test' })
  const hosts = await startSimulatedHosts({ controller: `unix:${controllerSocket(home)}`, db, count, log: pino({ level: 'silent' }) })
  const url = `http://127.0.0.1:${port}`
  return {
    db,
    url,
    hosts,
    client: await signIn(url, admin.user, admin.password),
    async stop() {
      await hosts.stop()
      await controller.stop()
      await db.close()
      await test.drop()
      fs.rmSync(home, { recursive: true, force: true })
    },
  }
}

/** An administrator's client. What is not answered with 2xx throws. */
export async function signIn(url: string, user: string, password: string): Promise<Client> {
  const identity = { methods: ['password'], password: { user: { name: user, domain: { id: 'default' }, password } } }
  const scope = { project: { name: 'admin', domain: { id: 'default' } } }
  const signedIn = await request(`${url}/identity/v3/auth/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ auth: { identity, scope } }),
  })
  const { token } = (await signedIn.body.json()) as { token: { project: { id: string } } }
  const headers = { 'x-auth-token': String(signedIn.headers['x-subject-token']), 'openstack-api-version': 'compute 2.79' }
  return {
    project: token.project.id,
    async call<T>(method: 'GET' | 'POST' | 'PUT' | 'DELETE', service: string, where: string, body?: object): Promise<T> {
      const reply = await request(`${url}/${service}/${where}`, {
        method,
        headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
        ...(body && { body: JSON.stringify(body) }),
      })
      const text = await reply.body.text()
      if (reply.statusCode >= 300) throw new Error(`${method} ${service}/${where}: ${reply.statusCode} ${text.slice(0, 300)}`)
      return (text === '' ? undefined : JSON.parse(text)) as T
    },
    async upload(imageId, bits) {
      const sent = { ...headers, 'content-type': 'application/octet-stream' }
      const reply = await request(`${url}/image/v2/images/${imageId}/file`, { method: 'PUT', headers: sent, body: bits })
      if (reply.statusCode !== 204) throw new Error(`The upload was answered ${reply.statusCode}: ${await reply.body.text()}`)
      await reply.body.dump()
    },
  }
}

export interface Launching {
  /** What every POST body of a server names. */
  server: { imageRef: string; flavorRef: string }
  /** Networks that servers are spread over; none: servers without a port. */
  networks: string[]
}

/** Lifts the quotas and makes what servers need: an image, the smallest flavor, `networks` networks. */
export async function prepare({ call, project }: Client, networks: number): Promise<Launching> {
  await call('PUT', 'compute/v2.1', `os-quota-sets/${project}`, { quota_set: { instances: -1, cores: -1, ram: -1 } })
  await call('PUT', 'network/v2.0', `quotas/${project}`, { quota: { network: -1, subnet: -1, port: -1 } })
  const { images } = await call<{ images: { id: string; status: string }[] }>('GET', 'image/v2', 'images?status=active')
  if (!images[0]) throw new Error('There is no image to launch servers from.')
  const { flavors } = await call<{ flavors: { id: string; ram: number }[] }>('GET', 'compute/v2.1', 'flavors/detail')
  const [flavor] = flavors.sort((a, b) => a.ram - b.ram)
  const made: string[] = []
  for (let n = 0; n < networks; n++) {
    const { network } = await call<{ network: { id: string } }>('POST', 'network/v2.0', 'networks', { network: { name: `scale-${n}` } })
    const subnet = { network_id: network.id, ip_version: 4, cidr: `10.${100 + n}.0.0/16` }
    await call('POST', 'network/v2.0', 'subnets', { subnet })
    made.push(network.id)
  }
  return { server: { imageRef: images[0].id, flavorRef: flavor!.id }, networks: made }
}

/** POSTs `count` servers, `perSecond` of them each second, without waiting for one before the next. Returns their ids. */
export async function launch({ call }: Client, { server, networks }: Launching, count: number, perSecond: number): Promise<string[]> {
  const began = performance.now()
  const posts: Promise<{ server: { id: string } }>[] = []
  for (let n = 0; n < count; n++) {
    const network = networks[n % networks.length]
    const body = { server: { name: `scale-${n}`, ...server, networks: network ? [{ uuid: network }] : 'none' } }
    await sleep(Math.max(0, began + (n * 1000) / perSecond - performance.now()))
    const post = call<{ server: { id: string } }>('POST', 'compute/v2.1', 'servers', body)
    post.catch(() => {}) // told to whoever awaits all of them
    posts.push(post)
  }
  return (await Promise.all(posts)).map((answer) => answer.server.id)
}

/**
 * Waits until no object is due for a look within the next minute (what looks by the hour, keys of tokens and sweeps, does not count) and the
 * hosts are what they shall be: a server is ACTIVE as soon as its own host says so, while others still hear of its group's new member.
 */
export async function settled(db: Database, seconds: number): Promise<void> {
  for (const until = performance.now() + seconds * 1000; ; await sleep(100)) {
    const { rows } = await sql<{ it: string }>`
      select 'due: ' || kind || ' ' || key || ' ' || coalesce(last_error, '') as it from work.due where at < now() + interval '1 minute'
      union all select 'not reached: ' || it from (${unreached}) on_its_way
      union all select 'not wanted: ' || it from (${unwanted}) on_its_way`.execute(db.read)
    if (rows.length === 0) return
    if (performance.now() > until)
      throw new Error(`not settled after ${seconds} s: ${JSON.stringify(rows.slice(0, 5))} (${rows.length} in all)`)
  }
}

/** Documents that their host has not reached. */
const unreached = sql<{ it: string }>`
  select d.kind || ' ' || d.id as it from wire.document d left join wire.observed o using (host_id, kind, id)
  where d.body is null or o.generation is distinct from d.generation or o.state ->> 'state' <> 'ready'`

/** What hosts have though no document speaks of it. */
const unwanted = sql<{ it: string }>`
  select o.kind || ' ' || o.id as it from wire.observed o left join wire.document d using (host_id, kind, id) where d.id is null`

/** Everything that does not add up in the database and on these hosts, one sentence each. */
export async function account(db: Database, machines: SimulatedMachine[]): Promise<string[]> {
  const wrong: string[] = []
  const none = async (what: string, query: ReturnType<typeof sql<{ it: string }>>) => {
    const { rows } = await query.execute(db.read)
    if (rows.length > 0) wrong.push(`${what}: ${rows.length}, for example ${rows[0]!.it}`)
  }
  await none(
    'servers that are not ACTIVE',
    sql`select id || ' ' || vm_state as it from compute.server where vm_state <> 'active' or task_state is not null`,
  )
  await none(
    'inventories whose use is not the sum of their allocations',
    sql`select i.provider_id || ' ' || i.resource_class as it from placement.inventory i
        where i.used <> (select coalesce(sum(used), 0) from placement.allocation a where a.provider_id = i.provider_id and a.resource_class = i.resource_class)`,
  )
  await none(
    'allocations that are not on the host of their server',
    sql`select a.consumer_id as it from placement.allocation a left join compute.server s on s.id = a.consumer_id left join wire.host h on h.name = s.host
        where h.id is distinct from a.provider_id`,
  )
  await none(
    'servers without their allocations',
    sql`select s.id as it from compute.server s where 3 <> (select count(*) from placement.allocation a where a.consumer_id = s.id)`,
  )
  await none('documents that their host has not reached', unreached)
  await none('observations of what nobody wants', unwanted)
  await none(
    'ports of no server, or that are not ACTIVE',
    sql`select p.id || ' ' || p.status as it from network.port p left join compute.server s on s.id = p.device_id
        where p.device_owner like 'compute:%' and (s.id is null or p.status <> 'ACTIVE')`,
  )
  wrong.push(...(await miscounted(db.read)))
  const { rows } = await sql<{ name: string; kind: 'server'; count: number }>`
    select h.name, d.kind, count(*)::int as count from wire.document d join wire.host h on h.id = d.host_id group by 1, 2`.execute(db.read)
  const told = new Map(rows.map(({ name, kind, count }) => [`${name} ${kind}`, count]))
  for (const { hello, real } of machines)
    for (const [kind, objects] of real) {
      const wanted = told.get(`${hello().hostname} ${kind}`) ?? 0
      if (wanted !== objects.size) wrong.push(`host ${hello().hostname} has ${objects.size} of kind ${kind}, and shall have ${wanted}`)
    }
  return wrong
}
