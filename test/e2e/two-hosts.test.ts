// Two hosts with a libvirtd and an agent each, and guests on both: what reaches whom. The same network spans hosts; equal ranges of two projects
// never meet; security groups and the rules against spoofing hold across hosts, and change while guests run.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { sshWords } from '../../src/cli/ssh.ts'
import { cloudTag } from '../../src/config.ts'
import { namespaceName } from '../../src/network/host/names.ts'
import { type Bed, type BedHost, startBed } from '../bed/bed.ts'
import { type Cloud, keyPair, onEnd, startCloud } from './cloud.ts'
import { consoleSays, importKey, launch, type Person, person, remove } from './person.ts'
import { patience, until } from './run-program.ts'

interface Guest {
  name: string
  host: BedHost
  /** Whose it is. */
  who: Person
  network: string
  ip: string
  id: string
  port: string
  mac: string
  /** Its security group at first: the project's default one. */
  group: string
}

const cidr = '10.77.0.0/24'

/** A guest cannot be asked, at least not now. */
class NoWayIn extends Error {}

describe('two hosts', { timeout: 8 * patience * 1000 }, () => {
  let cloud: Cloud
  let bed: Bed
  let folder: string
  let key: string
  let demo: Person
  /** Guests `one` on host a and `two` on host b share a network; `three` of another project, on b too, has the address of `one`. */
  let one: Guest
  let two: Guest
  let three: Guest

  before(async () => {
    cloud = await startCloud({ own: true, settings: { WISP_LISTEN: '0.0.0.0' } })
    ;({ key } = await keyPair())
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-e2e-bed-'))
    // dnsmasq and haproxy run as nobody and read their files in it.
    fs.chmodSync(folder, 0o711)
    bed = await startBed({
      names: ['a', 'b'],
      folder,
      joinToken: async () => /wisp join \S+ (\S+)/.exec((await cloud.wisp('join-token')).stdout)![1]!,
      controllerUrl: (ip) => `http://${ip}:${cloud.port}`,
    })
    onEnd(() => bed.stop())
    await until(async () => {
      const { services } = await cloud.admin.ask<{ services: { host: string; state: string }[] }>('GET', 'compute/v2.1/os-services')
      return ['a', 'b'].every((name) => services.some(({ host, state }) => host === name && state === 'up'))
    }, 'both hosts have joined')
    demo = await administratorOf('demo')
    const other = await administratorOf('other')
    const [a, b] = bed.hosts as [BedHost, BedHost]
    const east = await makeNetwork(demo, 'east')
    const west = await makeNetwork(other, 'west')
    await importKey(demo, 'e2e', `${key}.pub`)
    one = await launchGuest({ name: 'one', host: a, who: demo, network: east, ip: '10.77.0.11' })
    two = await launchGuest({ name: 'two', host: b, who: demo, network: east, ip: '10.77.0.12' })
    three = await launchGuest({ name: 'three', host: b, who: other, network: west, ip: '10.77.0.11' })
  })
  after(async () => {
    for (const guest of [one, two, three]) if (guest) await remove(guest.who, guest.id).catch(() => undefined)
    try {
      await bed?.stop()
    } finally {
      await cloud?.stop()
      if (folder) fs.rmSync(folder, { recursive: true, force: true })
    }
  })

  /** The administrator, at work in a project (which is made where it is missing): who chooses hosts must be one. */
  async function administratorOf(project: string): Promise<Person> {
    const find = async (kind: 'projects' | 'users' | 'roles', name: string) => {
      const found = await cloud.admin.ask<Record<string, { id: string }[]>>('GET', `identity/v3/${kind}?name=${name}`)
      return found[kind]?.[0]?.id
    }
    const make = async () =>
      (await cloud.admin.ask<{ project: { id: string } }>('POST', 'identity/v3/projects', { project: { name: project } })).project.id
    const [projectId, user, role] = [
      (await find('projects', project)) ?? (await make()),
      await find('users', 'admin'),
      await find('roles', 'admin'),
    ]
    await cloud.admin.ask('PUT', `identity/v3/projects/${projectId}/users/${user}/roles/${role}`)
    return person(path.join(cloud.home, 'openrc'), { OS_PROJECT_NAME: project })
  }

  async function makeNetwork(who: Person, name: string): Promise<string> {
    const { network } = await who.ask<{ network: { id: string } }>('POST', 'network/v2.0/networks', { network: { name } })
    await who.ask('POST', 'network/v2.0/subnets', { subnet: { network_id: network.id, ip_version: 4, cidr, name } })
    return network.id
  }

  async function launchGuest(guest: Omit<Guest, 'id' | 'port' | 'mac' | 'group'>): Promise<Guest> {
    const { who, name, host, network, ip } = guest
    const made = await launch(who, { name, key: 'e2e', network: { uuid: network, fixed_ip: ip }, host: host.name })
    assert.equal(made['OS-EXT-SRV-ATTR:host'], host.name)
    const { ports } = await who.ask<{ ports: { id: string; mac_address: string; security_groups: string[] }[] }>(
      'GET',
      `network/v2.0/ports?device_id=${made.id}`,
    )
    const [port] = ports
    return { ...guest, id: made.id, port: port!.id, mac: port!.mac_address, group: port!.security_groups[0]! }
  }

  /** Runs a command in a guest, through the namespace of its network on its host. */
  async function inside(guest: Guest, command: string): Promise<{ stdout: string; status: number }> {
    const namespace = `/run/netns/${namespaceName(cloudTag(guest.host.home), guest.network)}`
    const words = sshWords({ ip: guest.ip }, { server: guest.name, user: 'cirros', key, command: [command] })
    try {
      // Of two limits ssh takes the first; three emulated guests on a slow disk may each be long about a connection.
      const ssh = ['ssh', '-o', 'ConnectTimeout=60', ...words]
      const { stdout } = await guest.host.exec(['nsenter', `--net=${namespace}`, ...ssh], { timeout: 180_000 })
      return { stdout, status: 0 }
    } catch (error) {
      const { code, stdout, stderr } = error as { code: unknown; stdout: string; stderr: string }
      if (typeof code !== 'number' || code === 255) throw new NoWayIn(`no way into ${guest.name}: ${stderr}`, { cause: error })
      return { stdout, status: code }
    }
  }
  const pings = async (guest: Guest, ip: string, ...options: string[]) =>
    (await inside(guest, `ping -c 3 -W 2 ${options.join(' ')} ${ip}`)).status === 0
  const setPort = (port: Record<string, unknown>) => demo.ask('PUT', `network/v2.0/ports/${two.port}`, { port })
  /** A rule of the group that `one` and `two` are in. */
  const allowPing = async (from: Record<string, string>): Promise<string> => {
    const rule = { security_group_id: two.group, direction: 'ingress', ethertype: 'IPv4', protocol: 'icmp', ...from }
    const made = await demo.ask<{ security_group_rule: { id: string } }>('POST', 'network/v2.0/security-group-rules', {
      security_group_rule: rule,
    })
    return made.security_group_rule.id
  }
  /** Rules reach a host a moment after the API has answered. */
  const soon = (what: () => Promise<boolean>, name: string) =>
    until(
      () =>
        what().catch((error: unknown) => {
          if (!(error instanceof NoWayIn)) throw error
          return false
        }),
      name,
      180,
    )

  it('both hosts give their guests an address and metadata', async () => {
    for (const guest of [one, two, three]) {
      const log = await consoleSays(guest.who, guest.id, /wisp guest ready/)
      assert.match(log, new RegExp(`eth0: lease of ${guest.ip.replaceAll('.', '\\.')}/24`))
      assert.match(log, /metadata fetched from http:\/\/169\.254\.169\.254/)
      assert.match(log, new RegExp(`instance-id: ${guest.id}`))
    }
  })

  it('guests of a network reach each other across hosts, with packets as large as the network carries', async () => {
    await soon(() => pings(one, two.ip), 'one reaches two')
    await soon(() => pings(two, one.ip), 'two reaches one')
    const { stdout } = await inside(one, 'cat /sys/class/net/eth0/mtu')
    assert.ok(await pings(one, two.ip, '-s', String(Number(stdout) - 28)))
  })

  it('two projects use the same addresses without meeting, also on one host', async () => {
    assert.equal((await inside(one, 'hostname')).stdout.trim(), 'one')
    assert.equal((await inside(three, 'hostname')).stdout.trim(), 'three')
    assert.equal(await pings(three, two.ip), false)
    assert.ok(await pings(two, one.ip))
    assert.match((await inside(two, `ip neigh show ${one.ip}`)).stdout, new RegExp(one.mac))
  })

  it('a guest accepts nothing from outside its group, until a rule says so', async () => {
    const { security_group: outside } = await demo.ask<{ security_group: { id: string } }>('POST', 'network/v2.0/security-groups', {
      security_group: { name: 'outside' },
    })
    await setPort({ security_groups: [outside.id] })
    await soon(async () => !(await pings(two, one.ip)), 'one hears nothing from two, which has left its group')
    await soon(async () => !(await pings(one, two.ip)), 'two, whose group has no rules, hears nothing from one')
    const rule = await allowPing({ remote_group_id: outside.id })
    await soon(() => pings(two, one.ip), 'the rule lets two reach one')
    assert.equal(await pings(one, two.ip), false)
    await demo.ask('DELETE', `network/v2.0/security-group-rules/${rule}`)
    await soon(async () => !(await pings(two, one.ip)), 'without the rule one hears nothing from two')
    await setPort({ security_groups: [two.group] })
    await soon(() => pings(two, one.ip), 'two is back in the group')
  })

  it('a guest cannot send with an IP or a MAC that is not its own', async () => {
    // Whoever may send at all may ping: what fails now fails because of the sender's address.
    await allowPing({ remote_ip_prefix: '0.0.0.0/0' })
    // A guest that tells its neighbours of a new MAC at once: else they may use the old one for some seconds, and `inside` would not find it.
    const prepare = 'ip addr add 10.77.0.99/24 dev eth0 && echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_notify'
    assert.equal((await inside(two, `sudo sh -c '${prepare}'`)).status, 0)
    const withForeignIp = () => pings(two, one.ip, '-I', '10.77.0.99')
    const withForeignMac = async () => {
      const ping = `ping -c 3 -W 2 ${one.ip}`
      const become = (mac: string) => `ip link set eth0 address ${mac}`
      return (
        (await inside(two, `sudo sh -c '${become('fa:16:3e:0b:ad:00')}; ${ping}; status=$?; ${become(two.mac)}; exit $status'`)).status ===
        0
      )
    }
    const honestly = () => pings(two, one.ip, '-I', two.ip)
    await soon(honestly, 'the rule lets two reach one')
    assert.equal(await withForeignIp(), false)
    assert.equal(await withForeignMac(), false)
    await soon(honestly, 'two is heard again with its own MAC')

    // The proof that it was the guard that stopped them: without it both pass.
    await setPort({ security_groups: [], port_security_enabled: false })
    await soon(withForeignIp, 'a port without security may send with any IP')
    await soon(withForeignMac, 'a port without security may send with any MAC')
  })

  it('deleted guests leave nothing on their hosts', async () => {
    for (const guest of [one, two, three]) await remove(guest.who, guest.id)
    for (const host of bed.hosts)
      await soon(async () => {
        const { stdout } = await host.exec([
          'sh',
          '-c',
          'ip -o link; ip netns; nft list tables; virsh -q -c qemu:///system list --all --name',
        ])
        const ours = stdout.split('\n').filter((line) => new RegExp(`\\bw${cloudTag(host.home)}|wisp-`).test(line))
        return ours.length === 0
      }, `host ${host.name} has no domain, tap, bridge, tunnel or namespace of a guest`)
  })
})
