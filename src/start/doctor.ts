// `wisp doctor`: what this machine can do, what is configured, what runs, what is wrong and how to mend it. It tries things instead of
// believing version numbers, each in a network namespace of its own that is gone afterwards.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { diskSpace } from '../agent/files.ts'
import { probe, qemuPackage } from '../agent/kvm.ts'
import { listens } from '../agent/libvirtd.ts'
import { type Config, effective } from '../config.ts'
import { embeddedPid } from '../database/embedded.ts'
import { readPair, troubleOf } from '../http/tls.ts'
import { isOnlyHost, localUrl } from './cloud.ts'
import { programPids } from './supervisor.ts'

export interface Finding {
  /** `bad` = Wisp will not work; `poor` = it will, without something. */
  level: 'good' | 'poor' | 'bad'
  what: string
  /** What to do about it. */
  remedy?: string
}

const good = (what: string): Finding => ({ level: 'good', what })
const poor = (what: string, remedy: string): Finding => ({ level: 'poor', what, remedy })
const bad = (what: string, remedy: string): Finding => ({ level: 'bad', what, remedy })

/** Exit status 0 when nothing is bad, 1 otherwise. */
export async function doctor(config: Config): Promise<number> {
  const chapters: [string, Finding[]][] = [
    ['This machine', [distribution(), ...(await accelerators(config)), await disk(config), memory()]],
    ['Its kernel and tools', kernel()],
    ['libvirt', await libvirt(config)],
    ['Database', await database(config)],
    ...(config.tlsCertificate && !isOnlyHost(config) ? ([['Certificate', certificate(config)]] as [string, Finding[]][]) : []),
    ['Ports', port(config)],
    ['Settings', configured()],
  ]
  for (const [title, findings] of chapters) {
    console.log(`\n${title}`)
    for (const { level, what, remedy } of findings) {
      console.log(`  ${{ good: 'ok  ', poor: 'poor', bad: 'BAD ' }[level]}  ${what}`)
      if (remedy) console.log(`        → ${remedy}`)
    }
  }
  console.log('\nWhat runs')
  const { status } = await import('./status.ts')
  await status(config)
  const wrong = chapters.flatMap(([, findings]) => findings).filter(({ level }) => level === 'bad').length
  console.log(
    wrong === 0
      ? '\nNothing is wrong with this machine.'
      : `\n${wrong} ${wrong === 1 ? 'thing is' : 'things are'} wrong; what to do stands beside.`,
  )
  return wrong === 0 ? 0 : 1
}

