import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { NetworkDocument, PortDocument, SecurityGroupDocument, SecurityRule } from '../../wire/documents.ts'
import {
  networkDocument as aNetwork,
  groupId as group,
  groupDocument,
  networkId as network,
  portDocument,
  securityRule as rule,
} from '../../wire/testing.ts'
import { antiSpoofing, bridgeText } from './anti-spoofing.ts'
import { checkGroup, checkMembers, checkNetwork, checkPort } from './check.ts'
import { addressSets, restoreText, securityGroups, type Wanted } from './filter.ts'

const tag = 'abcdef'
const other = '33333333-3333-4333-8333-333333333333'

const networkDocument = (over: Partial<NetworkDocument> = {}) => aNetwork({ type: 'vxlan', segmentation_id: 7, subnets: [], ...over })
const wanted = (ports: PortDocument[], groups: SecurityGroupDocument[] = [], over: Partial<Wanted> = {}): Wanted => ({
  networks: new Map([[network, networkDocument()]]),
  groups: new Map(groups.map((one) => [one.id, one])),
  members: new Map(),
  ports: new Map(ports.map((one) => [one.id, one])),
  uplinks: new Map(),
  zones: new Map([[network, 4711]]),
  ...over,
})
const into = `wisp${tag}-i-44444444444444`
const outOf = `wisp${tag}-o-44444444444444`
const matches = (rules: SecurityRule[], family: 4 | 6, chain = into) => {
  const { filter } = securityGroups(tag, wanted([portDocument()], [groupDocument(rules)]), family)
  const none = new Set(securityGroups(tag, wanted([portDocument()], [groupDocument([])]), family).filter.get(chain))
  return filter.get(chain)!.filter((line) => !none.has(line))
}
const nothing = { raw: new Map(), filter: new Map() }

