// Network namespaces, and the addresses, routes and kernel settings within them (or within the host's own).
import { readdir, rm, statfs, writeFile } from 'node:fs/promises'
import { ask, checkedName, isAbsent, says } from './netlink.ts'
import type { Netlink } from './netlink-batch.ts'
import { type Netns, netnsPath, run } from './shell.ts'

/** The file system type of a namespace's handle; a plain file of that name is what a reboot or a crash left behind. */
const NSFS_MAGIC = 0x6e736673

/** Creates the namespace with its loopback up. Idempotent; a dead handle of that name is replaced. */
export async function ensureNamespace(name: string, signal?: AbortSignal): Promise<void> {
  const doing = `create network namespace ${name}`
  const state = await namespaceState(name)
  if (state === 'dead') await rm(netnsPath(name))
  if (state !== 'alive') {
    await run(['ip', 'netns', 'add', name], { doing, signal }).catch((error) => {
      if (!says(error, 'File exists')) throw error
    })
  }
  if (state !== 'alive') await run(['ip', 'link', 'set', 'dev', 'lo', 'up'], { netns: name, doing, signal })
}

/** Removes the namespace with the interfaces in it. Absent is fine. Close what openNetlink opened there first. */
export async function removeNamespace(name: string, signal?: AbortSignal): Promise<void> {
  const state = await namespaceState(name)
  if (state === 'dead') await rm(netnsPath(name), { force: true })
  if (state === 'alive') await run(['ip', 'netns', 'delete', name], { doing: `remove network namespace ${name}`, signal })
}

/** The names of all namespaces that `ip netns` knows. */
export async function namespaces(): Promise<string[]> {
  try {
    return (await readdir('/run/netns')).sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

async function namespaceState(name: string): Promise<'alive' | 'dead' | 'absent'> {
  try {
    return (await statfs(netnsPath(name))).type === NSFS_MAGIC ? 'alive' : 'dead'
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'absent'
    throw error
  }
}

export interface Address {
  dev: string
  /** Address and prefix length: `10.0.0.1/24`. */
  cidr: string
  family: 4 | 6
  /** `global`, `link`, `host`. */
  scope: string
}

export async function addresses(net: Netlink, dev?: string, signal?: AbortSignal): Promise<Address[]> {
  const found = await ask(net, ['ip', '-json', 'address', 'show', ...(dev === undefined ? [] : ['dev', checkedName(dev)])], signal)
  return found.flatMap((link) =>
    ((link.addr_info ?? []) as Record<string, unknown>[])
      .filter((info) => info.local !== undefined)
      .map((info) => ({
        dev: String(link.ifname),
        cidr: `${info.local}/${info.prefixlen}`,
        family: info.family === 'inet6' ? 6 : 4,
        scope: String(info.scope),
      })),
  )
}

/** Adds the address if it isn't there. IPv6 addresses are usable at once (no duplicate address detection). */
export async function ensureAddress(net: Netlink, dev: string, cidr: string, signal?: AbortSignal): Promise<void> {
  await net.ip(['address', 'replace', cidr, 'dev', checkedName(dev), ...(cidr.includes(':') ? ['nodad'] : [])], signal)
}

/** Absent is fine, of the interface too. */
export async function removeAddress(net: Netlink, dev: string, cidr: string, signal?: AbortSignal): Promise<void> {
  try {
    await net.ip(['address', 'del', cidr, 'dev', checkedName(dev)], signal)
  } catch (error) {
    if (!isAbsent(error) && !says(error, 'Cannot assign requested address', 'Address not found')) throw error
  }
}

/** Makes the interface's addresses (but link-local ones) exactly these. */
export async function ensureAddresses(net: Netlink, dev: string, cidrs: string[], signal?: AbortSignal): Promise<void> {
  const present = async () =>
    (await addresses(net, dev, signal)).filter((address) => address.scope !== 'link').map((address) => address.cidr)
  for (const cidr of await present()) if (!cidrs.includes(cidr)) await removeAddress(net, dev, cidr, signal)
  // Removing a subnet's first address takes its others along, so look again at what is there.
  const left = await present()
  for (const cidr of cidrs) if (!left.includes(cidr)) await ensureAddress(net, dev, cidr, signal)
}

export interface Route {
  /** A prefix, or `default`. */
  to: string
  via?: string
  dev?: string
  source?: string
  metric?: number
  /** Default `main`. */
  table?: string
}

function routeWords(route: Route): string[] {
  const words = [route.to]
  if (route.via !== undefined) words.push('via', route.via)
  if (route.dev !== undefined) words.push('dev', checkedName(route.dev))
  if (route.source !== undefined) words.push('src', route.source)
  if (route.metric !== undefined) words.push('metric', String(route.metric))
  if (route.table !== undefined) words.push('table', route.table)
  return words
}

export async function routes(net: Netlink, family: 4 | 6 = 4, table = 'main', signal?: AbortSignal): Promise<Route[]> {
  const found = await ask(net, ['ip', family === 6 ? '-6' : '-4', '-details', '-json', 'route', 'show', 'table', table], signal)
  return found
    .filter((route) => route.type === 'unicast')
    .map((route) => ({
      to: String(route.dst),
      via: route.gateway as string | undefined,
      dev: route.dev as string | undefined,
      source: route.prefsrc as string | undefined,
      metric: route.metric as number | undefined,
      table,
    }))
}

/** Adds the route, or replaces the one to the same place with the same metric. */
export async function ensureRoute(net: Netlink, route: Route, signal?: AbortSignal): Promise<void> {
  await net.ip(['route', 'replace', ...routeWords(route)], signal)
}

/** Absent is fine. */
export async function removeRoute(net: Netlink, route: Route, signal?: AbortSignal): Promise<void> {
  try {
    await net.ip(['route', 'del', ...routeWords(route)], signal)
  } catch (error) {
    if (!isAbsent(error) && !says(error, 'No such process', 'FIB table does not exist')) throw error
  }
}

/**
 * Sets kernel settings, named as paths below /proc/sys: `net/ipv4/ip_forward`. (Not with dots: an interface's name may have
 * one.) What lies below `net` belongs to the namespace of whoever writes it, hence a process in there.
 */
export async function setSysctls(netns: Netns, settings: Record<string, string | number>, signal?: AbortSignal): Promise<void> {
  const entries = Object.entries(settings)
  const wrong = entries.find(([key]) => !/^[A-Za-z0-9_.@%+=/-]+$/.test(key) || key.includes('..'))
  if (wrong) throw new Error(`'${wrong[0]}' is not a path below /proc/sys`)
  if (netns === null) for (const [key, value] of entries) await writeFile(`/proc/sys/${key}`, String(value))
  else if (entries.length > 0) {
    const words = entries.map(([key, value]) => `${key}=${value}`)
    await run(['sysctl', '-q', '-w', ...words], { netns, doing: `set kernel settings in namespace ${netns}`, signal })
  }
}
