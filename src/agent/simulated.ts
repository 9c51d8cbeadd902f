// A simulated host for tests of scale and speed: it keeps the same contract as the real one, in memory. A thousand fit in one process.
import { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Back, dialBack } from '../wire/dial-back.ts'
import type { DocumentOf, Hello, ImageObservation, Kind, Question } from '../wire/documents.ts'
import { kinds } from '../wire/documents.ts'
import type { Outcome, Realiser } from './realise.ts'
import { type SharedTerminal, shareTerminal } from './shared-terminal.ts'

export interface SimulatedMachine {
  realisers: { [K in Kind]: Realiser<K> }
  /** What "really" exists, by kind and id. */
  real: Map<Kind, Map<string, unknown>>
  /** The guest shuts itself down, as by `poweroff` in it. */
  guestPowersOff(serverId: string): void
  /** As a host answers questions. A simulated guest has a serial port, at which it repeats what it is told as a log-in prompt does, and no screen. */
  answer(question: Question, back: Back): Promise<{ status: number; body: unknown }>
  hello(): Hello
}

interface SimulatedServer {
  power: 'running' | 'paused' | 'stopped' | 'suspended'
  reason?: 'guest' | 'ordered'
  starts: number
  reboots: number
  started_at: string
  console: SimulatedConsole
}

/** What the guest has printed, and its serial port while somebody is at it. */
interface SimulatedConsole {
  log: string
  port?: { guest: Duplex; shared: SharedTerminal } | undefined
}

const isOn = ({ power }: Pick<SimulatedServer, 'power'>) => power === 'running' || power === 'paused'
const consoleCharacters = 100 * 1024

/** `bootMs` is how long a server takes to start, `fetchMs` how long an image takes to come. */
export function simulatedMachine(
  name: string,
  { bootMs = 0, fetchMs = 0, vcpus = 64, memoryMb = 262_144, diskGb = 4096 } = {},
): SimulatedMachine {
  const real = new Map<Kind, Map<string, unknown>>(kinds.map((kind) => [kind, new Map()]))
  let changed: (id: string) => void = () => undefined

  const plain = <K extends Kind>(kind: K): Realiser<K> => ({
    kind,
    async ensure(document) {
      real.get(kind)!.set(document.id, document)
      return { state: 'ready' }
    },
    async remove(id) {
      real.get(kind)!.delete(id)
    },
    async existing() {
      return [...real.get(kind)!.keys()]
    },
  })

  const images = real.get('image') as Map<string, ImageObservation>
  const servers = real.get('server') as Map<string, SimulatedServer>
  const server: Realiser<'server'> = {
    ...plain('server'),
    async ensure(document) {
      const now = servers.get(document.id)
      const next = await realiseServer(document, now, bootMs)
      // As with QEMU, a serial port ends with the run of the server that it belongs to.
      if (!isOn(next) || next.started_at !== now?.started_at) now?.console.port?.guest.destroy()
      servers.set(document.id, next)
      return observation(next)
    },
    async remove(id) {
      servers.get(id)?.console.port?.guest.destroy()
      servers.delete(id)
    },
    async watch(heard) {
      changed = heard
      return () => {
        changed = () => undefined
      }
    },
  }

  return {
    real,
    realisers: {
      image: {
        ...plain('image'),
        async ensure({ id, size }) {
          if (!images.has(id) && fetchMs > 0) await sleep(fetchMs)
          images.set(id, images.get(id) ?? { size, hits: 0, cached_at: new Date().toISOString(), used_at: null })
          return { state: 'ready', image: images.get(id)! }
        },
        existing: async () => [],
      },
      network: plain('network'),
      'security-group': plain('security-group'),
      'group-members': plain('group-members'),
      port: plain('port'),
      server,
    },
    guestPowersOff(serverId) {
      const now = servers.get(serverId)
      if (!now) throw new Error(`no server ${serverId} on ${name}`)
      now.console.port?.guest.destroy()
      servers.set(serverId, { ...now, power: 'stopped', reason: 'guest' })
      changed(serverId)
    },
    async answer(question, back) {
      const now = servers.get(question.server_id)
      if (!now) return { status: 404, body: { message: `Server ${question.server_id} is not on this host.` } }
      if (question.what === 'console-log') return { status: 200, body: { output: lastLines(now.console.log, question.lines) } }
      if (question.what === 'diagnostics') return { status: 501, body: { message: 'A simulated server has no diagnostics.' } }
      if (question.protocol === 'vnc') return { status: 501, body: { message: 'A simulated server has a serial port, but no screen.' } }
      if (!isOn(now)) return { status: 409, body: { message: 'The server has no serial port now: it is not running.' } }
      return dialBack(joinConsole(now.console), question, back)
    },
    hello: () => ({
      v: 1,
      machine_id: `simulated-${name}`,
      boot_id: `simulated-${name}`,
      agent_version: 'simulated',
      hostname: name,
      tunnel_ip: null,
      physical_networks: [],
      hypervisor: { type: 'simulated', version: 1, cpu_model: 'simulated', arch: 'x86_64' },
      inventory: {
        vcpus,
        memory_mb: memoryMb,
        disk_gb: diskGb,
        reserved_memory_mb: 0,
        reserved_disk_gb: 0,
        cpu_ratio: 4,
        ram_ratio: 1,
        disk_ratio: 1,
      },
      traits: [],
      host_ip: '127.0.0.1',
      images: Object.fromEntries(images),
    }),
  }
}

async function realiseServer(document: DocumentOf['server'], now: SimulatedServer | undefined, bootMs: number): Promise<SimulatedServer> {
  const wanted = ({ active: 'running', paused: 'paused', stopped: 'stopped', suspended: 'suspended' } as const)[document.power]
  if (now?.reason === 'guest' && wanted === 'running' && now.starts >= document.starts) return now
  const boots = wanted === 'running' && (now?.power !== 'running' || now.reboots < document.reboots)
  if (boots && bootMs > 0) await sleep(bootMs)
  return {
    power: wanted,
    reason: wanted === 'stopped' ? 'ordered' : undefined,
    starts: document.starts,
    reboots: document.reboots,
    started_at: boots ? new Date().toISOString() : (now?.started_at ?? new Date().toISOString()),
    console: now?.console ?? { log: '' },
  }
}

/** What is typed comes back, and into the log. */
function joinConsole(of: SimulatedConsole): Duplex {
  if (!of.port) {
    const guest: Duplex = new Duplex({
      read: () => undefined,
      write: (bytes: Buffer, _encoding, done) => {
        of.log = (of.log + bytes.toString()).slice(-consoleCharacters)
        guest.push(bytes)
        done()
      },
    })
    const shared = shareTerminal(guest, () => {
      of.port = undefined
    })
    of.port = { guest, shared }
  }
  return of.port.shared.join()
}

const lastLines = (text: string, lines: number | null) =>
  lines === null || lines < 0 ? text : lines === 0 ? '' : text.split('\n').slice(-lines).join('\n')

const observation = (server: SimulatedServer): Outcome => ({
  state: 'ready',
  server: { power: server.power, reason: server.reason, starts: server.starts, reboots: server.reboots, started_at: server.started_at },
})
