// In namespaces of the test's own; the machine's network is not touched.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  addresses,
  ensureAddress,
  ensureAddresses,
  ensureNamespace,
  ensureRoute,
  namespaces,
  removeAddress,
  removeNamespace,
  removeRoute,
  routes,
  setSysctls,
} from './namespaces.ts'
import * as netlink from './netlink.ts'
import { quote } from './netlink-batch.ts'
import { CommandFailed, run } from './shell.ts'

const A = `wisp-test-a-${process.pid}`
const B = `wisp-test-b-${process.pid}`

describe('netlink', () => {
  let net: netlink.Netlink
  let far: netlink.Netlink

  before(async () => {
    await Promise.all([A, B].map((name) => ensureNamespace(name)))
    net = netlink.openNetlink(A)
    far = netlink.openNetlink(B)
  })
  after(async () => {
    net?.close()
    far?.close()
    await Promise.all([A, B].map((name) => removeNamespace(name)))
  })

  /** Does it twice: the second time nothing may change, not even be set again. */
  async function twice(ensure: () => Promise<netlink.Link>): Promise<netlink.Link> {
    const first = await ensure()
    const second = await ensure()
    const lasting = ({ data, ...link }: netlink.Link) => ({
      ...link,
      data: Object.entries(data).filter(([key]) => !key.endsWith('_timer')),
    })
    assert.deepEqual(lasting(second), lasting(first))
    return second
  }

  it('makes namespaces, again and again', async () => {
    await ensureNamespace(A)
    assert.ok((await namespaces()).includes(A))
    assert.equal((await netlink.findLink(net, 'lo'))?.up, true)
    await removeNamespace(`${A}-absent`)
  })

  it('makes a bridge for guests', async () => {
    const wanted = { name: 'brq1', mtu: 1450, alias: 'wisp network 5f0e1c86' }
    const bridge = await twice(() => netlink.ensureBridge(net, wanted))
    assert.deepEqual([bridge.kind, bridge.mtu, bridge.alias, bridge.up], ['bridge', 1450, wanted.alias, true])
    assert.deepEqual([bridge.data.stp_state, bridge.data.forward_delay, bridge.data.mcast_snooping], [0, 0, 0])
    assert.deepEqual(await addresses(net, 'brq1'), [], 'the host has no address on it, not even a link-local one')
    await run(['ip', 'link', 'set', 'brq1', 'type', 'bridge', 'stp_state', '1'], { netns: A })
    assert.equal((await netlink.ensureBridge(net, { ...wanted, mtu: 1400 })).mtu, 1400)
    assert.equal((await netlink.findLink(net, 'brq1'))?.data.stp_state, 0)
  })

  it('makes a tunnel port, and another when its number changes', async () => {
    const wanted = { name: 'vx1', vni: 100, local: '127.0.0.1', mtu: 1450, alias: 'wisp', master: 'brq1' }
    const first = await twice(() => netlink.ensureVxlan(net, wanted))
    assert.deepEqual([first.kind, first.master, first.data.id, first.data.port, first.data.learning], ['vxlan', 'brq1', 100, 4789, false])
    const second = await twice(() => netlink.ensureVxlan(net, { ...wanted, vni: 101 }))
    assert.equal(second.data.id, 101)
    assert.notEqual(second.index, first.index)
  })

  it('keeps forwarding entries', async () => {
    const zero = '00:00:00:00:00:00'
    const mac = 'fa:16:3e:00:00:01'
    for (const dst of ['192.0.2.1', '192.0.2.2', '192.0.2.1']) await netlink.fdbAppend(net, 'vx1', { mac: zero, dst })
    for (const dst of ['192.0.2.1', '192.0.2.2']) await netlink.fdbAppend(net, 'vx1', { mac, dst })
    const own = async () =>
      (await netlink.fdbEntries(net, 'vx1')).filter((entry) => entry.dst).map((entry) => `${entry.mac} ${entry.dst} ${entry.state}`)
    assert.deepEqual((await own()).sort(), [`${zero} 192.0.2.1 permanent`, `${zero} 192.0.2.2 permanent`, `${mac} 192.0.2.2 permanent`])
    for (let i = 0; i < 2; i++) await netlink.fdbDelete(net, 'vx1', { mac: zero, dst: '192.0.2.1' })
    for (let i = 0; i < 2; i++) await netlink.fdbDelete(net, 'vx1', { mac })
    assert.deepEqual(await own(), [`${zero} 192.0.2.2 permanent`])
  })

  it('makes a tap', async () => {
    const tap = await twice(() => netlink.ensureTap(net, { name: 'tap0badcafe', mtu: 1450, alias: 'wisp port 0badcafe', master: 'brq1' }))
    assert.deepEqual([tap.kind, tap.data.type, tap.master, tap.mtu, tap.up], ['tun', 'tap', 'brq1', 1450, true])
    await netlink.setMaster(net, 'tap0badcafe', null)
    assert.equal((await netlink.findLink(net, 'tap0badcafe'))?.master, null)
    await assert.rejects(netlink.ensureBridge(net, { name: 'tap0badcafe' }), netlink.WrongKind)
  })

  it('lays a cable between namespaces, and mends a cut one', async () => {
    const wanted = {
      name: 'tap-dhcp',
      master: 'brq1',
      mtu: 1450,
      alias: 'wisp',
      peer: { name: 'ns-dhcp', net: far, mtu: 1450, mac: 'fa:16:3e:00:00:02' },
    }
    const near = await twice(() => netlink.ensureVeth(net, wanted))
    const peer = await netlink.findLink(far, 'ns-dhcp')
    assert.deepEqual([near.peer, near.up, near.master], [peer?.index, true, 'brq1'])
    assert.deepEqual([peer?.peer, peer?.up, peer?.mac, peer?.mtu], [near.index, true, 'fa:16:3e:00:00:02', 1450])

    await netlink.removeLink(far, 'ns-dhcp')
    assert.equal(await netlink.findLink(net, 'tap-dhcp'), undefined)
    await twice(() => netlink.ensureVeth(net, wanted))
  })

  it('gives addresses and routes', async () => {
    const list = async () =>
      (await addresses(far, 'ns-dhcp')).filter((address) => address.scope === 'global').map((address) => address.cidr)
    for (let i = 0; i < 2; i++) await ensureAddress(far, 'ns-dhcp', '10.1.0.2/24')
    await ensureAddress(far, 'ns-dhcp', '10.1.0.3/24')
    for (let i = 0; i < 2; i++) await ensureAddresses(far, 'ns-dhcp', ['10.1.0.3/24', '2001:db8::2/64'])
    assert.deepEqual(await list(), ['10.1.0.3/24', '2001:db8::2/64'])
    for (let i = 0; i < 2; i++) await ensureRoute(far, { to: 'default', via: '10.1.0.1' })
    for (let i = 0; i < 2; i++) await ensureRoute(far, { to: '2001:db8:1::/64', via: '2001:db8::1' })
    assert.ok((await routes(far)).some((route) => route.to === 'default' && route.via === '10.1.0.1'))
    assert.ok((await routes(far, 6)).some((route) => route.to === '2001:db8:1::/64' && route.via === '2001:db8::1'))
    assert.ok(!(await routes(far)).some((route) => route.to.includes(':')))
    for (let i = 0; i < 2; i++) await removeRoute(far, { to: 'default', via: '10.1.0.1' })
    assert.ok(!(await routes(far)).some((route) => route.to === 'default'))
    for (let i = 0; i < 2; i++) await removeAddress(far, 'ns-dhcp', '10.1.0.3/24')
    assert.deepEqual(await list(), ['2001:db8::2/64'])
  })

  it('sets kernel settings inside the namespace', async () => {
    await setSysctls(B, { 'net/ipv4/ip_forward': 1, 'net/ipv4/conf/ns-dhcp/rp_filter': 0 })
    const read = async (netns: string) => (await run(['sysctl', '-n', 'net.ipv4.ip_forward'], { netns })).stdout.trim()
    assert.deepEqual(await Promise.all([A, B].map(read)), ['0', '1'])
    await assert.rejects(setSysctls(B, { '../../etc/passwd': 1 }), /not a path below/)
  })

  it('tells whose error it was, and goes on', async () => {
    const answers = await Promise.allSettled([
      net.ip(['link', 'show', 'dev', 'nosuch1']),
      net.ip(['link', 'show', 'dev', 'brq1']),
      net.ip(['link', 'add', 'bad', 'type', 'nonsense']),
      net.ip(['link', 'add', 'name']),
      net.ip(['link', 'show', 'dev', 'lo']),
      net.bridge(['fdb', 'show', 'dev', 'nosuch2']),
      net.bridge(['fdb', 'show', 'dev', 'brq1']),
    ])
    assert.deepEqual(
      answers.map((answer) => answer.status),
      ['rejected', 'fulfilled', 'rejected', 'rejected', 'fulfilled', 'rejected', 'fulfilled'],
    )
    const [first, brq1, third, , lo, bridge] = answers
    assert.ok(first?.status === 'rejected' && first.reason instanceof CommandFailed)
    assert.equal(first.reason.stderr, 'Device "nosuch1" does not exist.')
    assert.ok(third?.status === 'rejected' && /Unknown device type/.test(third.reason.stderr) && !/nosuch1/.test(third.reason.stderr))
    assert.ok(bridge?.status === 'rejected' && /nosuch2/.test(bridge.reason.stderr))
    assert.ok(brq1?.status === 'fulfilled' && brq1.value[0]?.ifname === 'brq1')
    assert.ok(lo?.status === 'fulfilled' && lo.value[0]?.ifname === 'lo')
  })

  it('answers two hundred questions at once', async () => {
    const names = Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? 'brq1' : 'vx1'))
    const found = await Promise.all(names.map((name) => netlink.findLink(net, name)))
    assert.deepEqual(
      found.map((link) => link?.name),
      names,
    )
  })

  it('notices an interface that another program has replaced', async () => {
    const zero = { mac: '00:00:00:00:00:00', dst: '192.0.2.9' }
    await netlink.ensureVxlan(net, { name: 'vx2', vni: 7, local: '127.0.0.1' })
    await netlink.fdbAppend(net, 'vx2', zero)
    await run(['ip', 'link', 'del', 'vx2'], { netns: A })
    assert.equal(await netlink.findLink(net, 'vx2'), undefined)
    await netlink.ensureVxlan(net, { name: 'vx2', vni: 7, local: '127.0.0.1' })
    await run(['ip', 'link', 'del', 'vx2'], { netns: A })
    await run(['ip', 'link', 'add', 'vx2', 'type', 'vxlan', 'id', '7', 'local', '127.0.0.1', 'dstport', '4789', 'nolearning'], { netns: A })
    const [link] = await Promise.all([netlink.ensureVxlan(net, { name: 'vx2', vni: 7, local: '127.0.0.1', mtu: 1400 })])
    assert.equal(link.mtu, 1400)
    await netlink.fdbAppend(net, 'vx2', zero)
    assert.ok((await netlink.fdbEntries(net, 'vx2')).some((entry) => entry.dst === zero.dst))
    await netlink.removeLink(net, 'vx2')
  })

  it('lays a cable within one namespace', async () => {
    const near = await twice(() => netlink.ensureVeth(net, { name: 'left', peer: { name: 'right', net } }))
    assert.equal(near.peer, 'right')
    await netlink.removeLink(net, 'left')
    assert.equal(await netlink.findLink(net, 'right'), undefined)
  })

  it('removes what it made, and again', async () => {
    for (const name of ['tap-dhcp', 'tap0badcafe', 'vx1', 'brq1', 'brq1']) await netlink.removeLink(net, name)
    const left = (await netlink.links(net)).filter((link) => ['bridge', 'vxlan', 'veth', 'tun'].includes(link.kind ?? ''))
    assert.deepEqual(left, [])
  })
})

it('gives ip -batch no word that it would read otherwise', () => {
  assert.equal(quote('a b'), "'a b'")
  assert.equal(quote('fe80::1/64'), 'fe80::1/64')
  for (const word of ['a\nlink del eth0', 'a#b', "a'b c"]) assert.throws(() => quote(word))
  for (const name of ['', 'sixteen-letters-', 'a b', '-x', 'a/b', '..']) assert.throws(() => netlink.checkedName(name))
})
