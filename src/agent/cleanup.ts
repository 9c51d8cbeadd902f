// Takes a cloud off this machine: `wisp down --servers` stops its servers, `wisp destroy` removes every trace. What belongs to the cloud is
// known by its tag alone (in the names of domains, interfaces, namespaces, chains and sets), so this works whatever state the cloud is
// in, and never touches another cloud's. No agent may run meanwhile: it would put everything back.
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { serverIdOf } from '../compute/host/domain.ts'
import { type Config, cloudTag } from '../config.ts'
import { removeDhcp } from '../network/host/dhcp.ts'
import { bridgeTable } from '../network/host/names.ts'
import { end } from '../start/process.ts'
import { writeFileAtomic } from './files.ts'
import { loadNftables, removeSet, restoreRules, savedRules, setNames } from './iptables.ts'
import { connectLibvirt, type DomainRef, DomainState, ErrorCode, isLibvirtError, type Libvirt, ListDomains, Undefine } from './libvirt.ts'
import { ensureLibvirtd, listens } from './libvirtd.ts'
import { letBe } from './link-daemons.ts'
import { namespaces, removeNamespace } from './namespaces.ts'
import { links, type Netlink, openNetlink, removeLink } from './netlink.ts'
import { run } from './shell.ts'

/** How long guests get to shut themselves down, in milliseconds; as the agent gives them. */
const patience = 60_000
/** A guest that is still booting does not hear the power button, so it is pressed again this often. */
const pressEvery = 5_000

/** Shuts the servers of this cloud down, all at once; cuts the power of those that have not done so within a minute. */
export async function stopServers(config: Config): Promise<void> {
  await withLibvirt(config, async (libvirt) => {
    const tag = cloudTag(config.home)
    const running = () => domainsOf(libvirt, tag, ListDomains.ACTIVE)
    // They stop because the machine's operator says so, not because their users wish it: the next `up` shall start them again.
    for (const dom of await running()) await forgetStarts(config, serverIdOf(tag, dom.name)!)
    const until = performance.now() + patience
    let pressed = Number.NEGATIVE_INFINITY
    for (let left = await running(); left.length > 0; left = await running()) {
      const late = performance.now() > until
      if (late || performance.now() - pressed > pressEvery) {
        for (const dom of left) await (late || (await isPaused(libvirt, dom)) ? powerOff(libvirt, dom) : press(libvirt, dom))
        pressed = performance.now()
      }
      await sleep(200)
    }
  })
}

/** A domain that is off counts as stopped by its guest unless a start is owed to it: so its starts are counted as not yet done. */
async function forgetStarts({ home }: Config, serverId: string): Promise<void> {
  const file = path.join(home, 'servers', serverId, 'memory.json')
  if (!fs.existsSync(file)) return
  await writeFileAtomic(file, JSON.stringify({ ...JSON.parse(fs.readFileSync(file, 'utf8')), starts: 0 }))
}

/** Removes every trace of this cloud from the machine but the data directory itself. May be repeated, and taken up after a crash. */
export async function destroyEverything(config: Config): Promise<void> {
  const tag = cloudTag(config.home)
  await withLibvirt(config, async (libvirt) => {
    for (const dom of await domainsOf(libvirt, tag, 0)) await removeDomain(libvirt, dom)
  })
  removeLibvirtLogs(tag)
  const net = openNetlink(null)
  try {
    await removeNamespaces({ config, tag }, net)
    await removeInterfaces(tag, net)
  } finally {
    net.close()
  }
  await letBe(tag)
  // Rules go last: as long as there is a port, it is guarded. Sets go after the rules that name them.
  for (const family of [4, 6] as const) await removeChains(tag, family)
  await loadNftables(null, `table bridge ${bridgeTable(tag)}\ndelete table bridge ${bridgeTable(tag)}\n`, {
    doing: 'remove the rules against spoofing',
  })
  for (const name of await setNames(null)) if (name.startsWith(`wisp${tag}-`)) await removeSet(null, name)
  for (const folder of ['servers', 'network', 'images-cache'])
    await fs.promises.rm(path.join(config.home, folder), { recursive: true, force: true })
}

/** Servers run on without libvirtd, so it is started where needed; a cloud that never had a server on this machine does not need it. */
async function withLibvirt(config: Config, work: (libvirt: Libvirt) => Promise<void>): Promise<void> {
  const servers = path.join(config.home, 'servers')
  const hasServers = fs.existsSync(servers) && fs.readdirSync(servers).length > 0
  if (!hasServers && !(await listens(config.libvirtSocket))) return
  await ensureLibvirtd(config.libvirtSocket)
  const libvirt = await connectLibvirt({ socket: config.libvirtSocket })
  try {
    await work(libvirt)
  } finally {
    await libvirt.close()
  }
}

