// DHCP and the way to metadata for the ports of a network on this host: a namespace with the network's DHCP address, a dnsmasq that
// knows these ports and no others, and an haproxy that hands 169.254.169.254 to this host's metadata service. Both outlive the agent. They run
// as nobody and own none of their files: what a guest does to one of them must not become root's doing.
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import ipaddr from 'ipaddr.js'
import { ensureFolder, removeInside, writeFileAtomic } from '../../agent/files.ts'
import type { Machine } from '../../agent/machine.ts'
import { ensureAddresses, ensureNamespace, namespaces, removeNamespace } from '../../agent/namespaces.ts'
import { ensureVeth, type Netlink, openNetlink, removeLink } from '../../agent/netlink.ts'
import { netnsPath, run } from '../../agent/shell.ts'
import type { NetworkDocument, PortDocument } from '../../wire/documents.ts'
import { isId } from './check.ts'
import { alias, bridgeName, dhcpName, namespaceName } from './names.ts'

const metadataAddress = '169.254.169.254'
const leaseSeconds = 86_400

const folderOf = ({ config }: Pick<Machine, 'config'>, networkId: string) => path.join(config.home, 'network', networkId)
const v4 = (network: NetworkDocument) => network.subnets.filter((subnet) => subnet.ip_version === 4 && subnet.enable_dhcp)
/** Whether hosts that carry a port of it answer DHCP and metadata there. */
export const servedHere = (network: NetworkDocument): network is NetworkDocument & { dhcp: NonNullable<NetworkDocument['dhcp']> } =>
  network.dhcp !== null && v4(network).length > 0

export async function ensureDhcp(machine: Machine, net: Netlink, network: NetworkDocument, ports: PortDocument[]): Promise<void> {
  const { tag } = machine
  if (!servedHere(network)) return removeDhcp(machine, net, network.id)
  const namespace = namespaceName(tag, network.id)
  const folder = folderOf(machine, network.id)
  await ensureNamespace(namespace)
  const inside = openNetlink(namespace)
  try {
    await ensureVeth(net, {
      name: dhcpName(tag, network.id),
      alias: alias(tag, 'dhcp', network.id),
      mtu: network.mtu,
      master: bridgeName(tag, network.id),
      peer: { name: 'dhcp', net: inside, mac: network.dhcp.mac, mtu: network.mtu },
    })
    const prefixes = new Map(network.subnets.map((subnet) => [subnet.id, subnet.cidr.split('/')[1]]))
    const addresses = network.dhcp.ips.flatMap(({ ip, subnet_id }) => (prefixes.has(subnet_id) ? [`${ip}/${prefixes.get(subnet_id)}`] : []))
    await ensureAddresses(inside, 'dhcp', [...addresses, `${metadataAddress}/32`])
  } finally {
    inside.close()
  }
  await ensureFolder(folder)
  await ensureDnsmasq(machine, network, ports, namespace, folder)
  await ensureHaproxy(machine, network, namespace, folder)
}

/** Whether the two programs of a network run, in its namespace. */
export function servesDhcp(machine: Pick<Machine, 'config' | 'tag'>, network: NetworkDocument): boolean {
  if (!servedHere(network)) return true
  const folder = folderOf(machine, network.id)
  const namespace = namespaceName(machine.tag, network.id)
  return (['dnsmasq', 'haproxy'] as const).every((program) => {
    const pid = running(folder, program)
    return pid !== null && isIn(namespace, pid)
  })
}

export async function removeDhcp(machine: Pick<Machine, 'config' | 'tag'>, net: Netlink, networkId: string): Promise<void> {
  const folder = folderOf(machine, networkId)
  for (const program of ['dnsmasq', 'haproxy'] as const) await end(folder, program)
  await removeLink(net, dhcpName(machine.tag, networkId))
  await removeNamespace(namespaceName(machine.tag, networkId))
  if (fs.existsSync(folder)) await removeInside(path.join(machine.config.home, 'network'), folder)
}

/** The networks of which this machine has a namespace or files: also those whose bridge a reboot took away. */
export async function servedNetworks({ config, tag }: Machine): Promise<string[]> {
  const folder = path.join(config.home, 'network')
  const begin = namespaceName(tag, '')
  const named = (await namespaces()).flatMap((name) => (name.startsWith(begin) ? name.slice(begin.length) : []))
  return [...named, ...(fs.existsSync(folder) ? await fs.promises.readdir(folder) : [])].filter(isId)
}

