// The network room's side of a host: which document makes what. Networks first, then groups, then ports; what a port may send and receive
// is loaded into the kernel before the port is plugged, so no guest is ever unguarded for a moment.
import { keepOff } from '../../agent/link-daemons.ts'
import type { Machine } from '../../agent/machine.ts'
import { ensureTap, findLink, links, openNetlink, removeLink, setMaster } from '../../agent/netlink.ts'
import { Final, type Realiser } from '../../agent/realise.ts'
import { inTurns } from '../../agent/turns.ts'
import type { DocumentOf, PortDocument } from '../../wire/documents.ts'
import { checkGroup, checkMembers, checkNetwork, checkPort, isId } from './check.ts'
import { damagedNetworks, damagedPorts } from './damage.ts'
import { ensureDhcp, removeDhcp, servedNetworks } from './dhcp.ts'
import { startGuard } from './guard.ts'
import { alias, bridgeName, idOf, tapName } from './names.ts'
import { ensureNetwork, existingNetworks, removeNetwork } from './network.ts'

export interface NetworkDoors {
  realisers: {
    network: Realiser<'network'>
    'security-group': Realiser<'security-group'>
    'group-members': Realiser<'group-members'>
    port: Realiser<'port'>
  }
  stop(): Promise<void>
}

/** How often the machine is looked at for damage, in milliseconds. */
const lookUsually = 30_000

export async function networkRealisers(machine: Machine, lookEvery = lookUsually): Promise<NetworkDoors> {
  const { tag } = machine
  await keepOff(tag)
  const net = openNetlink(null)
  const guard = startGuard(machine)
  const dhcpTurns = new Map<string, ReturnType<typeof inTurns>>()
  /** The network of each port that is here: when the port goes, DHCP there must forget it. */
  const networkOf = new Map<string, string>()

  /** The documents that pass; of another its own realiser says what is wrong with it. */
  const wantedOf = <K extends 'network' | 'port'>(kind: K, check: (document: DocumentOf[K]) => void): DocumentOf[K][] =>
    [...machine.wanted(kind).values()].filter((document) => passes(document, check))

  const portsOf = (networkId: string): PortDocument[] => wantedOf('port', checkPort).filter((port) => port.network_id === networkId)

  /** Looks for what is damaged now and then. */
  const looking = (kind: 'network' | 'port', damaged: () => Promise<string[]>) => async (changed: (id: string) => void) => {
    const look = async () => {
      const ids = await damaged()
      if (ids.length > 0) machine.log.warn({ kind, ids }, 'network: something on this machine was taken away or has ended; mending it')
      for (const id of ids) changed(id)
    }
    const failed = (error: unknown) => machine.log.error({ kind, err: error }, 'network: this machine cannot be looked at; trying again')
    const timer = setInterval(() => void look().catch(failed), lookEvery).unref()
    return () => clearInterval(timer)
  }

  /** DHCP of a network as its documents now say: however many ports come at once, it is made anew once or twice. */
  const serveDhcp = (networkId: string): Promise<void> => {
    const turns =
      dhcpTurns.get(networkId) ??
      inTurns(async () => {
        await machine.complete
        const network = machine.wanted('network').get(networkId)
        if (!network) return
        checkNetwork(network)
        await ensureDhcp(machine, net, network, portsOf(networkId))
      })
    dhcpTurns.set(networkId, turns)
    return turns.ask()
  }

  const network: Realiser<'network'> = {
    kind: 'network',
    async ensure(document) {
      checkNetwork(document)
      await ensureNetwork(machine, net, document)
      await Promise.all([serveDhcp(document.id), guard.apply()])
      return { state: 'ready' }
    },
    async remove(id) {
      if (!isId(id)) return // nothing was ever made under such a name
      await dhcpTurns.get(id)?.idle()
      dhcpTurns.delete(id)
      await removeDhcp(machine, net, id)
      await removeNetwork(machine, net, id)
      await guard.apply()
    },
    existing: async () => [...new Set([...(await existingNetworks(machine, net)), ...(await servedNetworks(machine))])],
    watch: looking('network', () => damagedNetworks(machine, net, wantedOf('network', checkNetwork))),
  }

  // Groups have no object of their own on a host: they are what the rules of its ports are made from.
  const ruled = <K extends 'security-group' | 'group-members'>(kind: K, check: (document: DocumentOf[K]) => void): Realiser<K> => ({
    kind,
    async ensure(document) {
      check(document)
      await guard.apply()
      return { state: 'ready' }
    },
    remove: () => guard.apply(),
    existing: async () => [],
  })

  const port: Realiser<'port'> = {
    kind: 'port',
    async ensure(document) {
      checkPort(document)
      const tap = tapName(tag, document.id)
      const mark = alias(tag, 'port', document.id)
      const found = await findLink(net, tap)
      if (found && found.alias !== '' && found.alias !== mark)
        throw new Final(`The interface ${tap} belongs to something else (${found.alias}).`)
      networkOf.set(document.id, document.network_id)
      await ensureTap(net, { name: tap, alias: mark, mtu: document.mtu, up: undefined })
      await Promise.all([guard.apply(), serveDhcp(document.network_id)])
      await setMaster(net, tap, bridgeName(tag, document.network_id))
      await ensureTap(net, { name: tap, up: document.admin_state_up })
      return { state: 'ready' }
    },
    async remove(id) {
      if (!isId(id)) return
      await removeLink(net, tapName(tag, id))
      const networkId = networkOf.get(id)
      networkOf.delete(id)
      await Promise.all([guard.apply(), networkId === undefined ? undefined : serveDhcp(networkId)])
    },
    existing: async () => (await links(net)).flatMap((link) => (link.kind === 'tun' ? (idOf(tag, 'port', link.alias) ?? []) : [])),
    watch: looking('port', () => damagedPorts(machine, net, wantedOf('port', checkPort))),
  }

  return {
    realisers: {
      network,
      'security-group': ruled('security-group', checkGroup),
      'group-members': ruled('group-members', checkMembers),
      port,
    },
    async stop() {
      await guard.stop()
      net.close()
    },
  }
}

function passes<D>(document: D, check: (document: D) => void): boolean {
  try {
    check(document)
    return true
  } catch {
    return false
  }
}
