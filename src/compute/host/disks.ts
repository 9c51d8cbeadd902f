// The files of a server on its host: a folder named by the server's id with its disks, its config drive, its console log and what the
// agent remembers of it. The root disk is an overlay on the cached image.
import fs from 'node:fs'
import path from 'node:path'
import { ensureFolder, partPath, publishPart, removeInside, writeFileAtomic } from '../../agent/files.ts'
import type { Machine } from '../../agent/machine.ts'
import { Final } from '../../agent/realise.ts'
import { run } from '../../agent/shell.ts'
import { imageForDisk, removeUnused, tidyCache } from '../../image/host/cache.ts'
import { letGoOf } from '../../image/host/remembered.ts'
import type { ServerDocument } from '../../wire/documents.ts'
import { configDriveFiles } from './metadata.ts'

const GiB = 1 << 30

export interface Disk {
  path: string
  target: string
  format: 'qcow2' | 'raw'
  serial: string
  readonly?: boolean
}

/** How many starts and reboots the host has performed for a server. */
export interface Done {
  starts: number
  reboots: number
}

/** `starting` = what will be done once the start under way has come about: a domain that is on proves it, also to the next agent. */
export interface Memory extends Done {
  starting?: Done
}

export const serversFolder = ({ config }: Machine) => path.join(config.home, 'servers')
export const folderOf = (machine: Machine, id: string) => path.join(serversFolder(machine), id)
export const consoleLog = (machine: Machine, id: string) => path.join(folderOf(machine, id), 'console.log')

export function remembered(machine: Machine, id: string): Memory {
  try {
    return JSON.parse(fs.readFileSync(path.join(folderOf(machine, id), 'memory.json'), 'utf8')) as Memory
  } catch {
    return { starts: 0, reboots: 0 }
  }
}

export const remember = (machine: Machine, id: string, memory: Memory) =>
  writeFileAtomic(path.join(folderOf(machine, id), 'memory.json'), JSON.stringify(memory))

/** The files that disks of servers on this host stand on: read from the headers of the disks themselves (qcow2.rst). */
export async function backingFiles(machine: Machine): Promise<Set<string>> {
  const used = new Set<string>()
  const folder = serversFolder(machine)
  const all = fs.existsSync(folder) ? await fs.promises.readdir(folder, { recursive: true, withFileTypes: true }) : []
  for (const { name, parentPath } of all.filter((entry) => entry.isFile() && entry.name.startsWith('disk'))) {
    const file = await fs.promises.open(path.join(parentPath, name)).catch((error: NodeJS.ErrnoException) => {
      // Its server was removed meanwhile. Anything else must not look as if nothing were used.
      if (error.code !== 'ENOENT') throw error
    })
    if (!file) continue
    try {
      const header = Buffer.alloc(20)
      await file.read(header, 0, 20, 0)
      const at = Number(header.readBigUInt64BE(8))
      if (header.toString('latin1', 0, 4) !== 'QFI\xfb' || at === 0) continue
      const backing = Buffer.alloc(Math.min(header.readUInt32BE(16), 1023))
      await file.read(backing, 0, backing.length, at)
      used.add(backing.toString())
    } finally {
      await file.close()
    }
  }
  return used
}

const tidyEvery = 3600_000
let tidied = Number.NEGATIVE_INFINITY

/** Tidies the cache of images now and then. What goes wrong with that is no server's problem. */
export async function tidyImages(machine: Machine): Promise<void> {
  if (performance.now() - tidied < tidyEvery) return
  tidied = performance.now()
  await backingFiles(machine)
    .then((used) => tidyCache(machine, used))
    .catch((error) => machine.log.warn({ err: error }, 'image: the cache could not be tidied'))
}

/**
 * Makes the disks that are missing. `step` times the slow parts for the server's timeline.
 * @param hadDisks the server has had its disks before: an empty one must not come in the place of one that its user wrote to
 */
