// Writes a file past the kernel's page cache, straight from memory to the disk: no memory has to be found for the cache, an upload drives
// nothing out of it, and there is little left to wait for in the end. Whoever reads the image first brings it into the cache.
import fs, { constants, type FileHandle } from 'node:fs/promises'

/** Every disk takes multiples of this, in bytes, from memory that begins at one. */
const SECTOR = 4096

const { O_CREAT, O_DIRECT, O_EXCL, O_WRONLY } = constants

/**
 * Makes the file; its bytes have reached the disk when this resolves. Blocks of whole sectors, in memory that begins at one, are written
 * directly; others (the last one, as a rule) by way of the page cache, and so is everything where the file system wants that.
 * @throws the system's errors; EEXIST if there is such a file. What was written stays.
 */
export async function writeFile(name: string, blocks: AsyncIterable<Buffer>): Promise<void> {
  const file = await fs.open(name, O_WRONLY | O_CREAT | O_EXCL, 0o640)
  let direct: FileHandle | undefined
  try {
    direct = await fs.open(name, O_WRONLY | O_DIRECT).catch(unlessInvalid)
    let size = 0
    for await (const block of blocks) {
      const whole = block.length % SECTOR === 0
      const written = whole ? await direct?.write(block, 0, block.length, size).catch(unlessInvalid) : undefined
      await writeAll(file, block, written?.bytesWritten ?? 0, size)
      size += block.length
    }
    await file.sync()
  } finally {
    await direct?.close()
    await file.close()
  }
}

/** Writes what is missing of a block, whose place in the file is `position`. */
async function writeAll(file: FileHandle, bytes: Buffer, from: number, position: number): Promise<void> {
  for (let at = from; at < bytes.length; ) at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten
}

/** What a file system says that knows no direct writing, or none from this memory. */
function unlessInvalid(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'EINVAL') throw error
}
