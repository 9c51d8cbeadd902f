// What a host remembers of its cache of images: for which images a file stands, and how often disks were made of it. Control hears of
// every change a moment later, and of everything when the host says hello. A lost memory costs numbers, never a file.
import fs from 'node:fs'
import path from 'node:path'
import { writeFileAtomic } from '../../agent/files.ts'
import type { Machine } from '../../agent/machine.ts'
import type { ImageObservation, Observation } from '../../wire/documents.ts'

type Entry = Omit<ImageObservation, 'size'>

/** By the name of the file. A file without images was let go of, and stays only as long as disks stand on it. */
type Files = Record<string, Record<string, Entry>>

interface Memory {
  files: Files
  /** Of the newest document about an image that has one. */
  generations: Map<string, number>
  changed: Set<string>
  telling: NodeJS.Timeout | null
  writing: Promise<void>
}

const memories = new WeakMap<Machine, Memory>()
/** How long changes gather before control hears of them, in milliseconds: servers come in crowds. */
const gather = 2000

export const cacheFolder = ({ config }: Machine) => path.join(config.home, 'images-cache')
const memoryFile = (machine: Machine) => `${cacheFolder(machine)}.json`

function memoryOf(machine: Machine): Memory {
  const known = memories.get(machine)
  if (known) return known
  const memory: Memory = { files: {}, generations: new Map(), changed: new Set(), telling: null, writing: Promise.resolve() }
  try {
    memory.files = JSON.parse(fs.readFileSync(memoryFile(machine), 'utf8')) as Files
  } catch {
    // None yet, or cut off with the power: what is asked for again is remembered again.
  }
  memories.set(machine, memory)
  return memory
}

function write(machine: Machine, memory: Memory): Promise<void> {
  memory.writing = memory.writing.catch(() => undefined).then(() => writeFileAtomic(memoryFile(machine), JSON.stringify(memory.files)))
  return memory.writing
}

/** The file is there and stands for this image. */
export async function rememberImage(machine: Machine, name: string, id: string): Promise<void> {
  const memory = memoryOf(machine)
  if (memory.files[name]?.[id]) return
  memory.files[name] = { ...memory.files[name], [id]: { hits: 0, cached_at: new Date().toISOString(), used_at: null } }
  tellSoon(machine, memory, id)
  await write(machine, memory)
}

/** A disk was made of it. The count is on disk with the next change that control hears of. */
export function countUse(machine: Machine, name: string, id: string): void {
  const memory = memoryOf(machine)
  const entry = memory.files[name]?.[id]
  if (!entry) return
  entry.hits++
  entry.used_at = new Date().toISOString()
  tellSoon(machine, memory, id)
}

/** The file went. */
export async function forgetFile(machine: Machine, name: string): Promise<void> {
  const memory = memoryOf(machine)
  const images = memory.files[name]
  if (!images) return
  delete memory.files[name]
  for (const id of Object.keys(images)) tellSoon(machine, memory, id)
  await write(machine, memory)
}

/** The image is to be let go of: files that stand for no other go with it, unless disks stand on them. */
export async function forgetImage(machine: Machine, id: string): Promise<void> {
  const memory = memoryOf(machine)
  memory.generations.delete(id)
  const named = Object.values(memory.files).filter((images) => images[id])
  for (const images of named) delete images[id]
  if (named.length > 0) await write(machine, memory)
}

/** Names of files that were let go of. */
export const letGoOf = (machine: Machine): string[] =>
  Object.entries(memoryOf(machine).files).flatMap(([name, images]) => (Object.keys(images).length === 0 ? name : []))

/** A document speaks of the image: what is told of it later bears that document's generation. */
export const documented = (machine: Machine, id: string, generation: number): void => {
  memoryOf(machine).generations.set(id, generation)
}

/** What the cache holds, by the image's id. */
export async function cachedImages(machine: Machine): Promise<Record<string, ImageObservation>> {
  const found: Record<string, ImageObservation> = {}
  for (const [name, images] of Object.entries(memoryOf(machine).files)) {
    const stat = await fs.promises.stat(path.join(cacheFolder(machine), name)).catch(() => undefined)
    if (stat) for (const [id, entry] of Object.entries(images)) found[id] = { ...entry, size: stat.size }
  }
  return found
}

function tellSoon(machine: Machine, memory: Memory, id: string): void {
  memory.changed.add(id)
  memory.telling ??= setTimeout(() => {
    memory.telling = null
    tell(machine, memory).catch((error) => machine.log.warn({ err: error }, 'image: control does not know what the cache holds'))
  }, gather).unref()
}

async function tell(machine: Machine, memory: Memory): Promise<void> {
  const changed = [...memory.changed]
  memory.changed.clear()
  await write(machine, memory)
  const all = await cachedImages(machine)
  const observations = changed.map((id): Observation => {
    const generation = memory.generations.get(id) ?? 0
    const image = all[id]
    return image ? { kind: 'image', id, generation, state: 'ready', image } : { kind: 'image', id, generation: 0, state: 'gone' }
  })
  await machine.report(observations)
}
