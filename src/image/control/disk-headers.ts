// What the headers of disk formats say: how large the disk is, and whether a program that opens the file would open others beside it.
// Where the formats leave room, it is what QEMU reads that counts, for QEMU is what opens them in the end.
import { badRequest } from '../../http/fault.ts'

export const refuse = (why: string) => badRequest(`The uploaded data is not an acceptable image. ${why}`)

/** @returns the size of the disk in bytes @throws Fault 400 @see qemu, docs/interop/qcow2.rst */
export function qcow2(head: Buffer): number {
  if (head.length < 72) throw refuse('Its qcow2 header is cut off.')
  const version = head.readUInt32BE(4)
  if (version !== 2 && version !== 3) throw refuse(`It is qcow2 of version ${version}; only versions 2 and 3 are known.`)
  if (head.readBigUInt64BE(8) !== 0n) {
    throw refuse('It needs a backing file, and an image must be complete by itself. Flatten it first: qemu-img convert -O qcow2 old new.')
  }
  if (head.readUInt32BE(32) !== 0) {
    throw refuse('It is encrypted (as qcow2 does it), and no host has the key. Decrypt it first, or encrypt inside of the disk.')
  }
  if (version === 3) {
    if (head.length < 104) throw refuse('Its qcow2 header is cut off.')
    const features = head.readBigUInt64BE(72)
    if (features & 4n)
      throw refuse('It keeps its data in an external file. Bring it into one file first: qemu-img convert -O qcow2 old new.')
    if (features & 2n) throw refuse('It is marked as corrupt. Repair it first: qemu-img check -r all.')
    if (features >> 5n) throw refuse(`It uses features of qcow2 that are not known (bits 0x${features.toString(16)}).`)
  }
  if (hasExtension(head, version === 3 ? head.readUInt32BE(100) : 72, 0x44415441)) throw refuse('It names an external data file.')
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

const SECTOR = 512
/** How much of the descriptor QEMU reads, always from the second sector, to find a parent. */
const descriptorSectors = 20

/**
 * Sparse and stream-optimised files are one file; all other kinds consist of extents in other files or on devices (CVE-2015-5163,
 * CVE-2024-32498).
 */
export function vmdk(head: Buffer): number {
  if (head.length < SECTOR || head.toString('latin1', 0, 4) !== 'KDMV') throw refuse('It is a kind of vmdk that is not supported.')
  const capacity = head.readBigUInt64LE(12)
  // Without a capacity, QEMU takes the extents of the descriptor for the disk.
  if (capacity === 0n) throw refuse('Its vmdk header gives no size, so its descriptor could refer to other files.')
  const sectors = head.readBigUInt64LE(36)
  const end = SECTOR + Number(sectors) * SECTOR
  if (head.readBigUInt64LE(28) !== 1n || sectors === 0n || end > head.length)
    throw refuse('Its vmdk descriptor is missing or not at the beginning.')
  const descriptor = head.toString('latin1', SECTOR, end)
  const kind = /^\s*createType\s*=\s*"([^"]*)"/im.exec(descriptor)?.[1] ?? 'unknown'
  if (kind !== 'monolithicSparse' && kind !== 'streamOptimized') {
    throw refuse(`It is a vmdk of type ${kind}, which refers to other files. Only monolithicSparse and streamOptimized are accepted.`)
  }
  const extents = descriptor.match(/^\s*(RW|RDONLY|NOACCESS)\s.*$/gim) ?? []
  if (extents.length !== 1 || !/^\s*(RW|RDONLY)\s+\d+\s+SPARSE\s+"[^"/]*"\s*$/i.test(extents[0]!))
    throw refuse('Its vmdk descriptor refers to other files.')
  const read = head.toString('latin1', SECTOR, Math.max(end, SECTOR + descriptorSectors * SECTOR))
  if (/parentFileNameHint/i.test(read)) throw refuse('It is a vmdk that needs a parent.')
  return asSize(capacity * 512n)
}

/** Where the header says that the grain directory is at the end, programs read the header again there: it must not say another thing. */
export function vmdkEnd(head: Buffer, tail: Buffer): void {
  if (head.readBigUInt64LE(56) !== 0xffff_ffff_ffff_ffffn) return
  const footer = tail.subarray(-2 * SECTOR, -SECTOR)
  const same = (from: number, to: number) => footer.subarray(from, to).equals(head.subarray(from, to))
  // All but the place of the grain directory (and of its copy), which is what the footer is for.
  if (tail.length < 3 * SECTOR || !same(0, 48) || !same(64, 79))
    throw refuse('Its vmdk footer is missing, or says another thing than its header.')
}

