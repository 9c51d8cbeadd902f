// A host's cache of images: one file per content, named by its hash, which disks of servers use as their backing file. A download goes
// to `.part` and is renamed when its hash is right, so a file under its final name is always whole. What no disk uses any more goes
// after a while, sooner where the disk is nearly full; what control wants here stays (prefetch.ts).
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { diskSpace, ensureFolder, partPath, publishPart, removeInside } from '../../agent/files.ts'
import type { Machine } from '../../agent/machine.ts'
import { Final } from '../../agent/realise.ts'
import { run } from '../../agent/shell.ts'
import type { ImageDocument } from '../../wire/documents.ts'
import { cacheFolder, countUse, forgetFile, letGoOf, rememberImage } from './remembered.ts'

/** What is to be known of an image to have it here. */
export type Wanted = Omit<ImageDocument, 'v'>

export interface CachedImage {
  path: string
  format: 'qcow2' | 'raw'
  virtualBytes: number
}

/** Formats that QEMU can use as a backing file as they are, and those that are converted once on arrival. */
const direct = ['raw', 'qcow2']
const converted: Record<string, string> = { vmdk: 'vmdk', vdi: 'vdi', vhd: 'vpc', vhdx: 'vhdx' }
const underway = new Map<string, { file: string; image: Promise<CachedImage> }>()
/** Files of which disks are being made, and how many. */
const held = new Map<string, number>()

/** How long an image stays that no disk uses, in milliseconds; as Nova's remove_unused_original_minimum_age_seconds, and when room is scarce. */
const unusedFor = { usually: 24 * 3600_000, scarce: 3600_000 }
/** Room is scarce when less than this part of the disk is free. */
const scarce = 0.1

/**
 * Removes what an agent left half-fetched that is no more, and images that nothing has used for a while. Only at a time when all disks
 * of this host are known.
 * @param used the files that disks stand on; only their names count, for a folder may have several paths
 */
export async function tidyCache(machine: Machine, used: Set<string>, now = Date.now()): Promise<void> {
  const folder = cacheFolder(machine)
  if (!fs.existsSync(folder)) return
  await removeUnused(machine, used)
  const needed = new Set(
    [...used, ...[...machine.wanted('image').values()].map((image) => fileOf(machine, image))].map((file) => path.basename(file)),
  )
  const fetching = new Set([...underway.values()].map(({ file }) => file))
  const { totalBytes, freeBytes } = await diskSpace(folder)
  const age = freeBytes < totalBytes * scarce ? unusedFor.scarce : unusedFor.usually
  for (const name of await fs.promises.readdir(folder)) {
    const file = path.join(folder, name)
    const whole = file.replace(/\.(part|whole)$/, '')
    if (fetching.has(whole) || needed.has(name)) continue
    const found = await fs.promises.stat(file).catch(() => undefined)
    if (!found || (whole === file && now - found.mtimeMs < age)) continue
    await removeInside(folder, file)
    await forgetFile(machine, name)
    machine.log.info(
      { file: name, size: found.size },
      whole === file ? 'image: unused, removed from the cache' : 'image: half-fetched, removed',
    )
  }
}

/** Removes what was let go of, where no disk stands on it (any more). @param used as `tidyCache` has it */
export async function removeUnused(machine: Machine, used: Set<string>): Promise<void> {
  const needed = new Set([...used].map((file) => path.basename(file)))
  for (const name of letGoOf(machine)) {
    const file = path.join(cacheFolder(machine), name)
    if (needed.has(name) || held.has(file) || [...underway.values()].some((one) => one.file === file)) continue
    await removeInside(cacheFolder(machine), file)
    await forgetFile(machine, name)
    machine.log.info({ file: name }, 'image: let go of, removed from the cache')
  }
}

/** The image, of which a disk is about to be made; `made` says that it stands. */
export async function imageForDisk(machine: Machine, image: Wanted): Promise<CachedImage & { made(): void }> {
  const cached = await cachedImage(machine, image)
  held.set(cached.path, (held.get(cached.path) ?? 0) + 1)
  countUse(machine, path.basename(cached.path), image.id)
  return {
    ...cached,
    made() {
      const left = held.get(cached.path)! - 1
      if (left > 0) held.set(cached.path, left)
      else held.delete(cached.path)
    },
  }
}

