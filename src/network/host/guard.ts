// Keeps the kernel's rules equal to the documents of this host. However many objects change at once, the whole set is computed once, and
// what differs from what was loaded before goes in by one transaction each; packets meet the old rules or the new ones, never none.
import { deleteConnections, loadNftables, removeSet, replaceSet, restoreRules, savedRules, setSizes } from '../../agent/iptables.ts'
import type { Machine } from '../../agent/machine.ts'
import { setSysctls } from '../../agent/namespaces.ts'
import { CommandFailed, run } from '../../agent/shell.ts'
import { inTurns } from '../../agent/turns.ts'
import type { PortDocument } from '../../wire/documents.ts'
import { antiSpoofing, type BridgeTable, bridgeText, isWhole } from './anti-spoofing.ts'
import { checkGroup, checkMembers, checkNetwork, checkPort, isId } from './check.ts'
import { addressSets, type Chains, family, restoreText, securityGroups, type Wanted } from './filter.ts'
import { bridgeTable, forwardChain, rawChain } from './names.ts'
import { uplinkOf } from './network.ts'
import { allocateZones, zonesByNetwork, zonesIn } from './zones.ts'

export interface Guard {
  /** Resolves when the kernel's rules reflect the documents as they are now, or newer ones. */
  apply(): Promise<void>
  /** The same, after the kernel was asked whether it still has what was loaded; done by itself every minute. */
  look(): Promise<void>
  stop(): Promise<void>
}

/** How often the kernel is asked whether it still has what was loaded, in milliseconds: a firewall that is restarted on this machine flushes it. */
const auditUsually = 60_000

/** From so many addresses on it is quicker to forget all connections of a network. */
const manyAddresses = 16

const families = [4, 6] as const
type Present = { [Table in keyof Chains]: Map<string, string[] | null> }

