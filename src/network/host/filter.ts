// What a port may send and receive by its security groups, as texts for the kernel. Pure: documents in, rules out.
//
// There are two layers. The bridge rules of ./anti-spoofing.ts keep guests honest, without state. iptables on bridged packets (br_netfilter)
// carries the security groups, with state, in one connection tracking zone per network; that works on kernels without nf_conntrack_bridge
// as well. Everything is denied but what a rule allows, also to a tap of ours that no document names (any more): what ends a port's rules
// never opens it.
//
// The documents must have passed ./check.ts: their words go into these texts as they are.
import type { DocumentOf, PortDocument, SecurityRule } from '../../wire/documents.ts'
import { protocolNumber } from '../../wire/protocols.ts'
import { anyTap, chainName, dhcpName, forwardChain, fromChain, rawChain, setName, tapName, toChain } from './names.ts'

export interface Wanted {
  networks: Map<string, DocumentOf['network']>
  groups: Map<string, DocumentOf['security-group']>
  members: Map<string, DocumentOf['group-members']>
  ports: Map<string, PortDocument>
  /** The interface by which a network leaves this host, by network id; none for one that stays on it. */
  uplinks: Map<string, string>
  /** The connection tracking zone of every network that is here or has a port here, by network id. */
  zones: Map<string, number>
}

export const family = (ip: string): 4 | 6 => (ip.includes(':') ? 6 : 4)

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
  if (protocol === '0') return [...words, '-m', 'u32', '--u32', hopopt[wantedFamily]]
  words.push('-p', protocol)
  const { port_min: min, port_max: max } = rule
  if (min === null && max === null) return words
  if (protocol === 'icmp' || protocol === 'ipv6-icmp') {
    // Type and code; a code without a type means nothing.
    const type = max === null ? `${min}` : `${min}/${max}`
    if (min === 255 && protocol === 'icmp') words.push('-m', 'u32', '--u32', icmp255(max))
    else if (min !== null) words.push('-m', ...(protocol === 'icmp' ? ['icmp', '--icmp-type'] : ['icmp6', '--icmpv6-type']), type)
  } else if (withPorts[protocol]) {
    const [from, to] = [min ?? 0, max ?? 65_535]
    words.push(...withPorts[protocol], from === to ? `${from}` : `${from}:${to}`)
  }
  return words
}

/**
 * Protocol 0 (hopopt) is no protocol to iptables, which reads `-p 0` as any. So the header is looked at: the protocol is its byte 9 in IPv4,
 * and in IPv6 the next header is byte 6.
 */
const hopopt = { 4: '6&0xFF=0', 6: '4>>8&0xFF=0' }

/**
 * ICMP's type 255 is no type to iptables, which reads it as any. So the header is looked at: of the first fragment, behind the IP header whose
 * length is in its first byte, type and code are the first two bytes.
 */
const icmp255 = (code: number | null) =>
  `4&0x1FFF=0&&0>>22&0x3C@${code === null ? '0>>24=0xFF' : `0>>16=0xFF${code.toString(16).toUpperCase().padStart(2, '0')}`}`

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
  ].map(([device, network]) => `-m physdev --physdev-in ${device} -j CT --zone ${wanted.zones.get(network)!}`)

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