function distribution(): Finding {
  const text = fs.existsSync('/etc/os-release') ? fs.readFileSync('/etc/os-release', 'utf8') : ''
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)`, 'm').exec(text)?.[1] ?? ''
  const supported = ['debian 12', 'debian 13', 'ubuntu 24.04'].includes(`${field('ID')} ${field('VERSION_ID')}`)
  const name = field('PRETTY_NAME') || 'an unknown system'
  return supported
    ? good(`${name}, ${process.arch}`)
    : poor(`${name} is not one that Wisp is tested on`, 'Debian 12, Debian 13 and Ubuntu 24.04 are')
}

async function accelerators(config: Config): Promise<Finding[]> {
  // It throws only when there is no QEMU at all.
  const failed = (error: Error) => ({ works: false, why: error.message })
  const kvm = await probe('kvm').catch(failed)
  const tcg = await probe('tcg', 20_000).catch(failed)
  if (kvm.works) return [good('KVM works: a guest ran')]
  const remedy = fs.existsSync('/dev/kvm')
    ? '/dev/kvm is there, but guests do not run: this is often a virtual machine without nested virtualisation. Switch that on outside'
    : 'switch on virtualisation (VT-x or AMD-V) in the firmware, or nested virtualisation outside, then: modprobe kvm_intel (or kvm_amd)'
  const finding = poor(`KVM does not work (${kvm.why}): servers are emulated, and slow`, remedy)
  if (config.virtType === 'kvm') finding.level = 'bad'
  return [
    finding,
    tcg.works
      ? good('emulation (TCG) works: a guest ran')
      : bad(`emulation does not work either: ${tcg.why}`, `apt-get install ${qemuPackage()}`),
  ]
}

async function disk({ home }: Config): Promise<Finding> {
  let folder = home
  while (!fs.existsSync(folder)) folder = path.dirname(folder)
  const { totalBytes, freeBytes } = await diskSpace(folder)
  const text = `${(freeBytes / 2 ** 30).toFixed(1)} of ${(totalBytes / 2 ** 30).toFixed(1)} GB are free in ${home}`
  return freeBytes < 2 * 2 ** 30 ? bad(text, 'make room, or choose another WISP_HOME: below 2 GB there is no room for servers') : good(text)
}

function memory(): Finding {
  const kilobytes = Number(/^MemAvailable:\s+(\d+)/m.exec(fs.readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0)
  const text = `${Math.round(kilobytes / 1024)} MB of memory are available`
  return kilobytes < 512 * 1024 ? poor(text, 'Wisp itself takes about 300 MB; the rest is for servers') : good(text)
}

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

const TRIALS: Trial[] = [
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

function kernel(): Finding[] {
  const findings = TRIALS.map(({ what, argv, input, remedy, needed }) => {
    const { status, stderr, error } = spawnSync('unshare', ['--net', ...argv], { input: input ?? '', encoding: 'utf8', timeout: 10_000 })
    if (status === 0) return good(what)
    const text = `${what}: ${error?.message ?? (stderr.trim().split('\n')[0] || `status ${status}`)}`
    return needed ? bad(text, remedy) : poor(text, remedy)
  })
  for (const [program, name] of Object.entries({
    dnsmasq: 'dnsmasq-base',
    haproxy: 'haproxy',
    conntrack: 'conntrack',
    'qemu-img': 'qemu-utils',
  })) {
    const found = (process.env.PATH ?? '')
      .split(':')
      .concat('/usr/sbin', '/sbin')
      .some((folder) => fs.existsSync(path.join(folder, program)))
    if (!found) findings.push(bad(`${program} is missing`, `apt-get install ${name}`))
  }
  if (!fs.existsSync('/proc/sys/net/bridge/bridge-nf-call-iptables'))
    findings.push(bad('bridges do not pass packets to iptables', 'modprobe br_netfilter'))
  return findings
}

async function libvirt({ libvirtSocket }: Config): Promise<Finding[]> {
  const { status, stdout } = spawnSync('libvirtd', ['--version'], { encoding: 'utf8' })
  if (status !== 0) return [bad('libvirtd is not installed', 'apt-get install libvirt-daemon-system')]
  const version = stdout.trim().split(' ').at(-1)
  if (await listens(libvirtSocket)) return [good(`libvirtd ${version} answers on ${libvirtSocket}`)]
  return [poor(`libvirtd ${version} does not answer on ${libvirtSocket}`, '"wisp up" starts it')]
}

async function database({ databaseUrl, home }: Config): Promise<Finding[]> {
  if (!databaseUrl) return [good(`the embedded PostgreSQL ${embeddedPid(home) ? 'runs' : 'does not run now; "wisp up" starts it'}`)]
  const { open, mustFit } = await import('../database/external.ts')
  try {
    const client = await open(databaseUrl, 'wisp doctor')
    try {
      await mustFit(client)
      const { rows } = await client.query<{ version: string }>(`select current_setting('server_version') as version`)
      return [good(`your own PostgreSQL ${rows[0]!.version} answers`)]
    } finally {
      await client.end()
    }
  } catch (error) {
    return [bad((error as Error).message, 'mend it there, or in DATABASE_URL')]
  }
}

function certificate(config: Config): Finding[] {
  const { tlsCertificate = '', tlsKey = '' } = config
  const host = new URL(localUrl(config)).hostname.replace(/^\[|\]$/g, '')
  try {
    const trouble = troubleOf(readPair({ certificate: tlsCertificate, key: tlsKey }), host)
    if (!trouble) return [good(`the certificate of the API is for ${host}`)]
    return [{ ...trouble, remedy: 'renew it (the new files are read by themselves), or set WISP_PUBLIC_URL to a name that it has' }]
  } catch (error) {
    return [bad((error as Error).message, 'mend the file; it is read again by itself')]
  }
}

// ss names the program that has the port; ours is no reason to complain.
function port(config: Config): Finding[] {
  if (isOnlyHost(config)) return []
  const { stdout } = spawnSync('ss', ['-Hltnp', `sport = :${config.port}`], { encoding: 'utf8' })
  const owners = [...(stdout ?? '').matchAll(/\("([^"]+)",pid=(\d+)/g)].map(([, name, pid]) => ({ name, pid: Number(pid) }))
  const ours = programPids(config.home, 'controller')
  const other = owners.find(({ pid }) => !ours.includes(pid))
  if (other)
    return [bad(`port ${config.port} is taken by ${other.name} (pid ${other.pid})`, 'set WISP_PORT to a free one, or stop that program')]
  return [good(`port ${config.port} is ${owners.length > 0 ? 'ours' : 'free'}`)]
}

function configured(): Finding[] {
  const set = effective().filter(({ from }) => from !== 'default')
  return set.length === 0 ? [good('all defaults')] : set.map(({ env, value, from }) => good(`${env}=${value} (${from})`))
}
