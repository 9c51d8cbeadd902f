// What the first bytes of an image say it is.

export const diskFormats = ['ami', 'ari', 'aki', 'vhd', 'vhdx', 'vmdk', 'raw', 'qcow2', 'vdi', 'iso', 'ploop']
export const containerFormats = ['ami', 'ari', 'aki', 'bare', 'ovf', 'ova', 'docker', 'compressed']

/** How much of the beginning is needed to know: the signature of an ISO lies after 32 KiB. */
export const HEAD = 64 * 1024

const unchecked = new Set(['ovf', 'ova', 'docker', 'compressed'])

/** Whether the bits of this container are the disk itself. */
export const isBare = (container: string | null) => container === null || !unchecked.has(container)

export interface Declared {
  disk_format: string | null
  container_format: string | null
}

const startsWith = (head: Buffer, ...texts: string[]) =>
  texts.some((text) => head.subarray(0, text.length).equals(Buffer.from(text, 'latin1')))

/** As QEMU looks for one: comments and blank lines, then the version. */
const isDescriptor = (head: Buffer) => {
  const text = head.subarray(0, 2048).toString('latin1')
  return /^\s*# Disk DescriptorFile/.test(text.slice(0, 512)) || /^(?:#[^\n]*\n| +\r?\n)*version=[123]\r?\n/.test(text)
}

const signatures: Record<string, (head: Buffer) => boolean> = {
  qcow: (head) => startsWith(head, 'QFI\xfb') && head.length >= 8 && head.readUInt32BE(4) === 1,
  qcow2: (head) => startsWith(head, 'QFI\xfb') && !(head.length >= 8 && head.readUInt32BE(4) === 1),
  qed: (head) => startsWith(head, 'QED\0'),
  vmdk: (head) => startsWith(head, 'KDMV', 'COWD'),
  'vmdk descriptor': isDescriptor,
  vhdx: (head) => startsWith(head, 'vhdxfile'),
  vhd: (head) => startsWith(head, 'conectix'),
  vdi: (head) => head.length >= 68 && head.readUInt32LE(64) === 0xbeda107f,
  ploop: (head) => startsWith(head, 'WithoutFreeSpace', 'WithouFreSpacExt'),
  luks: (head) => startsWith(head, 'LUKS\xba\xbe'),
  iso: (head) => head.subarray(32_769, 32_774).toString('latin1') === 'CD001',
}

/** All disk formats whose signatures are there; more than one where someone wants different programs to see different things. */
export const formatsOf = (head: Buffer): string[] => Object.keys(signatures).filter((format) => signatures[format]!(head))

/** What the bits were found to be, as people would call it. */
export function formatOf(head: Buffer): string {
  const [disk] = formatsOf(head)
  if (disk) return disk
  if (startsWith(head, '\x1f\x8b')) return 'gzip'
  if (startsWith(head, '\xfd7zXZ\0')) return 'xz'
  if (startsWith(head, 'BZh')) return 'bzip2'
  if (startsWith(head, '\x28\xb5\x2f\xfd')) return 'zstd'
  if (startsWith(head, 'PK\x03\x04')) return 'zip'
  if (head.subarray(257, 262).toString('latin1') === 'ustar') return 'tar'
  if (/^\s*<(!doctype|html)/i.test(head.subarray(0, 256).toString('latin1'))) return 'a web page'
  if (head.length === 0) return 'nothing at all'
  if (isText(head.subarray(0, 512))) return 'text'
  if (head.length >= 512 && head.readUInt16LE(510) === 0xaa55) return partitioned(head)
  return 'no known format'
}

/** A raw disk begins with a table of partitions, or with a boot sector. */
const partitioned = (head: Buffer) => {
  const types = [0, 1, 2, 3].map((n) => head[446 + n * 16 + 4])
  if (types.includes(0xee) || head.subarray(512, 520).toString('latin1') === 'EFI PART') return 'a raw disk with partitions (GPT)'
  return types.some((type) => type !== 0) ? 'a raw disk with partitions (MBR)' : 'a raw disk with a boot sector'
}

const isText = (bytes: Buffer) => bytes.every((byte) => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte < 127))
