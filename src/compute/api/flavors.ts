// Flavors: the sizes that servers come in, their extra specs, and who may use the private ones.

import type { Selectable } from 'kysely'
import { sql } from 'kysely'
import { Type as t } from 'typebox'
import { json, type Tx } from '../../database/connect.ts'
import type { ComputeFlavor } from '../../database/types.ts'
import { badRequest, conflict, notFound } from '../../http/fault.ts'
import { type Listing, listPage, novaLinks, novaPage } from '../../http/page.ts'
import { type Call, lives, row, since } from '../../http/table.ts'
import { links } from './server-view.ts'

type Flavor = Selectable<ComputeFlavor>
type AnyCall = Pick<Call, 'tx' | 'who' | 'may' | 'version' | 'url' | 'params'>

const Whole = (minimum: number) =>
  t.Union([t.Integer({ minimum, maximum: 2_147_483_647 }), t.String({ pattern: minimum > 0 ? '^[1-9][0-9]{0,8}$' : '^[0-9]{1,9}$' })])
const Bool = t.Union([t.Boolean(), t.String({ pattern: '^([Tt]rue|[Ff]alse|1|0)$' })])
const Description = t.Optional(since('2.55', t.Union([t.Null(), t.String({ maxLength: 65_535 })])))
const Name = t.String({ minLength: 1, maxLength: 255, pattern: '^(?!\\s)[^\\p{Cc}]*(?<!\\s)$' })

