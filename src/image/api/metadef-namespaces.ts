// Namespaces of metadata definitions: create (with all that lies in them), list, show (likewise), change, delete.
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type { JsonObject } from '../../database/types.ts'
import { badRequest, conflict } from '../../http/fault.ts'
import { glanceLinks, listPage, novaPage } from '../../http/page.ts'
import { row } from '../../http/table.ts'
import { type Association, addContents, type DefinedObject } from '../control/metadefs.ts'
import { viewerOf } from './find.ts'
import {
  findNamespace,
  type NamespaceRow,
  namespacesPath,
  namespaceTarget,
  refuseProtected,
  refuseReadOnly,
  withoutNulls,
} from './metadef-find.ts'
import { objectView } from './metadef-objects.ts'
import { associationView } from './metadef-resource-types.ts'
import { bodyOf, namespaceSchema } from './metadef-schemas.ts'
import { isoTime } from './view.ts'

interface NamespaceBody {
  namespace: string
  display_name?: string
  description?: string
  visibility?: 'public' | 'private'
  protected?: boolean
  owner?: string
  resource_type_associations?: Association[]
  properties?: Record<string, JsonObject>
  objects?: DefinedObject[]
  tags?: { name: string }[]
}
const body = bodyOf<NamespaceBody>(namespaceSchema)

const listing = {
  id: 'n.namespace',
  columns: {
    namespace: 'n.namespace',
    display_name: { ref: 'n.display_name', nullable: true },
    description: { ref: 'n.description', nullable: true },
    visibility: 'n.visibility',
    protected: 'n.protected',
    owner: 'n.owner',
    id: 'n.id',
    created_at: 'n.created_at',
    updated_at: 'n.updated_at',
  },
  sort: [{ key: 'created_at', direction: 'desc' }],
} satisfies Parameters<typeof listPage>[2]

const namespaceView = (namespace: NamespaceRow) => ({
  ...withoutNulls({
    namespace: namespace.namespace,
    display_name: namespace.display_name,
    description: namespace.description,
    visibility: namespace.visibility,
    protected: namespace.protected,
    owner: namespace.owner,
  }),
  created_at: isoTime(namespace.created_at),
  updated_at: isoTime(namespace.updated_at),
  self: `${namespacesPath}/${namespace.namespace}`,
  schema: '/v2/schemas/metadefs/namespace',
})

const associationsOf = (tx: Tx, ids: string[]) =>
  tx.selectFrom('image.metadef_association').selectAll().where('namespace_id', 'in', ids).orderBy('resource_type').execute()

/** Names with the prefix that a resource type wants before them. */
const prefixed = <T>(prefix: string, named: Record<string, T>): Record<string, T> =>
  Object.fromEntries(Object.entries(named).map(([name, value]) => [prefix + name, value]))

