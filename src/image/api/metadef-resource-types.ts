// Resource types, and to which of them the definitions of a namespace apply.
import type { Selectable } from 'kysely'
import type { ImageMetadefAssociation } from '../../database/types.ts'
import { conflict, notFound } from '../../http/fault.ts'
import { row } from '../../http/table.ts'
import { type Association, nameResourceTypes } from '../control/metadefs.ts'
import { findNamespace, namespaceTarget, refuseProtected, refuseReadOnly, withoutNulls } from './metadef-find.ts'
import { associationSchema, bodyOf } from './metadef-schemas.ts'
import { isoTime } from './view.ts'

export const associationView = (association: Selectable<ImageMetadefAssociation>) => ({
  name: association.resource_type,
  ...withoutNulls({ prefix: association.prefix, properties_target: association.properties_target }),
  created_at: isoTime(association.created_at),
  updated_at: isoTime(association.updated_at),
})

export const metadefResourceTypes = [
  row({
    route: 'GET /v2/metadefs/resource_types',
    policy: 'list_metadef_resource_types',
    reply: 200,
    summary: 'List the types of resources that some namespace applies or applied to',
    async run({ tx }) {
      const rows = await tx.selectFrom('image.metadef_resource_type').selectAll().orderBy('name').execute()
      return {
        resource_types: rows.map(({ name, created_at, updated_at }) => ({
          name,
          created_at: isoTime(created_at),
          updated_at: isoTime(updated_at),
        })),
      }
    },
  }),
  row({
    route: 'GET /v2/metadefs/namespaces/:namespace/resource_types',
    policy: 'list_metadef_resource_types',
    target: 'loaded',
    reply: 200,
    summary: 'List the resource types that a namespace applies to',
    async run(call) {
      const { may, params, tx } = call
      const namespace = await findNamespace(call, params.namespace, ['list_metadef_resource_types'])
      const rows = await tx
        .selectFrom('image.metadef_association')
        .selectAll()
        .where('namespace_id', '=', namespace.id)
        .orderBy('resource_type')
        .execute()
      const shown = may('get_metadef_resource_type', namespaceTarget(namespace)) ? rows : []
      return { resource_type_associations: shown.map(associationView) }
    },
  }),
  row({
    route: 'POST /v2/metadefs/namespaces/:namespace/resource_types',
    policy: 'add_metadef_resource_type_association',
    target: 'loaded',
    body: bodyOf<Association>(associationSchema),
    reply: 201,
    summary: 'Apply a namespace to a resource type',
    async run(call) {
      const { body, params, tx } = call
      refuseReadOnly(body, 'created_at', 'updated_at')
      const { id, namespace } = await findNamespace(call, params.namespace, ['add_metadef_resource_type_association'])
      const { name, prefix, properties_target } = body
      await nameResourceTypes(tx, [name])
      const made = await tx
        .insertInto('image.metadef_association')
        .values({ namespace_id: id, resource_type: name, prefix, properties_target })
        .onConflict((on) => on.doNothing())
        .returningAll()
        .executeTakeFirst()
      if (!made) {
        throw conflict(
          `The metadata definition resource-type association of resource-type=${name} to namespace=${namespace} already exists.`,
        )
      }
      return associationView(made)
    },
  }),
  row({
    route: 'DELETE /v2/metadefs/namespaces/:namespace/resource_types/:resource_type',
    policy: 'remove_metadef_resource_type_association',
    target: 'loaded',
    reply: 204,
    summary: 'No longer apply a namespace to a resource type',
    async run(call) {
      const { params, tx } = call
      const namespace = await findNamespace(call, params.namespace, ['remove_metadef_resource_type_association'], 'lock')
      const association = tx
        .selectFrom('image.metadef_association')
        .select('resource_type')
        .where('namespace_id', '=', namespace.id)
        .where('resource_type', '=', params.resource_type)
      if (!(await association.executeTakeFirst()))
        throw notFound(`Failed to find resource type ${params.resource_type.slice(0, 100)} to delete`)
      refuseProtected(namespace, `resource-type-association ${params.resource_type}`)
      await tx
        .deleteFrom('image.metadef_association')
        .where('namespace_id', '=', namespace.id)
        .where('resource_type', '=', params.resource_type)
        .execute()
    },
  }),
]
