// The clouds that are measured: a Wisp of its own in a temporary folder, on a free port and with a libvirtd of its own; and any OpenStack
// that answers at an address.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { startPrivateLibvirtd } from '../src/agent/private-libvirtd.ts'
import { embeddedPid } from '../src/database/embedded.ts'
import { programPids, supervisorPid } from '../src/start/supervisor.ts'
import { ask, until } from './load.ts'

const root = path.join(import.meta.dirname, '..')
const main = path.join(root, 'src/main.ts')

export interface Cloud {
  name: string
  authUrl: string
  user: string
  password: string
  /** The processes that are it, by pid: with all that they started. */
  processes(): Map<number, string>
  /** Stops it and starts it again. Returns how many seconds it took until it answered; undefined when that cannot be asked of it. */
  restart?: () => Promise<number>
  stop(): Promise<void>
}

/** A cloud that runs already. `folder` has `up.sh` and `down.sh` for it; `pids` is where its daemons leave their pid files. */
export function reference(authUrl: string, user: string, password: string, { folder, pids }: { folder?: string; pids: string }): Cloud {
  const script = async (name: string) => {
    const began = performance.now()
    await run(spawn(path.join(folder!, name), [], { stdio: ['ignore', 'ignore', 'inherit'] }), name)
    return (performance.now() - began) / 1000
  }
  return {
    name: 'reference',
    authUrl,
    user,
    password,
    processes() {
      if (!fs.existsSync(pids)) return new Map()
      const files = fs.readdirSync(pids).filter((file) => file.endsWith('.pid') && !file.endsWith('.server.pid'))
      return new Map(files.map((file) => [Number(fs.readFileSync(path.join(pids, file), 'utf8')), file.slice(0, -4)]))
    },
    ...(folder && {
      restart: async () => {
        await script('down.sh')
        return script('up.sh')
      },
    }),
    stop: async () => {},
  }
}

export interface Wisp extends Cloud {
  home: string
  /** Seconds of the first start, with the making of the database. */
  firstStart: number
}

/** As large as the reference's fake hypervisor. */
const oneLargeHost = { count: 1, vcpus: 1000, memoryMb: 800_000, diskGb: 600_000 }

/** Starts a cloud with `wisp up` and simulated hosts, which get all servers: the real host is switched off. */
export async function startWisp(simulated = oneLargeHost): Promise<Wisp> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-bench-'))
  fs.chmodSync(folder, 0o755)
  const home = path.join(folder, 'home')
  const port = await freePort()
  const libvirtd = await startPrivateLibvirtd()
  const env = {
    ...process.env,
    WISP_HOME: home,
    WISP_PORT: String(port),
    WISP_LIBVIRT_SOCKET: libvirtd.socket,
    WISP_VIRT_TYPE: 'qemu',
    WISP_GUEST_IMAGE: 'off',
  }
  const wisp = async (...words: string[]) => {
    const began = performance.now()
    await run(spawn(process.execPath, [main, ...words], { env, stdio: ['ignore', 'ignore', 'inherit'] }), `wisp ${words[0]}`)
    return (performance.now() - began) / 1000
  }
  let hosts: ChildProcess | undefined
  const stopHosts = async () => {
    if (hosts?.exitCode !== null || hosts.signalCode !== null) return
    const gone = once(hosts, 'exit')
    hosts.kill('SIGTERM')
    await gone
  }
  const stop = async () => {
    await stopHosts()
    await wisp('destroy', '--yes')
    await libvirtd.stop()
    fs.rmSync(folder, { recursive: true, force: true })
  }
  try {
    const firstStart = await wisp('up')
    hosts = await startHosts(home, simulated, env)
    const cloud: Wisp = {
      name: 'Wisp',
      home,
      firstStart,
      authUrl: `http://127.0.0.1:${port}/identity/v3`,
      user: 'admin',
      password: passwordIn(path.join(home, 'openrc')),
      processes() {
        const found: [number | undefined, string][] = [
          [supervisorPid(home), 'supervisor'],
          [embeddedPid(home), 'PostgreSQL'],
          ...programPids(home, 'controller').map((pid): [number, string] => [pid, 'controller']),
          ...programPids(home, 'host').map((pid): [number, string] => [pid, 'host']),
        ]
        return new Map(found.filter((pair): pair is [number, string] => pair[0] !== undefined))
      },
      async restart() {
        await wisp('down')
        return wisp('up')
      },
      stop,
    }
    await switchOffRealHost(cloud)
    return cloud
  } catch (error) {
    await stop().catch(() => {})
    throw error
  }
}

