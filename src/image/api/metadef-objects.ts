// Objects of metadata definitions: properties that belong together, such as those of one piece of software.
import { type Selectable, sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import type { ImageMetadefObject } from '../../database/types.ts'
import { conflict } from '../../http/fault.ts'
import { listPage, novaPage } from '../../http/page.ts'
import { row } from '../../http/table.ts'
import { type DefinedObject, objectRow } from '../control/metadefs.ts'
import {
  findNamespace,
  type NamespaceRow,
  namespacesPath,
  namespaceTarget,
  noDefinition,
  refuseProtected,
  refuseReadOnly,
  withoutNulls,
} from './metadef-find.ts'
import { bodyOf, objectSchema } from './metadef-schemas.ts'
import { isoTime } from './view.ts'

const body = bodyOf<DefinedObject>(objectSchema)
const one = 'metadata definition object'

const listing = {
  id: 'o.name',
  columns: { name: 'o.name', created_at: 'o.created_at', updated_at: 'o.updated_at' },
  sort: [{ key: 'created_at', direction: 'asc' }],
} satisfies Parameters<typeof listPage>[2]

export const objectView = ({ namespace }: NamespaceRow, object: Selectable<ImageMetadefObject>) => ({
  name: object.name,
  ...withoutNulls({ description: object.description, required: object.required }),
  properties: object.properties,
  created_at: isoTime(object.created_at),
  updated_at: isoTime(object.updated_at),
  self: `${namespacesPath}/${namespace}/objects/${object.name}`,
  schema: '/v2/schemas/metadefs/object',
})

const objectOf = (tx: Tx, { id }: NamespaceRow, name: string) =>
  tx.selectFrom('image.metadef_object').selectAll().where('namespace_id', '=', id).where('name', '=', name).executeTakeFirst()

export const metadefObjects = [
  row({
    route: 'GET /v2/metadefs/namespaces/:namespace/objects',
    policy: 'get_metadef_objects',
    target: 'loaded',
    reply: 200,
    summary: 'List the objects of a namespace',
    async run(call) {
      const { may, params, query, tx } = call
      const namespace = await findNamespace(call, params.namespace, ['get_metadef_objects'])
      const all = tx.selectFrom('image.metadef_object as o').selectAll().where('o.namespace_id', '=', namespace.id)
      const { rows } = await listPage(all, novaPage(query, listing), listing)
      const shown = may('get_metadef_object', namespaceTarget(namespace)) ? rows : []
      return { objects: shown.map((object) => objectView(namespace, object)), schema: 'v2/schemas/metadefs/objects' }
    },
  }),
  row({
    route: 'POST /v2/metadefs/namespaces/:namespace/objects',
    policy: 'add_metadef_object',
    target: 'loaded',
    body,
    reply: 201,
    summary: 'Add an object to a namespace',
    async run(call) {
      const { body, params, tx } = call
      refuseReadOnly(body, 'self', 'schema', 'created_at', 'updated_at')
      const namespace = await findNamespace(call, params.namespace, ['add_metadef_object'])
      const made = await tx
        .insertInto('image.metadef_object')
        .values(objectRow(namespace.id, body))
        .onConflict((on) => on.doNothing())
        .returningAll()
        .executeTakeFirst()
      if (!made) throw taken(body.name, namespace)
      return objectView(namespace, made)
    },
  }),
  row({
    route: 'DELETE /v2/metadefs/namespaces/:namespace/objects',
    policy: 'delete_metadef_namespace',
    target: 'loaded',
    reply: 204,
    summary: 'Remove all objects of a namespace',
    async run(call) {
      const { params, tx } = call
      const namespace = await findNamespace(call, params.namespace, ['delete_metadef_namespace'], 'lock')
      refuseProtected(namespace, `namespace ${namespace.namespace}`)
      await tx.deleteFrom('image.metadef_object').where('namespace_id', '=', namespace.id).execute()
    },
  }),
  row({
    route: 'GET /v2/metadefs/namespaces/:namespace/objects/:object',
    policy: 'get_metadef_object',
    target: 'loaded',
    reply: 200,
    summary: 'Show an object',
    async run(call) {
      const { params, tx } = call
      const namespace = await findNamespace(call, params.namespace, ['get_metadef_object'])
      const object = await objectOf(tx, namespace, params.object)
      if (!object) throw noDefinition(one, params.object, namespace.namespace)
      return objectView(namespace, object)
    },
  }),
  row({
    route: 'PUT /v2/metadefs/namespaces/:namespace/objects/:object',
    policy: 'modify_metadef_object',
    target: 'loaded',
    body,
    reply: 200,
    summary: 'Change an object; what is not given is no more',
    async run(call) {
      const { body, params, tx } = call
      refuseReadOnly(body, 'self', 'schema', 'created_at', 'updated_at')
      const namespace = await findNamespace(call, params.namespace, ['modify_metadef_object'], 'lock')
      if (body.name !== params.object && (await objectOf(tx, namespace, body.name))) throw taken(body.name, namespace)
      const { name, description = null, required, properties = {} } = body
      const changed = await tx
        .updateTable('image.metadef_object')
        .set({
          name,
          description,
          required: required === undefined ? null : json(required),
          properties: json(properties),
          updated_at: sql<Date>`now()`,
        })
        .where('namespace_id', '=', namespace.id)
        .where('name', '=', params.object)
        .returningAll()
        .executeTakeFirst()
      if (!changed) throw noDefinition(one, params.object, namespace.namespace)
      return objectView(namespace, changed)
    },
  }),
  row({
    route: 'DELETE /v2/metadefs/namespaces/:namespace/objects/:object',
    policy: 'delete_metadef_object',
    target: 'loaded',
    reply: 204,
    summary: 'Remove an object',
    async run(call) {
      const { params, tx } = call
      const namespace = await findNamespace(call, params.namespace, ['delete_metadef_object'], 'lock')
      if (!(await objectOf(tx, namespace, params.object))) throw noDefinition(one, params.object, namespace.namespace)
      refuseProtected(namespace, `object ${params.object}`)
      await tx.deleteFrom('image.metadef_object').where('namespace_id', '=', namespace.id).where('name', '=', params.object).execute()
    },
  }),
]

const taken = (name: string, { namespace }: NamespaceRow) =>
  conflict(`A metadata definition object with name=${name} already exists in namespace=${namespace}.`)