describe('security groups as iptables rules', () => {
  it('are exactly these for a port with the default group', () => {
    const chains = securityGroups(
      tag,
      wanted([portDocument()], [groupDocument([rule({ direction: 'egress' }), rule({ remote_group_id: group })])], {
        uplinks: new Map([[network, `w${tag}x1111111`]]),
      }),
      4,
    )
    assert.equal(
      restoreText(chains, nothing),
      `*raw
:wisp${tag}-raw - [0:0]
-A wisp${tag}-raw -m physdev --physdev-in w${tag}t4444444 -j CT --zone 4711
-A wisp${tag}-raw -m physdev --physdev-in w${tag}d1111111 -j CT --zone 4711
-A wisp${tag}-raw -m physdev --physdev-in w${tag}x1111111 -j CT --zone 4711
COMMIT
*filter
:${into} - [0:0]
:${outOf} - [0:0]
:wisp${tag}-from - [0:0]
:wisp${tag}-to - [0:0]
:wisp${tag}-forward - [0:0]
-A ${into} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ${into} -m physdev --physdev-in w${tag}d1111111 --physdev-is-bridged -p udp -m udp --sport 67 --dport 68 -j ACCEPT
-A ${into} -m physdev --physdev-in w${tag}d1111111 --physdev-is-bridged -p tcp -m tcp --dport 22 -j ACCEPT
-A ${into} -m conntrack --ctstate INVALID -j DROP
-A ${into} -m set --match-set wisp${tag}-4-2222222222224222 src -j ACCEPT
-A ${into} -j DROP
-A ${outOf} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A ${outOf} -p udp -m udp --sport 68 --dport 67 -j RETURN
-A ${outOf} -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j RETURN
-A ${outOf} -m conntrack --ctstate INVALID -j DROP
-A ${outOf} -j RETURN
-A ${outOf} -j DROP
-A wisp${tag}-from -m physdev --physdev-in w${tag}t4444444 --physdev-is-bridged -j ${outOf}
-A wisp${tag}-to -m physdev --physdev-out w${tag}t4444444 --physdev-is-bridged -j ${into}
-A wisp${tag}-forward -j wisp${tag}-from
-A wisp${tag}-forward -j wisp${tag}-to
-A wisp${tag}-forward -m physdev --physdev-out w${tag}t+ --physdev-is-bridged -j DROP
-A wisp${tag}-forward -m physdev --physdev-in w${tag}t+ --physdev-is-bridged -j ACCEPT
COMMIT
`,
    )
  })

  it('name protocols, ports, types and prefixes', () => {
    const cases: [Partial<SecurityRule>, 4 | 6, string][] = [
      [{ protocol: 'tcp', port_min: 22, port_max: 22 }, 4, '-p tcp -m tcp --dport 22 -j ACCEPT'],
      [{ protocol: '17', port_min: 1, port_max: 65_535 }, 4, '-p udp -m udp --dport 1:65535 -j ACCEPT'],
      [{ protocol: 'sctp', port_min: 5, port_max: 6 }, 4, '-p 132 -m multiport --dports 5:6 -j ACCEPT'],
      [{ protocol: 'icmp' }, 4, '-p icmp -j ACCEPT'],
      [{ protocol: 'icmp', port_min: 8, port_max: 0 }, 4, '-p icmp -m icmp --icmp-type 8/0 -j ACCEPT'],
      [{ protocol: 'icmp', port_min: 8 }, 4, '-p icmp -m icmp --icmp-type 8 -j ACCEPT'],
      [{ protocol: 'icmp', port_min: 255 }, 4, '-p icmp -m u32 --u32 4&0x1FFF=0&&0>>22&0x3C@0>>24=0xFF -j ACCEPT'],
      [{ protocol: 'icmp', port_min: 255, port_max: 5 }, 4, '-p icmp -m u32 --u32 4&0x1FFF=0&&0>>22&0x3C@0>>16=0xFF05 -j ACCEPT'],
      [{ protocol: 'icmp', ethertype: 'IPv6' }, 6, '-p ipv6-icmp -j ACCEPT'],
      [{ protocol: 'vrrp' }, 4, '-p 112 -j ACCEPT'],
      [{ protocol: '4' }, 4, '-p 4 -j ACCEPT'],
      [{ protocol: 'hopopt' }, 4, '-m u32 --u32 6&0xFF=0 -j ACCEPT'],
      [{ protocol: '0', ethertype: 'IPv6', remote_ip_prefix: '2001:db8::/32' }, 6, '-s 2001:db8::/32 -m u32 --u32 4>>8&0xFF=0 -j ACCEPT'],
      [{ protocol: 'any', remote_ip_prefix: '192.0.2.0/24' }, 4, '-s 192.0.2.0/24 -j ACCEPT'],
      [{ ethertype: 'IPv6', remote_ip_prefix: '2001:db8::/32' }, 6, '-s 2001:db8::/32 -j ACCEPT'],
      [{ ethertype: 'IPv6', remote_group_id: other }, 6, `-m set --match-set wisp${tag}-6-3333333333334333 src -j ACCEPT`],
    ]
    for (const [over, family, expected] of cases) {
      assert.deepEqual(matches([rule(over)], family), [expected])
      assert.deepEqual(matches([rule(over)], family === 4 ? 6 : 4), [], 'nothing in the other family')
    }
    const egress = rule({ direction: 'egress', remote_ip_prefix: '192.0.2.1/32', protocol: 'tcp', port_min: 80, port_max: 81 })
    assert.deepEqual(matches([egress], 4, outOf), ['-d 192.0.2.1/32 -p tcp -m tcp --dport 80:81 -j RETURN'])
    assert.deepEqual(matches([egress], 4, into), [])
  })

  it('know no state for a stateless group, and let everything pass without port security', () => {
    const stateless = securityGroups(tag, wanted([portDocument()], [groupDocument([], { stateful: false })]), 4)
    assert.ok(!restoreText(stateless, nothing).includes('conntrack'))
    const open = securityGroups(tag, wanted([portDocument({ port_security_enabled: false })]), 4)
    assert.deepEqual([open.filter.get(into), open.filter.get(outOf)], [['-j ACCEPT'], ['-j RETURN']])
  })

  it('deny what an unknown group would allow', () => {
    const { filter } = securityGroups(tag, wanted([portDocument({ security_groups: [other] })]), 4)
    assert.ok(!filter.get(into)!.some((line) => line === '-j ACCEPT'))
    assert.equal(filter.get(into)!.at(-1), '-j DROP')
  })

  it('change only what differs', () => {
    const one = securityGroups(tag, wanted([portDocument()], [groupDocument([])]), 4)
    assert.equal(restoreText(one, one), '')
    const second = portDocument({ id: other })
    const two = securityGroups(tag, wanted([portDocument(), second], [groupDocument([])]), 4)
    const more = restoreText(two, one)
    assert.ok(!more.includes(into), more)
    assert.match(more, new RegExp(`^-A wisp${tag}-from .* -j wisp${tag}-o-33333333333343$`, 'm'))
    assert.ok(!more.includes(`:wisp${tag}-from`), 'the chain of jumps is never emptied')
    const less = restoreText(one, two)
    assert.match(less, new RegExp(`^-D wisp${tag}-from .* -j wisp${tag}-o-33333333333343$`, 'm'))
    assert.match(less, new RegExp(`^-X wisp${tag}-o-33333333333343$`, 'm'))
    assert.ok(less.indexOf('-D ') < less.indexOf('-X '))
    // An agent that has just started knows the names of chains, not their rules.
    const names = {
      raw: new Map([...one.raw.keys()].map((key) => [key, null])),
      filter: new Map([...two.filter.keys()].map((key) => [key, null])),
    }
    const anew = restoreText(one, names)
    assert.match(anew, new RegExp(`^:wisp${tag}-forward - `, 'm'))
    assert.match(anew, new RegExp(`^-X wisp${tag}-o-33333333333343$`, 'm'))
  })

  it('fill sets by family, also with everything, and empty ones for unknown groups', () => {
    const sets = addressSets(
      tag,
      wanted([], [groupDocument([rule({ remote_group_id: group }), rule({ remote_group_id: other })])], {
        members: new Map([[group, { v: 1, id: group, ips: ['10.0.0.1', '10.1.0.0/16', 'fd00::1', '0.0.0.0/0', '::/0'] }]]),
      }),
    )
    assert.deepEqual(sets, [
      { name: `wisp${tag}-4-2222222222224222`, type: 'hash:net', members: ['10.0.0.1', '10.1.0.0/16', '0.0.0.0/1', '128.0.0.0/1'] },
      { name: `wisp${tag}-6-2222222222224222`, type: 'hash:net family inet6', members: ['fd00::1', '::/1', '8000::/1'] },
      { name: `wisp${tag}-4-3333333333334333`, type: 'hash:net', members: [] },
      { name: `wisp${tag}-6-3333333333334333`, type: 'hash:net family inet6', members: [] },
    ])
  })
})

