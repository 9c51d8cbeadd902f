// Resource providers: each host is one, with the inventory that it reported when it said hello.
import { sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'

export interface Inventory {
  total: number
  reserved: number
  allocation_ratio: number
  min_unit?: number
  max_unit?: number
  step_size?: number
}

/** Records what a host has. Classes that it no longer reports go, unless something is allocated from them; unknown traits are made known. */
export async function reportInventory(
  tx: Tx,
  provider: { id: string; name: string },
  inventory: Record<string, Inventory>,
  traits: string[],
): Promise<void> {
  // Before the provider and in one order, as claims lock them: else a launch and a hello could each wait for the other.
  await sql`select from placement.inventory where provider_id = ${provider.id} order by resource_class for update`.execute(tx)
  await sql`
    insert into placement.provider (id, name, root_id) values (${provider.id}, ${provider.name}, ${provider.id})
    on conflict (id) do update set name = excluded.name, generation = placement.provider.generation + 1`.execute(tx)
  const rows = Object.entries(inventory)
    .filter(([, { total }]) => total > 0)
    .map(([resource_class, one]) => ({ resource_class, min_unit: 1, max_unit: one.total, step_size: 1, ...one }))
  await sql`
    insert into placement.inventory (provider_id, resource_class, total, reserved, min_unit, max_unit, step_size, allocation_ratio)
    select ${provider.id}, resource_class, total, reserved, min_unit, max_unit, step_size, allocation_ratio
    from jsonb_to_recordset(${json(rows)})
      as r (resource_class text, total bigint, reserved bigint, min_unit bigint, max_unit bigint, step_size bigint, allocation_ratio float8)
    order by resource_class
    on conflict (provider_id, resource_class) do update
      set total = excluded.total, reserved = excluded.reserved, min_unit = excluded.min_unit, max_unit = excluded.max_unit,
          step_size = excluded.step_size, allocation_ratio = excluded.allocation_ratio`.execute(tx)
  await sql`
    delete from placement.inventory i
    where provider_id = ${provider.id} and resource_class <> all(${rows.map((row) => row.resource_class)})
      and not exists (select from placement.allocation a where a.provider_id = i.provider_id and a.resource_class = i.resource_class)`.execute(
    tx,
  )
  await sql`insert into placement.trait (name) select unnest(${traits}::text[]) on conflict do nothing`.execute(tx)
  await sql`delete from placement.provider_trait where provider_id = ${provider.id} and trait <> all(${traits})`.execute(tx)
  await sql`
    insert into placement.provider_trait (provider_id, trait) select ${provider.id}, unnest(${traits}::text[]) on conflict do nothing`.execute(
    tx,
  )
}
