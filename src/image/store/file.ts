// The file store: the bits of each key are one file in a folder. What is not complete yet is a `.part`; a rename makes it `.data`, after
// it has reached the disk.
import fs, { type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import type { ImageStore, Range } from './store.ts'
import { writeFile } from './write-file.ts'

/** Bytes that are read at once, few enough to stay in the processor's cache on their way, and how many such reads run ahead of the client. */
const READ = 512 * 1024
const AHEAD = 4

export interface FileSettings {
  id: string
  description: string
  weight: number
  folder: string
}

export function fileStore({ id, description, weight, folder }: FileSettings): ImageStore {
  const partOf = (key: string) => path.join(folder, `${key}.part`)
  const dataOf = (key: string) => path.join(folder, `${key}.data`)
  const remove = async (key: string) => {
    await fs.rm(partOf(key), { force: true })
    await fs.rm(dataOf(key), { force: true })
  }
  return {
    id,
    kind: 'file',
    description,
    weight,
    properties: { data_dir: folder, chunk_size: READ, thin_provisioning: false },
    url: (key) => pathToFileURL(dataOf(key)).href,
    async write(key, blocks) {
      await fs.mkdir(folder, { recursive: true, mode: 0o750 })
      try {
        await writeFile(partOf(key), blocks)
        await fs.rename(partOf(key), dataOf(key))
        await syncFolder(folder)
      } catch (error) {
        await remove(key)
        throw error
      }
    },
    async read(key, range) {
      const file = await fs.open(dataOf(key)).catch(unlessMissing)
      if (!file) return undefined
      return readAhead(file, range ?? { start: 0, end: (await file.stat()).size - 1 })
    },
    async size(key) {
      return (await fs.stat(dataOf(key)).catch(unlessMissing))?.size
    },
    remove,
  }
}

/**
 * The bytes from `start` to `end`, both included. Closes the file in the end, whatever happens. Piped it is quickest: then a few blocks of
 * memory serve the whole file, where whoever reads chunk by chunk gets memory of its own for each.
 */
function readAhead(file: FileHandle, { start, end }: Range): Readable {
  const ahead: Promise<Buffer>[] = []
  let next = start
  /** Reads into `memory` what comes next, or nothing if that is all. */
  const ask = (memory: Buffer) => {
    if (next > end) return
    const block = readBlock(file, next, memory.subarray(0, Math.min(memory.length, end + 1 - next)))
    next += memory.length
    block.catch(() => {}) // whoever takes it hears of it
    ahead.push(block)
  }
  const stream = new Readable({
    highWaterMark: READ,
    read() {
      while (ahead.length < AHEAD && next <= end) ask(Buffer.allocUnsafe(READ))
      const block = ahead.shift()
      if (block === undefined) this.push(null)
      else
        block.then(
          (bytes) => this.push(bytes),
          (error: Error) => this.destroy(error),
        )
    },
    destroy(error, done) {
      const ended = () => done(error)
      Promise.allSettled(ahead)
        .then(() => file.close())
        .then(ended, ended)
    },
  })
  /** A block is read anew only after all of it has left. */
  const pour = async (into: Writable) => {
    for (let n = 0; n < AHEAD; n++) ask(Buffer.allocUnsafeSlow(READ))
    for (let block = ahead.shift(); block !== undefined; block = ahead.shift()) {
      const bytes = await block
      const sent = new Promise<void>((resolve, reject) => into.write(bytes, (error) => (error ? reject(error) : resolve())))
      const again = sent.then(() => ask(Buffer.from(bytes.buffer)))
      again.catch(() => {}) // awaited below, or the stream was destroyed already
      if (ahead.length < AHEAD / 2) await again
    }
    into.end()
    stream.resume() // to its own end, where the file is closed
  }
  stream.pipe = <T extends NodeJS.WritableStream>(into: T): T => {
    pour(into as unknown as Writable).catch((error: Error) => stream.destroy(error))
    return into
  }
  return stream
}

async function readBlock(file: FileHandle, position: number, block: Buffer): Promise<Buffer> {
  for (let at = 0; at < block.length; ) {
    const { bytesRead } = await file.read(block, at, block.length - at, position + at)
    if (bytesRead === 0) throw new Error(`The file ends at ${position + at} bytes, which is before its image does`)
    at += bytesRead
  }
  return block
}

/** A rename is on the disk only when its folder is. */
async function syncFolder(name: string): Promise<void> {
  const folder = await fs.open(name, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
