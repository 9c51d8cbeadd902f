// The file store: the bits of each key are one file in a folder. What is not complete yet is a `.part`; a rename makes it `.data`, after
// it has reached the disk.
import fs, { type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import type { ImageStore } from './store.ts'
import { writeFile } from './write-file.ts'

/** Bytes that are read at once, and how many such reads are on their way while a client takes the one before. */
const READ = 1024 * 1024
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

/** The bytes from `start` to `end`, both included. Closes the file in the end, whatever happens. */
function readAhead(file: FileHandle, { start, end }: { start: number; end: number }): Readable {
  const ahead: Promise<Buffer>[] = []
  let next = start
  const fill = () => {
    for (; ahead.length < AHEAD && next <= end; next += READ) {
      const block = readBlock(file, next, Math.min(READ, end + 1 - next))
      block.catch(() => {}) // whoever takes it hears of it
      ahead.push(block)
    }
  }
  return new Readable({
    highWaterMark: READ,
    read() {
      fill()
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
}

async function readBlock(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const block = Buffer.allocUnsafe(length)
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(block, at, length - at, position + at)
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
