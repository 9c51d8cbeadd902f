// What a test run must not leave on the machine: network namespaces, interfaces, guests, packet filter chains, address sets, and processes.
// Seen before and after, and compared.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Names by kind. */
export type Sight = Record<string, string[]>

/** libvirtd keeps running by design (it has guests of others), and with it what it makes for itself. */
const libvirtsOwn = /^(virbr\d|LIBVIRT_)/

function lines(...argv: [string, ...string[]]): string[] {
  const { stdout, error } = spawnSync(argv[0], argv.slice(1), { encoding: 'utf8', timeout: 20_000 })
  return error ? [] : stdout.split('\n').filter(Boolean)
}

const folder = (place: string): string[] => (fs.existsSync(place) ? fs.readdirSync(place) : [])

const chains = (program: string) =>
  lines(`${program}-save`).flatMap((line) => {
    const [, name] = /^:(\S+) - /.exec(line) ?? []
    return name && !libvirtsOwn.test(name) ? [name] : []
  })

export function look(): Sight {
  return {
    'network namespace': folder('/run/netns'),
    interface: lines('ip', '-oneline', 'link', 'show').flatMap((line) => {
      const [, name] = /^\d+: ([^:@]+)/.exec(line) ?? []
      return name && !libvirtsOwn.test(name) ? [name] : []
    }),
    guest: processes(({ argv }) => /(^|\/)qemu-system-/.test(argv[0] ?? '')),
    domain: folder('/etc/libvirt/qemu').filter((name) => name.endsWith('.xml')),
    'iptables chain': chains('iptables'),
    'ip6tables chain': chains('ip6tables'),
    'nftables table': lines('nft', 'list', 'tables').filter((line) => line.includes('wisp')),
    'address set': lines('ipset', 'list', '-name'),
  }
}

/** Processes that a run started, known by a word in their environment, which they inherit. */
export function marked(mark: string): string[] {
  return processes(({ pid, argv }) => {
    const name = path.basename(argv[0] ?? '')
    if (name === 'libvirtd' || name === 'virtlogd') return false
    if (argv.some((word) => word.startsWith('/var/lib/libvirt/dnsmasq/'))) return false
    return pid !== process.pid && fs.readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(mark)
  })
}

/** Everything that is there now and was not before. What is about to go gets a few seconds. */
export async function leftovers(before: Sight, mark: string): Promise<string[]> {
  for (let tries = 0; ; tries++) {
    const now = look()
    const left = Object.entries(now).flatMap(([kind, names]) =>
      names.filter((name) => !before[kind]?.includes(name)).map((name) => `${kind} ${name}`),
    )
    left.push(...marked(mark).map((name) => `process ${name}`))
    if (left.length === 0 || tries === 20) return left
    await sleep(500)
  }
}

interface Process {
  pid: number
  argv: string[]
}

/** Those that fit, as `pid command`; those that go meanwhile are left out. */
function processes(fits: (process: Process) => boolean): string[] {
  return folder('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const argv = fs.readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0')
      return argv[0] && fits({ pid: Number(name), argv }) ? [`${name} ${argv.join(' ').trim().slice(0, 120)}`] : []
    } catch {
      return []
    }
  })
}
