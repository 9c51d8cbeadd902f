// What the first bytes of an image say it is. Refuses what would make a host open other files than the image itself (backing files,
// external data files, extents) and what is declared as something that it is not; hosts trust `disk_format` after this.
import { badRequest } from '../../http/fault.ts'

export const diskFormats = ['ami', 'ari', 'aki', 'vhd', 'vhdx', 'vmdk', 'raw', 'qcow2', 'vdi', 'iso', 'ploop']
export const containerFormats = ['ami', 'ari', 'aki', 'bare', 'ovf', 'ova', 'docker', 'compressed']

/** How much of the beginning is needed to know: the signature of an ISO lies after 32 KiB. */
export const HEAD = 64 * 1024

/** What the bits were found to be, as people would call it; 'raw' and the like for bits without any signature. */
export function formatOf(head: Buffer): string {
  const starts = (...bytes: (string | number[])[]) =>
    bytes.some((one) => head.subarray(0, one.length).equals(Buffer.from(one as string, 'latin1')))
  if (starts('QFI\xfb')) return head.length >= 8 && head.readUInt32BE(4) === 1 ? 'qcow' : 'qcow2'
  if (starts('QED\0')) return 'qed'
  if (starts('KDMV', 'COWD')) return 'vmdk'
  if (/^\s*# Disk DescriptorFile/.test(head.subarray(0, 512).toString('latin1'))) return 'vmdk descriptor'
  if (starts('vhdxfile')) return 'vhdx'
  if (starts('conectix')) return 'vhd'
  if (head.length >= 68 && head.readUInt32LE(64) === 0xbeda107f) return 'vdi'
  if (starts('WithoutFreeSpace', 'WithouFreSpacExt')) return 'ploop'
  if (starts('LUKS\xba\xbe')) return 'luks'
  if (head.subarray(32_769, 32_774).toString('latin1') === 'CD001') return 'iso'
  if (starts([0x1f, 0x8b])) return 'gzip'
  if (starts('\xfd7zXZ\0')) return 'xz'
  if (starts('BZh')) return 'bzip2'
  if (starts([0x28, 0xb5, 0x2f, 0xfd])) return 'zstd'
  if (starts('PK\x03\x04')) return 'zip'
  if (head.subarray(257, 262).toString('latin1') === 'ustar') return 'tar'
  if (/^\s*<(!doctype|html)/i.test(head.subarray(0, 256).toString('latin1'))) return 'a web page'
  if (head.length === 0) return 'nothing at all'
  if (isText(head.subarray(0, 512))) return 'text'
  return 'no known format'
}

const isText = (bytes: Buffer) => bytes.every((byte) => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte < 127))

/** Formats that name other files, or could. As raw they would be dangerous the day that someone lets a program guess the format. */
const disguises = new Set(['qcow', 'qcow2', 'qed', 'vmdk', 'vmdk descriptor', 'vhdx', 'vhd', 'vdi', 'ploop'])
const unchecked = new Set(['ovf', 'ova', 'docker', 'compressed'])

/** Whether the bits of this container are the disk itself. */
export const isBare = (container: string | null) => container === null || !unchecked.has(container)

export interface Declared {
  disk_format: string | null
  container_format: string | null
}

/**
 * Checks the beginning of an image against what it was declared to be.
 * @returns the size of the disk in bytes where the header says it; null where the file's own size is it, or it can't be known
 * @throws Fault 400 that names what was found
 */
export function inspect(head: Buffer, { disk_format, container_format }: Declared): number | null {
  if (!isBare(container_format)) return null
  const found = formatOf(head)
  if (disk_format === null || ['raw', 'ami', 'ari', 'aki'].includes(disk_format)) {
    if (disguises.has(found))
      throw refuse(`It was declared as ${disk_format ?? 'raw'}, but its content is ${found}. Create it with --disk-format ${found}.`)
    return null
  }
  if (found !== disk_format) throw refuse(`It was declared as ${disk_format}, but its content is ${found}.`)
  switch (found) {
    case 'qcow2':
      return qcow2(head)
    case 'vmdk':
      return vmdk(head)
    case 'vhd':
      return vhd(head)
    case 'vdi':
      return vdi(head)
    default:
      return null
  }
}

