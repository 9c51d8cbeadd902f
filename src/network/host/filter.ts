// What a port may send and receive, as texts for the kernel. Pure: documents in, rules out.
//
// Two layers. nftables' bridge family keeps guests honest, without state: their own MAC, their own addresses, also in ARP; no DHCP
// answers, no router advertisements. iptables on bridged packets (br_netfilter) carries the security groups, with state, in one
// connection tracking zone per network; that works on kernels without nf_conntrack_bridge as well. Everything is denied but what a rule allows.
import type { DocumentOf, PortDocument, SecurityRule } from '../../wire/documents.ts'
import { bridgeTable, chainName, dhcpName, forwardChain, rawChain, setName, tapName, zoneOf } from './names.ts'

export interface Wanted {
  networks: Map<string, DocumentOf['network']>
  groups: Map<string, DocumentOf['security-group']>
  members: Map<string, DocumentOf['group-members']>
  ports: Map<string, PortDocument>
  /** The interface by which a network leaves this host, by network id; none for one that stays on it. */
  uplinks: Map<string, string>
}

const family = (ip: string): 4 | 6 => (ip.includes(':') ? 6 : 4)
const quoted = (name: string) => `"${name}"`

/** Addresses that a port may use: its own and its allowed address pairs, by MAC. */
function ownAddresses(port: PortDocument): { mac: string; ips: string[] }[] {
  const byMac = new Map<string, string[]>([[port.mac, port.ips.map(({ ip }) => ip)]])
  for (const { mac_address, ip_address } of port.allowed_address_pairs) {
    const mac = mac_address.toLowerCase()
    byMac.set(mac, [...(byMac.get(mac) ?? []), ip_address])
  }
  return [...byMac].map(([mac, ips]) => ({ mac: mac.toLowerCase(), ips }))
}

/** The table of the bridge family for all ports and tunnels of this host, replaced as one transaction. */
export function antiSpoofing(tag: string, { networks, ports, uplinks }: Wanted): string {
  const guarded = [...ports.values()].filter((port) => port.port_security_enabled)
  const chains = guarded.map((port) => {
    const own = ownAddresses(port)
    const allow = own.flatMap(({ mac, ips }) => {
      const v4 = ips.filter((ip) => family(ip) === 4)
      const v6 = ips.filter((ip) => family(ip) === 6)
      // One rule for each address: prefixes of allowed address pairs may overlap, which a set would refuse.
      return [
        ...v4.flatMap((ip) => [
          `ether saddr ${mac} arp saddr ether ${mac} arp saddr ip ${ip} accept`,
          `ether saddr ${mac} ip saddr ${ip} accept`,
        ]),
        // A guest asks for its address, or probes it, before it has one.
        `ether saddr ${mac} arp saddr ether ${mac} arp saddr ip 0.0.0.0 accept`,
        `ether saddr ${mac} ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept`,
        ...v6.map((ip) => `ether saddr ${mac} ip6 saddr ${ip} accept`),
        `ether saddr ${mac} ip6 saddr { ::, fe80::/10 } accept`,
      ]
    })
    return `  chain port_${tapName(tag, port.id)} {
    udp sport 67 drop
    udp sport 547 drop
    icmpv6 type nd-router-advert drop
    ${allow.join('\n    ')}
    drop
  }`
  })
  // DHCP is answered on every host by a port with the same address: it must never be heard on another host.
  const tunnels = [...networks.values()].flatMap((network) => {
    const device = uplinks.get(network.id)
    if (!device || !network.dhcp) return []
    const ips = network.dhcp.ips.map(({ ip }) => ip).filter((ip) => family(ip) === 4)
    const uplink = quoted(device)
    return [
      ...(ips.length > 0
        ? [
            `oifname ${uplink} arp daddr ip { ${ips.join(', ')} } drop`,
            `iifname ${uplink} arp daddr ip { ${ips.join(', ')} } drop`,
            `iifname ${uplink} arp saddr ip { ${ips.join(', ')} } drop`,
          ]
        : []),
      `oifname ${uplink} ether saddr ${network.dhcp.mac} drop`,
      `oifname ${uplink} ether daddr ${network.dhcp.mac} drop`,
      `oifname ${uplink} ip daddr 255.255.255.255 udp dport 67 drop`,
      `iifname ${uplink} ip daddr 255.255.255.255 udp dport 67 drop`,
    ]
  })
  return `table bridge ${bridgeTable(tag)}
delete table bridge ${bridgeTable(tag)}
table bridge ${bridgeTable(tag)} {
${chains.join('\n')}
  chain prerouting {
    type filter hook prerouting priority -300; policy accept;
    ${guarded.map((port) => `iifname ${quoted(tapName(tag, port.id))} jump port_${tapName(tag, port.id)}`).join('\n    ')}
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    ${tunnels.join('\n    ')}
  }
  chain output {
    type filter hook output priority 0; policy accept;
    ${tunnels.filter((rule) => rule.startsWith('oifname')).join('\n    ')}
  }
}
`
}

