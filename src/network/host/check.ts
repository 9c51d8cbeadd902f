// The border of the network room on a host: what documents say goes into rule texts, configuration files and names, so every word of it is
// parsed here first. Control checks what users type; a host trusts nobody. What does not pass is a Final error of that object alone.
import ipaddr from 'ipaddr.js'
import { Final } from '../../agent/realise.ts'
import type { GroupMembersDocument, NetworkDocument, PortDocument, SecurityGroupDocument, SecurityRule } from '../../wire/documents.ts'
import { protocolNumber } from '../../wire/protocols.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Whether an id may become part of names and paths on this machine. */
export const isId = (id: unknown): id is string => typeof id === 'string' && uuid.test(id)

/** 4 or 6 for an address, without prefix length and without scope; null for anything else. */
export function versionOf(ip: unknown): 4 | 6 | null {
  if (typeof ip !== 'string' || !/^[0-9a-fA-F:.]{2,45}$/.test(ip)) return null
  if (ipaddr.IPv4.isValidFourPartDecimal(ip)) return 4
  return ip.includes(':') && ipaddr.IPv6.isValid(ip) ? 6 : null
}

/** 4 or 6 for an address or `address/length`. */
export function prefixVersion(prefix: unknown): 4 | 6 | null {
  const [, ip, length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(typeof prefix === 'string' ? prefix : '') ?? []
  const version = versionOf(ip)
  return version === null || (length !== undefined && Number(length) > (version === 4 ? 32 : 128)) ? null : version
}

const isMac = (mac: unknown): boolean => typeof mac === 'string' && /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(mac)
const isWhole = (value: unknown, min: number, max: number): boolean =>
  Number.isInteger(value) && Number(value) >= min && Number(value) <= max

/** Says no in words for the user: which object, which field, what is wrong with it. */
function must(good: boolean, object: string, field: string, value: unknown, wanted: string): void {
  if (good) return
  const shown = JSON.stringify(value) ?? 'nothing'
  throw new Final(`${object} cannot be made on this host: its ${field} is ${shown.slice(0, 100)}, but must be ${wanted}.`)
}

export function checkNetwork(network: NetworkDocument): void {
  const name = `Network ${network.id}`
  const want = (good: boolean, field: string, value: unknown, wanted: string) => must(good, name, field, value, wanted)
  want(isId(network.id), 'id', network.id, 'a UUID')
  want(isWhole(network.mtu, 68, 65_535), 'MTU', network.mtu, 'a number from 68 to 65535')
  if (network.type === 'vxlan')
    want(isWhole(network.segmentation_id, 1, 16_777_215), 'segmentation id', network.segmentation_id, '1 to 16777215')
  if (network.type === 'vlan') want(isWhole(network.segmentation_id, 1, 4094), 'segmentation id', network.segmentation_id, '1 to 4094')
  for (const peer of network.peers) want(versionOf(peer) !== null, 'peer', peer, 'an IP address')
  if (network.dhcp) {
    want(isMac(network.dhcp.mac), 'DHCP MAC', network.dhcp.mac, 'a MAC address')
    for (const { ip } of network.dhcp.ips) want(versionOf(ip) !== null, 'DHCP address', ip, 'an IP address')
  }
  for (const subnet of network.subnets) {
    const { ip_version: version, cidr, gateway_ip, dns_nameservers, host_routes } = subnet
    want(cidr.includes('/') && prefixVersion(cidr) === version, 'subnet', cidr, `an IPv${version} network`)
    if (gateway_ip !== null) want(versionOf(gateway_ip) === version, 'gateway', gateway_ip, `an IPv${version} address`)
    for (const server of dns_nameservers) want(versionOf(server) !== null, 'name server', server, 'an IP address')
    for (const { destination, nexthop } of host_routes) {
      want(prefixVersion(destination) === version, 'host route', destination, `an IPv${version} network`)
      want(versionOf(nexthop) === version, 'next hop', nexthop, `an IPv${version} address`)
    }
  }
}

export function checkGroup(group: SecurityGroupDocument): void {
  must(isId(group.id), `Security group ${group.id}`, 'id', group.id, 'a UUID')
  for (const rule of group.rules) checkRule(`Security group ${group.id}`, rule)
}

function checkRule(name: string, rule: SecurityRule): void {
  const want = (good: boolean, field: string, value: unknown, wanted: string) => must(good, name, field, value, wanted)
  want(rule.direction === 'ingress' || rule.direction === 'egress', 'direction', rule.direction, 'ingress or egress')
  want(rule.ethertype === 'IPv4' || rule.ethertype === 'IPv6', 'ethertype', rule.ethertype, 'IPv4 or IPv6')
  want(protocolNumber(rule.protocol) !== undefined, 'protocol', rule.protocol, 'a protocol that Neutron knows, or 0 to 255')
  const { port_min: min, port_max: max } = rule
  for (const port of [min, max]) want(port === null || isWhole(port, 0, 65_535), 'port', port, 'a number from 0 to 65535')
  // Of ICMP these are type and code, so they have no order.
  if (![1, 58].includes(protocolNumber(rule.protocol) ?? -1))
    want(min === null || max === null || min <= max, 'port range', [min, max], 'ascending')
  else want((min ?? 0) <= 255 && (max ?? 0) <= 255, 'ICMP type and code', [min, max], '0 to 255')
  const version = rule.ethertype === 'IPv4' ? 4 : 6
  if (rule.remote_ip_prefix !== null)
    want(prefixVersion(rule.remote_ip_prefix) === version, 'remote prefix', rule.remote_ip_prefix, `an IPv${version} network`)
  if (rule.remote_group_id !== null) want(isId(rule.remote_group_id), 'remote group', rule.remote_group_id, 'a UUID')
}

export function checkMembers(members: GroupMembersDocument): void {
  must(isId(members.id), `The members of security group ${members.id}`, 'id', members.id, 'a UUID')
  for (const ip of members.ips)
    must(prefixVersion(ip) !== null, `The members of security group ${members.id}`, 'address', ip, 'an IP address')
}

export function checkPort(port: PortDocument): void {
  const want = (good: boolean, field: string, value: unknown, wanted: string) => must(good, `Port ${port.id}`, field, value, wanted)
  want(isId(port.id), 'id', port.id, 'a UUID')
  want(isId(port.network_id), 'network', port.network_id, 'a UUID')
  want(isMac(port.mac), 'MAC', port.mac, 'a MAC address')
  want(isWhole(port.mtu, 68, 65_535), 'MTU', port.mtu, 'a number from 68 to 65535')
  for (const { ip } of port.ips) want(versionOf(ip) !== null, 'address', ip, 'an IP address')
  for (const group of port.security_groups) want(isId(group), 'security group', group, 'a UUID')
  for (const { ip_address, mac_address } of port.allowed_address_pairs) {
    want(prefixVersion(ip_address) !== null, 'allowed address pair', ip_address, 'an IP address or network')
    want(isMac(mac_address), 'allowed address pair', mac_address, 'a MAC address')
  }
}
