// The stores of this cloud: which there are, which of them takes what is uploaded, and in which order they are read. They stand in a file
// of the operator's; without one there is a single store of files.
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { type Static, Type as t } from 'typebox'
import type { Config } from '../../config.ts'
import { badRequest } from '../../http/fault.ts'
import { validator } from '../../http/validate.ts'
import { fileStore } from '../store/file.ts'
import { httpStore } from '../store/http.ts'
import { rbdStore } from '../store/rbd.ts'
import type { S3Settings } from '../store/s3.ts'
import type { ImageStore } from '../store/store.ts'
import { type Location, locationsOf } from './locations.ts'

/** Algorithms of os_hash_value. The first is what clouds use that say nothing (docs/decisions/0019-sha256.md). */
export const hashings = ['sha256', 'sha512'] as const
export type Hashing = (typeof hashings)[number]
export const isHashing = (name: string): name is Hashing => hashings.some((one) => one === name)

/** Amazon's library takes 30 MiB of memory: only a cloud that has such a store loads it. */
const s3Store = (settings: S3Settings): ImageStore =>
  (createRequire(import.meta.url)('../store/s3.ts') as typeof import('../store/s3.ts')).s3Store(settings)

export interface Stores {
  all: ImageStore[]
  /** Takes what is uploaded, unless the client names another. */
  default: ImageStore
  /** Most bytes of one image. */
  largest: number
  /** The algorithm of os_hash_value for images that have none yet. */
  hashing: Hashing
  /** Whether images show their locations, so that they may be changed. */
  showLocations: boolean
  /** Whether images show the best of their locations as direct_url. */
  showDirectUrl: boolean
  /** @throws Error for a store that is in no file any more */
  of(id: string): ImageStore
}

const common = {
  id: t.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$' }),
  description: t.Optional(t.String()),
  weight: t.Optional(t.Integer()),
}
/** Seconds without an answer after which the store is given up. */
const timeout = t.Optional(t.Integer({ minimum: 1, maximum: 3600 }))
const strict = { additionalProperties: false }
const kinds = {
  file: t.Object({ ...common, kind: t.Literal('file'), folder: t.String({ minLength: 1 }) }, strict),
  s3: t.Object(
    {
      ...common,
      kind: t.Literal('s3'),
      bucket: t.String({ minLength: 1 }),
      endpoint: t.Optional(t.String({ format: 'uri' })),
      region: t.Optional(t.String()),
      access_key: t.String(),
      secret_key: t.String(),
      bucket_url_format: t.Optional(t.Union([t.Literal('auto'), t.Literal('path'), t.Literal('virtual')])),
      ca: t.Optional(t.String({ minLength: 1 })),
      timeout,
    },
    strict,
  ),
  http: t.Object({ ...common, kind: t.Literal('http'), hosts: t.Array(t.String({ minLength: 1 })) }, strict),
  rbd: t.Object(
    {
      ...common,
      kind: t.Literal('rbd'),
      pool: t.String({ pattern: '^[^/@-][^/@]*$' }),
      user: t.Optional(t.String({ minLength: 1 })),
      conf: t.Optional(t.String({ minLength: 1 })),
      timeout,
    },
    strict,
  ),
}
const file = t.Object(
  {
    default: t.Optional(t.String()),
    hashing_algorithm: t.Optional(t.Union(hashings.map((name) => t.Literal(name)))),
    show_multiple_locations: t.Optional(t.Boolean()),
    show_image_direct_url: t.Optional(t.Boolean()),
    stores: t.Array(t.Object({ kind: t.String({ enum: Object.keys(kinds) }) }), { minItems: 1 }),
  },
  strict,
)
type Kinds = { [Kind in keyof typeof kinds]: Static<(typeof kinds)[Kind]> }