export const metadefNamespaces = [
  row({
    route: 'GET /v2/metadefs/namespaces',
    policy: 'get_metadef_namespaces',
    target: 'loaded',
    reply: 200,
    summary: 'List the namespaces of metadata definitions',
    async run(call) {
      const { may, must, query, tx, url, who } = call
      must('get_metadef_namespaces', { project_id: who.project?.id })
      must('list_metadef_resource_types', { project_id: who.project?.id })
      const viewer = viewerOf(call)
      const page = novaPage(query, listing)
      if (page.marker !== undefined) await findNamespace(call, page.marker, ['get_metadef_namespace'])
      const visible = tx
        .selectFrom('image.metadef_namespace as n')
        .selectAll()
        .$if(!viewer.admin, (all) => all.where((e) => e.or([e('n.visibility', '=', 'public'), e('n.owner', '=', viewer.project)])))
      let wanted = visible
      if (query.visibility !== undefined && query.visibility !== '') {
        if (query.visibility !== 'public' && query.visibility !== 'private')
          throw badRequest(`Invalid visibility value: ${String(query.visibility).slice(0, 40)}`)
        wanted = wanted.where('n.visibility', '=', query.visibility)
      }
      if (query.resource_types !== undefined) {
        const types = [query.resource_types].flat().flatMap((names) => names.split(','))
        wanted = wanted.where((e) =>
          e.exists(
            e
              .selectFrom('image.metadef_association as a')
              .select('a.namespace_id')
              .whereRef('a.namespace_id', '=', 'n.id')
              .where('a.resource_type', 'in', types),
          ),
        )
      }
      const { rows, more } = await listPage(wanted, page, listing, visible)
      const shown = rows.filter((namespace) => may('get_metadef_namespace', namespaceTarget(namespace)))
      const associations =
        shown.length === 0
          ? []
          : await associationsOf(
              tx,
              shown.map(({ id }) => id),
            )
      const byNamespace = Map.groupBy(associations, ({ namespace_id }) => namespace_id)
      return {
        namespaces: shown.map((namespace) => {
          const own = byNamespace.get(namespace.id)
          return { ...namespaceView(namespace), ...(own && { resource_type_associations: own.map(associationView) }) }
        }),
        schema: '/v2/schemas/metadefs/namespaces',
        ...glanceLinks(namespacesPath, url, more, rows.at(-1)?.namespace),
      }
    },
  }),
  row({
    route: 'POST /v2/metadefs/namespaces',
    policy: 'add_metadef_namespace',
    body,
    reply: 201,
    summary: 'Create a namespace, with resource types, properties, objects and tags if some are given',
    async run({ body, header, must, tx, url, who }) {
      refuseReadOnly(body, 'self', 'schema', 'created_at', 'updated_at')
      const { namespace, display_name, description, visibility, protected: kept, owner } = body
      const { resource_type_associations: associations, properties, objects, tags } = body
      const target = { project_id: who.project?.id }
      if (associations?.length) must('add_metadef_resource_type_association', target)
      if (objects?.length) must('add_metadef_object', target)
      if (properties && Object.keys(properties).length > 0) must('add_metadef_property', target)
      if (tags?.length) must('add_metadef_tag', target)
      for (const one of [...(associations ?? []), ...(objects ?? []), ...(tags ?? [])]) {
        if (!one.name || one.name.length > 80) throw badRequest('Resource types, objects and tags need a name of 1 to 80 characters.')
      }
      const of = owner ?? who.project?.id
      if (!of) throw badRequest('A namespace belongs to a project: give its id as owner, or use a token of a project.')
      const made = await tx
        .insertInto('image.metadef_namespace')
        .values({ id: randomUUID(), namespace, display_name, description, visibility, protected: kept, owner: of })
        .onConflict((on) => on.doNothing())
        .returningAll()
        .executeTakeFirst()
      if (!made) throw conflict(`The metadata definition namespace=${namespace} already exists.`)
      await addContents(tx, made.id, { associations, properties, objects, tags: tags?.map(({ name }) => name) })
      header('location', `${url.origin}/image${namespacesPath}/${encodeURIComponent(namespace)}`)
      return { ...namespaceView(made), ...withoutNulls({ resource_type_associations: associations, properties, objects, tags }) }
    },
  }),
  row({
    route: 'GET /v2/metadefs/namespaces/:namespace',
    policy: 'get_metadef_namespace',
    target: 'loaded',
    reply: 200,
    summary: 'Show a namespace with all that lies in it; with resource_type, under the names that properties have there',
    async run(call) {
      const { params, query, tx } = call
      const namespace = await findNamespace(call, params.namespace, [
        'get_metadef_namespace',
        'list_metadef_resource_types',
        'get_metadef_objects',
        'get_metadef_properties',
        'get_metadef_tags',
      ])
      const { id } = namespace
      const objects = await tx.selectFrom('image.metadef_object').selectAll().where('namespace_id', '=', id).orderBy('name').execute()
      const properties = await tx.selectFrom('image.metadef_property').selectAll().where('namespace_id', '=', id).orderBy('name').execute()
      const tags = await tx.selectFrom('image.metadef_tag').select('name').where('namespace_id', '=', id).orderBy('name').execute()
      const associations = await associationsOf(tx, [id])
      const prefix = associations.find(({ resource_type }) => resource_type === query.resource_type)?.prefix ?? ''
      return {
        ...namespaceView(namespace),
        ...(associations.length > 0 && { resource_type_associations: associations.map(associationView) }),
        ...(properties.length > 0 && {
          properties: prefixed(prefix, Object.fromEntries(properties.map(({ name, schema }) => [name, schema]))),
        }),
        ...(objects.length > 0 && {
          objects: objects.map((object) => {
            const shown = objectView(namespace, object)
            const required = shown.required as string[] | undefined
            return {
              ...shown,
              properties: prefixed(prefix, object.properties as JsonObject),
              ...(required && { required: required.map((name) => prefix + name) }),
            }
          }),
        }),
        ...(tags.length > 0 && { tags }),
      }
    },
  }),
  row({
    route: 'PUT /v2/metadefs/namespaces/:namespace',
    policy: 'modify_metadef_namespace',
    target: 'loaded',
    body,
    reply: 200,
    summary: 'Change a namespace; what is not given gets its default again, what lies in it stays',
    async run(call) {
      const { body, params, tx, who } = call
      refuseReadOnly(body, 'self', 'schema', 'created_at', 'updated_at')
      const before = await findNamespace(call, params.namespace, ['modify_metadef_namespace'], 'lock')
      if (body.namespace !== before.namespace) await refuseTaken(tx, body.namespace)
      const changed = await tx
        .updateTable('image.metadef_namespace')
        .set({
          namespace: body.namespace,
          display_name: body.display_name ?? null,
          description: body.description ?? null,
          visibility: body.visibility ?? 'private',
          protected: body.protected ?? false,
          owner: body.owner ?? who.project?.id ?? before.owner,
          updated_at: sql<Date>`now()`,
        })
        .where('id', '=', before.id)
        .returningAll()
        .executeTakeFirstOrThrow()
      return namespaceView(changed)
    },
  }),
  row({
    route: 'DELETE /v2/metadefs/namespaces/:namespace',
    policy: 'delete_metadef_namespace',
    target: 'loaded',
    reply: 204,
    summary: 'Delete a namespace and all that lies in it, unless it is protected',
    async run(call) {
      const { params, tx } = call
      const namespace = await findNamespace(call, params.namespace, ['delete_metadef_namespace'], 'lock')
      refuseProtected(namespace, `namespace ${namespace.namespace}`)
      await tx.deleteFrom('image.metadef_namespace').where('id', '=', namespace.id).execute()
    },
  }),
]

async function refuseTaken(tx: Tx, namespace: string): Promise<void> {
  const taken = await tx.selectFrom('image.metadef_namespace').select('id').where('namespace', '=', namespace).executeTakeFirst()
  if (taken)
    throw conflict(`Invalid update. It would result in a duplicate metadata definition namespace with the same name of ${namespace}`)
}
