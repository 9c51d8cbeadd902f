// The machine's interfaces and forwarding entries. Every verb is "ensure": it looks at what is there and changes only what
// differs, so it may be said again at any time without disturbing a packet. Each bears our id as its alias.
import type { Netlink } from './netlink-batch.ts'
import { CommandFailed, run } from './shell.ts'

export { type Netlink, openNetlink } from './netlink-batch.ts'

export interface Link {
  index: number
  name: string
  /** `bridge`, `vxlan`, `veth`, `tun` (taps too), …; null for hardware and loopback. */
  kind: string | null
  /** What the kind says about itself, as `ip -details -json` names it. */
  data: Record<string, unknown>
  alias: string
  mac: string
  mtu: number
  up: boolean
  /** The bridge (or bond) it is a port of. */
  master: string | null
  /** A veth's other end: its name if it is in the same namespace, else its index in the other namespace. */
  peer: string | number | null
}

/** What every interface may be given. What is left out stays as it is. */
export interface LinkSettings {
  mtu?: number
  /** Our id for it: at most 255 printable characters without ' and #. */
  alias?: string
  mac?: string
  /** The bridge it shall be a port of; null takes it out of any. */
  master?: string | null
  /** Default true. */
  up?: boolean
  /** Whether the host itself may get an IPv6 address on it. Default false: host-side interfaces only carry guests' frames. */
  hostIpv6?: boolean
}

export class WrongKind extends Error {
  constructor(name: string, is: string | null, wanted: string) {
    super(
      `Interface ${name} exists, but is a ${is ?? 'physical interface'} and not a ${wanted}: rename or remove it, or choose another name`,
    )
    this.name = 'WrongKind'
  }
}

/** All interfaces of the namespace. */
export async function links(net: Netlink, signal?: AbortSignal): Promise<Link[]> {
  return (await net.ip(['link', 'show'], signal)).map(readLink)
}

