// The Ceph RBD store: the bits of each key are an image of a pool, made and read by the `rbd` command, so that no library of Ceph's needs
// to be bound. What is complete has a protected snapshot `snap`, as Glance makes it, from which volumes can be cloned.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough, pipeline, type Readable, Transform } from 'node:stream'
import { promisify } from 'node:util'
import { Fault } from '../../http/fault.ts'
import type { Blocks, ImageStore, Range } from './store.ts'

const run = promisify(execFile)

export interface RbdSettings {
  id: string
  description: string
  weight: number
  pool: string
  user?: string
  /** Ceph's configuration file. */
  conf?: string
}

export function rbdStore({ id, description, weight, pool, user, conf }: RbdSettings): ImageStore {
  const access = [...(conf ? ['--conf', conf] : []), ...(user ? ['--id', user] : [])]
  const command = (...words: string[]) => [...access, '--no-progress', ...words]
  const call = (...words: string[]) => run('rbd', command(...words)).catch((error: unknown) => refuse(id, error))
  /** Undefined where there is no such image or snapshot. */
  const maybe = (...words: string[]) =>
    run('rbd', command(...words)).catch((error: { code?: number }) => (error.code === 2 ? undefined : refuse(id, error)))
  const snapshot = (key: string) => `${pool}/${key}@snap`
  const remove = async (key: string) => {
    await maybe('snap', 'unprotect', snapshot(key))
    await maybe('snap', 'purge', `${pool}/${key}`)
    await maybe('rm', `${pool}/${key}`)
  }
  const size = async (key: string) => {
    const info = await maybe('info', '--format', 'json', snapshot(key))
    return info && (JSON.parse(info.stdout) as { size: number }).size
  }
  return {
    id,
    kind: 'rbd',
    description,
    weight,
    properties: { pool, chunk_size: 8 * 2 ** 20, thin_provisioning: true, fsid: null },
    url: (key) => `rbd://${pool}/${key}/snap`,
    async write(key, blocks) {
      try {
        await feed(
          id,
          spawn('rbd', command('import', '--image-format', '2', '-', `${pool}/${key}`), { stdio: ['pipe', 'ignore', 'pipe'] }),
          blocks,
        )
        await call('snap', 'create', snapshot(key))
        await call('snap', 'protect', snapshot(key))
      } catch (error) {
        await remove(key)
        throw error
      }
    },
    async read(key, range) {
      if ((await size(key)) === undefined) return undefined
      const child = spawn('rbd', command('export', snapshot(key), '-'), { stdio: ['ignore', 'pipe', 'ignore'] })
      const data = range ? part(range) : new PassThrough()
      pipeline(child.stdout!, data, () => child.kill())
      child.on('error', (error) => data.destroy(error))
      return data
    },
    size,
    remove,
  }
}

function refuse(id: string, error: unknown): never {
  const { stderr = '', message } = error as Error & { stderr?: string }
  throw new Fault(503, `The image store ${id} does not work: ${stderr.trim().split('\n').at(-1) || message}. Try again later.`, {
    cause: error,
  })
}

async function feed(id: string, child: ChildProcess, blocks: Blocks): Promise<void> {
  let said = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000)
  })
  const stopped = new AbortController()
  const ended = once(child, 'close').then(([code]) => code as number)
  ended.catch(() => {}).finally(() => stopped.abort())
  child.stdin!.on('error', () => {})
  try {
    for await (const block of blocks) {
      if (!child.stdin!.write(block)) await once(child.stdin!, 'drain', { signal: stopped.signal }).catch(() => {})
      if (stopped.signal.aborted) break
    }
    child.stdin!.end()
    const code = await ended.catch((error: unknown) => refuse(id, error))
    if (code !== 0) refuse(id, Object.assign(new Error(`rbd import ended with ${code}`), { stderr: said }))
  } finally {
    child.kill()
  }
}

/** Lets the bytes of the range through, and ends behind it: `rbd export` knows no ranges. */
function part({ start, end }: Range): Readable & NodeJS.ReadWriteStream {
  let at = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const first = Math.max(start - at, 0)
      const last = Math.min(end + 1 - at, chunk.length)
      at += chunk.length
      if (first < last) this.push(chunk.subarray(first, last))
      if (at > end) this.push(null)
      done()
    },
  })
}