const formatOf = ({ disk_format }: Wanted) => (disk_format === 'raw' ? 'raw' : 'qcow2')
const fileOf = (machine: Machine, image: Wanted) =>
  path.join(cacheFolder(machine), `${image.hash}.${converted[image.disk_format] ? `${image.disk_format}.` : ''}${formatOf(image)}`)

/** Brings the image here unless it is here. Servers that want the same one wait for the same download. */
export async function cachedImage(machine: Machine, image: Wanted): Promise<CachedImage> {
  // The same bits are another thing when they are said to be of another format.
  const key = `${image.hash} ${image.disk_format}`
  const file = fileOf(machine, image)
  if (!underway.has(key)) {
    const fetching = bring(machine, image, file, formatOf(image)).finally(() => underway.delete(key))
    underway.set(key, { file, image: fetching })
  }
  const cached = await underway.get(key)!.image
  // Several images may have these bits.
  await rememberImage(machine, path.basename(file), image.id)
  return cached
}

async function bring(machine: Machine, image: Wanted, file: string, format: CachedImage['format']): Promise<CachedImage> {
  if (!/^[0-9a-f]{32,128}$/.test(image.hash)) throw new Final(`Image ${image.id} has no checksum, so its bits cannot be trusted.`)
  if (!direct.includes(image.disk_format) && !Object.hasOwn(converted, image.disk_format))
    throw new Final(
      `A server cannot boot from an image of disk format '${image.disk_format}'. Convert it to qcow2 or raw and upload it again.`,
    )
  await ensureFolder(cacheFolder(machine))
  if (!fs.existsSync(file)) {
    await download(machine, image, file)
    machine.log.info({ image: image.id, size: image.size }, 'image: now in the cache')
  }
  await rememberImage(machine, path.basename(file), image.id)
  // When it was last asked for; the cache is tidied by that.
  const now = new Date()
  await fs.promises.utimes(file, now, now)
  return { path: file, format, virtualBytes: await virtualSize(file, format) }
}

async function download(machine: Machine, image: Wanted, file: string): Promise<void> {
  const part = partPath(file)
  const { status, body } = await machine.fetch(`/wire/v1/images/${encodeURIComponent(image.id)}/data`)
  if (status !== 200) {
    body.resume()
    if (status === 404) throw new Final(`Image ${image.id} is no longer there. Choose another image.`)
    throw new Error(`The controller answers ${status} for the data of image ${image.id}.`)
  }
  const hash = createHash(image.hash.length === 128 ? 'sha512' : image.hash.length === 64 ? 'sha256' : 'md5')
  const measure = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk)
      done(null, chunk)
    },
  })
  await pipeline(body, measure, fs.createWriteStream(part, { mode: 0o644 }))
  if (hash.digest('hex') !== image.hash) {
    fs.rmSync(part)
    throw new Error(`Image ${image.id} arrived damaged: its checksum is not ${image.hash.slice(0, 16)}…`)
  }
  const from = converted[image.disk_format]
  if (from) {
    const whole = `${file}.whole`
    fs.renameSync(part, whole)
    await run(['qemu-img', 'convert', '-f', from, '-O', 'qcow2', whole, part], { timeoutMs: 0, doing: `convert image ${image.id}` })
    fs.rmSync(whole)
  }
  await publishPart(file)
}

async function virtualSize(file: string, format: string): Promise<number> {
  const { stdout } = await run(['qemu-img', 'info', '-U', '-f', format, '--output=json', file], { doing: 'read the size of an image' })
  const info = JSON.parse(stdout) as Info
  // Control refuses such images; a guest that got one in all the same could read any file of this host.
  if (info['backing-filename'] !== undefined || info['full-backing-filename'] !== undefined || info['format-specific']?.data?.['data-file'])
    throw new Final('The image refers to another file, which no image may. Convert it (qemu-img convert) and upload it again.')
  return info['virtual-size']
}

interface Info {
  'virtual-size': number
  'backing-filename'?: string
  'full-backing-filename'?: string
  'format-specific'?: { data?: { 'data-file'?: string } }
}
