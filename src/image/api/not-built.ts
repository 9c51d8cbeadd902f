// What Glance has and this version of Wisp does not: each says so, after the rule that Glance has for it.
import { notBuilt } from '../../http/fault.ts'
import { type AnyRow, type Method, type Route, row } from '../../http/table.ts'

type Missing = [route: `${Method} /${string}`, policy: string]

const absent = (what: string, missing: Missing[]): AnyRow[] =>
  missing.map(([route, policy]) =>
    row({
      route: route.replace(' ', ' /v2') as Route,
      policy,
      ...(route.startsWith('PUT') && route.endsWith('/stage') ? { input: 'stream', transaction: 'own' } : {}),
      reply: 501,
      summary: `${what}: not available in this version`,
      run: () => {
        throw notBuilt(what)
      },
    }),
  )

/** Lists, shows, adds, changes and removes one kind of things in a namespace, as the metadata definitions of Glance all do. */
const definitions = (many: string, one: string, name: string, add: string, change: string, remove: string): Missing[] => [
  [`GET /metadefs/namespaces/:namespace/${many}`, `get_metadef_${many}`],
  [`POST /metadefs/namespaces/:namespace/${many}`, add],
  [`GET /metadefs/namespaces/:namespace/${many}/:${name}`, `get_metadef_${one}`],
  [`PUT /metadefs/namespaces/:namespace/${many}/:${name}`, change],
  [`DELETE /metadefs/namespaces/:namespace/${many}/:${name}`, remove],
]

const schemaNames = 'namespace namespaces resource_type resource_types object objects property properties tag tags'.split(' ')

export const missing: AnyRow[] = [
  ...absent('Image import', [
    ['PUT /images/:image_id/stage', 'modify_image'],
    ['POST /images/:image_id/import', 'modify_image'],
    ['DELETE /stores/:store_id/:image_id', 'delete_image_location'],
  ]),
  ...absent('Locations of images in other stores', [
    ['GET /images/:image_id/locations', 'fetch_image_location'],
    ['POST /images/:image_id/locations', 'add_image_location'],
  ]),
  ...absent('Image tasks', [
    ['GET /tasks', 'tasks_api_access'],
    ['POST /tasks', 'tasks_api_access'],
    ['GET /tasks/:task_id', 'tasks_api_access'],
    ['GET /schemas/task', 'default'],
    ['GET /schemas/tasks', 'default'],
  ]),
  ...absent('The cache of the image service', [
    ['GET /cache', 'cache_list'],
    ['DELETE /cache', 'cache_delete'],
    ['PUT /cache/:image_id', 'cache_image'],
    ['DELETE /cache/:image_id', 'cache_delete'],
    ['POST /cache/clean', 'cache_clean'],
    ['POST /cache/prune', 'cache_prune'],
  ]),
  ...absent('Metadata definitions', [
    ['GET /metadefs/namespaces', 'get_metadef_namespaces'],
    ['POST /metadefs/namespaces', 'add_metadef_namespace'],
    ['GET /metadefs/namespaces/:namespace', 'get_metadef_namespace'],
    ['PUT /metadefs/namespaces/:namespace', 'modify_metadef_namespace'],
    ['DELETE /metadefs/namespaces/:namespace', 'delete_metadef_namespace'],
    ['GET /metadefs/resource_types', 'list_metadef_resource_types'],
    ['GET /metadefs/namespaces/:namespace/resource_types', 'get_metadef_resource_type'],
    ['POST /metadefs/namespaces/:namespace/resource_types', 'add_metadef_resource_type_association'],
    ['DELETE /metadefs/namespaces/:namespace/resource_types/:resource_type', 'remove_metadef_resource_type_association'],
    ...definitions('objects', 'object', 'object', 'add_metadef_object', 'modify_metadef_object', 'delete_metadef_object'),
    ...definitions('properties', 'property', 'property', 'add_metadef_property', 'modify_metadef_property', 'remove_metadef_property'),
    ...definitions('tags', 'tag', 'tag', 'add_metadef_tags', 'modify_metadef_tag', 'delete_metadef_tag'),
    ['POST /metadefs/namespaces/:namespace/tags/:tag', 'add_metadef_tag'],
    ['DELETE /metadefs/namespaces/:namespace/tags', 'delete_metadef_tags'],
    ...schemaNames.map((name): Missing => [`GET /schemas/metadefs/${name}`, 'metadef_default']),
  ]),
]
