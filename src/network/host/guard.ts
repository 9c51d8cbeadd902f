// Keeps the kernel's rules equal to the documents of this host. However many objects change at once, the whole set is computed once and
// loaded in one go; packets meet the old rules or the new ones, never none.

import { deleteConnections, loadNftables, removeSet, replaceSet, restoreRules, savedRules, setNames } from '../../agent/iptables.ts'
import type { Machine } from '../../agent/machine.ts'
import { setSysctls } from '../../agent/namespaces.ts'
import { CommandFailed, run } from '../../agent/shell.ts'
import { addressSets, antiSpoofing, securityGroups, type Wanted } from './filter.ts'
import { chainName, forwardChain, rawChain, zoneOf } from './names.ts'
import { uplinkOf } from './network.ts'

export interface Guard {
  /** Resolves when the kernel's rules reflect the documents as they are now, or newer ones. */
  apply(): Promise<void>
  stop(): Promise<void>
}

export async function startGuard(machine: Machine): Promise<Guard> {
  const { tag } = machine
  let prepared = false
  let current: Promise<void> | null = null
  let following: Promise<void> | null = null
  const sets = new Map<string, string>()
  const loaded = { bridge: '', v4: '', v6: '' }
  let rulesOf = new Map<string, string>()

  const wanted = (): Wanted => {
    const networks = machine.wanted('network')
    const uplinks = new Map<string, string>()
    for (const network of networks.values()) {
      const uplink =
        network.type === 'flat' && !machine.config.physicalNetworks[network.physical_network ?? ''] ? null : uplinkOf(machine, network)
      if (uplink) uplinks.set(network.id, uplink)
    }
    return {
      networks,
      groups: machine.wanted('security-group'),
      members: machine.wanted('group-members'),
      ports: machine.wanted('port'),
      uplinks,
    }
  }

  /** What lets bridged packets meet iptables at all, and our chains be asked. */
  const prepare = async () => {
    if (prepared) return
    await run(['modprobe', 'br_netfilter']).catch(() => undefined) // built in, or reported by the next line
    await setSysctls(null, { 'net/bridge/bridge-nf-call-iptables': 1, 'net/bridge/bridge-nf-call-ip6tables': 1 }).catch((error) => {
      throw new Error(
        'This kernel does not show bridged packets to iptables (br_netfilter is missing), so guests could not be guarded. Load br_netfilter.',
        { cause: error },
      )
    })
    for (const family of [4, 6] as const) {
      const program = family === 4 ? 'iptables' : 'ip6tables'
      const declared = `*raw\n:${rawChain(tag)} - [0:0]\nCOMMIT\n*filter\n:${forwardChain(tag)} - [0:0]\nCOMMIT\n`
      const saved = await savedRules(null, { family })
      if (!saved.includes(`:${forwardChain(tag)} `)) await restoreRules(null, declared, { family })
      for (const [table, hook, chain] of [
        ['raw', 'PREROUTING', rawChain(tag)],
        ['filter', 'FORWARD', forwardChain(tag)],
      ] as const) {
        const check = await run([program, '-w', '-t', table, '-C', hook, '-j', chain]).catch((error) => error)
        if (check instanceof CommandFailed) await run([program, '-w', '-t', table, '-I', hook, '-j', chain])
      }
    }
    prepared = true
  }

  const load = async () => {
    await machine.complete
    await prepare()
    const now = wanted()
    const bridge = antiSpoofing(tag, now)
    if (bridge !== loaded.bridge) {
      await loadNftables(null, bridge, { doing: 'load the rules against spoofing' })
      loaded.bridge = bridge
    }
    // Sets come before the rules that name them and go after the rules that named them.
    const wantedSets = addressSets(tag, now)
    for (const set of wantedSets) {
      const content = `${set.type} ${[...set.members].sort().join(' ')}`
      if (sets.get(set.name) === content) continue
      await replaceSet(null, set)
      sets.set(set.name, content)
    }
    for (const family of [4, 6] as const) {
      const mine = await savedRules(null, { family, table: 'filter' })
      const chains = [...mine.matchAll(new RegExp(`^:(wisp${tag}-[io]-\\S+)`, 'gm'))].map((match) => match[1]!)
      const used = new Set([...now.ports.keys()].flatMap((id) => [chainName(tag, 'i', id), chainName(tag, 'o', id)]))
      const stale = chains.filter((chain) => !used.has(chain))
      const text = securityGroups(tag, now, family, stale)
      const key = family === 4 ? 'v4' : 'v6'
      if (text === loaded[key] && chains.length === used.size) continue
      await restoreRules(null, text, { family, doing: 'load the security groups' })
      loaded[key] = text
    }
    const names = new Set(wantedSets.map((set) => set.name))
    for (const name of await setNames(null))
      if (name.startsWith(`wisp${tag}-`) && !names.has(name)) {
        await removeSet(null, name)
        sets.delete(name)
      }
    await forgetConnections(now)
  }

  /** A connection that the rules once allowed lives on by ESTABLISHED: where a port's rules changed, the kernel forgets its connections. */
  const forgetConnections = async (now: Wanted) => {
    const rules = new Map(
      [...now.ports.values()].map(
        (port) => [port.id, JSON.stringify(port.security_groups.map((id) => now.groups.get(id) ?? null))] as const,
      ),
    )
    for (const [id, rule] of rules) {
      const before = rulesOf.get(id)
      if (before === undefined || before === rule) continue
      const port = now.ports.get(id)!
      for (const { ip } of port.ips) {
        const which = { family: ip.includes(':') ? 6 : 4, zone: zoneOf(port.network_id) } as const
        await deleteConnections(null, { ...which, destination: ip })
        await deleteConnections(null, { ...which, source: ip })
      }
    }
    rulesOf = rules
  }

  return {
    apply() {
      // A load under way may have looked too early; one more, shared by all who ask meanwhile, will see what they saw.
      if (!current) {
        current = load().finally(() => {
          current = null
        })
        return current
      }
      following ??= current
        .catch(() => undefined)
        .then(() => {
          following = null
          current = load().finally(() => {
            current = null
          })
          return current
        })
      return following
    },
    async stop() {
      await (following ?? current)?.catch(() => undefined)
    },
  }
}