/** Reads the file of stores. @throws Error that names the file and what is wrong in it */
export function openStores(config: Pick<Config, 'home' | 'maxImageSize'> & { imageStores?: string | undefined }): Stores {
  const name = config.imageStores ?? path.join(config.home, 'image-stores.json')
  const text = config.imageStores === undefined && !fs.existsSync(name) ? undefined : fs.readFileSync(name, 'utf8')
  if (text === undefined) {
    const only = fileStore({
      id: 'file',
      description: "Files in the cloud's data directory",
      weight: 0,
      folder: path.join(config.home, 'images'),
    })
    return storesOf([only], config.maxImageSize, {})
  }
  try {
    const settings = checked<Static<typeof file>>(file, JSON.parse(text), '')
    const all = settings.stores.map((raw, n) => {
      const kind = raw.kind as keyof Kinds
      return open(config.home, checked<Kinds[keyof Kinds]>(kinds[kind], raw, ` of store ${n + 1}`))
    })
    return storesOf(all, config.maxImageSize, settings)
  } catch (error) {
    throw new Error(`The image stores in ${name} are not as they should be: ${error instanceof Error ? error.message : error}`)
  }
}

function checked<T>(schema: Parameters<typeof validator>[1], value: unknown, where: string): T {
  const problem = validator('body', schema)(value, '')
  if (problem) throw new Error(`${problem.path.join('.') || 'the settings'}${where}: ${problem.text}`)
  return value as T
}

function open(home: string, settings: Kinds[keyof Kinds]): ImageStore {
  const { id, description = '', weight = 0 } = settings
  const shared = { id, description, weight }
  switch (settings.kind) {
    case 'file':
      return fileStore({ ...shared, folder: path.resolve(home, settings.folder) })
    case 's3':
      return s3Store({ ...shared, ...settings })
    case 'http':
      return httpStore({ ...shared, hosts: settings.hosts })
    case 'rbd':
      return rbdStore({ ...shared, ...settings })
  }
}

function storesOf(all: ImageStore[], gigabytes: number, settings: Partial<Static<typeof file>>): Stores {
  const ids = all.map(({ id }) => id)
  const twice = ids.find((id, n) => ids.indexOf(id) !== n)
  if (twice !== undefined) throw new Error(`two stores have the id ${twice}`)
  const wanted = settings.default ?? all.find(({ kind }) => kind !== 'http')?.id
  const found = all.find(({ id, kind }) => id === wanted && kind !== 'http')
  if (!found) throw new Error(`the default store must be one of them that can be written, not ${wanted ?? 'none'}`)
  return {
    all,
    default: found,
    largest: Math.floor(gigabytes * 2 ** 30),
    hashing: settings.hashing_algorithm ?? hashings[0],
    showLocations: settings.show_multiple_locations ?? false,
    showDirectUrl: settings.show_image_direct_url ?? false,
    of(id) {
      const store = all.find((one) => one.id === id)
      if (!store) throw new Error(`There is no image store '${id}' in the settings, but it has bits that are to be looked after.`)
      return store
    },
  }
}

/** The store that a client names for its upload; the default where it names none. @throws Fault 400 */
export function storeNamed(stores: Stores, id: string | string[] | undefined): ImageStore {
  if (id === undefined) return stores.default
  const store = stores.all.find((one) => one.id === id)
  if (!store) throw badRequest(`Store for identifier ${String(id).slice(0, 64)} not found`)
  if (store.kind === 'http') throw badRequest(`The store ${store.id} is read-only; it takes no data.`)
  return store
}

/** Locations in the order in which they are read: by weight, and as the image lists them. Those in stores of no file are left out. */
export function byWeight(stores: Stores, image: { locations: unknown }): { location: Location; store: ImageStore }[] {
  return locationsOf(image)
    .flatMap((location) => {
      const store = stores.all.find(({ id }) => id === location.store)
      return store ? { location, store } : []
    })
    .sort((a, b) => b.store.weight - a.store.weight)
}

/** What a store knows the bits of a location by. */
export const keyOf = ({ data, url }: Location): string => data ?? url ?? ''

/** A location as the API shows it. */
export function shownLocation(stores: Stores, location: Location): { url: string; metadata: Record<string, string> } {
  const store = stores.all.find(({ id }) => id === location.store)
  const url = location.url ?? store?.url(location.data ?? '') ?? ''
  return { url, metadata: { ...location.metadata, store: location.store } }
}