const domainsOf = async (libvirt: Libvirt, tag: string, flags: number): Promise<DomainRef[]> =>
  (await libvirt.listDomains(flags)).filter(({ name }) => serverIdOf(tag, name) !== null)

async function isPaused(libvirt: Libvirt, dom: DomainRef): Promise<boolean> {
  const { state } = await libvirt.domainGetState({ dom }).catch(orGone({ state: DomainState.SHUTOFF as number }))
  return state === DomainState.PAUSED
}

const press = (libvirt: Libvirt, dom: DomainRef) => libvirt.domainShutdownFlags({ dom, flags: 0 }).catch(orGone(undefined))
const powerOff = (libvirt: Libvirt, dom: DomainRef) => libvirt.domainDestroyFlags({ dom }).catch(orGone(undefined))

async function removeDomain(libvirt: Libvirt, dom: DomainRef): Promise<void> {
  await powerOff(libvirt, dom)
  const flags = Undefine.MANAGED_SAVE | Undefine.SNAPSHOTS_METADATA | Undefine.NVRAM | Undefine.CHECKPOINTS_METADATA
  await libvirt.domainUndefineFlags({ dom, flags }).catch(orGone(undefined))
}

/** A domain that is off, or gone, meanwhile is as good. */
const orGone =
  <T>(instead: T) =>
  (error: unknown): T => {
    if (isLibvirtError(error, ErrorCode.OPERATION_INVALID, ErrorCode.NO_DOMAIN)) return instead
    throw error
  }

/** libvirt keeps the log of a domain when the domain goes. */
function removeLibvirtLogs(tag: string): void {
  const folder = '/var/log/libvirt/qemu'
  if (!fs.existsSync(folder)) return
  for (const name of fs.readdirSync(folder)) if (serverIdOf(tag, name)) fs.rmSync(path.join(folder, name), { force: true })
}

/** Namespaces with all that runs in them. A network whose namespace is gone may still have a dnsmasq: its pid file says so. */
async function removeNamespaces(machine: { config: Config; tag: string }, net: Netlink): Promise<void> {
  const prefix = `wisp-${machine.tag}-`
  const names = (await namespaces()).filter((name) => name.startsWith(prefix))
  const folder = path.join(machine.config.home, 'network')
  const networks = new Set([...names.map((name) => name.slice(prefix.length)), ...(fs.existsSync(folder) ? fs.readdirSync(folder) : [])])
  for (const name of names) {
    const inside = await run(['ip', 'netns', 'pids', name]).catch(() => ({ stdout: '' })) // a dead handle has none
    for (const pid of inside.stdout.split('\n').filter(Boolean).map(Number)) await end(pid, 5_000)
  }
  for (const id of networks) await removeDhcp(machine, net, id)
  for (const name of names) await removeNamespace(name)
}

/** Ports of bridges before the bridges. A physical interface in a bridge is set free by its end. */
async function removeInterfaces(tag: string, net: Netlink): Promise<void> {
  const name = new RegExp(`^w${tag}[btdvx][0-9a-f]+$`)
  const ours = (await links(net)).filter((link) => name.test(link.name) || link.alias.startsWith(`wisp ${tag} `))
  const last = ours.filter((link) => link.kind === 'bridge')
  for (const link of [...ours.filter((link) => link.kind !== 'bridge'), ...last]) await removeLink(net, link.name)
}

/** Our chains and every rule elsewhere that leads to one of them, table by table in one transaction. */
async function removeChains(tag: string, family: 4 | 6): Promise<void> {
  const saved = await savedRules(null, { family })
  const lines: string[] = []
  for (const [, table, body = ''] of saved.matchAll(/^\*(\S+)\n([\s\S]*?)^COMMIT$/gm)) {
    const chains = [...body.matchAll(new RegExp(`^:(wisp${tag}-\\S+)`, 'gm'))].map((match) => match[1]!)
    if (chains.length === 0) continue
    const jumps = body.split('\n').flatMap((line) => {
      const [, from, to] = /^-A (\S+) .*-j (\S+)$/.exec(line) ?? []
      return from && to && chains.includes(to) && !chains.includes(from) ? [line.replace(/^-A/, '-D')] : []
    })
    const emptied = chains.map((chain) => `:${chain} - [0:0]`)
    lines.push(`*${table}`, ...emptied, ...jumps, ...chains.map((chain) => `-X ${chain}`), 'COMMIT')
  }
  if (lines.length > 0) await restoreRules(null, `${lines.join('\n')}\n`, { family, doing: 'remove the security groups' })
}
