// What a port may send and receive, as texts for the kernel. Pure: documents in, rules out.
//
// Two layers. nftables' bridge family keeps guests honest, without state: their own MAC, their own addresses, also in ARP; no DHCP
// answers, no router advertisements. iptables on bridged packets (br_netfilter) carries the security groups, with state, in one
// connection tracking zone per network; that works on kernels without nf_conntrack_bridge as well. Everything is denied but what a rule
// allows, also to a tap of ours that no document names (any more): what ends a port's rules never opens it.
//
// The documents must have passed ./check.ts: their words go into these texts as they are.
import ipaddr from 'ipaddr.js'
import type { DocumentOf, PortDocument, SecurityRule } from '../../wire/documents.ts'
import { protocolNumber } from './check.ts'
import {
  anyTap,
  anyVxlan,
  bridgeTable,
  chainName,
  dhcpName,
  forwardChain,
  fromChain,
  rawChain,
  setName,
  tapName,
  toChain,
  zoneOf,
} from './names.ts'

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

/** The link-local address that a guest makes from its MAC (RFC 4291, appendix A). */
function linkLocal(mac: string): string {
  const [a, b, c, d, e, f] = mac.split(':').map((part) => Number.parseInt(part, 16)) as [number, number, number, number, number, number]
  const word = (high: number, low: number) => ((high << 8) | low).toString(16)
  return `fe80::${word(a ^ 2, b)}:${word(c, 0xff)}:${word(0xfe, d)}:${word(e, f)}`
}

/** A neighbour advertisement is IPv6's ARP answer: only for addresses of its own (its target is the 16 bytes after the first 8). */
function advertised(own: { mac: string; ips: string[] }[]): string[] {
  const targets = own.flatMap(({ mac, ips }) => [linkLocal(mac), ...ips.filter((ip) => family(ip) === 6)])
  if (targets.some((target) => target.includes('/'))) return []
  const numbers = targets.map((target) => `0x${Buffer.from(ipaddr.parse(target).toByteArray()).toString('hex')}`)
  return [`icmpv6 type nd-neighbor-advert @th,64,128 != { ${[...new Set(numbers)].join(', ')} } drop`]
}

/** The table of the bridge family: its chains' rules, and what happens to what comes from a tap. */
export interface BridgeTable {
  chains: Map<string, string[]>
  taps: Map<string, string>
}

/** What all ports and tunnels of this host may send. */
export function antiSpoofing(tag: string, { networks, ports, uplinks }: Wanted): BridgeTable {
  const guarded = [...ports.values()].filter((port) => port.port_security_enabled)
  const chains = new Map<string, string[]>()
  const taps = new Map<string, string>()
  for (const port of ports.values()) if (!port.port_security_enabled) taps.set(tapName(tag, port.id), 'accept')
  for (const port of guarded) {
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
        `ether saddr ${mac} ip6 saddr ${linkLocal(mac)} accept`,
        // Before it has an address: is it taken (135)? And which multicast groups it wants to hear (131, 132, 143).
        `ether saddr ${mac} ip6 saddr :: icmpv6 type { 131, 132, 135, 143 } accept`,
      ]
    })
    const tap = tapName(tag, port.id)
    taps.set(tap, `jump port_${tap}`)
    chains.set(`port_${tap}`, [
      'udp sport 67 drop',
      'udp sport 547 drop',
      'icmpv6 type nd-router-advert drop',
      ...advertised(own),
      ...allow,
      'drop',
    ])
  }
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
  chains.set('tunnels', tunnels)
  return { chains, taps }
}

/** What turns the table `present` into `wanted`, for `nft -f`; '' when they are equal. A null replaces whatever there is. */
export function bridgeText(tag: string, wanted: BridgeTable, present: BridgeTable | null): string {
  const table = `bridge ${bridgeTable(tag)}`
  const changed = [...wanted.chains].filter(([chain, rules]) => present?.chains.get(chain)?.join('\n') !== rules.join('\n'))
  const staleChains = [...(present?.chains.keys() ?? [])].filter((chain) => !wanted.chains.has(chain))
  const newTaps = [...wanted.taps].filter(([tap, verdict]) => present?.taps.get(tap) !== verdict)
  const oldTaps = [...(present?.taps.keys() ?? [])].filter((tap) => !wanted.taps.has(tap) || newTaps.some(([name]) => name === tap))
  const lines = [
    ...changed.flatMap(([chain, rules]) => [
      `add chain ${table} ${chain}`,
      `flush chain ${table} ${chain}`,
      ...rules.map((rule) => `add rule ${table} ${chain} ${rule}`),
    ]),
    ...(oldTaps.length > 0 ? [`delete element ${table} taps { ${oldTaps.map(quoted).join(', ')} }`] : []),
    ...(newTaps.length > 0
      ? [`add element ${table} taps { ${newTaps.map(([tap, verdict]) => `${quoted(tap)} : ${verdict}`).join(', ')} }`]
      : []),
    ...staleChains.flatMap((chain) => [`flush chain ${table} ${chain}`, `delete chain ${table} ${chain}`]),
  ]
  if (present === null) lines.unshift(frame(tag))
  return lines.length > 0 ? `${lines.join('\n')}\n` : ''
}

