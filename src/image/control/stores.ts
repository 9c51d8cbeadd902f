// The stores of this cloud: which there are, and which of them takes what is uploaded.
import path from 'node:path'
import type { Config } from '../../config.ts'
import { fileStore } from '../store/file.ts'
import type { ImageStore } from '../store/store.ts'

export interface Stores {
  default: ImageStore
  /** Most bytes of one image. */
  largest: number
  /** The algorithm of os_hash_value. */
  hashing: string
}

export function openStores(config: Pick<Config, 'home' | 'maxImageSize'>): Stores {
  const file = fileStore({
    id: 'file',
    description: "Files in the cloud's data directory",
    weight: 0,
    folder: path.join(config.home, 'images'),
  })
  return { default: file, largest: Math.floor(config.maxImageSize * 2 ** 30), hashing: 'sha512' }
}
