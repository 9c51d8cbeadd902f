// The file store: the bits of each key are one file in a folder. What is not complete yet is a `.part`; a rename makes it `.data`, after
// it has reached the disk.
import fs from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { writeFile } from './direct.ts'
import type { ImageStore } from './store.ts'

/** Bytes that are read at once. */
const READ = 1024 * 1024

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
      return file?.createReadStream({ ...range, highWaterMark: READ })
    },
    async size(key) {
      return (await fs.stat(dataOf(key)).catch(unlessMissing))?.size
    },
    remove,
  }
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
