// What Wisp needs of the kernel and of the programs that drive it. Each is tried in a network namespace of its own that is gone afterwards,
// instead of believing version numbers.
import fs from 'node:fs'
import path from 'node:path'
import { CommandFailed, run } from '../agent/shell.ts'
import { bad, type Finding, good, poor } from './finding.ts'

interface Trial {
  what: string
  argv: string[]
  input?: string
  remedy: string
  needed: boolean
}

const link = (what: string, lines: string, module: string, needed: boolean): Trial => ({
  what,
  argv: ['ip', '-batch', '-'],
  input: lines,
  remedy: `modprobe ${module} (package linux-image-amd64 or linux-modules-extra has it)`,
  needed,
})

const trials: Trial[] = [
  {
    what: 'network namespaces',
    argv: ['true'],
    remedy: 'a kernel with CONFIG_NET_NS, and root without restrictions (not an unprivileged container)',
    needed: true,
  },
  link('bridges', 'link add name wisp0 type bridge\n', 'bridge', true),
  link('taps', 'tuntap add name wisp0 mode tap\n', 'tun', true),
  link('veth pairs', 'link add name wisp0 type veth peer name wisp1\n', 'veth', true),
  link('vxlan tunnels', 'link add name wisp0 type vxlan id 1 dstport 4789\n', 'vxlan', false),
  link('VLAN sub-interfaces (8021q)', 'link add name wisp0 type dummy\nlink add link wisp0 name wisp0.5 type vlan id 5\n', '8021q', false),
  {
    what: 'filtering on bridges (br_netfilter, physdev)',
    argv: ['iptables', '-w', '-A', 'FORWARD', '-m', 'physdev', '--physdev-is-bridged', '-j', 'ACCEPT'],
    remedy: 'modprobe br_netfilter; apt-get install iptables',
    needed: true,
  },
  {
    what: 'connection tracking with zones',
    argv: ['iptables', '-w', '-t', 'raw', '-A', 'PREROUTING', '-j', 'CT', '--zone', '7'],
    remedy: 'modprobe nf_conntrack; modprobe xt_CT',
    needed: true,
  },
  {
    what: 'IP sets',
    argv: ['ipset', 'create', 'wisp-trial', 'hash:net'],
    remedy: 'apt-get install ipset; modprobe ip_set_hash_net',
    needed: true,
  },
  {
    what: 'nftables on bridges',
    argv: ['nft', 'add table bridge wisp'],
    remedy: 'apt-get install nftables; modprobe nf_tables',
    needed: true,
  },
]

const programs = { dnsmasq: 'dnsmasq-base', haproxy: 'haproxy', conntrack: 'conntrack', 'qemu-img': 'qemu-utils' }

/** Tries everything, all at once: a tenth of a second. */
export async function kernel(): Promise<Finding[]> {
  const findings = await Promise.all(trials.map(attempt))
  for (const [program, name] of Object.entries(programs)) {
    const found = (process.env.PATH ?? '')
      .split(':')
      .concat('/usr/sbin', '/sbin')
      .some((folder) => fs.existsSync(path.join(folder, program)))
    if (!found) findings.push(bad(`${program} is missing`, `apt-get install ${name}`))
  }
  // Using the module physdev has loaded it.
  if (!fs.existsSync('/proc/sys/net/bridge/bridge-nf-call-iptables'))
    findings.push(bad('bridges do not pass packets to iptables', 'modprobe br_netfilter'))
  return findings
}

async function attempt({ what, argv, input = '', remedy, needed }: Trial): Promise<Finding> {
  try {
    await run(['unshare', '--net', ...argv], { input, timeoutMs: 10_000 })
    return good(what)
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error
    // A machine that is too busy to tell is not one that cannot.
    if (error.exitCode === null) return poor(`${what}: ${error.message}`, 'try again when the machine is less busy')
    const text = `${what}: ${error.stderr.trim().split('\n')[0] || `status ${error.exitCode}`}`
    return needed ? bad(text, remedy) : poor(text, remedy)
  }
}

/** @throws Error that names everything without which a host cannot work here */
export async function mustHaveKernel(): Promise<void> {
  const missing = (await kernel()).filter(({ level }) => level === 'bad')
  if (missing.length === 0) return
  const lines = missing.map(({ what, remedy }) => `\n  ${what}\n    → ${remedy}`)
  throw new Error(`This machine cannot carry servers yet. It lacks:${lines.join('')}\nWhen that is mended, say "wisp up" again`)
}