export async function ensureDisks(
  machine: Machine,
  server: ServerDocument,
  hadDisks: boolean,
  step: <T>(name: string, work: () => Promise<T>) => Promise<T>,
): Promise<Disk[]> {
  const folder = folderOf(machine, server.id)
  await ensureFolder(folder)
  const root = path.join(folder, 'disk')
  const isMissing = (file: string, what: string) => {
    if (fs.existsSync(file)) return false
    if (hadDisks)
      throw new Final(
        `The server's ${what} disk is gone from its host. Put it back there and reboot the server (hard), or delete the server.`,
      )
    return true
  }
  if (isMissing(root, 'root')) {
    const image = await step('image', () => imageForDisk(machine, server.image))
    await step('disk', async () => {
      const bytes = server.root_gb > 0 ? server.root_gb * GiB : image.virtualBytes
      if (bytes < image.virtualBytes)
        throw new Final(
          `Image ${server.image.name} needs a disk of ${Math.ceil(image.virtualBytes / GiB)} GB, but the flavor gives ${server.root_gb} GB. Choose a larger flavor.`,
        )
      await create(root, ['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', image.path, '-F', image.format, partPath(root), String(bytes)])
    }).finally(image.made)
    await tidyImages(machine)
  }
  const disks: Disk[] = [{ path: root, target: 'vda', format: 'qcow2', serial: 'root' }]
  const next = () => `vd${String.fromCharCode('a'.charCodeAt(0) + disks.length)}`
  if (server.ephemeral_gb > 0) {
    const file = path.join(folder, 'disk.ephemeral')
    if (isMissing(file, 'ephemeral'))
      await create(file, ['qemu-img', 'create', '-q', '-f', 'qcow2', partPath(file), `${server.ephemeral_gb}G`])
    disks.push({ path: file, target: next(), format: 'qcow2', serial: 'ephemeral0' })
  }
  if (server.swap_mb > 0) {
    const file = path.join(folder, 'disk.swap')
    if (!fs.existsSync(file)) {
      fs.closeSync(fs.openSync(partPath(file), 'w'))
      fs.truncateSync(partPath(file), server.swap_mb * 1024 * 1024)
      await create(file, ['mkswap', partPath(file)])
    }
    disks.push({ path: file, target: next(), format: 'raw', serial: 'swap' })
  }
  if (server.config_drive) {
    const file = path.join(folder, 'disk.config')
    if (!fs.existsSync(file))
      await makeConfigDrive(file, configDriveFiles(server, { ports: machine.wanted('port'), networks: machine.wanted('network') }))
    disks.push({ path: file, target: next(), format: 'raw', serial: 'config-2', readonly: true })
  }
  return disks
}

async function create(file: string, argv: string[]): Promise<void> {
  await run(argv, { doing: `create ${path.basename(file)}` })
  await publishPart(file)
}

/** FAT with the label config-2, as the OpenStack metadata format wants it: any guest can read it, and mtools writes it without mounting. */
async function makeConfigDrive(file: string, files: Record<string, string | Buffer>): Promise<void> {
  const part = partPath(file)
  const tree = `${part}.tree`
  fs.rmSync(tree, { recursive: true, force: true })
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(path.join(tree, path.dirname(name)), { recursive: true })
    fs.writeFileSync(path.join(tree, name), content)
  }
  fs.rmSync(part, { force: true })
  await run(['mformat', '-C', '-i', part, '-v', 'config-2', '-T', '131072', '-h', '64', '-s', '32', '::'], {
    doing: 'make the config drive',
  })
  await run(['mcopy', '-s', '-i', part, ...fs.readdirSync(tree).map((name) => path.join(tree, name)), '::/'], {
    doing: 'fill the config drive',
  })
  fs.rmSync(tree, { recursive: true })
  await publishPart(file)
}

export async function removeFiles(machine: Machine, id: string): Promise<void> {
  if (fs.existsSync(folderOf(machine, id))) await removeInside(serversFolder(machine), folderOf(machine, id))
  // Its image may have waited for this, the last disk that stood on it. The disk is gone, whatever comes of that.
  if (letGoOf(machine).length > 0)
    await backingFiles(machine)
      .then((used) => removeUnused(machine, used))
      .catch((error) => machine.log.warn({ err: error }, 'image: what was let go of could not be removed'))
}
