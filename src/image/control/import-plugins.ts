// What may be done to data between its arrival and the store, as the operator wishes (WISP_IMPORT_PLUGINS): decompression, conversion to
// one disk format for all, and properties that every image gets. Each takes one file and makes another, so that it can be done again.
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import { open } from 'node:fs/promises'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { badRequest, tooLarge } from '../../http/fault.ts'
import { type Declared, formatOf, HEAD } from './formats.ts'
import { inspectFile } from './inspection.ts'
import { stagingFault, stagingFull } from './staging.ts'

const run = promisify(execFile)

export interface Plugins {
  decompress: boolean
  convert?: 'raw' | 'qcow2' | 'vmdk'
  inject: Record<string, string>
}

/** Reads `decompress`, `convert:qcow2` and `inject:name=value`. @throws Error that names what is none of these */
export function readPlugins(texts: string[]): Plugins {
  const plugins: Plugins = { decompress: false, inject: {} }
  for (const text of texts) {
    const [, what, rest = ''] = /^(\w+)(?::(.*))?$/.exec(text) ?? []
    const [, name, value] = /^([^=]{1,255})=(.*)$/.exec(rest) ?? []
    if (what === 'decompress' && !rest) plugins.decompress = true
    else if (what === 'convert' && (rest === 'raw' || rest === 'qcow2' || rest === 'vmdk')) plugins.convert = rest
    else if (what === 'inject' && name && value !== undefined && !name.startsWith('os_glance')) plugins.inject[name] = value
    else throw new Error(`wants decompress, convert:raw, convert:qcow2, convert:vmdk or inject:name=value, not '${text}'`)
  }
  return plugins
}

/** The first bytes of a file, as many as tell what it is. */
export async function headOf(file: string): Promise<Buffer> {
  const handle = await open(file)
  try {
    const head = Buffer.alloc(HEAD)
    const { bytesRead } = await handle.read(head, 0, HEAD, 0)
    return head.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

const bare = (declared: Declared) => declared.container_format !== 'compressed'

/** 'gzip' or 'zip' for what is to be decompressed. */
export function compression(head: Buffer, declared: Declared): 'gzip' | 'zip' | undefined {
  const format = bare(declared) ? formatOf(head) : ''
  return format === 'gzip' || format === 'zip' ? format : undefined
}

/** @param limit most bytes that may come out @throws Fault 400 for what is no such file, 413 for what is too large */
export async function decompress(kind: 'gzip' | 'zip', from: string, to: string, limit: number): Promise<void> {
  let size = 0
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length
      if (size > limit) done(tooLarge(`The image is larger than ${limit} bytes once decompressed, the largest that this cloud takes.`))
      else done(null, chunk)
    },
  })
  const part = kind === 'zip' ? await onlyEntry(from) : undefined
  try {
    const source = fs.createReadStream(from, part && { start: part.start, end: part.end })
    const target = fs.createWriteStream(to, { mode: 0o640, flush: true })
    if (part?.stored) await pipeline(source, count, target)
    else await pipeline(source, part ? zlib.createInflateRaw() : zlib.createGunzip(), count, target)
  } catch (error) {
    if (!String((error as NodeJS.ErrnoException).code).startsWith('Z_')) throw stagingFault(error)
    throw badRequest(`The data cannot be decompressed (${kind}): ${(error as Error).message}.`, { cause: error })
  }
  if (part && size !== part.size) throw badRequest(`The zip file promises ${part.size} bytes, but ${size} came out of it.`)
}

interface Entry {
  /** Where its bytes lie in the file, both ends included. */
  start: number
  end: number
  size: number
  stored: boolean
}

/** Where the one file of a zip archive lies (APPNOTE.TXT, 4.3). */
async function onlyEntry(file: string): Promise<Entry> {
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    const tail = Buffer.alloc(Math.min(size, 65_557))
    await handle.read(tail, 0, tail.length, size - tail.length)
    const at = tail.lastIndexOf(Buffer.from('PK\x05\x06'))
    if (at < 0 || at + 22 > tail.length) throw badRequest('The zip file is cut off: it has no directory.')
    if (tail.readUInt16LE(at + 10) !== 1) throw badRequest('The zip file holds more than one file. Pack the image alone.')
    const directory = Buffer.alloc(46)
    await handle.read(directory, 0, 46, tail.readUInt32LE(at + 16))
    const method = directory.readUInt16LE(10)
    const [packed, whole, header] = [directory.readUInt32LE(20), directory.readUInt32LE(24), directory.readUInt32LE(42)]
    const encrypted = (directory.readUInt16LE(8) & 1) === 1
    if (directory.toString('latin1', 0, 4) !== 'PK\x01\x02' || encrypted || (method !== 0 && method !== 8))
      throw badRequest('The zip file is damaged, encrypted or packed in another way than by deflate. Use gzip.')
    if ([packed, whole, header].includes(0xffff_ffff)) throw badRequest('The zip file is larger than 4 GB. Use gzip.')
    const local = Buffer.alloc(30)
    await handle.read(local, 0, 30, header)
    const start = header + 30 + local.readUInt16LE(26) + local.readUInt16LE(28)
    if (packed === 0 || start + packed > size) throw badRequest('The zip file is empty or cut off.')
    return { start, end: start + packed - 1, size: whole, stored: method === 0 }
  } finally {
    await handle.close()
  }
}

/** As qemu-img calls them. What is not here is left as it is. */
const convertible: Record<string, string> = { raw: 'raw', qcow2: 'qcow2', vmdk: 'vmdk', vdi: 'vdi', vhd: 'vpc', vhdx: 'vhdx' }

export const isConvertible = (declared: Declared, to: string): boolean =>
  declared.container_format === 'bare' && declared.disk_format !== to && Object.hasOwn(convertible, declared.disk_format ?? '')

/**
 * Converts a disk. The content is inspected before any other program sees it, and what comes out after.
 * @throws Fault 400 for what is not the format that it is declared to be, or what qemu-img can't read
 */
export async function convert(from: string, to: string, declared: Declared, format: 'raw' | 'qcow2' | 'vmdk'): Promise<void> {
  await inspectFile(from, declared)
  const source = convertible[declared.disk_format ?? '']!
  try {
    await run('qemu-img', ['convert', '-f', source, '-O', format, from, to], { maxBuffer: 1 << 20 })
  } catch (error) {
    const { code, stderr } = error as NodeJS.ErrnoException & { stderr?: string }
    if (code === 'ENOENT')
      throw badRequest('The image cannot be converted: qemu-img is not installed on the controller (package qemu-utils).')
    if (/No space left on device|Disk quota exceeded/.test(String(stderr))) throw stagingFull(error)
    throw badRequest(`The image cannot be converted to ${format}: ${String(stderr).split(from).join('the image').trim().slice(0, 300)}`)
  }
  await inspectFile(to, { disk_format: format, container_format: 'bare' })
}
