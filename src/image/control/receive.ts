// How bits come in, whatever store they go to: cut into blocks that are hashed in threads and inspected on their way, while the store
// writes the block before. Blocks are few and used again, so an upload takes four of them in memory, however large the image is.
import { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { badRequest, Fault, tooLarge } from '../../http/fault.ts'
import { type Blocks, type ImageStore, storeFull } from '../store/store.ts'
import type { Declared } from './formats.ts'
import { type Hashing, startHashing } from './hashing.ts'
import { startInspection } from './inspection.ts'

/** Bytes that are written at once: few calls, and little memory for each upload. */
const BLOCK = 1024 * 1024
/** One that fills, one that is being written, and two that the threads may still be reading. */
const blocks = 4

/** What an image row says of its bits. */
export interface Bits {
  size: number
  virtual_size: number | null
  checksum: string
  os_hash_algo: string
  os_hash_value: string
}

export interface Wanted {
  /** Most bytes. */
  limit: number
  /** The size in bytes, if the sender told it beforehand. */
  expected?: number
  declared: Declared
  /** Of os_hash_value. */
  algorithm: string
}

/**
 * Brings the stream into the store under this key; the data is safe when this resolves. On any error nothing is left there, and the
 * stream is neither read to its end nor destroyed.
 * @throws Fault 400 for what is no acceptable image or was cut off, 413 for what is too large or finds the store full
 */
export async function receive(store: ImageStore, key: string, data: Readable, wanted: Wanted): Promise<Bits> {
  const { limit, expected, algorithm } = wanted
  if (expected !== undefined && expected > limit) throw overLimit(limit)
  const hashing = startHashing(['md5', algorithm])
  const seen = { size: 0, virtualSize: null as number | null }
  try {
    await store.write(key, ahead(cut(data, wanted, hashing, seen)), expected)
    const [checksum = '', value = ''] = await hashing.digest()
    return {
      size: seen.size,
      virtual_size: seen.virtualSize,
      checksum,
      os_hash_algo: algorithm,
      os_hash_value: value,
    }
  } catch (error) {
    throw asFault(error, store)
  } finally {
    hashing.drop()
  }
}

/** A block stays as it is until the one after the next is asked for. */
async function* cut(
  data: Readable,
  { declared, expected, limit }: Wanted,
  hashing: Hashing,
  seen: { size: number; virtualSize: number | null },
): Blocks {
  const memory = sharedPages(blocks * BLOCK)
  const ring = Array.from({ length: blocks }, (_, n) => ({ bytes: Buffer.from(memory, n * BLOCK, BLOCK), hashed: Promise.resolve() }))
  let turn = 0
  let block = ring[0]!
  let filled = 0
  const inspection = startInspection(declared)
  for await (const chunk of data.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    seen.size += chunk.length
    if (seen.size > limit) throw overLimit(limit)
    inspection.see(chunk)
    for (let at = 0; at < chunk.length; ) {
      const copied = chunk.copy(block.bytes, filled, at)
      at += copied
      filled += copied
      if (filled < BLOCK) continue
      block.hashed = hashing.update(block.bytes.subarray(0, filled))
      block.hashed.catch(() => {}) // told to whoever awaits it next
      yield block.bytes
      block = ring[++turn % blocks]!
      await block.hashed
      filled = 0
    }
    if (data instanceof IncomingMessage) release(chunk)
  }
  if (expected !== undefined && seen.size !== expected) {
    throw badRequest(`The upload ended after ${seen.size} bytes, but ${expected} bytes were announced. Upload it again.`)
  }
  seen.virtualSize = inspection.end()
  if (filled === 0) return
  await hashing.update(block.bytes.subarray(0, filled))
  yield block.bytes.subarray(0, filled)
}

/** Memory that threads share and that begins at a page, as disks want it; a SharedArrayBuffer by itself may begin anywhere. */
function sharedPages(bytes: number): SharedArrayBuffer {
  const pages = Math.ceil(bytes / 65_536)
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer as unknown as SharedArrayBuffer
}

/** Gives the memory of what the HTTP server read back at once: left to the garbage collector it would pile up, and cost more than the copying. */
function release({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}

/** Asks for one more while the one before is being used. */
async function* ahead(source: Blocks): Blocks {
  let next = source.next()
  try {
    for (;;) {
      const { value, done } = await next
      if (done) return
      next = source.next()
      next.catch(() => {}) // told to whoever awaits it next
      yield value
    }
  } finally {
    // A sender that has fallen silent is not waited for.
    void source.return(undefined).catch(() => {})
  }
}

const overLimit = (limit: number) =>
  tooLarge(`The image is larger than ${limit} bytes, the largest that this cloud takes (WISP_MAX_IMAGE_GB).`)

function asFault(error: unknown, store: ImageStore): unknown {
  if (error instanceof Fault) return error
  const { code, path } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') return storeFull(store.id, error)
  if (code === 'ENOENT')
    return new Fault(410, 'The upload was given up: the image was deleted, or nothing was heard of the upload for too long.')
  if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE') {
    return badRequest('The upload was cut off. Upload it again.', { cause: error })
  }
  if (path !== undefined) return new Fault(503, `The image store ${store.id} does not work (${code}). Try again later.`, { cause: error })
  return error
}