/** The table anew, with all that does not depend on ports. */
const frame = (tag: string) => `table bridge ${bridgeTable(tag)}
delete table bridge ${bridgeTable(tag)}
table bridge ${bridgeTable(tag)} {
  map taps {
    type ifname : verdict
  }
  chain tunnels {
  }
  chain prerouting {
    type filter hook prerouting priority -300; policy accept;
    iifname vmap @taps
    iifname "${anyTap(tag)}*" drop
  }
  # The bridge has no address, but the host would answer for its others to whoever names the bridge's MAC.
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "${anyTap(tag)}*" drop
    iifname "${anyVxlan(tag)}*" drop
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    jump tunnels
  }
  chain output {
    type filter hook output priority 0; policy accept;
    jump tunnels
  }
}`

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
  const { port_min: min, port_max: max } = rule
  if (min === null && max === null) return words
  if (protocol === 'icmp' || protocol === 'ipv6-icmp') {
    // Type and code; a code without a type means nothing.
    const type = max === null ? `${min}` : `${min}/${max}`
    if (min !== null) words.push('-m', ...(protocol === 'icmp' ? ['icmp', '--icmp-type'] : ['icmp6', '--icmpv6-type']), type)
  } else if (withPorts[protocol]) {
    const [from, to] = [min ?? 0, max ?? 65_535]
    words.push(...withPorts[protocol], from === to ? `${from}` : `${from}:${to}`)
  }
  return words
}

/** The match by which iptables sees the ports of a protocol. */
const withPorts: Record<string, string[]> = {
  tcp: ['-m', 'tcp', '--dport'],
  udp: ['-m', 'udp', '--dport'],
  ...Object.fromEntries(['33', '132', '136'].map((number) => [number, ['-m', 'multiport', '--dports']])),
}

/** As iptables names it: null = any. What is ICMP means that of the family. */
function protocolOf(given: string | null, wantedFamily: 4 | 6): string | null {
  const number = protocolNumber(given)
  if (number === null || number === undefined) return null
  if (number === 6) return 'tcp'
  if (number === 17) return 'udp'
  if (wantedFamily === 6 && (number === 1 || number === 58)) return 'ipv6-icmp'
  return number === 1 ? 'icmp' : `${number}`
}

/** The rules of each of our chains, by table and chain. */
export interface Chains {
  raw: Map<string, string[]>
  filter: Map<string, string[]>
}

/** The rules of the filter and raw tables for all ports of this host. */
export function securityGroups(tag: string, wanted: Wanted, wantedFamily: 4 | 6): Chains {
  const ports = [...wanted.ports.values()]
  const raw = rawChain(tag)
  const chains = new Map<string, string[]>()
  const physdev = (direction: 'in' | 'out', device: string) => `-m physdev --physdev-${direction} ${device} --physdev-is-bridged`

  for (const port of ports) {
    const into = chainName(tag, 'i', port.id)
    const outOf = chainName(tag, 'o', port.id)
    const groups = port.security_groups.flatMap((id) => wanted.groups.get(id) ?? [])
    const stateful = groups.length === 0 || groups.some((group) => group.stateful)
    const rules = (direction: 'ingress' | 'egress') => [
      ...new Set(
        groups.flatMap((group) =>
          group.rules.filter((rule) => rule.direction === direction).flatMap((rule) => matchOf(tag, rule, wantedFamily)?.join(' ') ?? []),
        ),
      ),
    ]
    if (!port.port_security_enabled) {
      chains.set(into, ['-j ACCEPT']).set(outOf, ['-j RETURN'])
      continue
    }
    const dhcp = physdev('in', dhcpName(tag, port.network_id))
    const always =
      wantedFamily === 4
        ? {
            ingress: [
              `${dhcp} -p udp -m udp --sport 67 --dport 68 -j ACCEPT`,
              // The operator's door (wisp ssh): only root on this host can send from the DHCP namespace.
              `${dhcp} -p tcp -m tcp --dport 22 -j ACCEPT`,
            ],
            egress: [
              '-p udp -m udp --sport 68 --dport 67 -j RETURN',
              // Metadata is the cloud's own service: no egress rule may cut a guest off from it.
              '-d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j RETURN',
            ],
          }
        : // Neighbour and router discovery: IPv6 does not work without. Who may advertise what is settled by the bridge rules.
          {
            ingress: ['130', '134', '135', '136'].map((type) => `-p ipv6-icmp -m icmp6 --icmpv6-type ${type} -j ACCEPT`),
            egress: ['131', '132', '133', '135', '136', '143'].map((type) => `-p ipv6-icmp -m icmp6 --icmpv6-type ${type} -j RETURN`),
          }
    const state = (verdict: string) => (stateful ? [`-m conntrack --ctstate RELATED,ESTABLISHED -j ${verdict}`] : [])
    const invalid = stateful ? ['-m conntrack --ctstate INVALID -j DROP'] : []
    const rule = (match: string, verdict: string) => `${match === '' ? '' : `${match} `}-j ${verdict}`
    const ingress = rules('ingress').map((match) => rule(match, 'ACCEPT'))
    const egress = rules('egress').map((match) => rule(match, 'RETURN'))
    chains.set(into, [...state('ACCEPT'), ...always.ingress, ...invalid, ...ingress, '-j DROP'])
    chains.set(outOf, [...state('RETURN'), ...always.egress, ...invalid, ...egress, '-j DROP'])
  }

  // First what a guest may send, then what the other guest on this host may receive, then out of the host. (What comes from a tap of
  // ours that no document names was dropped by the bridge rules.)
  const from = fromChain(tag)
  const to = toChain(tag)
  chains
    .set(
      from,
      ports.map((port) => `${physdev('in', tapName(tag, port.id))} -j ${chainName(tag, 'o', port.id)}`),
    )
    .set(
      to,
      ports.map((port) => `${physdev('out', tapName(tag, port.id))} -j ${chainName(tag, 'i', port.id)}`),
    )
    .set(forwardChain(tag), [
      `-j ${from}`,
      `-j ${to}`,
      `${physdev('out', `${anyTap(tag)}+`)} -j DROP`,
      `${physdev('in', `${anyTap(tag)}+`)} -j ACCEPT`,
    ])
  const zones = [
    ...ports.map((port) => [tapName(tag, port.id), port.network_id] as const),
    ...[...wanted.networks.keys()].map((id) => [dhcpName(tag, id), id] as const),
    ...[...wanted.uplinks].map(([id, device]) => [device, id] as const),
  ].map(([device, network]) => `-m physdev --physdev-in ${device} -j CT --zone ${zoneOf(network)}`)

  return { raw: new Map([[raw, zones]]), filter: chains }
}

