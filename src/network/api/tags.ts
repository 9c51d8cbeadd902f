// Tags: short texts that users put on networks, subnets, ports and security groups, and filter lists by.
import { sql } from 'kysely'
import { Type } from 'typebox'
import { badRequest, notFound } from '../../http/fault.ts'
import { type AnyRow, type Call, row } from '../../http/table.ts'
import { ownerTarget, Tags } from './attributes.ts'
import { networkTarget, networkVisible, owned, ownedOrInOwn } from './visible.ts'

interface Tagged {
  /** In paths. */
  collection: string
  /** In the names of rules, and in messages. */
  name: string
  table: 'network.network' | 'network.subnet' | 'network.port' | 'network.security_group'
}

const kinds: Tagged[] = [
  { collection: 'networks', name: 'network', table: 'network.network' },
  { collection: 'subnets', name: 'subnet', table: 'network.subnet' },
  { collection: 'ports', name: 'port', table: 'network.port' },
  { collection: 'security-groups', name: 'security_group', table: 'network.security_group' },
  // Neutron's own path for them; clients use the one above.
  { collection: 'security_groups', name: 'security_group', table: 'network.security_group' },
]

const Body = Type.Object({ tags: Tags }, { additionalProperties: false })
const most = 50

interface Found {
  project_id: string
  tags: string[]
  network_project_id: string
  shared: boolean
  external: boolean
}

/** Reads (and for a change locks) the object as far as tags go. @throws Fault 403, 404 */
async function tagsOf(
  call: Pick<Call, 'tx' | 'may' | 'must' | 'who' | 'params'>,
  { name, table }: Tagged,
  action: 'get' | 'update' | 'delete',
): Promise<string[]> {
  const id = call.params.id!
  const network =
    table === 'network.security_group' ? sql`(select '' as project_id, false as shared, false as external)` : sql`network.network`
  const joined = table === 'network.security_group' ? sql`true` : table === 'network.network' ? sql`n.id = o.id` : sql`n.id = o.network_id`
  const visible = name === 'port' ? ownedOrInOwn(call, 'o') : name === 'security_group' ? owned(call, 'o') : networkVisible(call)
  const { rows } = await sql<Found>`
    select o.project_id, o.tags, n.project_id as network_project_id, n.shared, n.external
    from ${sql.table(table)} o join ${network} n on ${joined} where o.id = ${id} and ${visible} ${action === 'get' ? sql`` : sql`for no key update of o`}`.execute(
    call.tx,
  )
  const found = rows[0]
  if (!found) throw notFound(`Resource ${name} ${id} could not be found.`, { type: 'TagResourceNotFound' })
  call.must(`${action}_${name}:tags`, {
    ...networkTarget({ project_id: found.network_project_id, shared: found.shared, external: found.external }),
    ...ownerTarget(found.project_id),
  })
  return found.tags
}

async function set(call: Pick<Call, 'tx' | 'params'>, { table }: Tagged, tags: string[]): Promise<void> {
  if (tags.length > most)
    throw badRequest(`Bad tag request: The number of tags exceed the per-resource limit of ${most}.`, { type: 'BadRequest' })
  await sql`
    update ${sql.table(table)} set tags = ${tags}::text[], revision = revision + 1, updated_at = now() where id = ${call.params.id}`.execute(
    call.tx,
  )
}

const tagNotFound = (tag: string) => notFound(`Tag ${tag} could not be found.`, { type: 'TagNotFound' })

function rowsOf(kind: Tagged): AnyRow[] {
  const path = `/v2.0/${kind.collection}/:id/tags` as const
  const rule = (action: string) => `${action}_${kind.name}:tags`
  return [
    row({
      route: `GET ${path}`,
      policy: rule('get'),
      target: 'loaded',
      reply: 200,
      summary: 'List the tags',
      run: async (call) => ({ tags: await tagsOf(call, kind, 'get') }),
    }),
    row({
      route: `POST ${path}`,
      policy: rule('update'),
      target: 'loaded',
      body: Body,
      reply: 201,
      summary: 'Add tags',
      run: async (call) => {
        const tags = [...new Set([...(await tagsOf(call, kind, 'update')), ...call.body.tags])]
        await set(call, kind, tags)
        return { tags }
      },
    }),
    row({
      route: `PUT ${path}`,
      policy: rule('update'),
      target: 'loaded',
      body: Body,
      reply: 200,
      summary: 'Replace the tags',
      run: async (call) => {
        await tagsOf(call, kind, 'update')
        await set(call, kind, call.body.tags)
        return { tags: call.body.tags }
      },
    }),
    row({
      route: `DELETE ${path}`,
      policy: rule('delete'),
      target: 'loaded',
      reply: 204,
      summary: 'Remove all tags',
      run: async (call) => {
        await tagsOf(call, kind, 'delete')
        await set(call, kind, [])
      },
    }),
    row({
      route: `GET ${path}/:tag`,
      policy: rule('get'),
      target: 'loaded',
      reply: 204,
      summary: 'Ask whether there is such a tag',
      run: async (call) => {
        const { tag } = call.params
        if (!(await tagsOf(call, kind, 'get')).includes(tag!)) throw tagNotFound(tag!)
      },
    }),
    row({
      route: `PUT ${path}/:tag`,
      policy: rule('update'),
      target: 'loaded',
      reply: 201,
      summary: 'Add a tag',
      run: async (call) => {
        const { tag } = call.params
        if (tag!.length > 255)
          throw badRequest(`Invalid input for operation: '${tag!.slice(0, 40)}…' exceeds maximum length of 255.`, { type: 'InvalidInput' })
        const tags = await tagsOf(call, kind, 'update')
        if (!tags.includes(tag!)) await set(call, kind, [...tags, tag!])
      },
    }),
    row({
      route: `DELETE ${path}/:tag`,
      policy: rule('delete'),
      target: 'loaded',
      reply: 204,
      summary: 'Remove a tag',
      run: async (call) => {
        const { tag } = call.params
        const tags = await tagsOf(call, kind, 'delete')
        if (!tags.includes(tag!)) throw tagNotFound(tag!)
        await set(
          call,
          kind,
          tags.filter((other) => other !== tag),
        )
      },
    }),
  ]
}

export const tags: AnyRow[] = kinds.flatMap(rowsOf)
