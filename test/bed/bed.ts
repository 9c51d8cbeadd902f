// A test bed: several hosts on one machine. A host is a set of namespaces (network, mount, process, name, IPC) with its own /run, its own
// libvirtd and its own `wisp host` that joined with a one-time token; a switch in a namespace of its own joins them to each other and to
// the controller. Killing a host's first process is a power cut: everything in it dies at once.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const capabilities = '/var/cache/libvirt/qemu/capabilities'
const repository = path.join(import.meta.dirname, '../..')

export interface BedHost {
  name: string
  /** Its address on the switch, also its end of the tunnels. */
  ip: string
  /** WISP_HOME of its agent. */
  home: string
  /** Runs a program inside the host's namespaces. */
  exec(argv: string[], options?: { timeout?: number }): Promise<{ stdout: string; stderr: string }>
  /** Starts (again) the agent; it joins by itself the first time. `more` goes into its environment, as WISP_CRASH for the chaos test. */
  startAgent(more?: Record<string, string>): Promise<void>
  /** Whether the agent's process has ended by itself. */
  agentDied(): boolean
  /** Ends the agent as kill -9 would. */
  killAgent(): Promise<void>
  /** A power cut: all that runs in the host dies. */
  powerOff(): Promise<void>
  powerOn(): Promise<void>
}

export interface Bed {
  /** The controller's machine has this address on the switch. */
  controllerIp: string
  hosts: BedHost[]
  stop(): Promise<void>
}

export interface BedOptions {
  names: string[]
  /** Where the bed keeps its files. */
  folder: string
  /** Makes a join token on the controller. */
  joinToken: () => Promise<string>
  /** The controller's address for hosts, given the bed's controllerIp. */
  controllerUrl: (ip: string) => string
  env?: Record<string, string>
}

/** Words come as arguments ($1 = the host's folder, $2 = its name). */
const init = `
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/libvirt /run/lock /run/netns
for part in etc/libvirt var/lib/libvirt var/log/libvirt var/cache/libvirt; do
  mkdir -p "/$part" "$1/$part"
  mount --bind "$1/$part" "/$part"
done
mkdir -p /etc/libvirt/qemu /var/log/libvirt/qemu
mount -t sysfs sysfs /sys
hostname "$2"
ip link set lo up
virtlogd -d
while :; do libvirtd --timeout 0 || sleep 0.2; done
`

const libvirtdConf = (uuid: string) => `auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
host_uuid = "${uuid}"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
`
/** No control groups and no mount namespace per guest, so that a guest leaves nothing on the machine that runs the test. */
const qemuConf = `user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
remember_owner = 0
`