export async function findLink(net: Netlink, name: string, signal?: AbortSignal): Promise<Link | undefined> {
  try {
    const [found] = await net.ip(['link', 'show', 'dev', checkedName(name)], signal)
    return found && readLink(found)
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

/** A bridge for guests: no spanning tree and no forwarding delay (a port forwards at once), no multicast snooping, default ageing. */
export async function ensureBridge(net: Netlink, bridge: { name: string } & LinkSettings, signal?: AbortSignal): Promise<Link> {
  // The kernel takes a delay of 0 only while there is no spanning tree, so that goes first.
  const noTree = ['type', 'bridge', 'stp_state', '0']
  const settings = ['type', 'bridge', 'forward_delay', '0', 'mcast_snooping', '0']
  const found = await findOfKind(net, bridge.name, 'bridge', signal)
  if (!found) await create(net, ['link', 'add', 'name', checkedName(bridge.name), ...settings], signal)
  else if (found.data.forward_delay !== 0 || found.data.stp_state !== 0 || found.data.mcast_snooping !== 0) {
    await net.ip(['link', 'set', 'dev', bridge.name, ...noTree], signal)
    await net.ip(['link', 'set', 'dev', bridge.name, ...settings], signal)
  }
  return ensureSettings(net, bridge.name, bridge, signal)
}

export interface Vxlan extends LinkSettings {
  name: string
  /** The network's number on the wire, 1 … 16777215. */
  vni: number
  /** This host's tunnel address. */
  local: string
  /** The interface that holds it; without it the route decides. */
  dev?: string
  /** UDP, default 4789. */
  port?: number
  /** Whether it learns from what arrives; default false: the forwarding entries are ours. */
  learning?: boolean
}

/** A tunnel port. Its number, address and UDP port can't be changed on a live one, so one that differs is replaced. */
export async function ensureVxlan(net: Netlink, vxlan: Vxlan, signal?: AbortSignal): Promise<Link> {
  const { name, vni, local, dev, port = 4789, learning = false } = vxlan
  const found = await findOfKind(net, name, 'vxlan', signal)
  const same =
    found &&
    found.data.id === vni &&
    (found.data.local ?? found.data.local6) === local &&
    found.data.port === port &&
    found.data.learning === learning &&
    (dev === undefined || found.data.link === dev)
  if (found && !same) await removeLink(net, name, signal)
  if (!same) {
    const words = ['link', 'add', 'name', checkedName(name), 'type', 'vxlan', 'id', String(vni), 'local', local]
    if (dev !== undefined) words.push('dev', checkedName(dev))
    words.push('dstport', String(port), learning ? 'learning' : 'nolearning')
    await create(net, words, signal)
  }
  return ensureSettings(net, name, vxlan, signal)
}

/**
 * A tap for a guest, made by us so that it is wired and filtered before the guest runs; libvirt opens it by its name with
 * `<target dev=… managed='no'/>`. `user` is who may open it besides root.
 */
export async function ensureTap(
  net: Netlink,
  tap: { name: string; user?: string; multiQueue?: boolean } & LinkSettings,
  signal?: AbortSignal,
): Promise<Link> {
  const found = await findOfKind(net, tap.name, 'tun', signal)
  if (found && found.data.type !== 'tap') throw new WrongKind(tap.name, 'tun', 'tap')
  if (!found) {
    const words = ['tuntap', 'add', 'dev', checkedName(tap.name), 'mode', 'tap', 'vnet_hdr']
    if (tap.user !== undefined) words.push('user', tap.user)
    if (tap.multiQueue) words.push('multi_queue')
    await create(net, words, signal)
  }
  return ensureSettings(net, tap.name, tap, signal)
}

/** The far end of a veth: its name, the namespace it lives in (opened by the caller) and its own settings. */
export interface VethPeer extends LinkSettings {
  name: string
  net: Netlink
}

/** A cable: `veth` in this namespace, `peer` in another (or the same). A cable whose other end is elsewhere is replaced. */
export async function ensureVeth(net: Netlink, veth: { name: string; peer: VethPeer } & LinkSettings, signal?: AbortSignal): Promise<Link> {
  const { peer } = veth
  const [found, far] = await Promise.all([findOfKind(net, veth.name, 'veth', signal), findOfKind(peer.net, peer.name, 'veth', signal)])
  const here = peer.net.netns === net.netns
  if (!found || !far || found.peer !== (here ? far.name : far.index) || far.peer !== (here ? found.name : found.index)) {
    if (found) await removeLink(net, veth.name, signal)
    await removeLink(peer.net, peer.name, signal)
    const words = ['link', 'add', 'name', checkedName(veth.name), 'type', 'veth', 'peer', 'name', checkedName(peer.name)]
    if (peer.net.netns !== net.netns) words.push('netns', peer.net.netns ?? `/proc/${process.pid}/ns/net`)
    await create(net, words, signal)
  }
  await ensureSettings(peer.net, peer.name, { hostIpv6: true, ...peer }, signal)
  return ensureSettings(net, veth.name, veth, signal)
}

/** Removes an interface (of a veth, both ends). Absent is fine. */
export async function removeLink(net: Netlink, name: string, signal?: AbortSignal): Promise<void> {
  try {
    await net.ip(['link', 'del', 'dev', checkedName(name)], signal)
  } catch (error) {
    if (!isAbsent(error)) throw error
  }
}

export async function setMaster(net: Netlink, name: string, master: string | null, signal?: AbortSignal): Promise<void> {
  await ensureSettings(net, name, { master, up: undefined, hostIpv6: true }, signal)
}

/** A forwarding entry of a bridge or vxlan: frames for `mac` (all zeros = unknown and broadcast) go to the tunnel end `dst`. */
export interface FdbEntry {
  mac: string
  dst: string | null
  /** `permanent`, `static`, or '' for one that was learnt and ages. */
  state: string
  /** It is the interface's own entry (a vxlan's table), not that of the bridge above it. */
  self: boolean
}

export async function fdbEntries(net: Netlink, dev: string, signal?: AbortSignal): Promise<FdbEntry[]> {
  const found = await ask(net, ['bridge', '-json', 'fdb', 'show', 'dev', checkedName(dev)], signal)
  return found.map((entry) => ({
    mac: text(entry.mac),
    dst: typeof entry.dst === 'string' ? entry.dst : null,
    state: text(entry.state),
    self: Array.isArray(entry.flags) && entry.flags.includes('self'),
  }))
}

/** Adds a tunnel end for a MAC on a vxlan. The zero MAC may have many ends; others have one, which is replaced. */
export async function fdbAppend(net: Netlink, dev: string, entry: { mac: string; dst: string }, signal?: AbortSignal): Promise<void> {
  const verb = entry.mac === '00:00:00:00:00:00' ? 'append' : 'replace'
  try {
    await net.bridge(['fdb', verb, entry.mac, 'dev', checkedName(dev), 'dst', entry.dst, 'self', 'permanent'], signal)
  } catch (error) {
    if (!says(error, 'File exists')) throw error
  }
}

/** Absent is fine. Without `dst` the entry goes whatever its end. */
export async function fdbDelete(net: Netlink, dev: string, entry: { mac: string; dst?: string }, signal?: AbortSignal): Promise<void> {
  const words = ['fdb', 'del', entry.mac, 'dev', checkedName(dev), ...(entry.dst === undefined ? [] : ['dst', entry.dst]), 'self']
  try {
    await net.bridge(words, signal)
  } catch (error) {
    if (!says(error, 'No such file or directory') && !isAbsent(error)) throw error
  }
}

/**
 * Asks a process of its own. The kept ones are for changes and `link show`: their other lists can't be trusted, because they
 * carry filters from one command to the next (`address show` after `link show` shows no address) and old indexes.
 */
export async function ask(net: Netlink, argv: string[], signal?: AbortSignal): Promise<Record<string, unknown>[]> {
  const { stdout } = await run(argv, { netns: net.netns, doing: 'look at the network', signal })
  return stdout.trim() === '' ? [] : (JSON.parse(stdout) as Record<string, unknown>[])
}

/** Gives an existing interface what differs from `wanted`, and brings it up. */
export async function ensureSettings(net: Netlink, name: string, wanted: LinkSettings, signal?: AbortSignal): Promise<Link> {
  const [raw] = await net.ip(['link', 'show', 'dev', checkedName(name)], signal)
  if (!raw) throw new Error(`Interface ${name} is gone`)
  const is = readLink(raw)
  // A command of its own: in one with `up` the kernel brings the interface up first, and a link-local address with it.
  if (!wanted.hostIpv6 && raw.inet6_addr_gen_mode !== undefined && raw.inet6_addr_gen_mode !== 'none') {
    await net.ip(['link', 'set', 'dev', name, 'addrgenmode', 'none'], signal)
  }
  const change: string[] = []
  if (wanted.mtu !== undefined && wanted.mtu !== is.mtu) change.push('mtu', String(wanted.mtu))
  if (wanted.mac !== undefined && wanted.mac.toLowerCase() !== is.mac) change.push('address', wanted.mac)
  if (wanted.alias !== undefined && wanted.alias !== is.alias) change.push('alias', wanted.alias)
  if (wanted.master !== undefined && wanted.master !== is.master) {
    change.push(...(wanted.master === null ? ['nomaster'] : ['master', checkedName(wanted.master)]))
  }
  const up = 'up' in wanted ? wanted.up : true
  if (up !== undefined && up !== is.up) change.push(up ? 'up' : 'down')
  if (change.length === 0) return is
  await net.ip(['link', 'set', 'dev', name, ...change], signal)
  return (await findLink(net, name, signal)) ?? is
}

async function findOfKind(net: Netlink, name: string, kind: string, signal?: AbortSignal): Promise<Link | undefined> {
  const found = await findLink(net, name, signal)
  if (found && found.kind !== kind) throw new WrongKind(name, found.kind, kind)
  return found
}

/** Another who ensures the same at the same time may be first; that is as good. */
async function create(net: Netlink, words: string[], signal?: AbortSignal): Promise<void> {
  try {
    await net.ip(words, signal)
  } catch (error) {
    if (!says(error, 'File exists')) throw error
  }
}

/** An interface's name as the kernel takes it: 1 to 15 characters. */
export function checkedName(name: string): string {
  if (!/^[A-Za-z0-9_.@%+=][A-Za-z0-9_.@%+=-]{0,14}$/.test(name) || name === '.' || name === '..') {
    throw new Error(`'${name}' is not a name for an interface: 1 to 15 letters, digits, '-', '_' or '.'`)
  }
  return name
}

export function isAbsent(error: unknown): boolean {
  return says(error, 'Cannot find device', 'does not exist', 'No such device')
}

export function says(error: unknown, ...texts: string[]): boolean {
  return error instanceof CommandFailed && texts.some((said) => error.stderr.includes(said))
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function readLink(raw: Record<string, unknown>): Link {
  const info = (raw.linkinfo ?? {}) as { info_kind?: string; info_data?: Record<string, unknown> }
  return {
    index: Number(raw.ifindex),
    name: text(raw.ifname),
    kind: info.info_kind ?? null,
    data: info.info_data ?? {},
    alias: text(raw.ifalias),
    mac: text(raw.address),
    mtu: Number(raw.mtu),
    up: Array.isArray(raw.flags) && raw.flags.includes('UP'),
    master: typeof raw.master === 'string' ? raw.master : null,
    peer: typeof raw.link_index === 'number' ? raw.link_index : text(raw.link) || null,
  }
}
