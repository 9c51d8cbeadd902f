// Image v2: the records of images, what they may be changed in, with whom they are shared. Their bits are in image-data.ts.
import { command, request } from './http.ts'

export type Image = {
  id: string
  name: string | null
  status: string
  visibility: string
  owner: string | null
  size: number | null
  virtual_size?: number | null
  disk_format: string | null
  container_format: string | null
  min_disk: number
  min_ram: number
  checksum: string | null
  os_hash_algo?: string | null
  os_hash_value?: string | null
  os_hidden?: boolean
  protected: boolean
  created_at: string
  updated_at: string
  tags: string[]
  [property: string]: unknown
}

/** What a list is narrowed by where the service looks; names are searched by the page, because the service only knows whole ones. */
export type ImageListQuery = { visibility?: string; member_status?: string; os_hidden?: boolean; owner?: string; tag?: string }

/** All images that match, newest first; follows `next` to the last page. */
export async function listImages(query: ImageListQuery = {}, signal?: AbortSignal): Promise<Image[]> {
  const images: Image[] = []
  const first = new URLSearchParams({ sort: 'created_at:desc', limit: '1000' })
  for (const [name, value] of Object.entries(query)) if (value !== undefined) first.set(name, String(value))
  let path: string | undefined = `/images?${first}`
  while (path !== undefined) {
    const page: { images: Image[]; next?: string } = await request('image', path, { signal })
    images.push(...page.images)
    path = page.next?.replace(/^.*\/v2(?=\/images)/, '')
  }
  return images
}

export async function getImage(id: string, signal?: AbortSignal): Promise<Image> {
  return request<Image>('image', `/images/${encodeURIComponent(id)}`, { signal })
}

export type ImageCreate = {
  name: string
  disk_format: string
  container_format: string
  visibility: string
  min_disk: number
  min_ram: number
  tags: string[]
  [property: string]: unknown
}

export async function createImage(body: ImageCreate): Promise<Image> {
  return request<Image>('image', '/images', { method: 'POST', body })
}

export async function deleteImage(id: string): Promise<void> {
  await command('image', `/images/${id}`, { method: 'DELETE' })
}

export type Change = { op: 'add' | 'replace' | 'remove'; path: string; value?: unknown }

/** A name as a JSON pointer has it (RFC 6901). */
const pointer = (name: string) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`

/** The changes that turn `before` into `after`; a name that `after` lacks is removed. Pure, in the order remove, replace, add. */
export function changesBetween(before: Record<string, unknown>, after: Record<string, unknown>): Change[] {
  const gone = Object.keys(before).filter((name) => !Object.hasOwn(after, name))
  const changed = Object.keys(after).filter(
    (name) => Object.hasOwn(before, name) && JSON.stringify(before[name]) !== JSON.stringify(after[name]),
  )
  const fresh = Object.keys(after).filter((name) => !Object.hasOwn(before, name))
  return [
    ...gone.map((name): Change => ({ op: 'remove', path: pointer(name) })),
    ...changed.map((name): Change => ({ op: 'replace', path: pointer(name), value: after[name] })),
    ...fresh.map((name): Change => ({ op: 'add', path: pointer(name), value: after[name] })),
  ]
}

export async function changeImage(id: string, changes: Change[]): Promise<Image> {
  const contentType = 'application/openstack-images-v2.1-json-patch'
  return request<Image>('image', `/images/${id}`, { method: 'PATCH', body: changes, contentType })
}

export async function actOnImage(id: string, action: 'deactivate' | 'reactivate'): Promise<void> {
  await command('image', `/images/${id}/actions/${action}`, { method: 'POST' })
}

/** What glance defines itself, and the one name it refuses; whatever else an image carries is a property that someone gave it. */
const own = new Set(
  `id name status visibility owner size virtual_size disk_format container_format min_disk min_ram checksum os_hash_algo os_hash_value os_hidden
  protected created_at updated_at tags self file schema locations direct_url stores __proto__`.split(/\s+/),
)

/** The properties people gave an image; what glance keeps for itself (os_glance_…) is not theirs to change. */
export function propertiesOf(image: Image): Record<string, string> {
  const given = Object.entries(image).filter(([name, value]) => !own.has(name) && !name.startsWith('os_glance_') && value !== null)
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]))
}

/** Is this a name that a property can have? Glance's own names and those with its prefix are taken. */
export function isPropertyName(name: string): boolean {
  return name !== '' && name.length <= 255 && !own.has(name) && !name.startsWith('os_glance_')
}

export type ImageMember = { member_id: string; image_id: string; status: 'pending' | 'accepted' | 'rejected'; updated_at: string }

export async function listImageMembers(id: string, signal?: AbortSignal): Promise<ImageMember[]> {
  return (await request<{ members: ImageMember[] }>('image', `/images/${id}/members`, { signal })).members
}

export async function addImageMember(id: string, projectId: string): Promise<void> {
  await command('image', `/images/${id}/members`, { method: 'POST', body: { member: projectId } })
}

export async function removeImageMember(id: string, projectId: string): Promise<void> {
  await command('image', `/images/${id}/members/${encodeURIComponent(projectId)}`, { method: 'DELETE' })
}

/** A project answers whether it wants an image that was shared with it in its lists. */
export async function answerImageOffer(id: string, projectId: string, status: ImageMember['status']): Promise<void> {
  await command('image', `/images/${id}/members/${encodeURIComponent(projectId)}`, { method: 'PUT', body: { status } })
}

export type ImageUsage = Record<string, { usage: number; limit: number }>

/** The project's quotas of images and how much of them is used; empty where none are set. */
export async function getImageUsage(signal?: AbortSignal): Promise<ImageUsage> {
  return (await request<{ usage: ImageUsage }>('image', '/info/usage', { signal })).usage
}

/** Which images a list shows; a choice in the page's address. */
export const imageShows = ['usable', 'mine', 'public', 'private', 'shared', 'community', 'offered', 'hidden', 'all'] as const
export type ImageShow = (typeof imageShows)[number]

/** What is asked of the service for it. Images that were offered to a project are in no list of its own until it has accepted them. */
export function queryOfShow(show: ImageShow, projectId: string): ImageListQuery {
  switch (show) {
    case 'usable':
      return {}
    case 'mine':
      return { owner: projectId, visibility: 'all' }
    case 'offered':
      return { visibility: 'shared', member_status: 'pending' }
    case 'hidden':
      return { os_hidden: true }
    default:
      return { visibility: show }
  }
}

export type ImageSort = 'name' | 'created_at' | 'size' | 'status'
export type ImageFilter = {
  name?: string | undefined
  status?: string | undefined
  format?: string | undefined
  tag?: string | undefined
  sort: ImageSort
  dir: 'asc' | 'desc'
}

/** What is left of a list by the filters that the page looks at itself, sorted. A name matches anywhere, upper and lower case alike. */
export function narrowed(images: Image[], { name = '', status, format, tag, sort, dir }: ImageFilter): Image[] {
  const wanted = name.toLowerCase()
  const value = (image: Image) => image[sort] ?? ''
  const compare = (a: Image, b: Image) =>
    sort === 'size' ? Number(value(a)) - Number(value(b)) : String(value(a)).localeCompare(String(value(b)))
  return images
    .filter((image) => (image.name ?? '').toLowerCase().includes(wanted) || image.id.startsWith(wanted))
    .filter((image) => status === undefined || image.status === status)
    .filter((image) => format === undefined || image.disk_format === format)
    .filter((image) => tag === undefined || image.tags.includes(tag))
    .toSorted((a, b) => (dir === 'asc' ? 1 : -1) * compare(a, b))
}
