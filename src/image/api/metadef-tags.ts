// Tags of metadata definitions: words that a namespace proposes.
import { type Selectable, sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type { ImageMetadefTag } from '../../database/types.ts'
import { badRequest, conflict } from '../../http/fault.ts'
import { listPage, novaPage } from '../../http/page.ts'
import { row } from '../../http/table.ts'
import { findNamespace, type NamespaceRow, noDefinition, refuseProtected, refuseReadOnly } from './metadef-find.ts'
import { bodyOf, tagSchema, tagsBody } from './metadef-schemas.ts'
import { isoTime } from './view.ts'

const one = 'metadata tag'

const listing = {
  id: 'g.name',
  columns: { name: 'g.name', created_at: 'g.created_at', updated_at: 'g.updated_at' },
  sort: [{ key: 'created_at', direction: 'desc' }],
} satisfies Parameters<typeof listPage>[2]

const tagView = (tag: Selectable<ImageMetadefTag>) => ({
  name: tag.name,
  created_at: isoTime(tag.created_at),
  updated_at: isoTime(tag.updated_at),
})

const tagOf = (tx: Tx, { id }: NamespaceRow, name: string) =>
  tx.selectFrom('image.metadef_tag').selectAll().where('namespace_id', '=', id).where('name', '=', name).executeTakeFirst()

export const metadefTags = [
  row({
    route: 'GET /v2/metadefs/namespaces/:namespace/tags',
    policy: 'get_metadef_tags',
    target: 'loaded',
    reply: 200,
    summary: 'List the tags of a namespace',
    async run(call) {
      const { params, query, tx } = call
      const namespace = await findNamespace(call, params.namespace, ['get_metadef_tags'])
      const page = novaPage(query, listing)
      if (page.marker !== undefined && !(await tagOf(tx, namespace, page.marker))) throw noDefinition(one, page.marker, namespace.namespace)
      const all = tx.selectFrom('image.metadef_tag as g').selectAll().where('g.namespace_id', '=', namespace.id)
      const { rows } = await listPage(all, page, listing)
      return { tags: rows.map(({ name }) => ({ name })) }
    },
  }),
  row({
    route: 'POST /v2/metadefs/namespaces/:namespace/tags',
    policy: 'add_metadef_tags',
    target: 'loaded',
    body: bodyOf<{ tags?: { name: string }[] }>(tagsBody),
    reply: 201,
    summary: 'Give a namespace these tags instead of those that it has, or in addition (X-OpenStack-Append: True)',
    async run(call) {
      const { body, headers, params, tx } = call
      const namespace = await findNamespace(call, params.namespace, ['add_metadef_tags'], 'lock')
      const names = (body.tags ?? []).map(({ name }) => name)
      const twice = names.find((name, i) => names.indexOf(name) < i)
      if (twice !== undefined) throw taken(twice, namespace)
      const append = /^(1|t|true|on|y|yes)$/i.test(String(headers['x-openstack-append'] ?? ''))
      if (names.length > 0) {
        if (!append) await tx.deleteFrom('image.metadef_tag').where('namespace_id', '=', namespace.id).execute()
        const made = await tx
          .insertInto('image.metadef_tag')
          .values(names.map((name) => ({ namespace_id: namespace.id, name })))
          .onConflict((on) => on.doNothing())
          .returning('name')
          .execute()
        const missing = names.find((name) => !made.some((tag) => tag.name === name))
        if (missing !== undefined) throw taken(missing, namespace)
      }
      return { tags: names.map((name) => ({ name })) }
    },
  }),
  row({
    route: 'DELETE /v2/metadefs/namespaces/:namespace/tags',
    policy: 'delete_metadef_tags',
    target: 'loaded',
    reply: 204,
    summary: 'Remove all tags of a namespace',
    async run(call) {
      const { params, tx } = call
      const namespace = await findNamespace(call, params.namespace, ['delete_metadef_namespace', 'delete_metadef_tags'], 'lock')
      refuseProtected(namespace, `namespace ${namespace.namespace}`)
      await tx.deleteFrom('image.metadef_tag').where('namespace_id', '=', namespace.id).execute()
    },
  }),
  row({
    route: 'GET /v2/metadefs/namespaces/:namespace/tags/:tag',
    policy: 'get_metadef_tag',
    target: 'loaded',
    reply: 200,
    summary: 'Show a tag',
    async run(call) {
      const { params, tx } = call
      const namespace = await findNamespace(call, params.namespace, ['get_metadef_tag'])
      const tag = await tagOf(tx, namespace, params.tag)
      if (!tag) throw noDefinition(one, params.tag, namespace.namespace)
      return tagView(tag)
    },
  }),
  row({
    route: 'POST /v2/metadefs/namespaces/:namespace/tags/:tag',
    policy: 'add_metadef_tag',
    target: 'loaded',
    reply: 201,
    summary: 'Add a tag to a namespace',
    async run(call) {
      const { params, tx } = call
      if (params.tag.length > 80) throw badRequest('The name of a tag has at most 80 characters.')
      const namespace = await findNamespace(call, params.namespace, ['add_metadef_tag'])
      const made = await tx
        .insertInto('image.metadef_tag')
        .values({ namespace_id: namespace.id, name: params.tag })
        .onConflict((on) => on.doNothing())
        .returningAll()
        .executeTakeFirst()
      if (!made) throw taken(params.tag, namespace)
      return tagView(made)
    },
  }),
  row({
    route: 'PUT /v2/metadefs/namespaces/:namespace/tags/:tag',
    policy: 'modify_metadef_tag',
    target: 'loaded',
    body: bodyOf<{ name: string }>(tagSchema),
    reply: 200,
    summary: 'Give a tag another name',
    async run(call) {
      const { body, params, tx } = call
      refuseReadOnly(body, 'created_at', 'updated_at')
      const namespace = await findNamespace(call, params.namespace, ['modify_metadef_tag'], 'lock')
      if (body.name !== params.tag && (await tagOf(tx, namespace, body.name))) throw taken(body.name, namespace)
      const changed = await tx
        .updateTable('image.metadef_tag')
        .set({ name: body.name, updated_at: sql<Date>`now()` })
        .where('namespace_id', '=', namespace.id)
        .where('name', '=', params.tag)
        .returningAll()
        .executeTakeFirst()
      if (!changed) throw noDefinition(one, params.tag, namespace.namespace)
      return tagView(changed)
    },
  }),
  row({
    route: 'DELETE /v2/metadefs/namespaces/:namespace/tags/:tag',
    policy: 'delete_metadef_tag',
    target: 'loaded',
    reply: 204,
    summary: 'Remove a tag',
    async run(call) {
      const { params, tx } = call
      const namespace = await findNamespace(call, params.namespace, ['delete_metadef_tag'], 'lock')
      if (!(await tagOf(tx, namespace, params.tag))) throw noDefinition(one, params.tag, namespace.namespace)
      refuseProtected(namespace, `tag ${params.tag}`)
      await tx.deleteFrom('image.metadef_tag').where('namespace_id', '=', namespace.id).where('name', '=', params.tag).execute()
    },
  }),
]

const taken = (name: string, { namespace }: NamespaceRow) =>
  conflict(`A metadata tag with name=${name} already exists in namespace=${namespace}.`)
