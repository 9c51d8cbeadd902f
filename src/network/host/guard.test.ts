// The guard against a real kernel: in a network namespace of the test's own, with a veth for each guest's tap. The outer process only starts
// the inner one there, because the guard works on the namespace that it runs in.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { run } from '../../agent/shell.ts'
import type { DocumentOf, Kind, PortDocument, SecurityRule } from '../../wire/documents.ts'
import {
  groupId as group,
  groupDocument,
  networkId as network,
  networkDocument,
  portDocument,
  securityRule as rule,
} from '../../wire/testing.ts'
import { type Guard, startGuard } from './guard.ts'
import { anyTap, bridgeName, dhcpName, tapName } from './names.ts'
import { allocateZones } from './zones.ts'

const tag = 'abcdef'
const tenants = '33333333-3333-4333-8333-333333333333'
const a = 'aaaaaaa1-4444-4444-8444-444444444444'
const b = 'bbbbbbb2-4444-4444-8444-444444444444'

const egress = [rule({ direction: 'egress' }), rule({ direction: 'egress', ethertype: 'IPv6' })]
const macOf: Record<string, string> = { [a]: 'fa:16:3e:00:00:0a', [b]: 'fa:16:3e:00:00:0b' }
const ipOf: Record<string, string> = { [a]: '10.9.0.10', [b]: '10.9.0.11' }
const port = (id: string, over: Partial<PortDocument> = {}) =>
  portDocument({
    id,
    server_id: null,
    mac: macOf[id] ?? 'fa:16:3e:00:00:0c',
    ips: [{ ip: ipOf[id] ?? '10.9.0.12', subnet_id: 's' }],
    ...over,
  })

/** Two networks that would come to the same zone if each were alone. */
function twinNetworks(): string[] {
  const seen = new Map<number | undefined, string>()
  for (;;) {
    const id = crypto.randomUUID()
    const zone = allocateZones([id], new Map(), new Set()).get(id)
    const twin = seen.get(zone)
    if (twin) return [twin, id].sort()
    seen.set(zone, id)
  }
}

interface GuestEnd {
  ask(what: unknown): Promise<unknown>
  stop(): Promise<void>
}

/** What runs in a guest: servers on a few ports, and a hand that connects and sends. One question and one answer a line. */
const guestProgram = `
const net = require('net'), dgram = require('dgram')
for (const port of [7, 8080, 8081]) net.createServer((socket) => socket.on('error', () => {}).end()).listen(port)
let heard = 0
dgram.createSocket('udp4').on('message', () => heard++).bind(68)
const echo = dgram.createSocket('udp4')
echo.on('message', (text, from) => echo.send(text, from.port, from.address)).bind(7)
const wait = (ms) => new Promise((go) => setTimeout(go, ms))
const verbs = {
  connect: (to) => new Promise((done) => {
    const socket = net.connect(to, () => (socket.destroy(), done(true))).on('error', () => done(false))
    setTimeout(() => (socket.destroy(), done(false)), 700)
  }),
  heard: async () => (await wait(200), heard),
  send: ({ from, to }) => new Promise((done) => {
    const socket = dgram.createSocket('udp4')
    socket.bind(from, () => socket.send('x', 68, to, () => (socket.close(), done(true))))
  }),
  async echoes({ host, count }) {
    let back = 0
    const socket = dgram.createSocket('udp4').on('message', () => back++)
    for (let i = 0; i < count; i++) { socket.send('x', 7, host); await wait(20) }
    for (let i = 0; i < 100 && back < count; i++) await wait(20)
    socket.close()
    return back
  },
}
require('readline').createInterface({ input: process.stdin }).on('line', async (line) => {
  const [[verb, what]] = Object.entries(JSON.parse(line))
  console.log(JSON.stringify(await verbs[verb](what)))
})
console.log('true')
`

