// Metadata and tags of a server: a user's own words about it. Metadata reaches the guest through the metadata service; tags do not.
import { type Static, Type as t } from 'typebox'
import { badRequest, notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import type { Facts } from '../control/facts.ts'
import { limitOf, standingsOf } from '../control/quota.ts'
import { change, checkMetadata } from '../control/wish.ts'
import { Metadata, Tag } from './server-create.ts'
import { askerOf, findServer, lockServer } from './target.ts'

type AnyCall = Pick<Call, 'tx' | 'who' | 'may' | 'must' | 'requestId' | 'params'>

const Items = t.Object({ metadata: Metadata }, { additionalProperties: false })
const Item = t.Object({ meta: Metadata }, { additionalProperties: false })
const metadataRule = 'os_compute_api:server-metadata'
const noItem = () => notFound('Metadata item was not found')

async function write(call: AnyCall, facts: Facts, metadata: Record<string, string>): Promise<Record<string, string>> {
  checkMetadata(metadata, limitOf(await standingsOf(call.tx, facts.server.project_id, call.who.user.id), 'metadata_items'))
  await change(call.tx, facts, askerOf(call), { metadata })
  return metadata
}

const read = async (call: AnyCall, rule: string) =>
  (await findServer(call, call.params.id!, `${metadataRule}:${rule}`)).metadata as Record<string, string>
const items = (body: Static<typeof Items>) => body.metadata as Record<string, string>

export const serverMetadata = [
  row({
    route: 'GET /servers/:id/metadata',
    policy: `${metadataRule}:index`,
    target: 'loaded',
    reply: 200,
    run: async (call) => ({ metadata: await read(call, 'index') }),
  }),
  row({
    route: 'POST /servers/:id/metadata',
    policy: `${metadataRule}:create`,
    target: 'loaded',
    body: Items,
    reply: 200,
    run: async (call) => {
      const facts = await lockServer(call, call.params.id, `${metadataRule}:create`)
      return { metadata: await write(call, facts, { ...facts.server.metadata, ...items(call.body) }) }
    },
  }),
  row({
    route: 'PUT /servers/:id/metadata',
    policy: `${metadataRule}:update_all`,
    target: 'loaded',
    body: Items,
    reply: 200,
    run: async (call) => {
      const facts = await lockServer(call, call.params.id, `${metadataRule}:update_all`)
      return { metadata: await write(call, facts, items(call.body)) }
    },
  }),
  row({
    route: 'GET /servers/:id/metadata/:key',
    policy: `${metadataRule}:show`,
    target: 'loaded',
    reply: 200,
    run: async (call) => {
      const metadata = await read(call, 'show')
      if (!Object.hasOwn(metadata, call.params.key)) throw noItem()
      return { meta: { [call.params.key]: metadata[call.params.key] } }
    },
  }),
  row({
    route: 'PUT /servers/:id/metadata/:key',
    policy: `${metadataRule}:update`,
    target: 'loaded',
    body: Item,
    reply: 200,
    run: async (call) => {
      const meta = call.body.meta as Record<string, string>
      if (Object.keys(meta).length !== 1) throw badRequest('Request body contains too many items')
      if (!Object.hasOwn(meta, call.params.key)) throw badRequest('Request body and URI mismatch')
      const facts = await lockServer(call, call.params.id, `${metadataRule}:update`)
      await write(call, facts, { ...facts.server.metadata, ...meta })
      return { meta }
    },
  }),
  row({
    route: 'DELETE /servers/:id/metadata/:key',
    policy: `${metadataRule}:delete`,
    target: 'loaded',
    reply: 204,
    run: async (call) => {
      const facts = await lockServer(call, call.params.id, `${metadataRule}:delete`)
      if (!Object.hasOwn(facts.server.metadata, call.params.key)) throw noItem()
      const { [call.params.key]: _gone, ...metadata } = facts.server.metadata
      await change(call.tx, facts, askerOf(call), { metadata })
    },
  }),
]

const tagsRule = 'os_compute_api:os-server-tags'
const maxTags = 50
const Tags = t.Object({ tags: t.Array(Tag, { maxItems: maxTags }) }, { additionalProperties: false })
const readTags = async (call: AnyCall, rule: string) => (await findServer(call, call.params.id!, `${tagsRule}:${rule}`)).tags
const noTag = (id: string, tag: string) => notFound(`Server ${id} has no tag '${tag}'`)

export const serverTags = [
  row({
    route: 'GET /servers/:id/tags',
    since: '2.26',
    policy: `${tagsRule}:index`,
    target: 'loaded',
    reply: 200,
    run: async (call) => ({ tags: await readTags(call, 'index') }),
  }),
  row({
    route: 'PUT /servers/:id/tags',
    since: '2.26',
    policy: `${tagsRule}:update_all`,
    target: 'loaded',
    body: Tags,
    reply: 200,
    run: async (call) => {
      const facts = await lockServer(call, call.params.id, `${tagsRule}:update_all`)
      const tags = [...new Set(call.body.tags)]
      await change(call.tx, facts, askerOf(call), { tags }, false)
      return { tags }
    },
  }),
  row({
    route: 'DELETE /servers/:id/tags',
    since: '2.26',
    policy: `${tagsRule}:delete_all`,
    target: 'loaded',
    reply: 204,
    run: async (call) => {
      const facts = await lockServer(call, call.params.id, `${tagsRule}:delete_all`)
      await change(call.tx, facts, askerOf(call), { tags: [] }, false)
    },
  }),
  row({
    route: 'GET /servers/:id/tags/:tag',
    since: '2.26',
    policy: `${tagsRule}:show`,
    target: 'loaded',
    reply: 204,
    run: async (call) => {
      if (!(await readTags(call, 'show')).includes(call.params.tag)) throw noTag(call.params.id, call.params.tag)
    },
  }),
  row({
    route: 'PUT /servers/:id/tags/:tag',
    since: '2.26',
    policy: `${tagsRule}:update`,
    target: 'loaded',
    reply: 201,
    run: async (call) => {
      const { id, tag } = call.params
      const facts = await lockServer(call, id, `${tagsRule}:update`)
      const { tags } = facts.server
      if (tags.includes(tag)) return call.status(204)
      if (tag.length > 60) throw badRequest(`Tag '${tag.slice(0, 60)}…' is too long: a tag has at most 60 characters.`)
      if (/[,/]/.test(tag)) throw badRequest(`Tag '${tag}' is invalid. It must be a string without characters '/' and ','.`)
      if (tags.length >= maxTags) throw badRequest(`The number of tags exceeded the per-server limit ${maxTags}`)
      await change(call.tx, facts, askerOf(call), { tags: [...tags, tag] }, false)
      call.header('location', `${call.url.origin}${call.url.path}`)
    },
  }),
  row({
    route: 'DELETE /servers/:id/tags/:tag',
    since: '2.26',
    policy: `${tagsRule}:delete`,
    target: 'loaded',
    reply: 204,
    run: async (call) => {
      const { id, tag } = call.params
      const facts = await lockServer(call, id, `${tagsRule}:delete`)
      if (!facts.server.tags.includes(tag)) throw noTag(id, tag)
      await change(call.tx, facts, askerOf(call), { tags: facts.server.tags.filter((one) => one !== tag) }, false)
    },
  }),
]
