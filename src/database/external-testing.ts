// A PostgreSQL as an operator would have it: the one of the distribution (15 in Debian 12), with passwords, TLS and a Unix socket, in a
// temporary folder. Tests use it to see that Wisp works on it as on its own.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { freePort } from '../../test/free-port.ts'

/** With everything that must be escaped in a URL. */
export const PASSWORD = 'p w/ö@:%'

export interface ExternalServer {
  port: number
  folder: string
  /** 15 for 15.18. */
  major: number
  /** PEM of the authority behind its certificate, which is for `localhost` only. */
  ca: string
  /** For the role `wisp` with its password, over TCP. */
  url(database: string, options?: { password?: string; role?: string; host?: string; query?: Record<string, string> }): string
  /** Runs a statement as the superuser. */
  administer(statement: string): Promise<void>
  /** kill -9 of the server with all that belongs to it. */
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

/** Starts one. Throws with the name of the package where there is none. */
export async function startExternal(): Promise<ExternalServer> {
  const bin = binaries()
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-own-pg-'))
  const owner = process.getuid?.() === 0 ? { uid: id('-u'), gid: id('-g') } : {}
  fs.chmodSync(folder, 0o755)
  const data = path.join(folder, 'data')
  for (const each of [data, path.join(folder, 'socket')]) {
    fs.mkdirSync(each)
    if (owner.uid !== undefined) fs.chownSync(each, owner.uid, owner.gid)
  }
  const port = await freePort()
  const ca = certificates(folder, owner)
  const run = (program: string, ...words: string[]) =>
    execFileSync(path.join(bin, program), words, { ...owner, cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] })
  fs.writeFileSync(path.join(folder, 'password'), 'super')
  run('initdb', '-D', data, '-U', 'super', `--pwfile=${folder}/password`, '--auth=scram-sha-256', '-E', 'UTF8', '--locale', 'C.UTF-8')
  const settings = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: path.join(folder, 'socket'),
    ssl: 'on',
    ssl_cert_file: path.join(folder, 'server.pem'),
    ssl_key_file: path.join(folder, 'server.key'),
    fsync: 'off',
  }
  fs.appendFileSync(
    path.join(data, 'postgresql.conf'),
    Object.entries(settings)
      .map(([name, value]) => `${name} = '${value}'\n`)
      .join(''),
  )

  const pid = () => Number(fs.readFileSync(path.join(data, 'postmaster.pid'), 'utf8').split('\n')[0])
  const start = async () => {
    const words = ['-D', data, '-l', path.join(data, 'log'), '-w', 'start']
    const [status] = await once(spawn(path.join(bin, 'pg_ctl'), words, { ...owner, cwd: '/', stdio: 'ignore' }), 'exit')
    if (status !== 0) throw new Error(`PostgreSQL does not start: ${fs.readFileSync(path.join(data, 'log'), 'utf8')}`)
  }
  const url: ExternalServer['url'] = (database, { password = PASSWORD, role = 'wisp', host = '127.0.0.1', query = {} } = {}) =>
    `postgres://${role}:${encodeURIComponent(password)}@${host}:${port}/${database}?${new URLSearchParams(query)}`
  const server: ExternalServer = {
    port,
    folder,
    major: Number(fs.readFileSync(path.join(data, 'PG_VERSION'), 'utf8')),
    ca,
    url,
    start,
    async administer(statement) {
      const client = new pg.Client({ connectionString: url('postgres', { role: 'super', password: 'super' }) })
      await client.connect()
      await client.query(statement).finally(() => client.end())
    },
    async kill() {
      // All of them, as a power cut would: else the survivors keep the next server from its shared memory for a moment.
      const main = pid()
      const group = spawnSync('pgrep', ['-P', String(main)], { encoding: 'utf8' })
        .stdout.split('\n')
        .filter(Boolean)
        .map(Number)
      for (const each of [main, ...group]) {
        try {
          process.kill(each, 'SIGKILL')
        } catch {} // it went with its parent
      }
      // The next one asks for the pid of the last, which a zombie still has; children only must have let go of the memory.
      while (fs.existsSync(`/proc/${main}`) || !group.every(isGone)) await new Promise((again) => setTimeout(again, 20))
    },
    async stop() {
      spawnSync(path.join(bin, 'pg_ctl'), ['-D', data, '-m', 'immediate', '-w', 'stop'], { ...owner, cwd: '/', stdio: 'ignore' })
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
  await start()
  await server.administer(`create role wisp login password '${PASSWORD}'`)
  return server
}

/** The oldest that the distribution has here, for the oldest is what must still do. */
function binaries(): string {
  const root = '/usr/lib/postgresql'
  const versions = fs.existsSync(root) ? fs.readdirSync(root).filter((name) => fs.existsSync(path.join(root, name, 'bin/initdb'))) : []
  const oldest = versions.toSorted((a, b) => Number(a) - Number(b))[0]
  if (!oldest) throw new Error('There is no PostgreSQL of the distribution: apt-get install postgresql (see packages/test)')
  return path.join(root, oldest, 'bin')
}

const id = (of: '-u' | '-g') => Number(execFileSync('id', [of, 'nobody'], { encoding: 'utf8' }))

function certificates(folder: string, owner: { uid?: number; gid?: number }): string {
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: folder, stdio: 'ignore' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl('req', '-x509', ...key, '-subj', '/CN=authority', '-keyout', 'ca.key', '-out', 'ca.pem')
  const name = ['-subj', '/CN=database', '-addext', 'subjectAltName=DNS:localhost']
  openssl('req', '-x509', '-CA', 'ca.pem', '-CAkey', 'ca.key', ...key, ...name, '-keyout', 'server.key', '-out', 'server.pem')
  fs.chmodSync(path.join(folder, 'server.key'), 0o600)
  if (owner.uid !== undefined) fs.chownSync(path.join(folder, 'server.key'), owner.uid, owner.gid!)
  return path.join(folder, 'ca.pem')
}

/** One that has ended and that its parent has not asked for yet holds nothing any more. */
function isGone(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return true
  }
}
