// Two clouds on one machine, made by the same code that an agent runs; one is taken away, the other must not notice. The machine is that
// of a private libvirtd: this file runs itself again inside its namespaces, where nothing of the real machine can be touched.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { domainName } from '../compute/host/domain.ts'
import { type Config, cloudTag, loadConfig } from '../config.ts'
import { type NetworkDoors, networkRealisers } from '../network/host/realisers.ts'
import type { DocumentOf, Kind } from '../wire/documents.ts'
import { groupDocument, networkDocument, portDocument, securityRule, subnetDocument } from '../wire/testing.ts'
import { destroyEverything, stopServers } from './cleanup.ts'
import { savedRules, setNames } from './iptables.ts'
import { connectLibvirt, type Libvirt, ListDomains, Start } from './libvirt.ts'
import type { Machine } from './machine.ts'
import { namespaces } from './namespaces.ts'
import { type PrivateLibvirtd, startPrivateLibvirtd } from './private-libvirtd.ts'
import { run } from './shell.ts'

const inside = process.env.WISP_CLEANUP_FOLDER

describe('cleaning up', { timeout: 120_000, skip: inside !== undefined }, () => {
  let daemon: PrivateLibvirtd
  before(async () => {
    daemon = await startPrivateLibvirtd()
  })
  after(() => daemon?.stop())

  it('takes away one cloud and leaves the other alone', async () => {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const here = [
      '-t',
      String(daemon.init),
      '--mount',
      '--net',
      '--pid',
      '--',
      process.execPath,
      '--test-reporter=tap',
      import.meta.filename,
    ]
    await promisify(execFile)('nsenter', here, { env: { ...env, WISP_CLEANUP_FOLDER: daemon.folder } }).catch((error) => {
      throw new Error(`inside the namespaces:\n${error.stdout}\n${error.stderr}`)
    })
  })
})

interface Cloud {
  config: Config
  tag: string
  doors: NetworkDoors
}

describe('inside', { timeout: 100_000, skip: inside === undefined }, () => {
  const folder = inside ?? ''
  let libvirt: Libvirt
  const clouds: Cloud[] = []

  before(async () => {
    libvirt = await connectLibvirt({ socket: '/run/libvirt/libvirt-sock' })
    await run(['ip', 'address', 'add', '192.0.2.1/24', 'dev', 'lo'])
    for (const name of ['one', 'other']) clouds.push(await makeCloud(path.join(folder, 'homes', name), libvirt))
  })
  after(async () => {
    for (const { doors } of clouds) await doors.stop()
    await libvirt?.close()
  })

  it('stops the servers of one cloud only', async () => {
    const [one, other] = clouds as [Cloud, Cloud]
    await stopServers(one.config)
    const names = (await libvirt.listDomains(ListDomains.ACTIVE)).map(({ name }) => name)
    assert.equal(names.filter((name) => name.includes(one.tag)).length, 0)
    assert.equal(names.filter((name) => name.includes(other.tag)).length, 1)
  })

  it('removes every trace of one cloud, twice the same, and then of the other', async () => {
    const [one, other] = clouds as [Cloud, Cloud]
    const before = await traces(other, libvirt)
    for (const kind of Object.values(await traces(one, libvirt))) assert.ok(kind.length > 0, 'there is something of each kind to remove')
    await destroyEverything(one.config)
    await destroyEverything(one.config)
    const nothing = { domains: [], links: [], namespaces: [], processes: [], rules: [], rules6: [], tables: [], sets: [] }
    assert.deepEqual(await traces(one, libvirt), nothing)
    assert.deepEqual(await traces(other, libvirt), before)
    // Without its files, too: names alone say what belongs to a cloud.
    fs.rmSync(other.config.home, { recursive: true })
    await destroyEverything(other.config)
    assert.deepEqual(await traces(other, libvirt), nothing)
  })
})

