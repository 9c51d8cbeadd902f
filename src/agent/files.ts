// Files that must never be seen half-written, and removals that must never leave the folder they were meant for.
import { createHash, randomBytes } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { lstat, mkdir, open, readdir, realpath, rename, rm, rmdir, statfs } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'

/** Forces a folder's own entries (names just created, renamed, removed) to disk. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Writes a file so that a reader, or a machine that lost power, sees either the old content or the new one, whole:
 * a temporary neighbour, fsync, rename, fsync of the folder. `mode` defaults to 0644; pass 0o600 for secrets.
 */
export async function writeFileAtomic(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  try {
    const handle = await open(temporary, 'wx', mode)
    try {
      await handle.chmod(mode)
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
}

/** Where a download lives until it is complete. A `.part` is never used; whoever finds one may continue or remove it. */
export function partPath(path: string): string {
  return `${path}.part`
}

/** Turns a complete `.part` into the file itself: fsync, rename, fsync of the folder. */
export async function publishPart(path: string): Promise<void> {
  const handle = await open(partPath(path), 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(partPath(path), path)
  await syncFolder(dirname(path))
}

/**
 * Removes a file or folder tree inside `owned`, a folder that belongs to Wisp. Absent is fine. Refuses `owned` itself,
 * anything outside it, and anything that a symbolic link on the way would lead outside.
 */
export async function removeInside(owned: string, path: string): Promise<void> {
  const root = await realpath(owned)
  const target = resolve(owned, path)
  if (!isInside(resolve(owned), target)) throw new Error(`Refused to remove ${target}: it is not inside ${owned}`)
  try {
    const parent = await realpath(dirname(target))
    if (parent !== root && !isInside(root, parent)) throw new Error(`Refused to remove ${target}: a symbolic link leads outside ${owned}`)
    await lstat(target)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR') return
    throw error
  }
  await rm(target, { recursive: true, force: true })
}

/** Removes a folder that is ours as a whole. One that is a disk of its own, or a link, is emptied: it belongs to whoever made it. */
export async function removeFolder(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true })
  await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EBUSY' && error.code !== 'ENOTDIR') throw error
  })
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path)
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && resolve(folder, way) === path
}

export async function ensureFolder(path: string, mode = 0o755): Promise<void> {
  await mkdir(path, { recursive: true, mode })
}

/** Bytes of the file system that holds `path`: its size, and what a process without root's reserve may still write. */
export async function diskSpace(path: string): Promise<{ totalBytes: number; freeBytes: number }> {
  const facts = await statfs(path)
  return { totalBytes: facts.blocks * facts.bsize, freeBytes: facts.bavail * facts.bsize }
}

/** Whether something failed for want of room, here or in a program that was run. */
export const isFull = (error: unknown): boolean =>
  error instanceof Error && ((error as NodeJS.ErrnoException).code === 'ENOSPC' || error.message.includes('No space left on device'))

/** The SHA-256 of everything a stream yields, as lower-case hex, and how many bytes that was. */
export async function sha256OfStream(stream: AsyncIterable<Uint8Array>): Promise<{ sha256: string; bytes: number }> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of stream) {
    hash.update(chunk)
    bytes += chunk.byteLength
  }
  return { sha256: hash.digest('hex'), bytes }
}

export function sha256OfFile(path: string, signal?: AbortSignal): Promise<{ sha256: string; bytes: number }> {
  return sha256OfStream(createReadStream(path, { signal }))
}
