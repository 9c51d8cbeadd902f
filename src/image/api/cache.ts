// The caches of hosts, as Glance's API manages its own: what lies there, what is to be fetched before a server asks for it, what is to go.
// Every row takes `?host=`, any number of times, for some hosts only. The older forms, cached_images and queued_images, do the same.
import { badRequest, notFound } from '../../http/fault.ts'
import { type Call, type RawQuery, row } from '../../http/table.ts'
import { cacheState, clearCache, hostsNamed, hostsWith, queueImage } from '../control/cache.ts'
import { visibleTo } from '../control/visible.ts'
import { findImage, imageTarget, viewerOf } from './find.ts'

type Asking = Pick<Call, 'tx' | 'who' | 'may' | 'must'> & { query: RawQuery }

const hostsOf = ({ query, tx }: Pick<Asking, 'query' | 'tx'>): Promise<string[] | undefined> => hostsNamed(tx, [query.host ?? []].flat())

async function queue(call: Asking, id: string, rule: string): Promise<void> {
  const image = await findImage(call, id, rule, 'lock')
  if (image.status !== 'active') throw badRequest('Only images with status active can be targeted for queueing')
  await queueImage(call.tx, image, await hostsOf(call))
}

/** One image, which may be gone itself while hosts still have it. */
async function clearOne(call: Asking, id: string, rule: string, what?: 'queue' | 'cache'): Promise<void> {
  const { must, tx } = call
  const image = await tx
    .selectFrom('image.image as i')
    .selectAll()
    .where('id', '=', id)
    .where(visibleTo(viewerOf(call), 'i'))
    .forUpdate()
    .executeTakeFirst()
  must(rule, image ? imageTarget(image) : {})
  const { copies } = await clearCache(tx, { image: id, hosts: await hostsOf(call), ...(what && { what }) })
  if (!image && copies === 0) throw notFound(`Image ${id} not found.`)
}

const targets = ['', 'cache', 'queue'] as const

export const cache = [
  row({
    route: 'GET /v2/cache',
    policy: 'cache_list',
    reply: 200,
    summary: 'List the images in the caches of hosts, and those that hosts are still to fetch',
    run: async (call) => cacheState(call.tx, await hostsOf(call)),
  }),
  row({
    route: 'GET /v2/cache/nodes/:image_id',
    policy: 'list_cached_nodes',
    target: 'loaded',
    reply: 200,
    summary: 'List the hosts that have an image in their cache',
    async run(call) {
      const image = await findImage(call, call.params.image_id, 'list_cached_nodes')
      return hostsWith(call.tx, image.id)
    },
  }),
  row({
    route: 'PUT /v2/cache/:image_id',
    policy: 'cache_image',
    target: 'loaded',
    reply: 202,
    summary: 'Have hosts fetch an image before a server asks for it',
    run: (call) => queue(call, call.params.image_id, 'cache_image'),
  }),
  row({
    route: 'DELETE /v2/cache/:image_id',
    policy: 'cache_delete',
    target: 'loaded',
    reply: 204,
    summary: 'Take an image out of the caches of hosts; a copy that disks of servers stand on goes with the last of them',
    run: (call) => clearOne(call, call.params.image_id, 'cache_delete'),
  }),
  row({
    route: 'DELETE /v2/cache',
    policy: 'cache_delete',
    reply: 204,
    summary: 'Empty the caches of hosts, or forget what they are still to fetch',
    async run(call) {
      const asked = String(call.headers['x-image-cache-clear-target'] ?? '').toLowerCase()
      const target = targets.find((word) => word === asked)
      if (target === undefined) throw badRequest("If provided 'x-image-cache-clear-target' must be 'cache', 'queue' or empty string.")
      await clearCache(call.tx, { hosts: await hostsOf(call), ...(target !== '' && { what: target }) })
    },
  }),
  row({
    route: 'POST /v2/cache/clean',
    policy: 'cache_clean',
    reply: 200,
    summary: 'Forget the images that hosts could not fetch',
    async run(call) {
      const { images, copies } = await clearCache(call.tx, { hosts: await hostsOf(call), failed: true })
      return { images, total_files_cleaned: copies }
    },
  }),
  row({
    route: 'POST /v2/cache/prune',
    policy: 'cache_prune',
    reply: 200,
    summary: 'Take what no server uses and nobody asked for out of the caches of hosts',
    async run(call) {
      const { copies, bytes } = await clearCache(call.tx, { hosts: await hostsOf(call), unused: true })
      return { total_files_pruned: copies, total_bytes_pruned: bytes }
    },
  }),
  row({
    route: 'GET /v2/cached_images',
    policy: 'manage_image_cache',
    reply: 200,
    summary: 'List the images in the caches of hosts (older form)',
    async run(call) {
      const { cached_images } = await cacheState(call.tx, await hostsOf(call))
      return { cached_images }
    },
  }),
  row({
    route: 'DELETE /v2/cached_images',
    policy: 'manage_image_cache',
    reply: 200,
    summary: 'Empty the caches of hosts (older form)',
    async run(call) {
      const { images } = await clearCache(call.tx, { hosts: await hostsOf(call), what: 'cache' })
      return { num_deleted: images.length }
    },
  }),
  row({
    route: 'DELETE /v2/cached_images/:image_id',
    policy: 'manage_image_cache',
    target: 'loaded',
    reply: 204,
    summary: 'Take an image out of the caches of hosts (older form)',
    run: (call) => clearOne(call, call.params.image_id, 'manage_image_cache', 'cache'),
  }),
  row({
    route: 'GET /v2/queued_images',
    policy: 'manage_image_cache',
    reply: 200,
    summary: 'List the images that hosts are still to fetch (older form)',
    async run(call) {
      const { queued_images } = await cacheState(call.tx, await hostsOf(call))
      return { queued_images }
    },
  }),
  row({
    route: 'PUT /v2/queued_images/:image_id',
    policy: 'manage_image_cache',
    target: 'loaded',
    reply: 202,
    summary: 'Have hosts fetch an image before a server asks for it (older form)',
    run: (call) => queue(call, call.params.image_id, 'manage_image_cache'),
  }),
  row({
    route: 'DELETE /v2/queued_images',
    policy: 'manage_image_cache',
    reply: 200,
    summary: 'Forget the images that hosts are still to fetch (older form)',
    async run(call) {
      const { images } = await clearCache(call.tx, { hosts: await hostsOf(call), what: 'queue' })
      return { num_deleted: images.length }
    },
  }),
  row({
    route: 'DELETE /v2/queued_images/:image_id',
    policy: 'manage_image_cache',
    target: 'loaded',
    reply: 204,
    summary: 'No longer have hosts fetch an image (older form)',
    run: (call) => clearOne(call, call.params.image_id, 'manage_image_cache', 'queue'),
  }),
]