/** Everything that bears the tag, by kind; what changes by itself (counters, process ids) left out. */
async function traces({ config, tag }: Cloud, libvirt: Libvirt) {
  const ours = (text: string) => text.split('\n').filter((line) => line.includes(tag))
  const links = JSON.parse((await run(['ip', '-json', 'link', 'show'])).stdout) as { ifname: string; ifalias?: string }[]
  return {
    domains: (await libvirt.listDomains()).map(({ name }) => name).filter((name) => name.includes(tag)),
    links: links.map((link) => `${link.ifname} ${link.ifalias ?? ''}`).filter((link) => link.includes(tag)),
    namespaces: (await namespaces()).filter((name) => name.includes(tag)),
    processes: fs
      .readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid) && commandOf(pid).includes(`${config.home}/network/`))
      .sort(),
    rules: ours(await savedRules(null)).map((line) => line.replace(/\[\d+:\d+\]/, '')),
    rules6: ours(await savedRules(null, { family: 6 })).map((line) => line.replace(/\[\d+:\d+\]/, '')),
    tables: ours((await run(['nft', 'list', 'tables'])).stdout),
    sets: (await setNames(null)).filter((name) => name.includes(tag)),
  }
}

function commandOf(pid: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

/** A network with a tunnel, DHCP and metadata, a port with a security group, and a server that waits at its power button. */
async function makeCloud(home: string, libvirt: Libvirt): Promise<Cloud> {
  fs.mkdirSync(path.join(home, 'network'), { recursive: true })
  const config = { ...loadConfig({ WISP_HOME: home }), libvirtSocket: '/run/libvirt/libvirt-sock' }
  const tag = cloudTag(home)
  const [networkId, portId, groupId, serverId, subnetId] = Array.from({ length: 5 }, () => randomUUID()) as [
    string,
    string,
    string,
    string,
    string,
  ]
  const network = networkDocument({
    id: networkId,
    type: 'vxlan',
    segmentation_id: Number.parseInt(tag, 16),
    subnets: [subnetDocument({ id: subnetId })],
    dhcp: { port_id: randomUUID(), mac: 'fa:16:3e:00:00:02', ips: [{ ip: '10.9.0.2', subnet_id: subnetId }] },
    peers: ['192.0.2.2'],
  })
  const group = groupDocument([securityRule({ remote_group_id: groupId })], { id: groupId })
  const port = portDocument({
    id: portId,
    network_id: networkId,
    server_id: serverId,
    mac: 'fa:16:3e:00:00:05',
    ips: [{ ip: '10.9.0.5', subnet_id: subnetId }],
    security_groups: [groupId],
    hostname: 'five',
  })
  const documents: { [K in Kind]: Map<string, DocumentOf[K]> } = {
    image: new Map(),
    network: new Map([[networkId, network]]),
    'security-group': new Map([[groupId, group]]),
    'group-members': new Map([[groupId, { v: 1 as const, id: groupId, ips: ['10.9.0.5'] }]]),
    port: new Map([[portId, port]]),
    server: new Map(),
  }
  const machine: Machine = {
    config,
    tag,
    log: pino({ level: 'silent' }),
    libvirt,
    virtType: 'qemu',
    arch: 'x86_64',
    tunnelIp: '192.0.2.1',
    wanted: (kind) => documents[kind],
    complete: Promise.resolve(),
    metadataSocket: path.join(home, 'metadata.sock'),
    report: () => Promise.reject(new Error('no controller')),
    fetch: () => Promise.reject(new Error('no controller')),
  }
  const doors = await networkRealisers(machine)
  await doors.realisers.network.ensure(network, 1)
  await doors.realisers.port.ensure(port, 1)
  fs.mkdirSync(path.join(home, 'servers', serverId), { recursive: true })
  const dom = await libvirt.domainDefineXmlFlags({ xml: guest(domainName(tag, serverId), serverId) })
  await libvirt.domainCreateWithFlags({ dom, flags: Start.PAUSED })
  return { config, tag, doors }
}

const guest = (name: string, uuid: string) => `<domain type='qemu'>
  <name>${name}</name><uuid>${uuid}</uuid>
  <memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><tcg><tb-cache unit='MiB'>16</tb-cache></tcg></features>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='none'/><memballoon model='none'/></devices>
</domain>`
