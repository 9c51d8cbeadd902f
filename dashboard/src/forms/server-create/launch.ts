// What the launch form collects, and what it turns into: the request to compute, and the same as an `openstack` command.
import type { Flavor, ServerCreate } from '../../api/compute.ts'
import type { Image } from '../../api/image.ts'
import type { Network, SecurityGroup } from '../../api/network.ts'
import { shellWord } from '../../api/shell.ts'
import type { Dictionary } from '../../i18n/index.ts'

export type Launch = {
  name: string
  count: number
  image: Image | undefined
  flavor: Flavor | undefined
  networks: Network[]
  securityGroups: SecurityGroup[]
  keyPair: string | undefined
  userData: string
  configDrive: boolean
}

/** Nova takes user data as base64 of at most 65,535 characters. */
export function encodeUserData(text: string): string {
  let binary = ''
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte)
  return btoa(binary)
}

const gib = 1024 ** 3

/** Why this flavor is too small for that image, in the dictionary's words; undefined when it fits. */
export function shortfall(
  flavor: Flavor,
  image: Image | undefined,
  sizes: { disk: (gb: number) => string; ram: (mb: number) => string },
): string | undefined {
  if (image === undefined) return undefined
  const disk = Math.max(image.min_disk, Math.ceil((image.virtual_size ?? 0) / gib))
  // A flavor without a disk (0) takes the image's own size.
  if (flavor.disk > 0 && flavor.disk < disk) return sizes.disk(disk)
  if (flavor.ram < image.min_ram) return sizes.ram(image.min_ram)
  return undefined
}

/** What is still missing or wrong, as sentences. */
export function missing(launch: Launch, t: Dictionary): string[] {
  const sentences: string[] = []
  if (launch.name.trim() === '') sentences.push(t.launch.nameMissing)
  if (launch.name.length > 255) sentences.push(t.launch.nameTooLong)
  if (launch.image === undefined) sentences.push(t.launch.imageMissing)
  if (launch.flavor === undefined) sentences.push(t.launch.flavorMissing)
  if (encodeUserData(launch.userData).length > 65_535) sentences.push(t.launch.userDataTooLong)
  return sentences
}

export function requestOf(launch: Launch): ServerCreate {
  return {
    name: launch.name.trim(),
    imageRef: launch.image?.id ?? '',
    flavorRef: launch.flavor?.id ?? '',
    networks: launch.networks.length === 0 ? 'none' : launch.networks.map(({ id }) => ({ uuid: id })),
    ...(launch.networks.length > 0 && launch.securityGroups.length > 0
      ? { security_groups: launch.securityGroups.map(({ id }) => ({ name: id })) }
      : {}),
    ...(launch.keyPair === undefined ? {} : { key_name: launch.keyPair }),
    ...(launch.userData === '' ? {} : { user_data: encodeUserData(launch.userData) }),
    ...(launch.configDrive ? { config_drive: true } : {}),
    ...(launch.count > 1 ? { min_count: launch.count, max_count: launch.count } : {}),
  }
}

/** The command that does the same, one option a line. User data goes through a file, as the client wants it. */
export function commandOf(launch: Launch): string {
  const options = [
    launch.image === undefined ? [] : ['--image', launch.image.name || launch.image.id],
    launch.flavor === undefined ? [] : ['--flavor', launch.flavor.name],
    ...(launch.networks.length === 0 ? [['--no-network']] : launch.networks.map(({ name, id }) => ['--network', name || id])),
    ...(launch.networks.length === 0 ? [] : launch.securityGroups.map(({ name, id }) => ['--security-group', name || id])),
    launch.keyPair === undefined ? [] : ['--key-name', launch.keyPair],
    launch.userData === '' ? [] : ['--user-data', 'user-data.txt'],
    launch.configDrive ? ['--config-drive', 'True'] : [],
    launch.count > 1 ? ['--min', String(launch.count), '--max', String(launch.count)] : [],
    [launch.name.trim() === '' ? 'NAME' : launch.name.trim()],
  ]
  const lines = options.filter((words) => words.length > 0).map((words) => words.map(shellWord).join(' '))
  return ['openstack server create', ...lines].join(' \\\n  ')
}
