// Simulated hosts, up to a thousand in one process: each joins the cloud, dials its controller over the real wire and runs the real loop
// on a machine that is only in memory. Also a program: node test/scale/simulated-hosts.ts --home WISP_HOME --count 1000
import { parseArgs } from 'node:util'
import { type Logger, pino } from 'pino'
import { request } from 'undici'
import { startLoop } from '../../src/agent/loop.ts'
import { type SimulatedMachine, simulatedMachine } from '../../src/agent/simulated.ts'
import { loadConfig } from '../../src/config.ts'
import { connect, type Database } from '../../src/database/connect.ts'
import { databaseOf } from '../../src/start/cloud.ts'
import { controllerSocket } from '../../src/start/files.ts'
import { type Credentials, dial, doorTo } from '../../src/wire/host.ts'
import { makeJoinToken } from '../../src/wire/join.ts'

export interface SimulatedHosts {
  machines: SimulatedMachine[]
  /** Resolves when no host has anything under way. */
  idle(): Promise<void>
  stop(): Promise<void>
}

export interface SimulatedOptions {
  /** As `dial` wants them. */
  controller: string
  /** Where join tokens are made. */
  db: Database
  count: number
  /** Names are `prefix` and a number of four digits. */
  prefix?: string
  size?: { vcpus?: number; memoryMb?: number; diskGb?: number; bootMs?: number; fetchMs?: number }
  log?: Logger
}

const startedAtOnce = 20

/** Starts the hosts; resolves when each has heard everything that it shall be. */
export async function startSimulatedHosts({
  controller,
  db,
  count,
  prefix = 'simulated-',
  size,
  log,
}: SimulatedOptions): Promise<SimulatedHosts> {
  const deps: Deps = { controller, db, size, log: log ?? pino({ level: 'silent' }) }
  const started: Started[] = []
  const names = Array.from({ length: count }, (_, n) => `${prefix}${String(n).padStart(4, '0')}`).entries()
  const startOneByOne = async () => {
    for (const [n, name] of names) started[n] = await startHost(deps, name, n)
  }
  await Promise.all(Array.from({ length: startedAtOnce }, startOneByOne))
  return {
    machines: started.map(({ machine }) => machine),
    async idle() {
      await Promise.all(started.map(({ idle }) => idle()))
    },
    async stop() {
      await Promise.all(started.map(({ stop }) => stop()))
    },
  }
}

interface Started {
  machine: SimulatedMachine
  idle(): Promise<void>
  stop(): Promise<void>
}

interface Deps {
  controller: string
  db: Database
  size: SimulatedOptions['size']
  log: Logger
}

async function startHost({ controller, db, size, log }: Deps, name: string, n: number): Promise<Started> {
  const machine = simulatedMachine(name, size)
  const complete = Promise.withResolvers<void>()
  const loop = startLoop({ realisers: machine.realisers, report: (observations) => wire.report(observations), log })
  const credentials = await join(controller, db, name)
  const wire = dial({
    controllers: [controller],
    credentials,
    log,
    // Without a tunnel address a host carries no vxlan network.
    hello: async () => ({ ...machine.hello(), tunnel_ip: `10.255.${n >> 8}.${n & 255}` }),
    snapshot: loop.snapshot,
    desired: loop.desired,
    complete: () => {
      loop.complete()
      complete.resolve()
    },
    lease: () => {},
    answer: (question, from) => machine.answer(question, { controller: from, credentials }),
  })
  await complete.promise
  return {
    machine,
    idle: loop.idle,
    async stop() {
      await loop.stop()
      await wire.stop()
    },
  }
}

async function join(controller: string, db: Database, name: string): Promise<Credentials> {
  const token = await db.write((tx) => makeJoinToken(tx))
  const { origin, agent } = doorTo(controller)
  try {
    const reply = await request(`${origin}/wire/v1/join`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token, name, machine_id: `simulated-${name}` }),
      dispatcher: agent,
    })
    const said = (await reply.body.json()) as Credentials & { error?: string }
    if (reply.statusCode !== 200) throw new Error(`${name} may not join: ${said.error ?? reply.statusCode}`)
    return { host_id: said.host_id, secret: said.secret }
  } finally {
    await agent.close()
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      home: { type: 'string' },
      count: { type: 'string', default: '1' },
      prefix: { type: 'string', default: 'simulated-' },
      vcpus: { type: 'string', default: '64' },
      'memory-mb': { type: 'string', default: '262144' },
      'disk-gb': { type: 'string', default: '4096' },
      'boot-ms': { type: 'string', default: '0' },
    },
  })
  const config = loadConfig({ ...process.env, ...(values.home && { WISP_HOME: values.home }) })
  const db = connect(databaseOf(config), { connections: 2, name: 'simulated hosts' })
  const hosts = await startSimulatedHosts({
    controller: `unix:${controllerSocket(config.home)}`,
    db,
    count: Number(values.count),
    prefix: values.prefix,
    size: {
      vcpus: Number(values.vcpus),
      memoryMb: Number(values['memory-mb']),
      diskGb: Number(values['disk-gb']),
      bootMs: Number(values['boot-ms']),
    },
    log: pino({ level: 'warn' }),
  })
  await db.close()
  console.log(`ready: ${hosts.machines.length} simulated hosts`)
  await new Promise<void>((go) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, go)
  })
  await hosts.stop()
}
