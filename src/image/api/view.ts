// How an image is shown.
import { locationsOf } from '../control/locations.ts'
import { byWeight, type Stores, shownLocation } from '../control/stores.ts'
import type { ImageRow } from './find.ts'

/** 2026-01-02T03:04:05Z, as Glance writes times. */
export const isoTime = (time: Date): string => time.toISOString().replace(/\.\d+Z$/, 'Z')

export const imageView = (stores: Stores, image: ImageRow) => ({
  ...(image.properties as Record<string, string>),
  ...shownLocations(stores, image),
  id: image.id,
  name: image.name,
  status: image.status,
  visibility: image.visibility,
  owner: image.owner,
  disk_format: image.disk_format,
  container_format: image.container_format,
  size: image.size,
  virtual_size: image.virtual_size,
  checksum: image.checksum,
  os_hash_algo: image.os_hash_algo,
  os_hash_value: image.os_hash_value,
  min_disk: image.min_disk,
  min_ram: image.min_ram,
  protected: image.protected,
  os_hidden: image.os_hidden,
  tags: image.tags,
  created_at: isoTime(image.created_at),
  updated_at: isoTime(image.updated_at),
  self: `/v2/images/${image.id}`,
  file: `/v2/images/${image.id}/file`,
  schema: '/v2/schemas/image',
})

function shownLocations(stores: Stores, image: ImageRow) {
  const locations = locationsOf(image)
  const best = stores.showDirectUrl ? byWeight(stores, image)[0] : undefined
  return {
    ...(locations.length > 0 && { stores: locations.map(({ store }) => store).join(',') }),
    ...(stores.showLocations && { locations: locations.map((location) => shownLocation(stores, location)) }),
    ...(best && { direct_url: shownLocation(stores, best.location).url }),
  }
}