const Create = t.Object(
  {
    flavor: t.Object(
      {
        name: Name,
        ram: Whole(1),
        vcpus: Whole(1),
        disk: Whole(0),
        id: t.Optional(
          t.Union([
            t.Null(),
            t.Integer({ minimum: 0 }),
            t.String({ minLength: 1, maxLength: 255, pattern: '^(?! )[a-zA-Z0-9. _-]+(?<! )$' }),
          ]),
        ),
        swap: t.Optional(Whole(0)),
        'OS-FLV-EXT-DATA:ephemeral': t.Optional(Whole(0)),
        rxtx_factor: t.Optional(
          t.Union([t.Number({ exclusiveMinimum: 0, maximum: 3.4e38 }), t.String({ pattern: '^[0-9]+(\\.[0-9]+)?$' })]),
        ),
        'os-flavor-access:is_public': t.Optional(Bool),
        description: Description,
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
)
const Update = t.Object(
  { flavor: t.Object({ description: t.Union([t.Null(), t.String({ maxLength: 65_535 })]) }, { additionalProperties: false }) },
  { additionalProperties: false },
)

export const noFlavor = (id: string) => notFound(`Flavor ${id} could not be found.`)

/** Those that the caller's project may use; administrators see all. */
const visible = (call: AnyCall) => {
  const flavors = call.tx.selectFrom('compute.flavor').selectAll('compute.flavor')
  if (call.may('context_is_admin')) return flavors
  return flavors.where(
    sql<boolean>`(compute.flavor.is_public or exists (
      select from compute.flavor_access a where a.flavor_id = compute.flavor.id and a.project_id = ${call.who.project?.id ?? ''}))`,
  )
}

/** @throws Fault 404 */
export async function findFlavor(call: AnyCall, id: string): Promise<Flavor> {
  const flavor = await visible(call).where('id', '=', id).executeTakeFirst()
  if (!flavor) throw noFlavor(id)
  return flavor
}

function view(call: AnyCall, flavor: Flavor) {
  const at = (version: string) => lives({ since: version }, call.version)
  return {
    id: flavor.id,
    name: flavor.name,
    ram: flavor.memory_mb,
    disk: flavor.root_gb,
    vcpus: flavor.vcpus,
    swap: flavor.swap_mb === 0 ? (at('2.75') ? 0 : '') : flavor.swap_mb,
    'OS-FLV-EXT-DATA:ephemeral': flavor.ephemeral_gb,
    'OS-FLV-DISABLED:disabled': flavor.disabled,
    'os-flavor-access:is_public': flavor.is_public,
    rxtx_factor: flavor.rxtx_factor,
    links: links(call, `flavors/${flavor.id}`),
    ...(at('2.55') && { description: flavor.description }),
    ...(at('2.61') && call.may('os_compute_api:os-flavor-extra-specs:index') && { extra_specs: flavor.extra_specs }),
  }
}

const listing: Listing = {
  id: 'compute.flavor.id',
  columns: {
    flavorid: 'compute.flavor.id',
    id: 'compute.flavor.id',
    name: 'compute.flavor.name',
    memory_mb: 'compute.flavor.memory_mb',
    vcpus: 'compute.flavor.vcpus',
    root_gb: 'compute.flavor.root_gb',
    ephemeral_gb: 'compute.flavor.ephemeral_gb',
    swap: 'compute.flavor.swap_mb',
    created_at: 'compute.flavor.created_at',
    is_public: 'compute.flavor.is_public',
    rxtx_factor: 'compute.flavor.rxtx_factor',
  },
  sort: [{ key: 'flavorid', direction: 'asc' }],
}

async function list(call: Call) {
  const one = (name: string) => [call.query as Record<string, string | string[] | undefined>].map((query) => [query[name]].flat()[0])[0]
  let flavors = visible(call)
  for (const [name, column] of [
    ['minRam', 'memory_mb'],
    ['minDisk', 'root_gb'],
  ] as const) {
    const text = one(name)
    if (text === undefined) continue
    if (!/^\d{1,9}$/.test(text)) throw badRequest(`Invalid ${name} filter [${text.slice(0, 40)}]`)
    flavors = flavors.where(`compute.flavor.${column}`, '>=', Number(text))
  }
  const publicity = one('is_public')?.toLowerCase()
  if (publicity !== undefined && !['none', 'true', 'false', '1', '0', 't', 'f', 'yes', 'no', 'on', 'off'].includes(publicity))
    throw badRequest(`Invalid is_public filter [${publicity.slice(0, 40)}]`)
  const asked = publicity === undefined ? true : publicity === 'none' ? null : ['true', '1', 't', 'yes', 'on'].includes(publicity)
  // Members see the public ones and those that were opened to their project, whatever they ask for.
  if (call.may('context_is_admin') && asked !== null) flavors = flavors.where('is_public', '=', asked)
  const page = novaPage({ ...(call.query as object), sort_dir: (call.query as Record<string, unknown>).sort_dir ?? 'asc' }, listing)
  return listPage(flavors, page, listing, visible(call))
}

export const flavors = [
  row({
    route: 'GET /flavors',
    policy: 'os_compute_api:flavors',
    reply: 200,
    run: async (call) => {
      const { rows, more } = await list(call as never)
      return {
        flavors: rows.map((flavor) => ({
          id: flavor.id,
          name: flavor.name,
          links: links(call, `flavors/${flavor.id}`),
          ...(lives({ since: '2.55' }, call.version) && { description: flavor.description }),
        })),
        ...novaLinks('flavors', call.url, more, rows.at(-1)?.id),
      }
    },
  }),
  row({
    route: 'GET /flavors/detail',
    policy: 'os_compute_api:flavors',
    reply: 200,
    run: async (call) => {
      const { rows, more } = await list(call as never)
      return { flavors: rows.map((flavor) => view(call, flavor)), ...novaLinks('flavors', call.url, more, rows.at(-1)?.id) }
    },
  }),
  row({
    route: 'GET /flavors/:id',
    policy: 'os_compute_api:flavors',
    reply: 200,
    run: async (call) => ({ flavor: view(call, await findFlavor(call, call.params.id)) }),
  }),
  row({
    route: 'POST /flavors',
    policy: 'os_compute_api:os-flavor-manage:create',
    body: Create,
    reply: 200,
    run: async (call) => {
      const asked = call.body.flavor
      const id = asked.id === undefined || asked.id === null || asked.id === 'auto' ? crypto.randomUUID() : String(asked.id)
      const isPublic = !/^(false|0)$/i.test(String(asked['os-flavor-access:is_public'] ?? true))
      if (await call.tx.selectFrom('compute.flavor').select('id').where('name', '=', asked.name).executeTakeFirst())
        throw conflict(`Flavor with name ${asked.name} already exists.`)
      const flavor = await call.tx
        .insertInto('compute.flavor')
        .values({
          id,
          name: asked.name,
          memory_mb: Number(asked.ram),
          vcpus: Number(asked.vcpus),
          root_gb: Number(asked.disk),
          ephemeral_gb: Number(asked['OS-FLV-EXT-DATA:ephemeral'] ?? 0),
          swap_mb: Number(asked.swap ?? 0),
          rxtx_factor: Number(asked.rxtx_factor ?? 1),
          is_public: isPublic,
          description: asked.description ?? null,
        })
        .onConflict((on) => on.doNothing())
        .returningAll()
        .executeTakeFirst()
      if (!flavor) throw conflict(`Flavor with ID ${id} already exists.`)
      return { flavor: view(call, flavor) }
    },
  }),
  row({
    route: 'PUT /flavors/:id',
    since: '2.55',
    policy: 'os_compute_api:os-flavor-manage:update',
    body: Update,
    reply: 200,
    run: async (call) => {
      const flavor = await call.tx
        .updateTable('compute.flavor')
        .set({ description: call.body.flavor.description })
        .where('id', '=', call.params.id)
        .returningAll()
        .executeTakeFirst()
      if (!flavor) throw noFlavor(call.params.id)
      return { flavor: view(call, flavor) }
    },
  }),
  row({
    route: 'DELETE /flavors/:id',
    policy: 'os_compute_api:os-flavor-manage:delete',
    reply: 202,
    run: async (call) => {
      const gone = await call.tx.deleteFrom('compute.flavor').where('id', '=', call.params.id).returning('id').executeTakeFirst()
      if (!gone) throw noFlavor(call.params.id)
    },
  }),
]

/** Writes the extra specs as they shall be. */
export const setExtraSpecs = (tx: Tx, id: string, specs: Record<string, string>) =>
  tx
    .updateTable('compute.flavor')
    .set({ extra_specs: json(specs) })
    .where('id', '=', id)
    .execute()