/**
 * What turns the chains `present` into `wanted`, in iptables-restore's format; '' when they are equal. Only what differs is named: of a long
 * chain single rules, so that one more port costs the same on a full host. Rules of a present chain that are null are not known. Chains
 * that nobody wants go after the jumps to them have gone.
 */
export function restoreText(wanted: Chains, present: { [Table in keyof Chains]: Map<string, string[] | null> }): string {
  const tables = (['raw', 'filter'] as const).flatMap((table) => {
    const whole: string[] = []
    const edits: string[] = []
    for (const [chain, rules] of wanted[table]) {
      const before = present[table].get(chain)
      if (before?.join('\n') === rules.join('\n')) continue
      // In these no packet meets two rules, so their order is of no account.
      if (before && /-(from|to|raw)$/.test(chain)) {
        edits.push(
          ...without(rules, before).map((rule) => `-A ${chain} ${rule}`),
          ...without(before, rules).map((rule) => `-D ${chain} ${rule}`),
        )
        continue
      }
      whole.push(chain)
      edits.push(...rules.map((rule) => `-A ${chain} ${rule}`))
    }
    const stale = [...present[table].keys()].filter((chain) => !wanted[table].has(chain))
    if (edits.length + whole.length + stale.length === 0) return []
    return [
      `*${table}`,
      ...[...whole, ...stale].map((chain) => `:${chain} - [0:0]`),
      ...edits,
      ...stale.map((chain) => `-X ${chain}`),
      'COMMIT',
    ]
  })
  return tables.length > 0 ? `${tables.join('\n')}\n` : ''
}

const without = (rules: string[], others: string[]): string[] => {
  const known = new Set(others)
  return rules.filter((rule) => !known.has(rule))
}

/** Address sets by name, for every group that a rule on this host names as its remote group; an unknown one is empty, so it allows nothing. */
export function addressSets(tag: string, { groups, members }: Wanted): { name: string; type: string; members: string[] }[] {
  const named = new Set([...groups.values()].flatMap((group) => group.rules.flatMap((rule) => rule.remote_group_id ?? [])))
  return [...named].flatMap((id) => {
    const ips = members.get(id)?.ips ?? []
    return ([4, 6] as const).map((wantedFamily) => ({
      name: setName(tag, id, wantedFamily),
      type: wantedFamily === 4 ? 'hash:net' : 'hash:net family inet6',
      members: ips.filter((ip) => family(ip) === wantedFamily).flatMap(halves),
    }))
  })
}

/** A set takes no prefix of length 0, but the two halves of everything. */
function halves(ip: string): string[] {
  if (!ip.endsWith('/0')) return [ip]
  return family(ip) === 4 ? ['0.0.0.0/1', '128.0.0.0/1'] : ['::/1', '8000::/1']
}
