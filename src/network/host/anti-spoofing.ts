// What keeps guests honest, as texts for the kernel: nftables' bridge family, without state. A guest sends with its own MAC and its own
// addresses only, also in ARP and in IPv6's neighbour discovery, and answers neither as DHCP server nor as router. Pure; the documents must
// have passed ./check.ts.
import ipaddr from 'ipaddr.js'
import type { PortDocument } from '../../wire/documents.ts'
import { family, type Wanted } from './filter.ts'
import { anyTap, anyVxlan, bridgeTable, tapName } from './names.ts'

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

/** How many rules `frame` gives to its chains. */
const framed = Object.entries({ prerouting: 2, input: 2, forward: 1, output: 1 })

interface Listed {
  nftables: { rule?: { chain: string }; map?: { name: string; elem?: unknown[] } }[]
}

/** Whether the table in the kernel (as `nft -j list table` tells it) has as many rules and taps as were loaded: another may have flushed it. */
export function isWhole(loaded: BridgeTable, listed: string): boolean {
  const { nftables } = JSON.parse(listed) as Listed
  const rules = new Map<string, number>()
  for (const { rule } of nftables) if (rule) rules.set(rule.chain, (rules.get(rule.chain) ?? 0) + 1)
  const taps = nftables.find(({ map }) => map?.name === 'taps')?.map?.elem ?? []
  const wanted = [...framed, ...[...loaded.chains].map(([chain, { length }]) => [chain, length] as const)]
  return taps.length === loaded.taps.size && wanted.every(([chain, count]) => (rules.get(chain) ?? 0) === count)
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
