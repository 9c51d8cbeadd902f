// What this image service is: its versions, its stores, how images get in.
import { row } from '../../http/table.ts'
import { methods } from '../control/import-task.ts'
import { usageOf } from '../control/quota.ts'
import type { Stores } from '../control/stores.ts'
import type { ImageStore } from '../store/store.ts'

// 2.18 cleans and prunes caches, 2.17 has locations by themselves, 2.16 tells which hosts cached an image, 2.14 began with caches.
const versions = [
  '2.18',
  '2.17',
  '2.16',
  '2.15',
  '2.14',
  '2.13',
  '2.12',
  '2.11',
  '2.10',
  '2.9',
  '2.8',
  '2.7',
  '2.6',
  '2.5',
  '2.4',
  '2.3',
  '2.2',
  '2.1',
  '2.0',
]

const versionDocument = (origin: string) => ({
  versions: versions.map((version, i) => ({
    id: `v${version}`,
    status: i === 0 ? 'CURRENT' : 'SUPPORTED',
    links: [{ rel: 'self', href: `${origin}/image/v2/` }],
  })),
})

const versionRow = (route: `GET /${string}`, reply: number) =>
  row({ route, policy: null, reply, summary: 'List the versions of the API', run: ({ url }) => versionDocument(url.origin) })

const storeView = (stores: Stores, { id, description, kind }: ImageStore) => ({
  id,
  ...(description && { description }),
  ...(id === stores.default.id && { default: 'true' }),
  ...(kind === 'http' && { 'read-only': 'true' }),
})

export const info = (stores: Stores) => [
  versionRow('GET /', 300),
  versionRow('GET /versions', 200),
  versionRow('GET /v2', 300),
  row({
    route: 'GET /v2/info/import',
    policy: 'default',
    reply: 200,
    summary: 'List the methods of import',
    run: () => ({ 'import-methods': { description: 'Import methods available.', type: 'array', value: methods } }),
  }),
  row({
    route: 'GET /v2/info/stores',
    policy: 'default',
    reply: 200,
    summary: 'List the stores',
    run: () => ({ stores: stores.all.map((store) => storeView(stores, store)) }),
  }),
  row({
    route: 'GET /v2/info/stores/detail',
    policy: 'stores_info_detail',
    reply: 200,
    summary: 'List the stores with their settings',
    run: () => ({
      stores: stores.all.map((store) => ({
        ...storeView(stores, store),
        type: store.kind,
        weight: store.weight,
        properties: store.properties,
      })),
    }),
  }),
  row({
    route: 'GET /v2/info/usage',
    policy: 'default',
    reply: 200,
    summary: 'Show the quotas of the project, as far as there are any, and their use',
    run: async ({ tx, who }) => ({ usage: who.project ? await usageOf(tx, who.project.id) : {} }),
  }),
]
