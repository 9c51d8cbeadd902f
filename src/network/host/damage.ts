// What has happened to networks and ports behind our back: a program that was killed, an interface or a namespace that somebody removed, a
// bridge that another daemon took its ports from. The documents are as they were, so nobody else would look there again.
import type { Machine } from '../../agent/machine.ts'
import { type Link, links, type Netlink } from '../../agent/netlink.ts'
import { Final } from '../../agent/realise.ts'
import type { NetworkDocument, PortDocument } from '../../wire/documents.ts'
import { servedHere, servesDhcp } from './dhcp.ts'
import { bridgeName, dhcpName, tapName } from './names.ts'
import { uplinkOf } from './network.ts'

type Here = Pick<Machine, 'tag' | 'config' | 'tunnelIp'>

/** Ids of those of the networks that lack something on this machine. */
export async function damagedNetworks(machine: Here, net: Netlink, networks: NetworkDocument[]): Promise<string[]> {
  if (networks.length === 0) return []
  const here = await linksByName(net)
  const damaged: string[] = []
  for (const network of networks) {
    const bridge = bridgeName(machine.tag, network.id)
    const members = [...(servedHere(network) ? [dhcpName(machine.tag, network.id)] : []), ...uplinks(machine, network)]
    const wired = here.get(bridge)?.up && members.every((name) => isPort(here.get(name), bridge))
    if (!wired || !servesDhcp(machine, network)) damaged.push(network.id)
  }
  return damaged
}

/** Ids of those of the ports whose tap is not there, or not in its bridge. */
export async function damagedPorts({ tag }: Here, net: Netlink, ports: PortDocument[]): Promise<string[]> {
  if (ports.length === 0) return []
  const here = await linksByName(net)
  return ports.flatMap(({ id, network_id }) => (here.get(tapName(tag, id))?.master === bridgeName(tag, network_id) ? [] : [id]))
}

const linksByName = async (net: Netlink) => new Map((await links(net)).map((link) => [link.name, link]))
const isPort = (link: Link | undefined, bridge: string) => link?.up === true && link.master === bridge

function uplinks(machine: Here, network: NetworkDocument): string[] {
  try {
    return [uplinkOf(machine, network) ?? []].flat()
  } catch (error) {
    if (error instanceof Final) return [] // its realiser has said so
    throw error
  }
}
