// Writes a file through the kernel's page cache, from which the hosts and clients that ask for an image next are served, and has the disk
// begin early: so at the end there is little left to wait for.
import fs, { type FileHandle } from 'node:fs/promises'

/** Bytes after which the disk is asked to begin. */
const FLUSH = 32 * 1024 * 1024

/**
 * Makes the file; its bytes have reached the disk when this resolves.
 * @throws the system's errors; EEXIST if there is such a file. What was written stays.
 */
export async function writeFile(name: string, blocks: AsyncIterable<Buffer>): Promise<void> {
  const file = await fs.open(name, 'wx', 0o640)
  const flush = flusher(file)
  let size = 0
  try {
    for await (const block of blocks) {
      await writeAll(file, block, size)
      size += block.length
      flush.wrote(block.length)
    }
    await flush.ended()
    await file.sync()
  } finally {
    await flush.ended().catch(() => {})
    await file.close()
  }
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
