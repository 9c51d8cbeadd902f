// A simulated host for tests of scale and speed: it keeps the same contract as the real one, in memory. A thousand fit in one process.
import { setTimeout as sleep } from 'node:timers/promises'
import type { DocumentOf, Hello, ImageObservation, Kind } from '../wire/documents.ts'
import { kinds } from '../wire/documents.ts'
import type { Outcome, Realiser } from './realise.ts'

export interface SimulatedMachine {
  realisers: { [K in Kind]: Realiser<K> }
  /** What "really" exists, by kind and id. */
  real: Map<Kind, Map<string, unknown>>
  /** The guest shuts itself down, as by `poweroff` in it. */
  guestPowersOff(serverId: string): void
  hello(): Hello
}

interface SimulatedServer {
  power: 'running' | 'paused' | 'stopped' | 'suspended'
  reason?: 'guest' | 'ordered'
  starts: number
  reboots: number
  started_at: string
}

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
      servers.set(document.id, await realiseServer(document, now, bootMs))
      return observation(servers.get(document.id)!)
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
      servers.set(serverId, { ...now, power: 'stopped', reason: 'guest' })
      changed(serverId)
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
  }
}

const observation = (server: SimulatedServer): Outcome => ({
  state: 'ready',
  server: { power: server.power, reason: server.reason, starts: server.starts, reboots: server.reboots, started_at: server.started_at },
})
