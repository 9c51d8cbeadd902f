// Replaces what consumers hold, all of them or none: what placement's API does. Like `claim`, it changes `inventory.used` under the locks of
// the inventory rows, taken in one order, so that no race overdraws a provider.
import { sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import { badRequest, conflict } from '../../http/fault.ts'
import type { Resources } from './claim.ts'

export interface Replacement {
  consumer: string
  project_id: string
  user_id: string
  type: string | null
  /** What the caller believes of the consumer: its generation, null for "does not exist yet", undefined not to ask. */
  generation?: number | null | undefined
  /** By provider; empty to give everything back. */
  allocations: Record<string, Resources>
}

interface Held {
  consumer_id: string
  provider_id: string
  resource_class: string
  amount: number
}

const concurrent = { type: 'placement.concurrent_update' }

/** @throws Fault 400 for unknown providers and classes; 409 for what does not fit, and for generations that moved on */
export async function replaceAllocations(tx: Tx, replacements: Replacement[]): Promise<void> {
  const wanted: Held[] = replacements.flatMap(({ consumer, allocations }) =>
    Object.entries(allocations).flatMap(([provider_id, resources]) =>
      Object.entries(resources).map(([resource_class, amount]) => ({ consumer_id: consumer, provider_id, resource_class, amount })),
    ),
  )
  await mustExist(tx, wanted)
  await lockConsumers(tx, replacements)
  const consumers = replacements.map(({ consumer }) => consumer)
  const held = await tx
    .selectFrom('placement.allocation')
    .select(['consumer_id', 'provider_id', 'resource_class', 'used as amount'])
    .where('consumer_id', 'in', consumers)
    .execute()
  const changes = changesOf(held, wanted)
  await take(tx, changes, wanted)

  await tx.deleteFrom('placement.allocation').where('consumer_id', 'in', consumers).execute()
  await sql`
    insert into placement.allocation (consumer_id, provider_id, resource_class, used)
    select * from jsonb_to_recordset(${json(wanted.map(({ amount, ...rest }) => ({ ...rest, used: amount })))})
      as w (consumer_id text, provider_id text, resource_class text, used bigint)`.execute(tx)
  await sql`
    update placement.provider set generation = generation + 1
    where id = any(${[...new Set(changes.map(({ provider_id }) => provider_id))]}::text[])`.execute(tx)
  await sql`
    delete from placement.consumer c where id = any(${consumers}::text[])
      and not exists (select from placement.allocation a where a.consumer_id = c.id)`.execute(tx)
}

async function mustExist(tx: Tx, wanted: Held[]): Promise<void> {
  const providers = [...new Set(wanted.map(({ provider_id }) => provider_id))]
  const classes = [...new Set(wanted.map(({ resource_class }) => resource_class))]
  const { rows } = await sql<{ kind: string; name: string }>`
    select 'provider' as kind, name from unnest(${providers}::text[]) name where name not in (select id from placement.provider)
    union all
    select 'class', name from unnest(${classes}::text[]) name where name not in (select c.name from placement.resource_class c)`.execute(tx)
  const [missing] = rows
  if (missing?.kind === 'provider') throw badRequest(`Allocation for resource provider '${missing.name}' that does not exist.`)
  if (missing) throw badRequest(`Unable to allocate inventory: No such resource class ${missing.name}.`)
}

async function lockConsumers(tx: Tx, replacements: Replacement[]): Promise<void> {
  const known = new Map(
    (
      await tx
        .selectFrom('placement.consumer')
        .select(['id', 'generation'])
        .where(
          'id',
          'in',
          replacements.map(({ consumer }) => consumer),
        )
        .orderBy('id')
        .forUpdate()
        .execute()
    ).map(({ id, generation }) => [id, generation]),
  )
  for (const { consumer, generation } of replacements) {
    const now = known.get(consumer) ?? null
    if (generation !== undefined && generation !== now) {
      throw conflict(`consumer generation conflict - expected ${now} but got ${generation}`, concurrent)
    }
  }
  const rows = replacements.map(({ consumer, project_id, user_id, type }) => ({ id: consumer, project_id, user_id, type, generation: 1 }))
  const written = await tx
    .insertInto('placement.consumer')
    .values(rows.sort((a, b) => (a.id < b.id ? -1 : 1)))
    .onConflict((on) =>
      on.column('id').doUpdateSet((e) => ({
        project_id: e.ref('excluded.project_id'),
        user_id: e.ref('excluded.user_id'),
        type: sql<string | null>`coalesce(excluded.type, placement.consumer.type)`,
        generation: sql<number>`placement.consumer.generation + 1`,
      })),
    )
    .returning(['id', 'generation'])
    .execute()
  // One that came into being between the look and the insert has a generation that the caller does not know.
  const raced = written.some(({ id, generation }) => !known.has(id) && generation !== 1)
  if (raced) throw conflict('consumer generation conflict - the consumer was made at the same time by another request', concurrent)
}

interface Change {
  provider_id: string
  resource_class: string
  delta: number
}

/** What changes for each inventory; also those where nothing does, so that their providers' generations rise. */
export function changesOf(held: Omit<Held, 'consumer_id'>[], wanted: Omit<Held, 'consumer_id'>[]): Change[] {
  const changes = new Map<string, Change>()
  const add = ({ provider_id, resource_class, amount }: Omit<Held, 'consumer_id'>, sign: 1 | -1) => {
    const key = `${provider_id} ${resource_class}`
    const change = changes.get(key) ?? { provider_id, resource_class, delta: 0 }
    change.delta += sign * amount
    changes.set(key, change)
  }
  for (const one of held) add(one, -1)
  for (const one of wanted) add(one, 1)
  return [...changes.values()]
}

/** Locks the inventories, checks what is asked of each, and counts it. */
async function take(tx: Tx, changes: Change[], wanted: Held[]): Promise<void> {
  const { rows } = await sql<{
    provider_id: string
    resource_class: string
    room: number
    min_unit: number
    max_unit: number
    step_size: number
  }>`
    select i.provider_id, i.resource_class, floor((i.total - i.reserved) * i.allocation_ratio)::bigint - i.used as room,
      i.min_unit, i.max_unit, i.step_size
    from placement.inventory i
    join jsonb_to_recordset(${json(changes as never)}) as c (provider_id text, resource_class text) using (provider_id, resource_class)
    order by i.provider_id, i.resource_class for update of i`.execute(tx)
  const inventory = new Map(rows.map((row) => [`${row.provider_id} ${row.resource_class}`, row]))
  for (const { provider_id, resource_class, amount } of wanted) {
    const found = inventory.get(`${provider_id} ${resource_class}`)
    if (!found) {
      throw conflict(`Unable to allocate inventory: Inventory for '${resource_class}' on resource provider '${provider_id}' invalid.`)
    }
    if (amount < found.min_unit || amount > found.max_unit || amount % found.step_size !== 0) {
      throw conflict(`${unable(resource_class, provider_id)} The requested amount would violate inventory constraints.`)
    }
  }
  for (const { provider_id, resource_class, delta } of changes) {
    // Who takes less than before may, even where the provider has shrunk under what is taken of it.
    if (delta > 0 && delta > (inventory.get(`${provider_id} ${resource_class}`)?.room ?? 0)) {
      throw conflict(`${unable(resource_class, provider_id)} The requested amount would exceed the capacity.`)
    }
  }
  await sql`
    update placement.inventory i set used = i.used + c.delta
    from jsonb_to_recordset(${json(changes as never)}) as c (provider_id text, resource_class text, delta bigint)
    where i.provider_id = c.provider_id and i.resource_class = c.resource_class and c.delta <> 0`.execute(tx)
}

const unable = (resource_class: string, provider: string) =>
  `Unable to allocate inventory: Unable to create allocation for '${resource_class}' on resource provider '${provider}'.`