/** One rule of a group as the match of an iptables rule; null when it cannot match in this family. */
function matchOf(tag: string, rule: SecurityRule, wantedFamily: 4 | 6): string[] | null {
  if ((rule.ethertype === 'IPv6' ? 6 : 4) !== wantedFamily) return null
  const side = rule.direction === 'ingress' ? 's' : 'd'
  const words: string[] = []
  if (rule.remote_ip_prefix) words.push(`-${side}`, rule.remote_ip_prefix)
  if (rule.remote_group_id)
    words.push('-m', 'set', '--match-set', setName(tag, rule.remote_group_id, wantedFamily), rule.direction === 'ingress' ? 'src' : 'dst')
  const protocol = protocolOf(rule.protocol, wantedFamily)
  if (protocol === null) return words
  words.push('-p', protocol)
  if (rule.port_min === null && rule.port_max === null) return words
  if (protocol === 'icmp' || protocol === 'ipv6-icmp') {
    const flag = protocol === 'icmp' ? '--icmp-type' : '--icmpv6-type'
    const type = rule.port_max === null ? `${rule.port_min}` : `${rule.port_min}/${rule.port_max}`
    words.push('-m', protocol === 'icmp' ? 'icmp' : 'icmp6', flag, type)
  } else if (['tcp', 'udp', 'sctp', 'dccp', 'udplite'].includes(protocol)) {
    const from = rule.port_min ?? 0
    const to = rule.port_max ?? 65535
    words.push('-m', protocol, '--dport', from === to ? `${from}` : `${from}:${to}`)
  }
  return words
}

const numbers: Record<string, string> = {
  '1': 'icmp',
  '6': 'tcp',
  '17': 'udp',
  '58': 'ipv6-icmp',
  '132': 'sctp',
  '33': 'dccp',
  '136': 'udplite',
}

function protocolOf(given: string | null, wantedFamily: 4 | 6): string | null {
  if (given === null || given === 'any' || given === '0') return null
  const name = numbers[given] ?? given
  if (wantedFamily === 6 && ['icmp', 'icmpv6', 'ipv6-icmp'].includes(name)) return 'ipv6-icmp'
  return name === 'ipip' ? '4' : name
}