export function startGuard(
  machine: Pick<Machine, 'tag' | 'config' | 'log' | 'tunnelIp' | 'wanted' | 'complete'>,
  auditEvery = auditUsually,
): Guard {
  const { tag, log } = machine
  let auditedAt = Number.NEGATIVE_INFINITY
  let bridge: BridgeTable | null = null
  const present: { 4: Present; 6: Present } = {
    4: { raw: new Map(), filter: new Map() },
    6: { raw: new Map(), filter: new Map() },
  }
  /** What was loaded into each set; null = not known. */
  const sets = new Map<string, { content: string; size: number } | null>()
  /** What ports were allowed by the rules loaded last, and who was in the groups that those name. */
  let rulesOf = new Map<string, string>()
  let membersOf: Wanted['members'] = new Map()
  /** What networks have; null until the kernel has been asked. */
  let zones: Map<string, number> | null = null
  /** What the rules in the kernel say of them. */
  let zonesSaved = ''

  /** The documents that pass the check. One that does not must cost nobody else anything, and open nothing. */
  const wanted = (): Wanted => {
    const networks = checked(machine.wanted('network'), checkNetwork)
    const uplinks = new Map<string, string>()
    for (const network of networks.values()) {
      const known = network.type === 'local' || network.type === 'vxlan' || machine.config.physicalNetworks[network.physical_network ?? '']
      const uplink = known ? uplinkOf(machine, network) : null
      if (uplink) uplinks.set(network.id, uplink)
    }
    const ports = checked(machine.wanted('port'), checkPort, shut)
    return {
      networks,
      groups: checked(machine.wanted('security-group'), checkGroup),
      members: checked(machine.wanted('group-members'), checkMembers),
      ports,
      uplinks,
      zones: zonesFor([...networks.keys(), ...[...ports.values()].map(({ network_id }) => network_id)]),
    }
  }

  const zonesFor = (networkIds: string[]): Map<string, number> => {
    const { byDevice, foreign } = zonesIn(zonesSaved, rawChain(tag))
    return allocateZones(networkIds, zones ?? zonesByNetwork(tag, networkIds, byDevice), foreign)
  }

  /** Whoever gets the zone next must meet no connection of who had it. */
  const freeZones = async (now: Map<string, number>) => {
    const left = [...(zones ?? [])].flatMap(([id, zone]) => (now.get(id) === zone ? [] : [zone]))
    for (const zone of left) for (const family of families) await deleteConnections(null, { family, zone })
    zones = now
  }

  /** What lets bridged packets meet iptables at all, and our chains be asked; and what in the kernel is not as it was loaded. */
  const audit = async () => {
    if (performance.now() - auditedAt < auditEvery) return
    await run(['modprobe', 'br_netfilter']).catch(() => undefined) // built in, or reported by the next line
    await setSysctls(null, { 'net/bridge/bridge-nf-call-iptables': 1, 'net/bridge/bridge-nf-call-ip6tables': 1 }).catch((error) => {
      throw new Error(
        'This kernel does not show bridged packets to iptables (br_netfilter is missing), so guests could not be guarded. Load br_netfilter.',
        { cause: error },
      )
    })
    const saved: string[] = []
    for (const family of families) saved.push(await auditFamily(family))
    zonesSaved = saved.join('\n')
    if (bridge !== null) {
      const listed = await run(['nft', '-j', 'list', 'table', 'bridge', bridgeTable(tag)]).catch(() => null)
      if (listed === null || !isWhole(bridge, listed.stdout)) {
        log.warn('network: the rules against spoofing are not as they were loaded; loading them again')
        bridge = null
      }
    }
    await auditSets()
    auditedAt = performance.now()
  }

  const auditSets = async () => {
    const sizes = await setSizes(null)
    const ours = [...sizes.keys()].filter((name) => name.startsWith(`wisp${tag}-`))
    for (const name of [...ours, ...sets.keys()]) if (sizes.get(name) !== sets.get(name)?.size) sets.set(name, null)
  }

  const auditFamily = async (family: 4 | 6) => {
    const program = family === 4 ? 'iptables' : 'ip6tables'
    const saved = await savedRules(null, { family })
    const here = new Map([...saved.matchAll(/^\*(\S+)\n((?:[^*].*\n)*)/gm)].map(([, table, lines]) => [table!, lines!]))
    for (const [table, hook, chain] of [
      ['raw', 'PREROUTING', rawChain(tag)],
      ['filter', 'FORWARD', forwardChain(tag)],
    ] as const) {
      const lines = here.get(table) ?? ''
      const chains = [...lines.matchAll(new RegExp(`^:(wisp${tag}-\\S+)`, 'gm'))].map((match) => match[1]!)
      const counts = new Map<string, number>()
      for (const [, name] of lines.matchAll(/^-A (\S+) /gm)) counts.set(name!, (counts.get(name!) ?? 0) + 1)
      // Of a chain that we have not loaded ourselves only the name is known; nor of one that another has changed since.
      const known = present[family][table]
      const changed = chains.filter((name) => known.get(name) && known.get(name)!.length !== (counts.get(name) ?? 0))
      if (changed.length > 0)
        log.warn({ family, table, chains: changed }, 'network: the rules are not as they were loaded; loading them again')
      present[family][table] = new Map(chains.map((name) => [name, changed.includes(name) ? null : (known.get(name) ?? null)]))
      if (!chains.includes(chain)) {
        await restoreRules(null, `*${table}\n:${chain} - [0:0]\nCOMMIT\n`, { family })
        present[family][table].set(chain, null)
      }
      const first = lines.split('\n').find((line) => line.startsWith(`-A ${hook} `))
      if (first === `-A ${hook} -j ${chain}`) continue
      const check = await run([program, '-w', '-t', table, '-C', hook, '-j', chain]).catch((error) => error)
      if (check instanceof CommandFailed) await run([program, '-w', '-t', table, '-I', hook, '-j', chain])
    }
    return here.get('raw') ?? ''
  }

  const load = async () => {
    await machine.complete
    await audit()
    const now = wanted()
    const table = antiSpoofing(tag, now)
    const bridgeChange = bridgeText(tag, table, bridge)
    if (bridgeChange !== '') {
      bridge = null // if this fails, the next try replaces all of it
      await loadNftables(null, bridgeChange, { doing: 'load the rules against spoofing' })
    }
    bridge = table
    // Sets come before the rules that name them and go after the rules that named them.
    const wantedSets = addressSets(tag, now)
    for (const set of wantedSets) {
      const content = `${set.type} ${[...set.members].sort().join(' ')}`
      if (sets.get(set.name)?.content === content) continue
      sets.set(set.name, null)
      await replaceSet(null, set)
      sets.set(set.name, { content, size: new Set(set.members).size })
    }
    await Promise.all(families.map((family) => loadFamily(family, now)))
    const names = new Set(wantedSets.map((set) => set.name))
    for (const name of [...sets.keys()])
      if (!names.has(name)) {
        await removeSet(null, name)
        sets.delete(name)
      }
    await forgetConnections(now)
    await freeZones(now.zones)
  }

  const loadFamily = async (family: 4 | 6, now: Wanted) => {
    const chains = securityGroups(tag, now, family)
    const text = restoreText(chains, present[family])
    if (text === '') return
    try {
      await restoreRules(null, text, { family, doing: 'load the security groups' })
    } catch (error) {
      // Perhaps someone else changed them: the next try looks first, and takes nothing for known.
      auditedAt = Number.NEGATIVE_INFINITY
      present[family] = { raw: new Map(), filter: new Map() }
      throw error
    }
    present[family] = chains
  }

  /** A connection that the rules once allowed lives on by ESTABLISHED: where a port is allowed something else, the kernel forgets its connections. */
  const forgetConnections = async (now: Wanted) => {
    const rules = new Map(
      [...now.ports.values()].map(
        ({ id, port_security_enabled, security_groups }) =>
          [id, JSON.stringify([port_security_enabled, security_groups.map((group) => now.groups.get(group) ?? null)])] as const,
      ),
    )
    for (const [id, rule] of rules) {
      const before = rulesOf.get(id)
      if (before === undefined || before === rule) continue
      const port = now.ports.get(id)!
      await forgetAddresses(
        now.zones.get(port.network_id)!,
        port.ips.map(({ ip }) => ip),
      )
    }
    rulesOf = rules
    for (const [id, { ips }] of membersOf) {
      const left = now.members.get(id)?.ips
      if (left === ips) continue
      const known = new Set(left)
      const gone = ips.filter((ip) => !known.has(ip))
      if (gone.length > 0) for (const zone of zonesThatName(now, id)) await forgetAddresses(zone, gone)
    }
    membersOf = now.members
  }

  /** The zones in which a port has a rule about the members of this group. */
  const zonesThatName = ({ groups, ports, zones }: Wanted, groupId: string): Set<number> => {
    const naming = new Set(
      [...groups.values()].flatMap(({ id, rules }) => (rules.some((rule) => rule.remote_group_id === groupId) ? [id] : [])),
    )
    return new Set(
      [...ports.values()].flatMap((port) => (port.security_groups.some((id) => naming.has(id)) ? zones.get(port.network_id)! : [])),
    )
  }

  /** Forgets the connections from and to addresses; of many all of the zone, which are then asked for anew. */
  const forgetAddresses = async (zone: number, ips: string[]) => {
    if (ips.length > manyAddresses) for (const family of families) await deleteConnections(null, { family, zone })
    else
      for (const ip of ips) {
        const which = { family: family(ip), zone }
        await deleteConnections(null, { ...which, destination: ip })
        await deleteConnections(null, { ...which, source: ip })
      }
  }

  const turns = inTurns(load)
  const look = () => {
    auditedAt = Number.NEGATIVE_INFINITY
    return turns.ask()
  }
  const watch = setInterval(() => {
    look().catch((error) => log.error({ err: error }, 'network: the rules cannot be looked at; trying again'))
  }, auditEvery)
  watch.unref()
  return {
    apply: () => turns.ask(),
    look,
    async stop() {
      clearInterval(watch)
      await turns.idle()
    },
  }
}

/** Those that pass; of the others what `instead` makes of them. */
function checked<D extends { id: string }>(
  documents: Map<string, D>,
  check: (document: D) => void,
  instead?: (document: D) => D,
): Map<string, D> {
  const good = new Map<string, D>()
  for (const [id, document] of documents) {
    try {
      check(document)
      good.set(id, document)
    } catch {
      // Its own realiser says what is wrong with it.
      if (instead && isId(document.id)) good.set(id, instead(document))
    }
  }
  return good
}

/** A port that may neither send nor receive: it may have been plugged by an earlier document. */
const shut = (port: PortDocument): PortDocument => ({
  ...port,
  network_id: isId(port.network_id) ? port.network_id : port.id,
  mac: '00:00:00:00:00:00',
  ips: [],
  allowed_address_pairs: [],
  security_groups: [],
  port_security_enabled: true,
})
