// A small cloud for compute's tests: a database, the API with three callers, an engine, a network, an image, and hosts that follow their
// documents in memory.
import type { TestContext } from 'node:test'
import { pino } from 'pino'
import { type SimulatedMachine, simulatedMachine } from '../agent/simulated.ts'
import { json, type Tx } from '../database/connect.ts'
import { testDatabase } from '../database/testing.ts'
import { api } from '../http/api.ts'
import { unauthorized } from '../http/fault.ts'
import { openPolicy } from '../http/policy.ts'
import type { Method } from '../http/table.ts'
import { member } from '../http/testing.ts'
import type { Who } from '../http/who.ts'
import { createNetwork } from '../network/control/networks.ts'
import { createSubnet } from '../network/control/subnets.ts'
import * as network from '../network/control/work.ts'
import { hello as placementHello } from '../placement/control/work.ts'
import type { DesiredLine, DocumentOf, Kind, Observation } from '../wire/documents.ts'
import { type Heard, observe } from '../wire/observe.ts'
import { type Handler, startEngine } from '../work/engine.ts'
import { hints } from '../work/hint.ts'
import { bootstrapCompute } from './control/bootstrap.ts'
import { handlers, heard, hello } from './control/work.ts'
import { compute, computeVersions } from './service.ts'

const domain = { id: 'default', name: 'Default' }
const person = (id: string, project: string, roles: string[]): Who => ({
  ...member,
  user: { id, name: id, domain },
  project: { id: project, name: project, domain },
  roles,
})
export const people: Record<string, Who> = {
  demo: person('demo', 'p1', ['member', 'reader']),
  reader: person('reader', 'p1', ['reader']),
  other: person('other', 'p2', ['member', 'reader']),
  admin: person('root', 'p0', ['admin', 'manager', 'member', 'reader']),
}

/** What JSON brings, for tests that look into it: `body.server?.name`. */
export interface Json {
  [key: string]: Json
}
export const list = (json: Json | undefined): Json[] => json as unknown as Json[]

export interface Answer {
  status: number
  body: Json
  headers: Record<string, unknown>
}

export interface TestHost {
  id: string
  name: string
  machine: SimulatedMachine
  /** What this host answers instead of making a server: cause and remedy. */
  refuses: string | null
  /** While false it hears and reports nothing. */
  connected: boolean
  /** Resolves when it has done all that it was asked to. */
  turn: Promise<void>
}

