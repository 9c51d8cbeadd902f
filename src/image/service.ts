// The image service (Glance): v2 of its API.
import type { Database } from '../database/connect.ts'
import { envelopes } from '../http/envelope.ts'
import type { Service } from '../http/table.ts'
import type { SealingKeys } from '../identity/control/sealed.ts'
import { cache } from './api/cache.ts'
import { imageData } from './api/image-data.ts'
import { imageUpdate } from './api/image-update.ts'
import { images } from './api/images.ts'
import { type ImportConfig, imageImport } from './api/import.ts'
import { info } from './api/info.ts'
import { locations } from './api/locations.ts'
import { members } from './api/members.ts'
import { metadefNamespaces } from './api/metadef-namespaces.ts'
import { metadefObjects } from './api/metadef-objects.ts'
import { metadefProperties } from './api/metadef-properties.ts'
import { metadefResourceTypes } from './api/metadef-resource-types.ts'
import { metadefSchemas } from './api/metadef-schemas.ts'
import { metadefTags } from './api/metadef-tags.ts'
import { policies, scopes } from './api/policies.ts'
import { schemas } from './api/schemas.ts'
import { imageStores } from './api/stores.ts'
import { tasks } from './api/tasks.ts'
import type { Stores } from './control/stores.ts'

const metadefs = [...metadefNamespaces, ...metadefResourceTypes, ...metadefProperties, ...metadefObjects, ...metadefTags, ...metadefSchemas]

interface Wants {
  db: Database
  /** Where imports may come from, and where their data waits. */
  config: ImportConfig
  /** Seals what imports need to be let in elsewhere. */
  key: SealingKeys
  stores: Stores
}

export const image = ({ config, key, stores }: Wants): Service => ({
  type: 'image',
  prefixes: ['/image'],
  envelope: envelopes.image,
  strictSlash: true,
  policies,
  scopes,
  rows: [
    ...info(stores),
    ...images(stores),
    ...imageUpdate(stores),
    ...imageData(stores),
    ...imageStores(stores),
    ...imageImport(config, key, stores),
    ...tasks(config, key, stores),
    ...locations(stores),
    ...members,
    ...schemas,
    ...metadefs,
    ...cache,
  ],
})
