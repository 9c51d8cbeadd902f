// Looks at an image while it streams by. Refuses what would make a host open other files than the image itself (backing files, external
// data files, extents), what is declared as something that it is not, and what is several things at once; hosts trust `disk_format`
// after this. Glance's and Nova's rule since CVE-2024-32498 and CVE-2024-44082, with less left to the operator.
import { open } from 'node:fs/promises'
import { fixedVhd, type Part, qcow2, refuse, vdi, vhd, vhdx, vhdxMetadata, vmdk, vmdkEnd } from './disk-headers.ts'
import { type Declared, formatOf, formatsOf, HEAD, isBare } from './formats.ts'

/** Bytes of the end that are kept: the footer of a VMDK is three sectors. */
const TAIL = 3 * 512

export interface Inspection {
  /** The next bytes. @throws Fault 400 as soon as it is clear that they are not acceptable */
  see(block: Buffer): void
  /** No more come. @returns the size of the disk in bytes; null where that cannot be known @throws Fault 400 */
  end(): number | null
}

/** How much of the beginning is kept: a VHDX says after 192 KiB where the rest is. */
const headOf = ({ disk_format }: Declared) => (disk_format === 'vhdx' ? 4 * HEAD : HEAD)

const nothing: Inspection = { see() {}, end: () => null }

export function startInspection(declared: Declared): Inspection {
  if (!isBare(declared.container_format)) return nothing
  const head = Buffer.alloc(headOf(declared))
  let tail = Buffer.alloc(0)
  let size = 0
  let looked = false
  let part: (Part & { bytes: Buffer }) | undefined

  const seen = () => head.subarray(0, Math.min(size, head.length))
  const look = () => {
    looked = true
    inspectHead(seen(), declared)
    if (declared.disk_format !== 'vhdx') return
    const where = vhdxMetadata(seen())
    part = { ...where, bytes: Buffer.alloc(where.length) }
  }
  return {
    see(block) {
      const at = size
      if (at < head.length) block.copy(head, at)
      size += block.length
      if (!looked && size >= head.length) look()
      if (part && at < part.at + part.length && size > part.at) {
        block.copy(part.bytes, Math.max(at - part.at, 0), Math.max(part.at - at, 0))
      }
      tail = Buffer.from(block.length >= TAIL ? block.subarray(-TAIL) : Buffer.concat([tail, block]).subarray(-TAIL))
    },
    end() {
      if (!looked) look()
      if (part && size < part.at + part.length) throw refuse('It is cut off before its vhdx metadata.')
      return diskSize(declared, seen(), tail, size, part?.bytes)
    },
  }
}

/** Formats that name other files, or could. As raw they would be dangerous the day that someone lets a program guess the format. */
const disguises = new Set(['qcow', 'qcow2', 'qed', 'vmdk', 'vmdk descriptor', 'vhdx', 'vhd', 'vdi', 'ploop'])
const isRaw = (format: string | null) => format === null || ['raw', 'ami', 'ari', 'aki'].includes(format)

function inspectHead(head: Buffer, { disk_format }: Declared): void {
  const found = formatsOf(head)
  if (isRaw(disk_format)) {
    // An ISO and a LUKS volume are disks as they are: a guest may boot from the one and open the other.
    const disguised = found.find((format) => disguises.has(format))
    if (disguised)
      throw refuse(
        `It was declared as ${disk_format ?? 'raw'}, but its content is ${disguised}. Create it with --disk-format ${disguised}.`,
      )
    return
  }
  if (found.length > 1)
    throw refuse(`It is several things at once: ${found.join(', ')}. Convert it (qemu-img convert) and upload the result.`)
  // The header of a disk of fixed size comes at the end.
  if (disk_format === 'vhd' && found.length === 0) return
  if (found[0] !== disk_format) throw refuse(`It was declared as ${disk_format}, but its content is ${formatOf(head)}.`)
  if (disk_format === 'qcow2') qcow2(head)
  if (disk_format === 'vmdk') vmdk(head)
  if (disk_format === 'vhd') vhd(head)
  if (disk_format === 'vdi') vdi(head)
}

function diskSize({ disk_format }: Declared, head: Buffer, tail: Buffer, size: number, metadata: Buffer | undefined): number | null {
  switch (disk_format) {
    case 'qcow2':
      return qcow2(head)
    case 'vmdk':
      vmdkEnd(head, tail)
      return vmdk(head)
    case 'vdi':
      return vdi(head)
    case 'vhdx':
      return vhdx(metadata ?? Buffer.alloc(0))
    case 'vhd': {
      if (formatsOf(head)[0] === 'vhd') return vhd(head)
      const disk = fixedVhd(tail, size)
      if (disk === undefined) throw refuse(`It was declared as vhd, but its content is ${formatOf(head)}.`)
      return disk
    }
    default:
      return size
  }
}

/** Inspects a file, of which it reads a little only. @returns and @throws as an inspection does at its end */
export async function inspectFile(file: string, declared: Declared): Promise<number | null> {
  if (!isBare(declared.container_format)) return null
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    const read = async (at: number, length: number) => {
      const bytes = Buffer.alloc(length)
      const { bytesRead } = await handle.read(bytes, 0, length, at)
      return bytes.subarray(0, bytesRead)
    }
    const head = await read(0, headOf(declared))
    inspectHead(head, declared)
    const part = declared.disk_format === 'vhdx' ? vhdxMetadata(head) : undefined
    const tail = await read(Math.max(size - TAIL, 0), TAIL)
    return diskSize(declared, head, tail, size, part && (await read(part.at, part.length)))
  } finally {
    await handle.close()
  }
}
