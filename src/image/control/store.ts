// The file store: the bits of each upload are one file in the data directory, named after the upload. What is not complete yet is a
// `.part`; a rename makes it `.data`, after it has reached the disk.
import { createHash } from 'node:crypto'
import fs, { type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import type { Config } from '../../config.ts'
import { badRequest, Fault, tooLarge } from '../../http/fault.ts'
import { type Declared, HEAD, inspect, isBare } from './formats.ts'

export type Store = Pick<Config, 'home' | 'maxImageSize'>

/** Bytes that are written at once: few calls, and little memory for each upload. */
const BATCH = 1024 * 1024

const folderOf = ({ home }: Pick<Config, 'home'>) => path.join(home, 'images')
const partOf = (store: Pick<Config, 'home'>, upload: string) => path.join(folderOf(store), `${upload}.part`)
export const dataFile = (store: Pick<Config, 'home'>, upload: string) => path.join(folderOf(store), `${upload}.data`)

/** What an image row says of its bits. */
export interface Bits {
  size: number
  virtual_size: number | null
  checksum: string
  os_hash_algo: string
  os_hash_value: string
}

/**
 * Writes the stream to the disk, hashing and inspecting it on the way; the data is safe when this resolves. On any error nothing is
 * left, and the stream is neither read to its end nor destroyed.
 * @param expected the size in bytes, if the sender told it beforehand
 * @throws Fault 400 for what is no acceptable image or was cut off, 413 for what is too large or finds the disk full
 */
export async function receive(store: Store, upload: string, data: Readable, declared: Declared, expected?: number): Promise<Bits> {
  const limit = Math.floor(store.maxImageSize * 2 ** 30)
  if (expected !== undefined && expected > limit) throw overLimit(limit)
  await fs.mkdir(folderOf(store), { recursive: true, mode: 0o750 })
  const part = partOf(store, upload)
  try {
    const file = await fs.open(part, 'wx', 0o640)
    let bits: Bits
    try {
      bits = await write(file, data, declared, limit)
      if (expected !== undefined && bits.size !== expected) {
        throw badRequest(`The upload ended after ${bits.size} bytes, but ${expected} bytes were announced. Upload it again.`)
      }
      await file.sync()
    } finally {
      await file.close()
    }
    await fs.rename(part, dataFile(store, upload))
    await syncFolder(store)
    return bits
  } catch (error) {
    await removeBits(store, upload)
    throw asFault(error)
  }
}

async function write(file: FileHandle, data: Readable, declared: Declared, limit: number): Promise<Bits> {
  const md5 = createHash('md5')
  const sha512 = createHash('sha512')
  const head: Buffer[] = []
  let size = 0
  let seen = false
  let virtualSize: number | null = null
  const look = () => {
    virtualSize = inspect(Buffer.concat(head).subarray(0, HEAD), declared)
    head.length = 0
    seen = true
  }
  // One buffer fills while the other is written; the stream is not read on before that, so an upload never takes more memory than these.
  let filling = Buffer.allocUnsafe(BATCH)
  let other = Buffer.allocUnsafe(BATCH)
  let filled = 0
  let writing: Promise<unknown> = Promise.resolve()
  const flush = async () => {
    await writing
    writing = writeAll(file, filling.subarray(0, filled))
    writing.catch(() => {}) // told to whoever awaits it next
    ;[filling, other] = [other, filling]
    filled = 0
  }
  try {
    for await (const chunk of data.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > limit) throw overLimit(limit)
      if (!seen) {
        head.push(chunk)
        if (size >= HEAD) look()
      }
      md5.update(chunk)
      sha512.update(chunk)
      for (let at = 0; at < chunk.length; ) {
        const copied = chunk.copy(filling, filled, at)
        at += copied
        filled += copied
        if (filled === BATCH) await flush()
      }
    }
    await flush()
  } finally {
    await writing
  }
  if (!seen) look()
  return {
    size,
    virtual_size: virtualSize ?? (isBare(declared.container_format) && declared.disk_format !== 'vhdx' ? size : null),
    checksum: md5.digest('hex'),
    os_hash_algo: 'sha512',
    os_hash_value: sha512.digest('hex'),
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
}

const overLimit = (limit: number) =>
  tooLarge(`The image is larger than ${limit} bytes, the largest that this cloud takes (WISP_MAX_IMAGE_GB).`)

function asFault(error: unknown): unknown {
  if (error instanceof Fault) return error
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return tooLarge(
      'Image storage media is full: there is no room left on the disk of the image store. Delete images or make room, then upload it again.',
      { cause: error },
    )
  }
  if (code === 'ENOENT')
    return new Fault(410, 'The upload was given up: the image was deleted, or nothing was heard of the upload for too long.')
  if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE') {
    return badRequest('The upload was cut off. Upload it again.', { cause: error })
  }
  return error
}

/** A rename is on the disk only when its folder is. */
async function syncFolder(store: Pick<Config, 'home'>): Promise<void> {
  const folder = await fs.open(folderOf(store), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Removes whatever there is of an upload. */
export async function removeBits(store: Pick<Config, 'home'>, upload: string): Promise<void> {
  await fs.rm(partOf(store, upload), { force: true })
  await fs.rm(dataFile(store, upload), { force: true })
}