/** A VHD of fixed size has its only header at the end, a dynamic one at the beginning as well. */
export function vhd(header: Buffer): number {
  if (header.length < SECTOR) throw refuse('Its vhd header is cut off.')
  if (header.readUInt32BE(60) === 4) throw refuse('It is a differencing vhd, which needs a parent.')
  return asSize(header.readBigUInt64BE(48))
}

/** @param size of the file in bytes */
export function fixedVhd(tail: Buffer, size: number): number | undefined {
  const footer = tail.subarray(-SECTOR)
  if (footer.length < SECTOR || footer.toString('latin1', 0, 8) !== 'conectix') return undefined
  if (footer.readUInt32BE(60) !== 2) throw refuse('Its vhd header is only at its end, which is for disks of fixed size alone.')
  const disk = vhd(footer)
  if (disk > size - SECTOR) throw refuse(`Its vhd footer claims a disk of ${disk} bytes, but there are ${size - SECTOR}.`)
  return disk
}

export function vdi(head: Buffer): number {
  if (head.length < 512) throw refuse('Its vdi header is cut off.')
  const type = head.readUInt32LE(0x4c)
  // The links to what it was made of: UUIDs of the parent, and of the parent's state.
  const linked = !head.subarray(0x1a8, 0x1c8).every((byte) => byte === 0)
  if ((type !== 1 && type !== 2) || linked) throw refuse('It is a differencing vdi, which needs a parent.')
  return asSize(head.readBigUInt64LE(0x170))
}

/** As in a file: the first three fields are little-endian. */
const guid = (text: string): Buffer => {
  const [a = '', b = '', c = '', d = '', e = ''] = text.split('-')
  return Buffer.concat([...[a, b, c].map((part) => Buffer.from(part, 'hex').reverse()), Buffer.from(d + e, 'hex')])
}
const metadataRegion = guid('8b7ca206-4790-4b9a-b8fe-575f050f886e')
const fileParameters = guid('caa16737-fa36-4d43-b3b6-33f0aa44e76b')
const virtualDiskSize = guid('2fa54224-cd1b-4876-b211-5dbed83bf4b8')
const parentLocator = guid('a8d35f2d-b30b-454d-abf7-d3d84834ab0c')

export interface Part {
  /** Bytes from the beginning of the file. */
  at: number
  length: number
}

/** Where a VHDX keeps what it says of itself (MS-VHDX 2.2.3). @param head at least the first 256 KiB */
export function vhdxMetadata(head: Buffer): Part {
  const table = head.subarray(192 * 1024, 256 * 1024)
  if (table.length < 64 * 1024 || table.toString('latin1', 0, 4) !== 'regi') throw refuse('Its vhdx region table is missing or cut off.')
  for (let n = 0; n < Math.min(table.readUInt32LE(8), 2047); n++) {
    const entry = table.subarray(16 + n * 32, 48 + n * 32)
    if (!entry.subarray(0, 16).equals(metadataRegion)) continue
    const at = entry.readBigUInt64LE(16)
    if (at < 2n ** 20n || at > 2n ** 40n) break
    return { at: Number(at), length: Math.min(entry.readUInt32LE(24), 2 ** 20) }
  }
  throw refuse('Its vhdx region table names no metadata.')
}

/** @param metadata the part of the file that `vhdxMetadata` named (MS-VHDX 2.6) */
export function vhdx(metadata: Buffer): number {
  if (metadata.length < 64 * 1024 || metadata.toString('latin1', 0, 8) !== 'metadata')
    throw refuse('Its vhdx metadata is missing or cut off.')
  let size: bigint | undefined
  for (let n = 0; n < Math.min(metadata.readUInt16LE(10), 2047); n++) {
    const entry = metadata.subarray(32 + n * 32, 64 + n * 32)
    const id = entry.subarray(0, 16)
    const at = entry.readUInt32LE(16)
    if (id.equals(parentLocator)) throw refuse('It is a differencing vhdx, which needs a parent.')
    if (!id.equals(fileParameters) && !id.equals(virtualDiskSize)) continue
    if (at + 8 > metadata.length) throw refuse('Its vhdx metadata lies outside of where it should be.')
    if (id.equals(virtualDiskSize)) size = metadata.readBigUInt64LE(at)
    else if (metadata.readUInt32LE(at + 4) & 2) throw refuse('It is a differencing vhdx, which needs a parent.')
  }
  if (size === undefined) throw refuse('Its vhdx metadata does not say how large the disk is.')
  return asSize(size)
}

function asSize(bytes: bigint): number {
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse(`Its header claims a disk of ${bytes} bytes.`)
  return Number(bytes)
}
