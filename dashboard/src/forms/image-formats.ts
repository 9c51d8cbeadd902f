// The formats of images, and which of them a file is.

export const diskFormats = ['qcow2', 'raw', 'iso', 'vmdk', 'vdi', 'vhd', 'vhdx', 'ploop', 'ami', 'ari', 'aki']
export const containerFormats = ['bare', 'ovf', 'ova', 'docker', 'compressed', 'ami', 'ari', 'aki']

/** What a name's ending says; 'raw' when it says nothing. */
export function formatOfName(name: string): string {
  const ending = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? ''
  return ['qcow2', 'iso', 'vmdk', 'vdi', 'vhd', 'vhdx'].includes(ending) ? ending : 'raw'
}

/** A name for the image, from that of its file. */
export function nameOfFile(name: string): string {
  return name.replace(/\.(gz|xz|bz2|zst)$/i, '').replace(/\.(qcow2|img|raw|iso|vmdk|vdi|vhdx?)$/i, '')
}

const starts = (head: Uint8Array, ...bytes: number[]) => bytes.every((byte, at) => head[at] === byte)

/** Looks at the first bytes; where they say nothing, the name's ending has to do, but never against them. */
export async function recognise(file: File): Promise<string> {
  const head = new Uint8Array(await file.slice(0, 8).arrayBuffer())
  if (starts(head, 0x51, 0x46, 0x49, 0xfb)) return 'qcow2'
  if (starts(head, 0x4b, 0x44, 0x4d, 0x56)) return 'vmdk'
  if (new TextDecoder().decode(head) === 'vhdxfile') return 'vhdx'
  if (new TextDecoder().decode(await file.slice(0x8001, 0x8006).arrayBuffer()) === 'CD001') return 'iso'
  const named = formatOfName(file.name)
  return ['qcow2', 'vmdk', 'vhdx', 'iso'].includes(named) ? 'raw' : named
}
