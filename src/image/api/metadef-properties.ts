// Properties of metadata definitions: each a small JSON schema with a title, by name.
import { json, type Tx } from '../../database/connect.ts'
import type { JsonObject } from '../../database/types.ts'
import { conflict, notFound } from '../../http/fault.ts'
import { row } from '../../http/table.ts'
import { findNamespace, type NamespaceRow, noDefinition, refuseProtected, refuseReadOnly } from './metadef-find.ts'
import { bodyOf, propertySchema } from './metadef-schemas.ts'

const body = bodyOf<{ name: string } & JsonObject>(propertySchema)
const one = 'metadata definition property'

const propertyOf = (tx: Tx, { id }: NamespaceRow, name: string) =>
  tx.selectFrom('image.metadef_property').selectAll().where('namespace_id', '=', id).where('name', '=', name).executeTakeFirst()

export const metadefProperties = [
  row({
    route: 'GET /v2/metadefs/namespaces/:namespace/properties',
    policy: 'get_metadef_properties',
    target: 'loaded',
    reply: 200,
    summary: 'List the properties of a namespace, by name',
    async run(call) {
      const { params, tx } = call
      const { id } = await findNamespace(call, params.namespace, ['get_metadef_properties'])
      const rows = await tx.selectFrom('image.metadef_property').selectAll().where('namespace_id', '=', id).orderBy('name').execute()
      return { properties: Object.fromEntries(rows.map(({ name, schema }) => [name, schema])) }
    },
  }),
  row({
    route: 'POST /v2/metadefs/namespaces/:namespace/properties',
    policy: 'add_metadef_property',
    target: 'loaded',
    body,
    reply: 201,
    summary: 'Add a property to a namespace',
    async run(call) {
      const { body, params, tx } = call
      refuseReadOnly(body, 'created_at', 'updated_at')
      const namespace = await findNamespace(call, params.namespace, ['add_metadef_property'])
      const { name, ...schema } = body
      const made = await tx
        .insertInto('image.metadef_property')
        .values({ namespace_id: namespace.id, name, schema: json(schema) })
        .onConflict((on) => on.doNothing())
        .executeTakeFirst()
      if (!made.numInsertedOrUpdatedRows) throw taken(name, namespace)
      return body
    },
  }),
  row({
    route: 'DELETE /v2/metadefs/namespaces/:namespace/properties',
    policy: 'delete_metadef_namespace',
    target: 'loaded',
    reply: 204,
    summary: 'Remove all properties of a namespace',
    async run(call) {
      const { params, tx } = call
      const namespace = await findNamespace(call, params.namespace, ['delete_metadef_namespace'], 'lock')
      refuseProtected(namespace, `namespace ${namespace.namespace}`)
      await tx.deleteFrom('image.metadef_property').where('namespace_id', '=', namespace.id).execute()
    },
  }),
  row({
    route: 'GET /v2/metadefs/namespaces/:namespace/properties/:property',
    policy: 'get_metadef_property',
    target: 'loaded',
    reply: 200,
    summary: 'Show a property; with resource_type, by the name that it has there',
    async run(call) {
      const { params, query, tx } = call
      const namespace = await findNamespace(call, params.namespace, [
        'get_metadef_property',
        ...(query.resource_type === undefined ? [] : ['get_metadef_resource_type']),
      ])
      const name = await withoutPrefix(tx, namespace, params.property, query.resource_type)
      const property = await propertyOf(tx, namespace, name)
      if (!property) throw noDefinition(one, name, namespace.namespace)
      return { name, ...(property.schema as object) }
    },
  }),
  row({
    route: 'PUT /v2/metadefs/namespaces/:namespace/properties/:property',
    policy: 'modify_metadef_property',
    target: 'loaded',
    body,
    reply: 200,
    summary: 'Change a property; what is not given is no more',
    async run(call) {
      const { body, params, tx } = call
      refuseReadOnly(body, 'created_at', 'updated_at')
      const namespace = await findNamespace(call, params.namespace, ['modify_metadef_property'], 'lock')
      const { name, ...schema } = body
      if (name !== params.property && (await propertyOf(tx, namespace, name))) throw taken(name, namespace)
      const { numUpdatedRows } = await tx
        .updateTable('image.metadef_property')
        .set({ name, schema: json(schema) })
        .where('namespace_id', '=', namespace.id)
        .where('name', '=', params.property)
        .executeTakeFirst()
      if (!numUpdatedRows) throw noDefinition(one, params.property, namespace.namespace)
      return body
    },
  }),
  row({
    route: 'DELETE /v2/metadefs/namespaces/:namespace/properties/:property',
    policy: 'remove_metadef_property',
    target: 'loaded',
    reply: 204,
    summary: 'Remove a property',
    async run(call) {
      const { params, tx } = call
      const namespace = await findNamespace(call, params.namespace, ['remove_metadef_property'], 'lock')
      if (!(await propertyOf(tx, namespace, params.property))) throw noDefinition(one, params.property, namespace.namespace)
      refuseProtected(namespace, `property ${params.property}`)
      await tx.deleteFrom('image.metadef_property').where('namespace_id', '=', namespace.id).where('name', '=', params.property).execute()
    },
  }),
]

const taken = (name: string, { namespace }: NamespaceRow) =>
  conflict(`A metadata definition property with name=${name} already exists in namespace=${namespace}.`)

async function withoutPrefix(tx: Tx, { id, namespace }: NamespaceRow, name: string, type: string | string[] | undefined): Promise<string> {
  if (type === undefined) return name
  const wanted = String([type].flat().at(-1))
  const association = await tx
    .selectFrom('image.metadef_association')
    .select('prefix')
    .where('namespace_id', '=', id)
    .where('resource_type', '=', wanted)
    .executeTakeFirst()
  if (!association) {
    throw notFound(
      `The metadata definition resource-type association of resource-type=${wanted.slice(0, 100)} to namespace=${namespace}, was not found.`,
    )
  }
  const { prefix } = association
  if (prefix && name.startsWith(prefix)) return name.slice(prefix.length)
  throw notFound(`Property ${name.slice(0, 100)} does not start with the expected resource type association prefix of '${prefix ?? ''}'.`)
}