/** Rules of the filter and raw tables for all ports of this host, in iptables-restore's format. `stale` are our chains that no port has any more. */
export function securityGroups(tag: string, wanted: Wanted, wantedFamily: 4 | 6, stale: string[]): string {
  const ports = [...wanted.ports.values()]
  const forward = forwardChain(tag)
  const raw = rawChain(tag)
  const known: string[] = []
  const filter: string[] = []
  const physdev = (direction: 'in' | 'out', device: string) => `-m physdev --physdev-${direction} ${device} --physdev-is-bridged`

  for (const port of ports) {
    const into = chainName(tag, 'i', port.id)
    const outOf = chainName(tag, 'o', port.id)
    known.push(into, outOf)
    const groups = port.security_groups.flatMap((id) => wanted.groups.get(id) ?? [])
    const stateful = groups.length === 0 || groups.some((group) => group.stateful)
    const established = stateful ? ['-m conntrack --ctstate RELATED,ESTABLISHED -j '] : []
    const rules = (direction: 'ingress' | 'egress') => [
      ...new Set(
        groups.flatMap((group) =>
          group.rules.filter((rule) => rule.direction === direction).flatMap((rule) => matchOf(tag, rule, wantedFamily)?.join(' ') ?? []),
        ),
      ),
    ]
    if (!port.port_security_enabled) {
      filter.push(`-A ${into} -j ACCEPT`, `-A ${outOf} -j RETURN`)
      continue
    }
    const dhcp = dhcpName(tag, port.network_id)
    for (const match of established) filter.push(`-A ${into} ${match}ACCEPT`, `-A ${outOf} ${match}RETURN`)
    if (wantedFamily === 4)
      filter.push(
        `-A ${into} ${physdev('in', dhcp)} -p udp -m udp --sport 67 --dport 68 -j ACCEPT`,
        // The operator's door (wisp ssh): only root on this host can send from the DHCP namespace.
        `-A ${into} ${physdev('in', dhcp)} -p tcp -m tcp --dport 22 -j ACCEPT`,
        `-A ${outOf} -p udp -m udp --sport 68 --dport 67 -j RETURN`,
        // Metadata is the cloud's own service: no egress rule may cut a guest off from it.
        `-A ${outOf} -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j RETURN`,
      )
    // Neighbour and router discovery: IPv6 does not work without. Who may advertise as a router is settled by the bridge rules.
    else
      filter.push(
        ...['134', '135', '136'].map((type) => `-A ${into} -p ipv6-icmp -m icmp6 --icmpv6-type ${type} -j ACCEPT`),
        ...['133', '135', '136'].map((type) => `-A ${outOf} -p ipv6-icmp -m icmp6 --icmpv6-type ${type} -j RETURN`),
      )
    if (stateful) filter.push(`-A ${into} -m conntrack --ctstate INVALID -j DROP`, `-A ${outOf} -m conntrack --ctstate INVALID -j DROP`)
    for (const match of rules('ingress')) filter.push(`-A ${into} ${match} -j ACCEPT`)
    for (const match of rules('egress')) filter.push(`-A ${outOf} ${match} -j RETURN`)
    filter.push(`-A ${into} -j DROP`, `-A ${outOf} -j DROP`)
  }

  // First what a guest may send, then what the other guest on this host may receive, then out of the host.
  const jumps = [
    ...ports.map((port) => `-A ${forward} ${physdev('in', tapName(tag, port.id))} -j ${chainName(tag, 'o', port.id)}`),
    ...ports.map((port) => `-A ${forward} ${physdev('out', tapName(tag, port.id))} -j ${chainName(tag, 'i', port.id)}`),
    ...ports.map((port) => `-A ${forward} ${physdev('in', tapName(tag, port.id))} -j ACCEPT`),
  ]
  const zones = [
    ...ports.map((port) => [tapName(tag, port.id), port.network_id] as const),
    ...[...wanted.networks.keys()].map((id) => [dhcpName(tag, id), id] as const),
    ...[...wanted.uplinks].map(([id, device]) => [device, id] as const),
  ].map(([device, network]) => `-A ${raw} -m physdev --physdev-in ${device} -j CT --zone ${zoneOf(network)}`)

  return [
    '*raw',
    `:${raw} - [0:0]`,
    ...zones,
    'COMMIT',
    '*filter',
    `:${forward} - [0:0]`,
    ...known.map((chain) => `:${chain} - [0:0]`),
    ...stale.map((chain) => `:${chain} - [0:0]`),
    ...filter,
    ...jumps,
    ...stale.map((chain) => `-X ${chain}`),
    'COMMIT',
    '',
  ].join('\n')
}

/** Address sets by name, for every group that a rule on this host names as its remote group; an unknown one is empty, so it allows nothing. */
export function addressSets(tag: string, { groups, members }: Wanted): { name: string; type: string; members: string[] }[] {
  const named = new Set([...groups.values()].flatMap((group) => group.rules.flatMap((rule) => rule.remote_group_id ?? [])))
  return [...named].flatMap((id) => {
    const ips = members.get(id)?.ips ?? []
    return ([4, 6] as const).map((wantedFamily) => ({
      name: setName(tag, id, wantedFamily),
      type: wantedFamily === 4 ? 'hash:net' : 'hash:net family inet6',
      members: ips.filter((ip) => family(ip) === wantedFamily),
    }))
  })
}
