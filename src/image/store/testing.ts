// A Ceph of the tests' own, on loopback and in memory: a monitor, one OSD, a pool and, where it is wanted, a gateway that speaks S3. They
// are the programs that operators run, started by hand as a test needs them: it takes a few seconds, and 150 MB.
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from '../../../test/free-port.ts'

const run = promisify(execFile)

export interface Ceph {
  /** Its configuration file, with the keys of the users `admin` and `glance`. */
  conf: string
  fsid: string
  pool: 'images'
  /** Runs a program of Ceph's as its administrator. @returns what it printed */
  admin(program: string, ...words: string[]): Promise<string>
  /** From which share of its disk on it is full; resolves when its pool is, or is no more. */
  limit(share: number): Promise<void>
  /** Keeps the OSD from answering, and lets it go on. */
  pause(): void
  resume(): void
  /** Starts the gateway; it keeps its addresses when it is killed and started again. */
  startGateway(): Promise<Gateway>
  /** Ends all of it. */
  stop(): Promise<void>
}

export interface Gateway {
  http: string
  https: string
  /** The file of the certificate that `https` shows. */
  ca: string
  /** The name under which each bucket has a name of its own. */
  domain: string
  access_key: string
  secret_key: string
  kill(): Promise<void>
}

/** Why there can be no Ceph here; undefined where there can. */
export const cephMissing = ['ceph-mon', 'ceph-osd', 'radosgw', 'rbd'].some((name) => !existsInPath(name))
  ? 'Ceph is not installed (packages ceph-mon, ceph-osd, radosgw, ceph-common)'
  : undefined

function existsInPath(name: string): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => fs.existsSync(path.join(folder, name)))
}

export async function startCeph(): Promise<Ceph> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wc-'))
  const at = (name: string) => path.join(folder, name)
  const conf = at('ceph.conf')
  const fsid = randomUUID()
  const osd = randomUUID()
  const [monPort, httpPort, httpsPort] = await Promise.all([freePort(), freePort(), freePort()])
  const gateway = {
    http: `http://127.0.0.1:${httpPort}`,
    https: `https://127.0.0.1:${httpsPort}`,
    ca: at('gateway.crt'),
    domain: 's3.test',
    access_key: 'of-the-tests',
    secret_key: randomUUID(),
  }
  fs.writeFileSync(conf, settings(folder, fsid, monPort, { ...gateway, key: at('gateway.key') }))
  for (const name of ['mon', 'osd', 'rgw', 'run']) fs.mkdirSync(at(name))

  const quietly = (program: string, ...words: string[]) =>
    execFileSync(program, words, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, CEPH_CONF: conf } })
  const caps: Record<string, Record<string, string>> = {
    'mon.': { mon: 'allow *' },
    'client.admin': { mon: 'allow *', osd: 'allow *' },
    'osd.0': { mon: 'allow profile osd', osd: 'allow *' },
    'client.rgw': { mon: 'allow rw', osd: 'allow rwx' },
    // As Ceph's documentation gives them to Glance.
    'client.glance': { mon: 'profile rbd', osd: 'profile rbd pool=images' },
  }
  fs.writeFileSync(at('keyring'), '', { mode: 0o600 })
  for (const [name, may] of Object.entries(caps))
    quietly('ceph-authtool', 'keyring', '--gen-key', '-n', name, ...Object.entries(may).flatMap(([what, cap]) => ['--cap', what, cap]))
  quietly('monmaptool', '--create', '--fsid', fsid, '--addv', 'a', `[v2:127.0.0.1:${monPort}]`, 'monmap')
  quietly('ceph-mon', '--mkfs', '-i', 'a', '--monmap', 'monmap', '--keyring', 'keyring')
  const daemons = new Map<string, ChildProcess>()
  const daemon = (program: string, ...words: string[]) => {
    const log = fs.openSync(at(`${program}.out`), 'a')
    daemons.set(program, spawn(program, [...words, '--conf', conf, '-f'], { cwd: folder, stdio: ['ignore', log, log] }))
    fs.closeSync(log)
  }
  const kill = async (program: string) => {
    const child = daemons.get(program)
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  const admin = async (program: string, ...words: string[]) => (await run(program, ['--conf', conf, ...words])).stdout
  const stop = async () => {
    await Promise.all([...daemons.keys()].map(kill))
    fs.rmSync(folder, { recursive: true, force: true })
  }
  try {
    daemon('ceph-mon', '-i', 'a')
    await admin('ceph', 'osd', 'new', osd)
    quietly('ceph-osd', '--mkfs', '-i', '0', '--osd-uuid', osd)
    daemon('ceph-osd', '-i', '0')
    await admin('ceph', 'osd', 'pool', 'create', 'images')
    await admin('rbd', 'pool', 'init', 'images')
  } catch (error) {
    await stop()
    throw error
  }
  return {
    conf,
    fsid,
    pool: 'images',
    admin,
    async limit(share) {
      for (const name of ['nearfull', 'backfillfull', 'full']) await admin('ceph', 'osd', `set-${name}-ratio`, String(share))
      while (/\bfull\b/.test(await admin('ceph', 'osd', 'pool', 'ls', 'detail')) !== share < 0.5) await sleep(200)
    },
    pause: () => void daemons.get('ceph-osd')!.kill('SIGSTOP'),
    resume: () => void daemons.get('ceph-osd')!.kill('SIGCONT'),
    async startGateway() {
      const first = !daemons.has('radosgw')
      const names = ['-addext', 'subjectAltName=IP:127.0.0.1', '-subj', '/CN=127.0.0.1']
      if (first) quietly('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...names, '-keyout', 'gateway.key', '-out', gateway.ca)
      daemon('radosgw', '-n', 'client.rgw')
      const user = ['--uid', 'wisp', '--display-name', 'Wisp', '--access-key', gateway.access_key, '--secret-key', gateway.secret_key]
      while (!(await fetch(gateway.http).catch(() => undefined))) {
        if (daemons.get('radosgw')!.exitCode !== null)
          throw new Error(`radosgw ends: ${fs.readFileSync(at('radosgw.out'), 'utf8').slice(-500)}`)
        await sleep(50)
      }
      if (first) await admin('radosgw-admin', 'user', 'create', ...user)
      return { ...gateway, kill: () => kill('radosgw') }
    },
    stop,
  }
}

/** One copy of everything, and a monitor that does not wait a second before it writes. */
function settings(
  folder: string,
  fsid: string,
  port: number,
  gateway: { http: string; https: string; ca: string; key: string; domain: string },
) {
  const host = (url: string) => new URL(url).host
  return `[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${port}/0]
public addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = ${folder}/keyring
run dir = ${folder}/run
admin socket = ${folder}/run/$name.asok
log file = ${folder}/$name.log
log to stderr = false
mon cluster log file = ${folder}/cluster.log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 1
paxos propose interval = 0.05
[mon]
mon data = ${folder}/mon
[osd]
osd data = ${folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
[client]
admin socket =
[client.rgw]
rgw data = ${folder}/rgw
rgw dns name = ${gateway.domain}
rgw frontends = beast endpoint=${host(gateway.http)} ssl_endpoint=${host(gateway.https)} ssl_certificate=${gateway.ca} ssl_private_key=${gateway.key}
`
}
