// The network room's side of a host: which document makes what. Networks first, then groups, then ports; what a port may send and receive
// is loaded into the kernel before the port is plugged, so no guest is ever unguarded for a moment.
import type { Machine } from '../../agent/machine.ts'
import { ensureTap, links, openNetlink, removeLink, setMaster } from '../../agent/netlink.ts'
import type { Realiser } from '../../agent/realise.ts'
import type { PortDocument } from '../../wire/documents.ts'
import { ensureDhcp, removeDhcp } from './dhcp.ts'
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

export async function networkRealisers(machine: Machine): Promise<NetworkDoors> {
  const { tag } = machine
  const net = openNetlink(null)
  const guard = await startGuard(machine)
  const dhcpTurns = new Map<string, Promise<void>>()

  const portsOf = (networkId: string): PortDocument[] =>
    [...machine.wanted('port').values()].filter((port) => port.network_id === networkId)

  /** DHCP of a network as its documents now say; one at a time for each network, the last one sees the newest documents. */
  const serveDhcp = (networkId: string): Promise<void> => {
    const turn = (dhcpTurns.get(networkId) ?? Promise.resolve())
      .catch(() => undefined)
      .then(async () => {
        await machine.complete
        const network = machine.wanted('network').get(networkId)
        if (network) await ensureDhcp(machine, net, network, portsOf(networkId))
      })
    dhcpTurns.set(networkId, turn)
    return turn
  }

  const network: Realiser<'network'> = {
    kind: 'network',
    async ensure(document) {
      await ensureNetwork(machine, net, document)
      await serveDhcp(document.id)
      await guard.apply()
      return { state: 'ready' }
    },
    async remove(id) {
      await (dhcpTurns.get(id) ?? Promise.resolve()).catch(() => undefined)
      dhcpTurns.delete(id)
      await removeDhcp(machine, net, id)
      await removeNetwork(machine, net, id)
      await guard.apply()
    },
    existing: () => existingNetworks(machine, net),
  }

  // Groups have no object of their own on a host: they are what the rules of its ports are made from.
  const ruled = <K extends 'security-group' | 'group-members'>(kind: K): Realiser<K> => ({
    kind,
    async ensure() {
      await guard.apply()
      return { state: 'ready' }
    },
    remove: () => guard.apply(),
    existing: async () => [],
  })

  const port: Realiser<'port'> = {
    kind: 'port',
    async ensure(document) {
      const tap = tapName(tag, document.id)
      await ensureTap(net, { name: tap, alias: alias(tag, 'port', document.id), mtu: document.mtu, up: undefined })
      await Promise.all([guard.apply(), serveDhcp(document.network_id)])
      await setMaster(net, tap, bridgeName(tag, document.network_id))
      await ensureTap(net, { name: tap, up: document.admin_state_up })
      return { state: 'ready' }
    },
    async remove(id) {
      await removeLink(net, tapName(tag, id))
      await guard.apply()
    },
    existing: async () => (await links(net)).flatMap((link) => (link.kind === 'tun' ? (idOf(tag, 'port', link.alias) ?? []) : [])),
  }

  return {
    realisers: { network, 'security-group': ruled('security-group'), 'group-members': ruled('group-members'), port },
    async stop() {
      await guard.stop()
      net.close()
    },
  }
}