/** The labels of a host name; whoever named the server otherwise gets a name made from the address. */
const hostname = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i
/** dnsmasq's names for options, and what it may be given as a value: one line of printable ASCII, of which `#` would begin a comment. */
const optionName = /^[a-z][a-z0-9-]{0,40}$/
const optionValue = /^[!"$-~ ]{0,255}$/

/** The option as dnsmasq wants it; null for one that it does not take. (What it takes less of than we do it logs and leaves out.) */
function optionOf(name: string, value: string): string | null {
  if (!optionValue.test(value)) return null
  if (/^\d{1,3}$/.test(name)) return Number(name) >= 1 && Number(name) <= 254 ? `${Number(name)},${value}` : null
  return optionName.test(name) ? `option:${name},${value}` : null
}

/** What dnsmasq reads; the documents must have passed ./check.ts. Pure. The hosts file may change at any time (SIGHUP); a change of the other two wants a new process. */
export function dnsmasqFiles(
  network: NetworkDocument,
  ports: PortDocument[],
  folder: string,
): { conf: string; options: string; hosts: string; names: string } {
  const dhcpIp = (subnetId: string) => network.dhcp?.ips.find((address) => address.subnet_id === subnetId)?.ip
  const subnets = v4(network)
  const conf = [
    'no-hosts',
    'no-resolv',
    'bind-dynamic',
    'interface=dhcp',
    'except-interface=lo',
    'dhcp-authoritative',
    'user=nobody',
    'group=nogroup',
    `pid-file=${folder}/dnsmasq.pid`,
    `dhcp-hostsfile=${folder}/hosts`,
    `addn-hosts=${folder}/names`,
    `dhcp-optsfile=${folder}/options`,
    `dhcp-leasefile=${folder}/leases`,
    'dhcp-lease-max=65536',
    `dhcp-option-force=option:mtu,${network.mtu}`,
    'domain=novalocal',
    ...subnets.map((subnet) => {
      const [range, bits] = ipaddr.parseCIDR(subnet.cidr)
      const mask = ipaddr.IPv4.subnetMaskFromPrefixLength(bits)
      return `dhcp-range=set:${tagOf(subnet.id)},${range},static,${mask},${leaseSeconds}s`
    }),
  ]
  const options = subnets.flatMap((subnet) => {
    const own = dhcpIp(subnet.id)
    const name = `tag:${tagOf(subnet.id)}`
    const gateway = subnet.gateway_ip
    const statics = [
      ...subnet.host_routes.map((route) => [route.destination, route.nexthop]),
      ...(own ? [[`${metadataAddress}/32`, own]] : []),
      ...(gateway ? [['0.0.0.0/0', gateway]] : []),
    ]
    const dns = subnet.dns_nameservers.filter((server) => !server.includes(':'))
    // As Neutron has it: 0.0.0.0 = no name server at all (which to dnsmasq would mean itself).
    const none = dns.length === 1 && dns[0] === '0.0.0.0'
    return [
      gateway ? `${name},option:router,${gateway}` : `${name},option:router`,
      ...(statics.length > 0 ? [`${name},option:classless-static-route,${statics.flat().join(',')}`] : []),
      ...(none
        ? [`${name},option:dns-server`]
        : dns.length > 0
          ? [`${name},option:dns-server,${dns.join(',')}`]
          : own
            ? [`${name},option:dns-server,${own}`]
            : []),
    ]
  })
  const entries = ports.flatMap((port) =>
    port.ips
      .filter(({ ip }) => !ip.includes(':'))
      .map(({ ip }) => ({ port, ip, name: hostname.test(port.hostname) ? port.hostname : `host-${ip.replaceAll('.', '-')}` })),
  )
  const hosts = entries.map(
    ({ port, ip, name }) => `${port.mac},${port.extra_dhcp_opts.length > 0 ? `set:port-${port.id},` : ''}${name}.novalocal,${ip}`,
  )
  for (const port of ports)
    for (const { opt_name, opt_value, ip_version } of port.extra_dhcp_opts) {
      const option = ip_version === 4 && opt_value ? optionOf(opt_name, opt_value) : null
      if (option) options.push(`tag:port-${port.id},${option}`)
    }
  const names = entries.map(({ ip, name }) => `${ip} ${name}.novalocal ${name}`)
  const text = (lines: string[]) => lines.map((line) => `${line}\n`).join('')
  return { conf: text(conf), options: text(options), hosts: text(hosts.sort()), names: text(names.sort()) }
}

const tagOf = (subnetId: string) => `s${createHash('sha256').update(subnetId).digest('hex').slice(0, 10)}`

async function ensureDnsmasq(
  machine: Machine,
  network: NetworkDocument,
  ports: PortDocument[],
  namespace: string,
  folder: string,
): Promise<void> {
  const files = dnsmasqFiles(network, ports, folder)
  const confChanged = await put(`${folder}/dnsmasq.conf`, files.conf)
  const read = [
    await put(`${folder}/options`, files.options),
    await put(`${folder}/hosts`, files.hosts),
    await put(`${folder}/names`, files.names),
  ]
  const stale = staleLeases(folder, files.hosts)
  let pid = await runningIn(namespace, folder, 'dnsmasq')
  if (pid !== null && (confChanged || stale !== null)) {
    await end(folder, 'dnsmasq')
    pid = null
  }
  if (pid === null) {
    if (stale !== null) await writeFileAtomic(`${folder}/leases`, stale)
    await run(['dnsmasq', `--conf-file=${folder}/dnsmasq.conf`], { netns: namespace, doing: `start DHCP for network ${network.id}` })
    machine.log.info({ network: network.id }, 'network: dnsmasq started')
  } else if (read.includes(true)) signal(pid, 'SIGHUP')
}

/** The lease file without leases of addresses that now belong to another MAC, which dnsmasq would refuse to it; null = all leases are good. */
function staleLeases(folder: string, hosts: string): string | null {
  if (!fs.existsSync(`${folder}/leases`)) return null
  const owner = new Map(hosts.split('\n').flatMap((line) => (line ? [[line.split(',').at(-1)!, line.split(',')[0]!] as const] : [])))
  const leases = fs.readFileSync(`${folder}/leases`, 'utf8').split('\n')
  const good = leases.filter((line) => {
    const [, mac, ip] = line.split(' ')
    return !mac || !ip || !owner.has(ip) || owner.get(ip) === mac
  })
  return good.length === leases.length ? null : good.join('\n')
}

async function ensureHaproxy(machine: Machine, network: NetworkDocument, namespace: string, folder: string): Promise<void> {
  const conf = `global
  maxconn 128
  nbthread 1
  user nobody
  group nogroup
  pidfile ${folder}/haproxy.pid
  daemon
defaults
  mode http
  option forwardfor
  retries 3
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout http-request 10s
listen metadata
  bind ${metadataAddress}:80
  http-request del-header X-Forwarded-For
  http-request del-header X-Wisp-Network
  http-request set-header X-Wisp-Network ${network.id}
  server wisp unix@${machine.metadataSocket}
`
  if (/[\s"'\\#$]/.test(folder + machine.metadataSocket))
    throw new Error(`The data directory ${machine.config.home} has a character in its name that haproxy's settings cannot carry. Move it.`)
  const changed = await put(`${folder}/haproxy.cfg`, conf)
  if (changed) await end(folder, 'haproxy')
  if ((await runningIn(namespace, folder, 'haproxy')) !== null) return
  await run(['haproxy', '-f', `${folder}/haproxy.cfg`], { netns: namespace, doing: `start the metadata proxy of network ${network.id}` })
}

/** Writes what differs. Returns whether something did. */
async function put(file: string, content: string): Promise<boolean> {
  if (fs.existsSync(file) && fs.readFileSync(file, 'utf8') === content) return false
  await writeFileAtomic(file, content)
  return true
}

type Program = 'dnsmasq' | 'haproxy'

/** It may have ended a moment ago. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** The pid of the program that this folder's files belong to; null when it does not run (a pid that another program has got does not count). */
function running(folder: string, program: Program): number | null {
  try {
    const pid = Number(fs.readFileSync(`${folder}/${program}.pid`, 'utf8').trim())
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${folder}/${program}.`) ? pid : null
  } catch {
    return null
  }
}

/** The same, where it runs in the namespace that now has this name; one that outlived an earlier namespace serves nobody, so it is ended. */
async function runningIn(namespace: string, folder: string, program: Program): Promise<number | null> {
  const pid = running(folder, program)
  if (pid === null || isIn(namespace, pid)) return pid
  await end(folder, program)
  return null
}

/** Whether the process is in the namespace; false when one of the two is gone. */
function isIn(namespace: string, pid: number): boolean {
  const [its, named] = [`/proc/${pid}/ns/net`, netnsPath(namespace)].map((file) => fs.statSync(file, { throwIfNoEntry: false }))
  return its !== undefined && its.ino === named?.ino
}

async function end(folder: string, program: Program): Promise<void> {
  for (const word of ['SIGTERM', 'SIGKILL'] as const) {
    const left = running(folder, program)
    if (left === null) return
    signal(left, word)
    for (let i = 0; i < 100 && running(folder, program) !== null; i++) await new Promise((go) => setTimeout(go, 20))
  }
}
