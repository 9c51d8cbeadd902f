// Which connection tracking zone (1 … 65535) a network has on this host. No two networks share one, so that equal addresses of two tenants
// never meet: with one zone a tenant's packet could pass as part of another's connection. The rules in the kernel say which zone a network
// has, and are where a new agent finds it again; so what is known of running connections outlives the agent.
import { createHash } from 'node:crypto'
import { dhcpName } from './names.ts'

const most = 65_535

/** Of a network that has none yet: the first one looked at follows from its id, so that a host which forgot everything mostly finds the same. */
const first = (networkId: string) => createHash('sha256').update(networkId).digest().readUInt16BE(0) % most

/**
 * Gives each network a zone: the one that it has, else one that nobody has. Pure.
 * @param present the zones that networks have; of two that share one the first keeps it. One whose network goes is not given away at once:
 * its connections have to be forgotten before
 * @param foreign zones that others on this machine use
 */
export function allocateZones(networkIds: string[], present: Map<string, number>, foreign: Set<number>): Map<string, number> {
  const zones = new Map<string, number>()
  const ids = [...new Set(networkIds)].sort()
  const kept = new Set<number>()
  for (const id of ids) {
    const zone = present.get(id)
    if (zone === undefined || kept.has(zone)) continue
    zones.set(id, zone)
    kept.add(zone)
  }
  const taken = new Set([...kept, ...present.values(), ...foreign])
  for (const id of ids) {
    if (zones.has(id)) continue
    const zone = firstFree(first(id), taken)
    zones.set(id, zone)
    taken.add(zone)
  }
  return zones
}

function firstFree(from: number, taken: Set<number>): number {
  for (let step = 0; step < most; step++) {
    const zone = 1 + ((from + step) % most)
    if (!taken.has(zone)) return zone
  }
  throw new Error(`All ${most} connection tracking zones of this host are in use: it can carry no further network.`)
}

/** What the raw tables in iptables-save's format say of zones: by the interface whose packets enter it, and of chains that are not `ours`. */
export function zonesIn(saved: string, ours: string): { byDevice: Map<string, number>; foreign: Set<number> } {
  const byDevice = new Map<string, number>()
  const foreign = new Set<number>()
  for (const [, chain, rule, number] of saved.matchAll(/^-A (\S+) (.*-j CT .*--zone(?:-orig|-reply)? (\d+).*)$/gm)) {
    const zone = Number(number)
    const device = /--physdev-in (\S+)/.exec(rule!)?.[1]
    if (chain !== ours) foreign.add(zone)
    else if (device !== undefined && !byDevice.has(device)) byDevice.set(device, zone)
  }
  return { byDevice, foreign }
}

/** The zones of networks by the interface of their DHCP, which every network that is here has a rule for. */
export const zonesByNetwork = (tag: string, networkIds: string[], byDevice: Map<string, number>): Map<string, number> =>
  new Map(
    networkIds.flatMap((id) => {
      const zone = byDevice.get(dhcpName(tag, id))
      return zone === undefined ? [] : [[id, zone] as const]
    }),
  )
