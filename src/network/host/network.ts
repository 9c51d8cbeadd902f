// A network on this host: a Linux bridge, and by what it leaves the host: nothing (local), a vxlan to the other hosts that carry it,
// a physical interface (flat), or a VLAN of one.

import type { Machine } from '../../agent/machine.ts'
import {
  ensureBridge,
  ensureSettings,
  ensureVxlan,
  fdbAppend,
  fdbDelete,
  fdbEntries,
  findLink,
  links,
  type Netlink,
  removeLink,
} from '../../agent/netlink.ts'
import { Final } from '../../agent/realise.ts'
import type { NetworkDocument } from '../../wire/documents.ts'
import { alias, bridgeName, idOf, vlanName, vxlanName } from './names.ts'

const everyone = '00:00:00:00:00:00'

/** The interface by which the network leaves this host; null for none. */
export function uplinkOf(machine: Pick<Machine, 'tag' | 'config' | 'tunnelIp'>, network: NetworkDocument): string | null {
  if (network.type === 'local' || (network.type === 'vxlan' && machine.tunnelIp === null)) return null
  if (network.type === 'vxlan') return vxlanName(machine.tag, network.id)
  if (network.type === 'vlan') return vlanName(machine.tag, network.id)
  return physicalInterface(machine, network)
}

function physicalInterface({ config }: Pick<Machine, 'config'>, network: NetworkDocument): string {
  const found = config.physicalNetworks[network.physical_network ?? '']
  if (!found)
    throw new Final(
      `This host has no physical network '${network.physical_network}'. Name the interface that leads to it with WISP_PHYSICAL_NETWORKS=${network.physical_network}:INTERFACE.`,
    )
  return found
}

export async function ensureNetwork(machine: Machine, net: Netlink, network: NetworkDocument): Promise<void> {
  const { tag } = machine
  const bridge = bridgeName(tag, network.id)
  const mark = alias(tag, 'network', network.id)
  const found = await findLink(net, bridge)
  if (found && found.alias !== '' && found.alias !== mark)
    throw new Final(`The interface ${bridge} belongs to something else (${found.alias}).`)
  await ensureBridge(net, { name: bridge, mtu: network.mtu, alias: mark })
  const uplink = uplinkOf(machine, network)
  if (network.type === 'vxlan') {
    if (uplink) await ensureTunnel(machine, net, network, uplink, bridge)
    else if (network.peers.length > 0)
      throw new Final(
        'Other hosts carry this network, but this host has no tunnel address. Set WISP_TUNNEL_IP to the address by which they reach it.',
      )
  } else if (network.type === 'vlan' && uplink) {
    const parent = physicalInterface(machine, network)
    if (!(await findLink(net, uplink)))
      await net.ip(['link', 'add', 'link', parent, 'name', uplink, 'type', 'vlan', 'id', String(network.segmentation_id)])
    await ensureSettings(net, uplink, { master: bridge, mtu: network.mtu })
  } else if (network.type === 'flat' && uplink) {
    const found = await findLink(net, uplink)
    if (!found) throw new Error(`The interface ${uplink} of physical network '${network.physical_network}' does not exist.`)
    if (found.master !== null && found.master !== bridge)
      throw new Final(
        `The interface ${uplink} of physical network '${network.physical_network}' is a port of ${found.master} already. Take it out of there, or name another interface.`,
      )
    await ensureSettings(net, uplink, { master: bridge, hostIpv6: true })
  }
}

/** Unknown and broadcast frames go to every peer; where a MAC lives is learnt from what arrives, so a port costs no entry on other hosts. */
async function ensureTunnel(machine: Machine, net: Netlink, network: NetworkDocument, name: string, bridge: string): Promise<void> {
  await ensureVxlan(net, {
    name,
    vni: network.segmentation_id!,
    local: machine.tunnelIp!,
    learning: true,
    mtu: network.mtu,
    master: bridge,
  })
  const present = (await fdbEntries(net, name)).filter((entry) => entry.mac === everyone && entry.dst !== null).map((entry) => entry.dst!)
  for (const dst of network.peers) if (!present.includes(dst)) await fdbAppend(net, name, { mac: everyone, dst })
  for (const dst of present) if (!network.peers.includes(dst)) await fdbDelete(net, name, { mac: everyone, dst })
}

export async function removeNetwork({ tag }: Machine, net: Netlink, id: string): Promise<void> {
  await removeLink(net, vxlanName(tag, id))
  await removeLink(net, vlanName(tag, id))
  // A physical interface in the bridge is set free by its end.
  await removeLink(net, bridgeName(tag, id))
}

/** Ids of the networks whose bridges are here. */
export async function existingNetworks({ tag }: Machine, net: Netlink): Promise<string[]> {
  return (await links(net)).flatMap((link) => (link.kind === 'bridge' ? (idOf(tag, 'network', link.alias) ?? []) : []))
}
