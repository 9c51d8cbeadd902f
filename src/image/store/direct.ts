// Writes a file past the kernel's page cache where the file system can (O_DIRECT): nobody reads an image so soon that it would be worth
// the copying, and what is written is on the disk already when the end is reached. Elsewhere through the cache, flushed on the way.
import fs, { type FileHandle } from 'node:fs/promises'

const { O_CREAT, O_DIRECT, O_EXCL, O_WRONLY } = fs.constants
/** What positions, lengths and memory are a multiple of. */
const ALIGNMENT = 4096
/** Bytes after which the disk is asked to begin: then little is left to wait for at the end. */
const FLUSH = 32 * 1024 * 1024

/**
 * Makes the file; its bytes have reached the disk when this resolves.
 * @param blocks all but the last of a length that is a multiple of 4096, in memory that may be read up to such a multiple
 * @throws the system's errors; EEXIST if there is such a file. What was written stays.
 */
export async function writeFile(name: string, blocks: AsyncIterable<Buffer>): Promise<void> {
  let direct = true
  let file = await fs.open(name, O_WRONLY | O_CREAT | O_EXCL | O_DIRECT, 0o640).catch((error) => {
    refuseUnlessIndirect(error)
    direct = false
    return fs.open(name, O_WRONLY | O_CREAT, 0o640)
  })
  let flush = flusher(file)
  let size = 0
  try {
    for await (const block of blocks) {
      const padded = Math.ceil(block.length / ALIGNMENT) * ALIGNMENT
      try {
        await writeAll(file, direct ? Buffer.from(block.buffer, block.byteOffset, padded) : block, size)
      } catch (error) {
        if (!direct) throw error
        refuseUnlessIndirect(error)
        direct = false
        await file.close()
        file = await fs.open(name, O_WRONLY)
        flush = flusher(file)
        await writeAll(file, block, size)
      }
      size += block.length
      if (!direct) flush.wrote(block.length)
    }
    await flush.ended()
    await file.truncate(size)
    await file.sync()
  } finally {
    await flush.ended().catch(() => {})
    await file.close()
  }
}

/** What a file system says to which O_DIRECT means nothing, or something else. */
function refuseUnlessIndirect(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten
}

/** Flushes now and then, one flush at a time, while more is being written. */
function flusher(file: FileHandle) {
  let unflushed = 0
  let flushing: Promise<void> | undefined
  let failed: unknown
  return {
    wrote(bytes: number) {
      unflushed += bytes
      if (unflushed < FLUSH || flushing) return
      unflushed = 0
      const ended = (error?: unknown) => {
        flushing = undefined
        failed ??= error
      }
      flushing = file.datasync().then(() => ended(), ended)
    },
    /** The kernel tells of a write that failed only once, to whoever flushed first. */
    async ended() {
      await flushing
      if (failed) throw failed
    },
  }
}