export async function testCloud(context: TestContext, { engine = true } = {}) {
  const test = await testDatabase()
  const { db } = test
  const services = [compute(), computeVersions()]
  const policy = openPolicy(services)
  const log = pino({ level: 'silent' })
  const app = api(services, { db, authenticate: async (token) => people[token] ?? unauthorized(), policy, log })
  const allHandlers: Record<string, Handler> = { ...network.handlers, ...handlers }
  const allHeard: Partial<Record<Kind, Heard>> = { ...network.heard, ...heard }
  const running = engine ? startEngine(db, allHandlers, log, { poll: 50 }) : null
  const hosts: TestHost[] = []

  const follow = (hostId: string) => {
    const host = hosts.find(({ id }) => id === hostId)
    if (!host?.connected) return
    // One look after the other, as in the agent's loop: an older document must not be realised after a newer one.
    host.turn = host.turn.then(() => followOnce(host))
  }
  const followOnce = async (host: TestHost) => {
    if (!host.connected) return
    const lines = await db.read.selectFrom('wire.document').selectAll().where('host_id', '=', host.id).orderBy('rev').execute()
    const observations = await Promise.all(lines.map((line) => realise(host, { ...line, want: line.body } as unknown as DesiredLine)))
    await db.write(async (tx) => {
      await observe(tx, host, observations, allHeard)
    })
  }
  hints.on('host', follow)

  await db.write(async (tx) => {
    await bootstrapCompute(tx)
    await makeImage(tx)
    for (const project of ['p1', 'p2']) {
      const networkId = await createNetwork(tx, project, { name: 'private', description: '' })
      await createSubnet(tx, project, { network_id: networkId, name: 'private-subnet', cidr: '10.9.0.0/16', ip_version: 4 })
    }
  })

  context.after(async () => {
    hints.off('host', follow)
    await running?.stop()
    await Promise.all(hosts.map(({ turn }) => turn))
    policy.close()
    await app.close()
    await test.drop()
  })

  const ask = async (who: string, method: Method, path: string, payload?: unknown, version = '2.96'): Promise<Answer> => {
    const answer = await app.inject({
      method,
      url: `/compute/v2.1${path}`,
      headers: { 'x-auth-token': who, 'openstack-api-version': `compute ${version}` },
      ...(payload !== undefined && { payload: payload as object }),
    })
    return { status: answer.statusCode, headers: answer.headers, body: answer.body ? JSON.parse(answer.body) : undefined }
  }

  return {
    app,
    db,
    ask,
    hosts,
    handlers: allHandlers,
    heard: allHeard,
    /** Lets a host join. */
    async addHost(name: string, size: { vcpus?: number; memoryMb?: number; diskGb?: number } = {}): Promise<TestHost> {
      const host: TestHost = {
        id: crypto.randomUUID(),
        name,
        machine: simulatedMachine(name, size),
        refuses: null,
        connected: true,
        turn: Promise.resolve(),
      }
      hosts.push(host)
      await db.write(async (tx) => {
        const said = { ...host.machine.hello(), tunnel_ip: `127.0.0.${hosts.length}` }
        await tx
          .insertInto('wire.host')
          .values({ id: host.id, name, secret_hash: Buffer.from(name), hello: json(said as never), seen_at: new Date() })
          .execute()
        await placementHello(tx, host, said)
        await hello(tx, host, said)
        await network.hello?.(tx, host, said)
      })
      return host
    },
    /** The host compares everything again, as after a reconnect. */
    follow,
    /** Resolves with the server once it looks so; woken by the same hints that browsers get. */
    async until(id: string, good: (server: Json | null) => boolean): Promise<Json | null> {
      const deadline = Date.now() + 60_000
      for (;;) {
        const answer = await ask('admin', 'GET', `/servers/${id}`)
        const server = answer.status === 200 ? answer.body.server! : null
        if (good(server)) return server
        if (Date.now() > deadline) throw new Error(`The server never came to look as expected; it is ${JSON.stringify(server)}`)
        await new Promise<void>((go) => {
          const done = () => {
            clearTimeout(timer)
            hints.off('changed', done)
            go()
          }
          const timer = setTimeout(done, 200)
          hints.on('changed', done)
        })
      }
    },
  }
}

export type TestCloud = Awaited<ReturnType<typeof testCloud>>

async function realise(host: TestHost, { kind, id, generation, want }: DesiredLine): Promise<Observation> {
  const { realisers } = host.machine
  if (want === null) {
    await realisers[kind].remove(id)
    return { kind, id, generation, state: 'gone' }
  }
  if (kind === 'server' && host.refuses !== null)
    return { kind, id, generation, state: 'failed', error: { message: host.refuses, final: true, tries: 1 } }
  const outcome = await (realisers[kind].ensure as (document: DocumentOf[Kind], generation: number) => Promise<object>)(want, generation)
  return { kind, id, generation, ...outcome } as Observation
}

export const imageId = '11111111-1111-4111-8111-111111111111'

const makeImage = (tx: Tx) =>
  tx
    .insertInto('image.image')
    .values({
      id: imageId,
      owner: 'p0',
      name: 'wisp-guest',
      status: 'active',
      visibility: 'public',
      container_format: 'bare',
      disk_format: 'qcow2',
      size: 1 << 20,
      checksum: 'c',
      os_hash_algo: 'sha512',
      os_hash_value: 'h'.repeat(128),
    })
    .execute()