async function startHosts(
  home: string,
  { count, vcpus, memoryMb, diskGb }: typeof oneLargeHost,
  env: NodeJS.ProcessEnv,
): Promise<ChildProcess> {
  const size = ['--vcpus', String(vcpus), '--memory-mb', String(memoryMb), '--disk-gb', String(diskGb)]
  const program = path.join(root, 'test/scale/simulated-hosts.ts')
  const hosts = spawn(process.execPath, [program, '--home', home, '--count', String(count), ...size], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface({ input: hosts.stdout })) if (line.startsWith('ready')) return hosts
  throw new Error('The simulated host did not start.')
}

/** As soon as it has joined: nothing may be placed on it before. */
async function switchOffRealHost(cloud: Cloud): Promise<void> {
  const { compute, headers } = await login(cloud)
  const url = `${compute}/os-services`
  await until(async () => {
    const answer = await ask('GET', `${url}?binary=nova-compute`, { headers, expect: [200] })
    const { services } = answer.json<{ services: { id: string; host: string }[] }>()
    const real = services.find(({ host }) => !host.startsWith('simulated-'))
    const body = { status: 'disabled', disabled_reason: 'The bench measures simulated hosts.' }
    if (real) await ask('PUT', `${url}/${real.id}`, { headers, body, expect: [200] })
    return real !== undefined
  }, 60)
}

export interface Session {
  cloud: Cloud
  identity: string
  compute: string
  image: string
  network: string
  project: string
  /** Those that every request bears. */
  headers: Record<string, string>
}

export const credentials = ({ user, password }: Cloud) => ({
  auth: {
    identity: { methods: ['password'], password: { user: { name: user, domain: { id: 'default' }, password } } },
    scope: { project: { name: 'admin', domain: { id: 'default' } } },
  },
})

interface Issued {
  token: { project: { id: string }; catalog: { type: string; endpoints: { interface: string; url: string }[] }[] }
}

/** A fresh token and where the services are. */
export async function login(cloud: Cloud): Promise<Session> {
  const answer = await ask('POST', `${cloud.authUrl}/auth/tokens`, { body: credentials(cloud), expect: [201] })
  const { token } = answer.json<Issued>()
  const endpoint = (type: string, version: string) => {
    const url = token.catalog.find((service) => service.type === type)?.endpoints.find((one) => one.interface === 'public')?.url
    if (!url) throw new Error(`${cloud.name} has no ${type} service in its catalog`)
    return `${url.replace(/\/$/, '').replace(new RegExp(`${version}$`), '')}${version}`
  }
  return {
    cloud,
    identity: cloud.authUrl,
    compute: endpoint('compute', '/v2.1'),
    image: endpoint('image', '/v2'),
    network: endpoint('network', '/v2.0'),
    project: token.project.id,
    headers: { 'x-auth-token': String(answer.headers['x-subject-token']), 'openstack-api-version': 'compute 2.79' },
  }
}

function passwordIn(file: string): string {
  const password = /OS_PASSWORD='([^']*)'/.exec(fs.readFileSync(file, 'utf8'))?.[1]
  if (!password) throw new Error(`${file} names no password`)
  return password
}

async function run(child: ChildProcess, name: string): Promise<void> {
  const [status] = await once(child, 'exit')
  if (status !== 0) throw new Error(`${name} ended with status ${status}`)
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