export async function startBed({ names, folder, joinToken, controllerUrl, env = {} }: BedOptions): Promise<Bed> {
  const tag = randomBytes(2).toString('hex')
  const third = 16 + (process.pid % 200)
  const ipOf = (n: number) => `172.31.${third}.${n}`
  const controllerIp = ipOf(254)
  const switchNs = `wb${tag}sw`
  const uplink = `wb${tag}up`
  const undo: (() => Promise<unknown>)[] = []
  const ip = (...argv: string[]) => run('ip', argv)

  await ip('netns', 'add', switchNs)
  undo.push(() => ip('netns', 'del', switchNs))
  await ip('-n', switchNs, 'link', 'add', 'sw', 'type', 'bridge', 'forward_delay', '0')
  await ip('-n', switchNs, 'link', 'set', 'sw', 'up')
  await ip('link', 'add', uplink, 'type', 'veth', 'peer', 'name', 'up', 'netns', switchNs)
  undo.push(() => ip('link', 'del', uplink))
  await ip('-n', switchNs, 'link', 'set', 'dev', 'up', 'master', 'sw', 'up')
  await ip('addr', 'add', `${controllerIp}/24`, 'dev', uplink)
  await ip('link', 'set', uplink, 'up')

  const hosts: BedHost[] = []
  for (const [index, name] of names.entries()) {
    const home = path.join(folder, name)
    const netns = `wb${tag}${name}`
    const address = ipOf(index + 1)
    const uuid = randomUUID()
    let outer: ChildProcess | null = null
    let pid = 0
    let agent: ChildProcess | null = null

    await ip('netns', 'add', netns)
    undo.push(() => ip('netns', 'del', netns))
    await ip('link', 'add', `wb${tag}${index}`, 'netns', switchNs, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns)
    await ip('-n', switchNs, 'link', 'set', `wb${tag}${index}`, 'master', 'sw', 'up')
    await ip('-n', netns, 'addr', 'add', `${address}/24`, 'dev', 'eth0')
    await ip('-n', netns, 'link', 'set', 'eth0', 'up')
    fs.mkdirSync(path.join(home, 'etc/libvirt'), { recursive: true })
    fs.mkdirSync(path.join(home, 'wisp'), { recursive: true })
    // What libvirt found out about QEMU on this machine, so that it need not start every QEMU binary again.
    if (fs.existsSync(capabilities)) fs.cpSync(capabilities, path.join(home, capabilities), { recursive: true })
    fs.writeFileSync(path.join(home, 'etc/libvirt/libvirtd.conf'), libvirtdConf(uuid))
    fs.writeFileSync(path.join(home, 'etc/libvirt/qemu.conf'), qemuConf)

    const inside = (argv: string[]) => ['-t', String(pid), '-m', '-n', '-u', '-i', '-p', ...argv]
    const host: BedHost = {
      name,
      ip: address,
      home: path.join(home, 'wisp'),
      exec: (argv, { timeout = 30_000 } = {}) => run('nsenter', inside(argv), { timeout, maxBuffer: 16 << 20 }),
      async powerOn() {
        outer = spawn(
          'nsenter',
          [
            `--net=/run/netns/${netns}`,
            'unshare',
            '-m',
            '-u',
            '-i',
            '-p',
            '--fork',
            '--kill-child',
            '--mount-proc',
            'sh',
            '-c',
            init,
            'init',
            home,
            name,
          ],
          {
            stdio: ['ignore', 'ignore', fs.openSync(path.join(home, 'init.log'), 'a')],
          },
        )
        pid = await until(
          async () => Number(fs.readFileSync(`/proc/${outer!.pid}/task/${outer!.pid}/children`, 'utf8').trim()) || 0,
          `host ${name} has a first process`,
        )
        await until(
          async () => (await host.exec(['test', '-S', '/run/libvirt/libvirt-sock']).catch(() => null)) !== null,
          `libvirtd of host ${name} listens`,
        )
      },
      async powerOff() {
        if (!outer || outer.exitCode !== null || outer.signalCode !== null) return
        const ended = once(outer, 'close')
        process.kill(pid, 'SIGKILL')
        await ended
        agent = null
      },
      agentDied: () => agent !== null && (agent.exitCode !== null || agent.signalCode !== null),
      async startAgent(more = {}) {
        const wisp = (...words: string[]) => inside([process.execPath, path.join(repository, 'src/main.ts'), ...words])
        const environment = {
          ...process.env,
          WISP_HOME: host.home,
          WISP_HOST_NAME: name,
          WISP_MACHINE_ID: uuid,
          WISP_TUNNEL_IP: address,
          WISP_LIBVIRT_SOCKET: '/run/libvirt/libvirt-sock',
          WISP_VIRT_TYPE: 'qemu',
          ...env,
          ...more,
        }
        if (!fs.existsSync(path.join(host.home, 'host.json')))
          await run('nsenter', wisp('join', controllerUrl(controllerIp), await joinToken()), { env: environment })
        const log = fs.openSync(path.join(home, 'agent.log'), 'a')
        agent = spawn('nsenter', wisp('host'), { env: environment, stdio: ['ignore', log, log] })
        fs.closeSync(log)
      },
      async killAgent() {
        if (!agent || agent.exitCode !== null || agent.signalCode !== null) return
        const ended = once(agent, 'close')
        // nsenter forks into the PID namespace: the agent is its child.
        const child = Number(fs.readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8').trim().split(' ')[0])
        if (child) process.kill(child, 'SIGKILL')
        agent.kill('SIGKILL')
        await ended
        agent = null
      },
    }
    hosts.push(host)
    undo.push(() => host.powerOff())
  }

  const stop = async () => {
    const failures: unknown[] = []
    for (const step of undo.reverse()) await step().catch((error) => failures.push(error))
    if (failures.length > 0) throw new AggregateError(failures, 'the test bed could not be taken down completely')
  }
  try {
    for (const host of hosts) await host.powerOn()
    for (const host of hosts) await host.startAgent()
  } catch (error) {
    await stop().catch(() => undefined)
    throw error
  }
  return { controllerIp, hosts, stop }
}

/** Waits for something that comes true by itself. */
export async function until<T>(what: () => Promise<T>, name: string, seconds = 90): Promise<NonNullable<T>> {
  const end = Date.now() + seconds * 1000
  for (;;) {
    const value = await what()
    if (value) return value
    if (Date.now() > end) throw new Error(`after ${seconds} s it is still not so that ${name}`)
    await new Promise((go) => setTimeout(go, 50))
  }
}