const refuse = (why: string) => badRequest(`The uploaded data is not an acceptable image. ${why}`)

/** @see qemu, docs/interop/qcow2.rst */
function qcow2(head: Buffer): number {
  if (head.length < 72) throw refuse('Its qcow2 header is cut off.')
  const version = head.readUInt32BE(4)
  if (version !== 2 && version !== 3) throw refuse(`It is qcow2 of version ${version}; only versions 2 and 3 are known.`)
  if (head.readBigUInt64BE(8) !== 0n) {
    throw refuse('It needs a backing file, and an image must be complete by itself. Flatten it first: qemu-img convert -O qcow2 old new.')
  }
  if (version === 3) {
    if (head.length < 104) throw refuse('Its qcow2 header is cut off.')
    const features = head.readBigUInt64BE(72)
    if (features & 4n)
      throw refuse('It keeps its data in an external file. Bring it into one file first: qemu-img convert -O qcow2 old new.')
    if (features & 2n) throw refuse('It is marked as corrupt. Repair it first: qemu-img check -r all.')
    if (features >> 5n) throw refuse(`It uses features of qcow2 that are not known (bits 0x${features.toString(16)}).`)
    if (hasExtension(head, head.readUInt32BE(100), 0x44415441)) throw refuse('It names an external data file.')
  }
  return asSize(head.readBigUInt64BE(24))
}

function hasExtension(head: Buffer, start: number, wanted: number): boolean {
  for (let at = start; at + 8 <= head.length; ) {
    const type = head.readUInt32BE(at)
    if (type === 0) return false
    if (type === wanted) return true
    at += 8 + Math.ceil(head.readUInt32BE(at + 4) / 8) * 8
  }
  return false
}

/** Sparse and stream-optimised files are one file; all other kinds consist of extents in other files or on devices. */
function vmdk(head: Buffer): number {
  if (head.length < 512 || head.toString('latin1', 0, 4) !== 'KDMV') throw refuse('It is a kind of vmdk that is not supported.')
  const start = Number(head.readBigUInt64LE(28)) * 512
  const end = start + Number(head.readBigUInt64LE(36)) * 512
  if (start < 512 || end <= start || end > head.length) throw refuse('Its vmdk descriptor is missing or not at the beginning.')
  const descriptor = head.toString('latin1', start, end)
  const kind = /^\s*createType\s*=\s*"([^"]*)"/im.exec(descriptor)?.[1] ?? 'unknown'
  if (kind !== 'monolithicSparse' && kind !== 'streamOptimized') {
    throw refuse(`It is a vmdk of type ${kind}, which refers to other files. Only monolithicSparse and streamOptimized are accepted.`)
  }
  const extents = descriptor.match(/^\s*(RW|RDONLY|NOACCESS)\s.*$/gim) ?? []
  if (extents.length !== 1 || !/^\s*RW\s+\d+\s+SPARSE\s+"[^"/]*"\s*$/i.test(extents[0]!))
    throw refuse('Its vmdk descriptor refers to other files.')
  if (/^\s*parentFileNameHint\s*=/im.test(descriptor)) throw refuse('It is a vmdk that needs a parent.')
  return asSize(head.readBigUInt64LE(12) * 512n)
}

function vhd(head: Buffer): number {
  if (head.length < 512) throw refuse('Its vhd header is cut off.')
  if (head.readUInt32BE(60) === 4) throw refuse('It is a differencing vhd, which needs a parent.')
  return asSize(head.readBigUInt64BE(48))
}

function vdi(head: Buffer): number {
  if (head.length < 512) throw refuse('Its vdi header is cut off.')
  const type = head.readUInt32LE(0x4c)
  if (type !== 1 && type !== 2) throw refuse('It is a differencing vdi, which needs a parent.')
  return asSize(head.readBigUInt64LE(0x170))
}

function asSize(bytes: bigint): number {
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse(`Its header claims a disk of ${bytes} bytes.`)
  return Number(bytes)
}