async function startGuest(netns: string): Promise<GuestEnd> {
  const child = spawn('nsenter', [`--net=/run/netns/${netns}`, process.execPath, '-e', guestProgram], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answer = async () => JSON.parse((await answers.next()).value ?? 'null')
  await answer()
  return {
    ask(what) {
      child.stdin.write(`${JSON.stringify(what)}\n`)
      return answer()
    },
    async stop() {
      const ended = once(child, 'close')
      child.kill()
      await ended
    },
  }
}

if (process.env.WISP_TEST_INSIDE === undefined)
  it('the guard in a namespace', { timeout: 120_000 }, async () => {
    const inside = 'mount -t sysfs sysfs /sys && mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && exec "$@"'
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const child = spawn(
      'unshare',
      ['--net', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', inside, 'sh', process.execPath, fileURLToPath(import.meta.url)],
      { env: { ...env, WISP_TEST_INSIDE: '1' }, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text))
    const [code] = await once(child, 'close')
    assert.equal(code, 0, said)
  })
else
  describe('the guard', () => {
    const documents: { [K in Kind]: Map<string, DocumentOf[K]> } = {
      image: new Map(),
      network: new Map(),
      'security-group': new Map(),
      'group-members': new Map(),
      port: new Map(),
      server: new Map(),
    }
    const machine = {
      tag,
      tunnelIp: null,
      config: { physicalNetworks: {} } as never,
      log: pino({ level: 'silent' }),
      wanted: <K extends Kind>(kind: K) => documents[kind] as Map<string, DocumentOf[K]>,
      complete: Promise.resolve(),
    }
    let guard: Guard
    /** No look in between: what the tests flush stays so until they say. */
    const start = () => startGuard(machine, 3600_000)
    const rules = (id: string, list: SecurityRule[], stateful = true) =>
      documents['security-group'].set(id, groupDocument(list, { id, stateful }))
    const ip = (...argv: string[]) => run(['ip', ...argv])
    const guests = new Map<string, GuestEnd>()
    const connects = (from: string, to: string, portNumber = 7, local?: string) =>
      guests.get(from)!.ask({ connect: { host: to, port: portNumber, localAddress: local } })
    /** Sends datagrams, 20 ms apart; how many came back. */
    const echoes = (from: string, to: string, count: number) => guests.get(from)!.ask({ echoes: { host: to, count } })
    /** Sends one datagram; whether the other guest heard it. */
    const hears = async (from: string, fromPort: number, to: string, toIp: string) => {
      const before = Number(await guests.get(to)!.ask({ heard: null }))
      await guests.get(from)!.ask({ send: { from: fromPort, to: toIp } })
      return Number(await guests.get(to)!.ask({ heard: null })) > before
    }

    before(async () => {
      documents.network.set(network, networkDocument({ subnets: [], dhcp: null }))
      const bridge = bridgeName(tag, network)
      await ip('link', 'set', 'lo', 'up')
      await ip('link', 'add', bridge, 'type', 'bridge', 'forward_delay', '0', 'mcast_snooping', '0')
      await ip('link', 'set', bridge, 'up')
      // An address of the host itself, which no guest may reach by the bridge's MAC.
      await ip('addr', 'add', '192.0.2.1/32', 'dev', 'lo')
      for (const [name, id] of [
        ['a', a],
        ['b', b],
      ] as const) {
        await ip('netns', 'add', name)
        await ip('link', 'add', tapName(tag, id), 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
        await ip('link', 'set', tapName(tag, id), 'master', bridge, 'up')
        await ip('-n', name, 'link', 'set', 'eth0', 'address', macOf[id]!, 'up')
        await ip('-n', name, 'addr', 'add', `${ipOf[id]}/24`, 'dev', 'eth0')
        documents.port.set(id, port(id))
        guests.set(name, await startGuest(name))
      }
      rules(group, [...egress])
      guard = start()
      await guard.apply()
    })
    after(async () => {
      await guard.stop()
      for (const guest of guests.values()) await guest.stop()
    })

    it('denies what comes in, and lets what goes out', async () => {
      assert.equal(await connects('a', '10.9.0.11'), false)
      rules(group, [...egress, rule({ protocol: 'tcp' })])
      await guard.apply()
      assert.equal(await connects('a', '10.9.0.11'), true)
    })

    it('lets an allowed port pass, and no other', async () => {
      rules(group, [...egress, rule({ protocol: 'tcp', port_min: 8080, port_max: 8080 })])
      await guard.apply()
      assert.equal(await connects('a', '10.9.0.11', 8080), true)
      assert.equal(await connects('a', '10.9.0.11', 8081), false)
      assert.equal(await connects('b', '10.9.0.10', 8080), true)
    })

    it('reads hopopt as the protocol 0, not as all of them', async () => {
      for (const protocol of ['hopopt', '0']) {
        rules(group, [...egress, rule({ protocol }), rule({ protocol, ethertype: 'IPv6' })])
        await guard.apply()
        assert.equal(await connects('a', '10.9.0.11'), false)
        assert.match((await run(['iptables-save', '-t', 'filter'])).stdout, /--u32 "?0x6&0xff=0x0"? -j ACCEPT/)
        assert.match((await run(['ip6tables-save', '-t', 'filter'])).stdout, /--u32 "?0x4>>0x8&0xff=0x0"? -j ACCEPT/)
      }
    })

    it('reads ICMP type 255 as that type, not as all of them', async () => {
      rules(group, [...egress, rule({ protocol: 'icmp', port_min: 255 }), rule({ protocol: 'icmp', port_min: 255, port_max: 255 })])
      await guard.apply()
      const { stdout } = await run(['iptables-save', '-t', 'filter'])
      assert.match(stdout, /-p icmp -m u32 --u32 "?0x4&0x1fff=0x0&&0x0>>0x16&0x3c@0x0>>0x18=0xff"? -j ACCEPT/)
      assert.match(stdout, /-p icmp -m u32 --u32 "?0x4&0x1fff=0x0&&0x0>>0x16&0x3c@0x0>>0x10=0xffff"? -j ACCEPT/)
      assert.ok(!stdout.includes('icmp-type any'), stdout)
    })

    it('gives no two networks one zone, the same ones after a restart, and forgets the connections of one that goes', async () => {
      const zonesOf = async () =>
        new Map(
          [...(await run(['iptables-save', '-t', 'raw'])).stdout.matchAll(/--physdev-in (\S+) .*--zone (\d+)/g)].map(([, device, zone]) => [
            device!,
            zone!,
          ]),
        )
      const twins = twinNetworks()
      for (const id of twins) documents.network.set(id, networkDocument({ id, subnets: [], dhcp: null }))
      await guard.apply()
      const zones = await zonesOf()
      assert.equal(new Set([network, ...twins].map((id) => zones.get(dhcpName(tag, id)))).size, 3)
      assert.equal(zones.get(tapName(tag, a)), zones.get(dhcpName(tag, network)))

      await guard.stop()
      documents.network.delete(twins[0]!)
      guard = start()
      await guard.apply()
      const [, kept] = twins.map((id) => zones.get(dhcpName(tag, id)))
      assert.equal((await zonesOf()).get(dhcpName(tag, twins[1]!)), kept, 'though the other would have been first now')

      const made = [
        '-I',
        '-s',
        '10.9.0.10',
        '-d',
        '10.9.0.11',
        '-p',
        'tcp',
        '--sport',
        '5',
        '--dport',
        '6',
        '--state',
        'ESTABLISHED',
        '-t',
        '600',
      ]
      await run(['conntrack', ...made, '--zone', kept!])
      documents.network.delete(twins[1]!)
      await guard.apply()
      assert.equal((await run(['conntrack', '-L', '--zone', kept!])).stdout, '')
    })

    it('lets a remote group pass by its addresses, as soon as they change', async () => {
      rules(group, [...egress, rule({ remote_group_id: tenants })])
      await guard.apply()
      assert.equal(await connects('a', '10.9.0.11'), false)
      documents['group-members'].set(tenants, { v: 1, id: tenants, ips: ['10.9.0.10'] })
      await guard.apply()
      assert.equal(await connects('a', '10.9.0.11'), true)
      assert.equal(await connects('b', '10.9.0.10'), false)
      documents['group-members'].set(tenants, { v: 1, id: tenants, ips: ['0.0.0.0/0', '::/0'] })
      await guard.apply()
      assert.equal(await connects('b', '10.9.0.10'), true)
      documents['group-members'].delete(tenants)
    })

    it('drops a foreign MAC, a foreign address, also in ARP, and the answers of a DHCP server', async () => {
      rules(group, [...egress, rule(), rule({ ethertype: 'IPv6' })])
      await guard.apply()
      assert.equal(await connects('a', '10.9.0.11'), true)

      await ip('-n', 'a', 'link', 'set', 'eth0', 'address', 'fa:16:3e:66:66:66')
      await ip('-n', 'b', 'neigh', 'flush', 'dev', 'eth0')
      assert.equal(await connects('a', '10.9.0.11'), false, 'another MAC')
      await ip('-n', 'a', 'link', 'set', 'eth0', 'address', macOf[a]!)

      await ip('-n', 'a', 'addr', 'add', '10.9.0.66/24', 'dev', 'eth0')
      await ip('-n', 'b', 'neigh', 'flush', 'dev', 'eth0')
      assert.equal(await connects('a', '10.9.0.11', 7, '10.9.0.66'), false, 'another address')
      assert.ok(!(await run(['ip', 'neigh'], { netns: 'b' })).stdout.includes('10.9.0.66'), 'nobody learnt it by ARP')
      assert.equal(await connects('b', '10.9.0.66'), false)
      await ip('-n', 'a', 'addr', 'del', '10.9.0.66/24', 'dev', 'eth0')

      documents.port.set(a, port(a, { allowed_address_pairs: [{ ip_address: '10.9.0.64/26', mac_address: macOf[a]! }] }))
      await guard.apply()
      await ip('-n', 'a', 'addr', 'add', '10.9.0.66/24', 'dev', 'eth0')
      await ip('-n', 'b', 'neigh', 'flush', 'dev', 'eth0') // it may still be waiting for an answer to its question of before
      assert.equal(await connects('b', '10.9.0.66'), true, 'an allowed address pair')
      await ip('-n', 'a', 'addr', 'del', '10.9.0.66/24', 'dev', 'eth0')
      documents.port.set(a, port(a))
      await guard.apply()

      assert.equal(await hears('a', 6000, 'b', '10.9.0.11'), true)
      assert.equal(await hears('a', 67, 'b', '10.9.0.11'), false, 'who answers DHCP is no guest')
    })

    it('keeps guests from the host itself', async () => {
      const { stdout } = await run(['cat', `/sys/class/net/${bridgeName(tag, network)}/address`])
      await ip('-n', 'a', 'neigh', 'replace', '10.9.0.250', 'lladdr', stdout.trim(), 'dev', 'eth0')
      await ip('-n', 'a', 'route', 'add', '192.0.2.1/32', 'via', '10.9.0.250')
      await ip('route', 'add', '10.9.0.10/32', 'dev', bridgeName(tag, network))
      const server = createServer((socket) => socket.end()).listen(7, '192.0.2.1')
      await once(server, 'listening')
      assert.equal(await connects('a', '192.0.2.1'), false)
      // It is our rule that does it.
      const input = ['bridge', `wisp_${tag}`, 'input']
      await run(['nft', 'flush', 'chain', ...input])
      assert.equal(await connects('a', '192.0.2.1'), true)
      await run(['nft', 'add', 'rule', ...input, 'iifname', `"${anyTap(tag)}*"`, 'drop'])
      assert.equal(await connects('a', '192.0.2.1'), false)
      server.close()
      await ip('route', 'del', '10.9.0.10/32')
    })

    it('shuts a tap that no document names, and one whose document is no good, at once', async () => {
      assert.equal(await connects('a', '10.9.0.11'), true)
      documents.port.set(b, port(b, { allowed_address_pairs: [{ ip_address: '1.2.3.4\nx', mac_address: 'y' }] }))
      await guard.apply()
      assert.equal(await connects('a', '10.9.0.11'), false)
      documents.port.set(b, port(b))
      await guard.apply()
      assert.equal(await connects('a', '10.9.0.11'), true)
      documents.port.delete(b)
      await guard.apply()
      assert.equal(await connects('a', '10.9.0.11'), false, 'to it')
      assert.equal(await hears('b', 6000, 'a', '10.9.0.10'), false, 'from it')
      documents.port.set(b, port(b))
      await guard.apply()
      assert.equal(await connects('a', '10.9.0.11'), true)
    })

    it('asks nothing where port security is off', async () => {
      rules(group, egress)
      for (const id of [a, b]) documents.port.set(id, port(id, { port_security_enabled: false }))
      await guard.apply()
      await ip('-n', 'a', 'link', 'set', 'eth0', 'address', 'fa:16:3e:66:66:66')
      await ip('-n', 'b', 'neigh', 'flush', 'dev', 'eth0')
      assert.equal(await connects('a', '10.9.0.11'), true)
      await ip('-n', 'a', 'link', 'set', 'eth0', 'address', macOf[a]!)
      for (const id of [a, b]) documents.port.set(id, port(id))
      await guard.apply()
      await ip('-n', 'b', 'neigh', 'flush', 'dev', 'eth0')
      assert.equal(await connects('a', '10.9.0.11'), false)
    })

    it('a new agent finds the rules as they were, loses no packet, and mends what another has flushed', async () => {
      rules(group, [...egress, rule({ protocol: 'udp' })])
      await guard.apply()
      // The order of the jumps may be another: no packet meets two of them.
      const saved = async () =>
        (await run(['iptables-save'])).stdout
          .replaceAll(/\[\d+:\d+\]|^#.*$/gm, '')
          .split('\n')
          .sort()
      const before = await saved()
      await guard.stop()
      const back = echoes('a', '10.9.0.11', 150)
      guard = start()
      await guard.apply()
      assert.equal(await back, 150)
      assert.deepEqual(await saved(), before)

      await guard.stop()
      await run(['iptables', '-F', 'FORWARD'])
      await run(['nft', 'delete', 'table', 'bridge', `wisp_${tag}`])
      guard = start()
      await guard.apply()
      assert.equal((await run(['iptables', '-S', 'FORWARD'])).stdout.trim(), `-P FORWARD ACCEPT\n-A FORWARD -j wisp${tag}-forward`)
      assert.match((await run(['nft', 'list', 'table', 'bridge', `wisp_${tag}`])).stdout, /vmap @taps/)
    })

    it('cuts a connection off that is not allowed any more: whose other end has left the group, or whose port is guarded again', async () => {
      const zone = /--physdev-in wabcdeft\S+ .*--zone (\d+)/.exec((await run(['iptables-save', '-t', 'raw'])).stdout)![1]!
      const connect = (from: string, sport: string) => {
        const ends = ['-s', from, '-d', '10.9.0.11', '-p', 'tcp', '--sport', sport, '--dport', '6']
        return run(['conntrack', '-I', ...ends, '--state', 'ESTABLISHED', '-t', '600', '--zone', zone])
      }
      const connected = async () =>
        [...(await run(['conntrack', '-L', '--zone', zone])).stdout.matchAll(/src=(10\.9\.0\.9\d) /g)].map(([, source]) => source).sort()
      rules(group, [...egress, rule({ remote_group_id: tenants })])
      const members = (...ips: string[]) => documents['group-members'].set(tenants, { v: 1, id: tenants, ips })
      members('10.9.0.91', '10.9.0.92')
      await guard.apply()
      await connect('10.9.0.91', '1')
      await connect('10.9.0.92', '2')
      members('10.9.0.92')
      await guard.apply()
      assert.deepEqual(await connected(), ['10.9.0.92'])
      documents['group-members'].delete(tenants)
      documents.port.set(b, port(b, { port_security_enabled: false }))
      await guard.apply()
      await connect('10.9.0.93', '3')
      documents.port.set(b, port(b))
      await guard.apply()
      assert.deepEqual(await connected(), [])
    })

    it('mends what another program has flushed or put in, when it looks at the kernel next', async () => {
      rules(group, [
        ...egress,
        rule({ protocol: 'tcp', port_min: 8080, port_max: 8080 }),
        rule({ remote_group_id: tenants, protocol: 'udp' }),
      ])
      documents['group-members'].set(tenants, { v: 1, id: tenants, ips: ['10.9.0.99', 'fd00::99'] })
      await guard.apply()
      const table = ['table', 'bridge', `wisp_${tag}`]
      const kernel = async () => {
        const said = await Promise.all(
          [['iptables-save'], ['ip6tables-save'], ['ipset', 'save'], ['nft', '-s', 'list', ...table]].map((argv) => run(argv)),
        )
        const text = said.map(({ stdout }) => stdout).join('\n')
        return text
          .replaceAll(/\[\d+:\d+\]|^#.*$|initval \S+/gm, '')
          .split('\n')
          .sort()
      }
      const before = await kernel()
      const handles = async () => (await run(['nft', '-a', 'list', ...table])).stdout
      const untouched = await handles()
      await guard.look()
      assert.equal(await handles(), untouched, 'what is as it shall be is not loaded again')

      await run(['iptables', '-F'])
      assert.equal(await connects('a', '10.9.0.11', 8081), true, 'a flushed firewall lets everything pass')
      await run(['ip6tables', '-F'])
      await run(['nft', 'flush', 'chain', ...table.slice(1), 'prerouting'])
      await run(['ipset', 'flush'])
      await guard.look()
      assert.deepEqual(await kernel(), before)
      assert.equal(await connects('a', '10.9.0.11', 8081), false)
      assert.equal(await connects('a', '10.9.0.11', 8080), true)

      await run(['iptables', '-I', `wisp${tag}-forward`, '-j', 'ACCEPT'])
      await run(['nft', 'flush', 'map', ...table.slice(1), 'taps'])
      await guard.look()
      assert.deepEqual(await kernel(), before)
      documents['group-members'].delete(tenants)
    })

    it('comes back to its rules after a change that met what another had flushed', async () => {
      rules(group, [...egress, rule({ protocol: 'tcp' })])
      await guard.stop()
      guard = start()
      await guard.apply()
      await run(['iptables', '-F'])
      documents.port.delete(b)
      await assert.rejects(guard.apply())
      await guard.apply()
      documents.port.set(b, port(b))
      await guard.apply()
      assert.equal(await connects('a', '10.9.0.11'), true)
      assert.match((await run(['iptables', '-S', `wisp${tag}-forward`])).stdout, /-j DROP/)
    })

    it('loads whatever shapes documents have', async () => {
      const protocols = [
        'tcp',
        'udp',
        'sctp',
        'dccp',
        'udplite',
        'icmp',
        'icmpv6',
        'ipv6-icmp',
        'vrrp',
        'gre',
        'esp',
        'ah',
        'ospf',
        'igmp',
        'ipip',
        'egp',
      ]
      const more = [
        'pgm',
        'rsvp',
        'ipv6-encap',
        'ipv6-frag',
        'ipv6-nonxt',
        'ipv6-opts',
        'ipv6-route',
        'hopopt',
        '0',
        '255',
        'any',
        '99',
        '58',
        '1',
        null,
      ]
      const shapes = [...protocols, ...more].flatMap((protocol) =>
        (['IPv4', 'IPv6'] as const).flatMap((ethertype) =>
          (['ingress', 'egress'] as const).flatMap((direction) => [
            rule({ protocol, ethertype, direction }),
            rule({ protocol, ethertype, direction, port_min: 1, port_max: 7 }),
            rule({ protocol, ethertype, direction, port_min: 8 }),
            rule({ protocol, ethertype, direction, port_max: 0 }),
            rule({ protocol, ethertype, direction, remote_ip_prefix: ethertype === 'IPv4' ? '192.0.2.7/24' : '2001:db8::7/64' }),
            rule({ protocol, ethertype, direction, remote_ip_prefix: ethertype === 'IPv4' ? '0.0.0.0/0' : '::/0' }),
            rule({ protocol, ethertype, direction, remote_group_id: tenants }),
          ]),
        ),
      )
      rules(group, shapes)
      rules(tenants, [rule({ protocol: 'udp', port_min: 5, port_max: 5 })], false)
      documents['group-members'].set(tenants, {
        v: 1,
        id: tenants,
        ips: ['10.9.0.10', '10.9.0.10', '10.9.0.0/24', '0.0.0.0/0', 'fd00::1', 'fd00::/8', '::/0'],
      })
      const pairs = ['10.9.0.9', '10.9.0.0/24', '10.9.0.0/16', 'fd00::9', '0.0.0.0/0'].map((ip_address) => ({
        ip_address,
        mac_address: '00:00:5E:00:01:01',
      }))
      const ips = ['10.9.0.10', '10.9.0.20', 'fd00::10', 'fd00::20'].map((one) => ({ ip: one, subnet_id: 's' }))
      documents.port.set(a, port(a, { ips, allowed_address_pairs: pairs, security_groups: [group, tenants, network] }))
      documents.port.set(b, port(b, { ips: [], security_groups: [tenants] }))
      await guard.apply()
      const with4 = (await run(['iptables-save', '-t', 'filter'])).stdout
      assert.match(with4, /--dports 1:7/)
      assert.match((await run(['ip6tables-save', '-t', 'filter'])).stdout, /2001:db8::\/64/)
      assert.ok((await run(['nft', 'list', 'table', 'bridge', `wisp_${tag}`])).stdout.includes('fd00::9'))

      for (const kind of ['port', 'security-group', 'group-members', 'network'] as const) documents[kind].clear()
      await guard.apply()
      const left = (await run(['iptables-save'])).stdout
      assert.ok(!left.includes(`wisp${tag}-i-`) && !left.includes('physdev-in wabcdeft4'), left)
      assert.ok(!left.includes(dhcpName(tag, network)))
      assert.equal((await run(['ipset', 'list', '-name'])).stdout, '')
    })
  })