describe('anti-spoofing as bridge rules', () => {
  it('allow a port its own MAC and addresses, its pairs, and nothing else', () => {
    const { chains, taps } = antiSpoofing(
      tag,
      wanted([
        portDocument({
          ips: [
            { ip: '10.9.0.11', subnet_id: 's' },
            { ip: 'fd00::11', subnet_id: '6' },
          ],
          allowed_address_pairs: [{ ip_address: '10.9.0.100', mac_address: '00:00:5E:00:01:01' }],
        }),
      ]),
    )
    assert.deepEqual([...taps], [[`w${tag}t4444444`, `jump port_w${tag}t4444444`]])
    const mac = 'ether saddr fa:16:3e:00:00:01'
    const pair = 'ether saddr 00:00:5e:00:01:01'
    const common = (who: string, own: string, linkLocal: string) => [
      `${who} arp saddr ether ${own} arp saddr ip 0.0.0.0 accept`,
      `${who} ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept`,
      ...(own === 'fa:16:3e:00:00:01' ? [`${who} ip6 saddr fd00::11 accept`] : []),
      `${who} ip6 saddr ${linkLocal} accept`,
      `${who} ip6 saddr :: icmpv6 type { 131, 132, 135, 143 } accept`,
    ]
    assert.deepEqual(chains.get(`port_w${tag}t4444444`), [
      'udp sport 67 drop',
      'udp sport 547 drop',
      'icmpv6 type nd-router-advert drop',
      'icmpv6 type nd-neighbor-advert @th,64,128 != { 0xfe80000000000000f8163efffe000001, 0xfd000000000000000000000000000011, 0xfe8000000000000002005efffe000101 } drop',
      `${mac} arp saddr ether fa:16:3e:00:00:01 arp saddr ip 10.9.0.11 accept`,
      `${mac} ip saddr 10.9.0.11 accept`,
      ...common(mac, 'fa:16:3e:00:00:01', 'fe80::f816:3eff:fe00:1'),
      `${pair} arp saddr ether 00:00:5e:00:01:01 arp saddr ip 10.9.0.100 accept`,
      `${pair} ip saddr 10.9.0.100 accept`,
      ...common(pair, '00:00:5e:00:01:01', 'fe80::200:5eff:fe00:101'),
      'drop',
    ])
  })

  it('ask nothing of a port without port security, and drop what comes from a tap that nobody wants', () => {
    const table = antiSpoofing(tag, wanted([portDocument({ port_security_enabled: false })]))
    assert.deepEqual([...table.taps], [[`w${tag}t4444444`, 'accept']])
    assert.match(bridgeText(tag, table, null), new RegExp(`iifname vmap @taps\\n *iifname "w${tag}t\\*" drop`))
  })

  it('change only what differs, without a moment in between', () => {
    const one = antiSpoofing(tag, wanted([portDocument()]))
    const two = antiSpoofing(tag, wanted([portDocument(), portDocument({ id: other })]))
    assert.equal(bridgeText(tag, one, one), '')
    const more = bridgeText(tag, two, one)
    assert.ok(!more.includes('t4444444') && !more.includes('delete'), more)
    const less = bridgeText(tag, one, two)
    assert.deepEqual(less.trim().split('\n'), [
      `delete element bridge wisp_${tag} taps { "w${tag}t3333333" }`,
      `flush chain bridge wisp_${tag} port_w${tag}t3333333`,
      `delete chain bridge wisp_${tag} port_w${tag}t3333333`,
    ])
    assert.match(bridgeText(tag, one, null), new RegExp(`^table bridge wisp_${tag}\ndelete table bridge wisp_${tag}\ntable `))
  })

  it('keep the network’s own DHCP address on this host', () => {
    const { chains } = antiSpoofing(tag, wanted([], [], { uplinks: new Map([[network, `w${tag}x1111111`]]) }))
    assert.ok(chains.get('tunnels')!.includes(`oifname "w${tag}x1111111" ether saddr fa:16:3e:00:00:99 drop`))
    assert.ok(chains.get('tunnels')!.includes(`iifname "w${tag}x1111111" arp daddr ip { 10.9.0.2 } drop`))
  })
})

