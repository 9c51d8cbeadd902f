// How the locations of an image are changed by PATCH, as Glance's API v2.1 does: where the operator shows locations at all. Clients may only
// add what lies at a URL of the read-only HTTP store; bits in a store of ours come by upload and import.
import { isDeepStrictEqual } from 'node:util'
import { sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import { badRequest, conflict, forbidden } from '../../http/fault.ts'
import { type Location, locationsOf, refuseInUse, release } from './locations.ts'
import { hashings, isHashing, type Stores, shownLocation } from './stores.ts'

export interface GivenLocation {
  url: string
  metadata: Record<string, string>
  validation_data?: { checksum?: string; os_hash_algo: string; os_hash_value: string }
}

export type LocationChange =
  | { op: 'add'; position: string; value: GivenLocation }
  | { op: 'remove'; position: string }
  | { op: 'replace'; value: GivenLocation[] }

export interface Located {
  id: string
  status: string
  size: number | null
  checksum: string | null
  os_hash_algo: string | null
  os_hash_value: string | null
  disk_format: string | null
  container_format: string | null
  locations: unknown
}

/** What is at the URLs that are new, in bytes; asked before the image is locked. @throws Fault 400 for what is no image or lies elsewhere */
export async function sizesOf(stores: Stores, image: Located, changes: LocationChange[]): Promise<Map<string, number>> {
  const known = new Set(locationsOf(image).map((location) => shownLocation(stores, location).url))
  const given = changes.flatMap((change) => ('value' in change ? [change.value].flat() : []))
  const sizes = new Map<string, number>()
  for (const { url } of given) if (!known.has(url) && !sizes.has(url)) sizes.set(url, await sizeAt(stores, url))
  return sizes
}

/** @throws Fault 400 */
export async function sizeAt(stores: Stores, url: string): Promise<number> {
  const web = stores.all.find(({ kind }) => kind === 'http')
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol) || !web) {
    throw badRequest('Invalid location: only http and https URLs can be added, where there is a store of the kind http.')
  }
  const size = await web.size(url).catch((error: Error) => {
    throw badRequest(`Invalid location: ${error.message}`, { cause: error })
  })
  if (!size) throw badRequest('Invalid location: the server there does not say how large the image is.')
  return size
}

/** Applies the changes to the locked row, and makes it active with its first location. @throws Fault 400, 403, 409 */
export async function changeLocations(tx: Tx, stores: Stores, image: Located, changes: LocationChange[], sizes: Map<string, number>) {
  const before = locationsOf(image)
  const web = stores.all.find(({ kind }) => kind === 'http')?.id ?? ''
  let after = before
  const set: Record<string, unknown> = {}
  const made = ({ url, metadata }: GivenLocation): Location => {
    const { store: _, ...own } = metadata
    const known = before.find((location) => shownLocation(stores, location).url === url)
    return known ? { ...known, metadata: own } : { store: web, url, metadata: own }
  }
  for (const change of changes) {
    const allowed = change.op === 'remove' ? ['active'] : ['active', 'queued']
    if (!allowed.includes(image.status)) throw conflict(`It's not allowed to ${change.op} locations if image status is ${image.status}.`)
    if (change.op === 'remove') {
      if (after.length === 1) throw forbidden('Cannot remove last location in the image.')
      const at = placeOf(change.position, after.length - 1)
      if (at === undefined) throw badRequest('Invalid position for removing a location.')
      after = after.toSpliced(at, 1)
      continue
    }
    const given = [change.value].flat()
    if (given.length === 0) throw forbidden('Cannot set locations to empty list.')
    Object.assign(set, validated(image, given))
    if (change.op === 'replace') {
      // What is there is not replaced by this: whoever may set locations need not be one who may delete them.
      if (after.length > 0 && !sameUrls(stores, after, given))
        throw badRequest(
          'Original locations is not empty: what is replaced has to have the same URLs. Add and remove single locations instead.',
        )
      after = given.map(made)
    } else {
      const at = placeOf(change.position, after.length)
      if (at === undefined) throw badRequest('Invalid position for adding a location.')
      after = after.toSpliced(at, 0, made(change.value))
    }
    const urls = after.map((location) => shownLocation(stores, location).url)
    const twice = urls.find((url, n) => urls.indexOf(url) !== n)
    if (twice !== undefined) throw badRequest(`The location ${twice} already exists`)
  }
  if (image.status === 'queued') {
    const missing = (['disk_format', 'container_format'] as const).filter((name) => !image[name])
    if (missing.length > 0) throw badRequest(`Properties ${missing.join(', ')} must be set prior to saving data.`)
    set.status = 'active'
    set.size = image.size ?? sizes.values().next().value ?? null
  }
  const gone = before.filter(({ data }) => data !== undefined && !after.some((location) => location.data === data))
  await refuseInUse(tx, stores, image, gone)
  await tx
    .updateTable('image.image')
    .set({ ...set, locations: json(after), updated_at: sql<Date>`now()` })
    .where('id', '=', image.id)
    .execute()
  await release(tx, gone)
}

const sameUrls = (stores: Stores, now: Location[], given: GivenLocation[]): boolean =>
  isDeepStrictEqual(now.map((location) => shownLocation(stores, location).url).sort(), given.map(({ url }) => url).sort())

const placeOf = (position: string, last: number): number | undefined => {
  const at = position === '-' ? last : /^\d{1,9}$/.test(position) ? Number(position) : last + 1
  return at <= last && at >= 0 ? at : undefined
}

/** The hashes that come with new locations. What an image has already may be said again, but not changed. @throws Fault 409 */
function validated(image: Located, given: GivenLocation[]): Record<string, string> {
  const told: Record<string, string> = {}
  for (const { validation_data = {} } of given) {
    for (const [name, value] of Object.entries(validation_data) as [string, string][]) {
      if ((told[name] ?? value) !== value) throw conflict(`Conflicting values for ${name}`)
      told[name] = value
    }
  }
  const news = Object.entries(told).filter(([name, value]) => {
    const current = image[name as 'checksum']
    if (current && current !== value) throw conflict(`${name} is already set with a different value`)
    return current !== value
  })
  if (news.length === 0) return {}
  if (image.status !== 'queued') {
    throw conflict(`New value(s) for ${news.map(([name]) => name).join(', ')} may only be provided when image status is 'queued'`)
  }
  const { checksum, os_hash_algo, os_hash_value = '' } = told
  if (checksum !== undefined && !/^[0-9a-f]{32}$/i.test(checksum))
    throw conflict(`checksum (${checksum}) is not a valid md5 (should be 16 bytes)`)
  if (!isHashing(os_hash_algo ?? '')) throw conflict(`os_hash_algo must be ${hashings.join(' or ')}, not ${os_hash_algo}`)
  refuseBadHash(os_hash_algo!, os_hash_value)
  return told
}

/** @throws Fault 409 */
export function refuseBadHash(algorithm: string, value: string): void {
  const bytes = algorithm === 'sha256' ? 32 : 64
  if (!/^([0-9a-f]{2})*$/i.test(value)) throw conflict(`os_hash_value (${value}) is not a valid hexadecimal value`)
  if (value.length !== bytes * 2)
    throw conflict(`os_hash_value (${value}) is not the correct size for ${algorithm} (should be ${bytes} bytes)`)
}
