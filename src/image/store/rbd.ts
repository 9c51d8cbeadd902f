// The Ceph RBD store: the bits of each key are an image of a pool, made and read by the `rbd` command, so that no library of Ceph's needs
// to be bound. What is complete has a protected snapshot `snap`, as Glance makes it, from which volumes can be cloned.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { conflict, Fault } from '../../http/fault.ts'
import { type Blocks, type ImageStore, type Range, storeFull } from './store.ts'

const run = promisify(execFile)

/** Of the objects that an image consists of, in bytes: Glance's rbd_store_chunk_size. */
const OBJECT = 8 * 2 ** 20
/** Stretches of zeros of at least this many bytes take no room. */
const SPARSE = 64 * 2 ** 10
/** Milliseconds in which a command that gets no more input may come to its end. */
const END = 10_000

/** What `rbd` ends with. */
const EPERM = 1
const ENOENT = 2
const EINVAL = 22
const ENOSPC = 28
const EDQUOT = 122

export interface RbdSettings {
  id: string
  description: string
  weight: number
  pool: string
  user?: string
  /** Ceph's configuration file. */
  conf?: string
  /** Seconds without an answer after which Ceph is given up. */
  timeout?: number
}

interface Failure extends Error {
  code?: number | string
  stderr?: string
}

/** As far as it is read here. */
interface OsdMap {
  flags: string
  pools: { pool_name: string; flags_names: string }[]
}

/** @throws Error if the configuration file cannot be read or does not name the cluster */
export function rbdStore({ id, description, weight, pool, user, conf = '/etc/ceph/ceph.conf', timeout = 60 }: RbdSettings): ImageStore {
  const fsid = fsidOf(conf)
  // By itself Ceph waits for ever.
  const patience = ['--client-mount-timeout', '--rados-mon-op-timeout', '--rados-osd-op-timeout'].flatMap((name) => [name, String(timeout)])
  const login = ['--conf', conf, ...(user ? ['--id', user] : [])]
  const command = (...words: string[]) => [...login, ...patience, ...words]
  const refuse = (error: unknown): never => {
    const { stderr = '', message, code } = error as Failure
    const why =
      code === 'ENOENT'
        ? 'the command rbd is not installed on the controller (package ceph-common)'
        : stderr.trim().split('\n').at(-1) || message
    throw new Fault(503, `The image store ${id} does not work: ${why}. Try again later.`, { cause: error })
  }
  const call = (...words: string[]) => run('rbd', command(...words)).catch(refuse)
  /** Undefined where there is no such image or snapshot, or where it is `expected` to be refused. */
  const maybe = (words: string[], ...expected: number[]) =>
    run('rbd', command(...words)).catch((error: Failure) => {
      const missing = error.code === ENOENT && !error.stderr?.includes('opening pool')
      return missing || expected.includes(Number(error.code)) ? undefined : refuse(error)
    })
  /** Ceph does not refuse what is written into a full pool, but lets it wait until there is room. */
  const isFull = async (error: unknown) => {
    const { code, stderr = '' } = ((error as Error).cause ?? error) as Failure
    if (code === ENOSPC || code === EDQUOT) return true
    if (!/timed out/i.test(stderr)) return false
    const dump = [...login, '--connect-timeout', String(timeout), 'osd', 'dump', '--format', 'json']
    const { flags, pools } = JSON.parse((await run('ceph', dump, { maxBuffer: 64 << 20 })).stdout) as OsdMap
    const mine = pools.find(({ pool_name }) => pool_name === pool)?.flags_names
    return /\bfull(_quota)?\b/.test(`${flags},${mine}`)
  }
  const image = (key: string) => `${pool}/${key}`
  const snapshot = (key: string) => `${pool}/${key}@snap`
  const size = async (key: string) => {
    const info = await maybe(['info', '--format', 'json', snapshot(key)])
    return info && (JSON.parse(info.stdout) as { size: number }).size
  }
  const inUse = async (key: string) => {
    // A user of this pool alone is not told of the clones in another one, but refused to be.
    const clones = await maybe(['children', '--format', 'json', snapshot(key)]).catch((fault: Fault) => {
      if ((fault.cause as Failure).code !== EPERM) throw fault
      return { stdout: '["elsewhere"]' }
    })
    return clones !== undefined && (JSON.parse(clones.stdout) as unknown[]).length > 0
  }
  const remove = async (key: string) => {
    if (await inUse(key))
      throw conflict(`Volumes were cloned from ${snapshot(key)} in the image store ${id}. Delete or flatten them first.`)
    await maybe(['snap', 'unprotect', snapshot(key)], EINVAL)
    await maybe(['snap', 'purge', '--no-progress', image(key)])
    await maybe(['rm', '--no-progress', image(key)])
  }
  return {
    id,
    kind: 'rbd',
    description,
    weight,
    properties: { pool, chunk_size: OBJECT, thin_provisioning: true, fsid },
    url: (key) => `rbd://${fsid}/${encodeURIComponent(pool)}/${key}/snap`,
    async write(key, blocks) {
      try {
        const words = [
          'import',
          '--no-progress',
          '--image-format',
          '2',
          '--object-size',
          String(OBJECT),
          '--sparse-size',
          String(SPARSE),
          '-',
          image(key),
        ]
        await feed(watch(spawn('rbd', command(...words), { stdio: ['pipe', 'ignore', 'pipe'] })), blocks, refuse)
        await call('snap', 'create', '--no-progress', snapshot(key))
        await call('snap', 'protect', snapshot(key))
      } catch (error) {
        const full = await isFull(error).catch(() => false)
        await remove(key).catch(() => {}) // whoever removes the key later has more luck
        throw full ? storeFull(id, error) : error
      }
    },
    async read(key, range) {
      const length = await size(key)
      if (length === undefined) return undefined
      const exporting = watch(spawn('rbd', command('export', '--no-progress', snapshot(key), '-'), { stdio: ['ignore', 'pipe', 'pipe'] }))
      const data = Readable.from(part(exporting, range ?? { start: 0, end: length - 1 }, refuse), { objectMode: false })
      return data.once('close', () => exporting.child.kill('SIGKILL'))
    },
    size,
    remove,
    inUse,
  }
}