describe('what documents may say', () => {
  const evil = [
    'x\n-A INPUT -j ACCEPT',
    '10.0.0.1; drop',
    '10.0.0.1 -j ACCEPT',
    '',
    ' 10.0.0.1',
    '10.0.0.1/33',
    '10.1',
    '0x7f.1',
    '::1%eth0',
    'fe80::/129',
    '"',
    '../x',
    'a'.repeat(5000),
  ]
  const refuses = (work: () => void, word: RegExp) =>
    assert.throws(work, (error: Error) => error.constructor.name === 'Final' && word.test(error.message))

  it('is refused by the field, in each kind of document', () => {
    for (const value of evil) {
      refuses(
        () => checkGroup(groupDocument([rule({ remote_ip_prefix: value })])),
        /Security group 2222.* remote prefix is .* an IPv4 network/s,
      )
      if (value !== '') refuses(() => checkGroup(groupDocument([rule({ remote_group_id: value })])), /remote group/)
      refuses(() => checkGroup(groupDocument([rule({ protocol: value })])), /protocol/)
      refuses(() => checkMembers({ v: 1, id: group, ips: [value] }), /address/)
      refuses(() => checkPort(portDocument({ ips: [{ ip: value, subnet_id: 's' }] })), /address/)
      refuses(() => checkPort(portDocument({ mac: value })), /MAC/)
      refuses(() => checkPort(portDocument({ allowed_address_pairs: [{ ip_address: value, mac_address: 'fa:16:3e:00:00:01' }] })), /pair/)
      refuses(() => checkPort(portDocument({ allowed_address_pairs: [{ ip_address: '10.0.0.1', mac_address: value }] })), /pair/)
      refuses(() => checkPort(portDocument({ id: value })), /id/)
      refuses(() => checkNetwork(networkDocument({ peers: [value] })), /peer/)
      refuses(() => checkNetwork(networkDocument({ dhcp: { port_id: 'd', mac: value, ips: [] } })), /DHCP MAC/)
    }
    refuses(() => checkGroup(groupDocument([rule({ protocol: 'tcp', port_min: 9, port_max: 8 })])), /ascending/)
    refuses(() => checkGroup(groupDocument([rule({ protocol: 'icmp', port_min: 300 })])), /ICMP/)
    refuses(() => checkGroup(groupDocument([rule({ remote_ip_prefix: '::/0' })])), /IPv4/)
    refuses(() => checkNetwork(networkDocument({ segmentation_id: 0 })), /segmentation/)
  })

  it('and what passes puts nothing into a text but its own words', () => {
    const ip = fc.oneof(fc.ipV4(), fc.ipV4Extended(), fc.ipV6(), fc.string(), fc.constantFrom(...evil))
    const prefix = fc.oneof(
      ip,
      fc.tuple(ip, fc.nat({ max: 140 })).map(([address, length]) => `${address}/${length}`),
    )
    const anyRule = fc.record({
      direction: fc.constantFrom('ingress' as const, 'egress' as const),
      ethertype: fc.constantFrom('IPv4' as const, 'IPv6' as const),
      protocol: fc.option(fc.oneof(fc.constantFrom('tcp', 'udp', 'icmp', 'hopopt', '0', 'sctp', '58', '300', 'constructor'), fc.string())),
      port_min: fc.option(fc.integer({ min: -1, max: 70_000 })),
      port_max: fc.option(fc.integer({ min: -1, max: 70_000 })),
      remote_ip_prefix: fc.option(prefix),
      remote_group_id: fc.option(fc.oneof(fc.uuid(), fc.string())),
    })
    const passes = (check: () => void) => {
      try {
        check()
        return true
      } catch {
        return false
      }
    }
    fc.assert(
      fc.property(
        fc.array(anyRule, { maxLength: 4 }),
        fc.array(prefix, { maxLength: 4 }),
        fc.oneof(fc.constant('fa:16:3e:00:00:01'), fc.string()),
        (rules, ips, mac) => {
          const good = rules.filter((one) => passes(() => checkGroup(groupDocument([one]))))
          const plugged = portDocument({
            ips: ips.map((one) => ({ ip: one, subnet_id: 's' })),
            mac,
            allowed_address_pairs: ips.map((ip_address) => ({ ip_address, mac_address: mac })),
          })
          const now = wanted(passes(() => checkPort(plugged)) ? [plugged] : [portDocument()], [groupDocument(good)])
          for (const family of [4, 6] as const)
            for (const line of restoreText(securityGroups(tag, now, family), nothing).split('\n'))
              assert.match(line, /^(\*(raw|filter)|COMMIT|:[\w-]+ - \[0:0\]|-A [\w-]+( -{1,2}[\w-]+( [\w.:/+,&=>-]+)*)+|)$/)
          for (const line of bridgeText(tag, antiSpoofing(tag, now), null).split('\n')) assert.match(line, /^[\w\s.:/,{}"@*!=<>;#'-]*$/)
        },
      ),
      { numRuns: 300 },
    )
  })
})