/** Which cluster the configuration is for. */
function fsidOf(conf: string): string {
  const [, fsid] = /^\s*fsid\s*=\s*([0-9a-f-]{36})\s*$/im.exec(fs.readFileSync(conf, 'utf8')) ?? []
  if (!fsid) throw new Error(`${conf} does not say which cluster it is for: it wants a line "fsid = …" ("ceph fsid" tells it)`)
  return fsid
}

interface Watched {
  child: ChildProcess
  /** Resolves with its exit code. */
  ended: Promise<number | null>
  /** The last that it said. */
  said: () => string
}

function watch(child: ChildProcess): Watched {
  let said = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000)
  })
  const ended = once(child, 'close').then(([code]) => code as number | null)
  ended.catch(() => {}) // told to whoever awaits it next
  return { child, ended, said: () => said }
}

async function feed({ child, ended, said }: Watched, blocks: Blocks, refuse: (error: unknown) => never): Promise<void> {
  const stopped = new AbortController()
  ended.catch(() => {}).finally(() => stopped.abort())
  child.stdin!.on('error', () => {})
  try {
    for await (const block of blocks) {
      if (!child.stdin!.write(block)) await once(child.stdin!, 'drain', { signal: stopped.signal }).catch(() => {})
      if (stopped.signal.aborted) break
    }
  } catch (error) {
    // A command that is killed leaves a watch on its image for half a minute, in which it cannot be removed.
    child.stdin!.end()
    await Promise.race([ended, sleep(END, undefined, { ref: false })]).catch(() => {})
    child.kill('SIGKILL')
    throw error
  }
  child.stdin!.end()
  const code = await ended.catch(refuse)
  if (code !== 0) refuse(Object.assign(new Error(`rbd import ended with ${code}`), { code, stderr: said() }))
}

/** The bytes of the range: `rbd export` knows no ranges, so what is before them is read, too. */
async function* part(
  { child, ended, said }: Watched,
  { start, end }: Range,
  refuse: (error: unknown) => never,
): AsyncGenerator<Buffer, void> {
  let at = 0
  for await (const chunk of child.stdout! as AsyncIterable<Buffer>) {
    const first = Math.max(start - at, 0)
    const last = Math.min(end + 1 - at, chunk.length)
    at += chunk.length
    if (first < last) yield chunk.subarray(first, last)
    if (at > end) return
  }
  const code = await ended.catch(refuse)
  refuse(Object.assign(new Error(`rbd export ended with ${code} after ${at} bytes`), { stderr: said() }))
}
