// Claims: the one place where resources of a host are taken and given back. A claim cannot be overdrawn by a race: the update of each
// inventory row checks the capacity under that row's lock, and the rows are taken in the order of their classes.
import { sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'

export interface Consumer {
  consumer: string
  project_id: string
  user_id: string
  type?: string
}

/** Amounts by resource class, such as {VCPU: 1, MEMORY_MB: 512, DISK_GB: 1}. Zeros are left out. */
export type Resources = Record<string, number>

/**
 * Takes `resources` of one provider for a consumer that has none yet. Returns false, and takes nothing, when they do not fit any more.
 * Placement's rules: (total - reserved) * allocation_ratio, min_unit, max_unit and step_size.
 */
export async function claim(
  tx: Tx,
  { consumer, project_id, user_id, type = 'INSTANCE' }: Consumer,
  providerId: string,
  resources: Resources,
): Promise<boolean> {
  const wanted = Object.entries(resources)
    .filter(([, amount]) => amount > 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([resource_class, amount]) => ({ resource_class, amount }))
  if (wanted.length === 0) return true
  // The rows are locked in order first; the update then sees what the locks made sure of. All or nothing: `fits` counts.
  const { rows } = await sql<{ taken: boolean }>`
    with wanted as (select * from jsonb_to_recordset(${json(wanted)}) as w (resource_class text, amount bigint)),
    locked as (
      select i.resource_class, w.amount from placement.inventory i join wanted w using (resource_class)
      where i.provider_id = ${providerId}
        and i.used + w.amount <= floor((i.total - i.reserved) * i.allocation_ratio)
        and w.amount between i.min_unit and i.max_unit and w.amount % i.step_size = 0
      order by i.resource_class for update of i),
    fits as (select count(*) = ${wanted.length} as all_of_them from locked),
    taken as (
      update placement.inventory i set used = used + l.amount from locked l, fits
      where i.provider_id = ${providerId} and i.resource_class = l.resource_class and fits.all_of_them returning i.resource_class, l.amount),
    consumer as (
      insert into placement.consumer (id, project_id, user_id, type, generation)
      select ${consumer}, ${project_id}, ${user_id}, ${type}, 1 from fits where all_of_them),
    allocated as (
      insert into placement.allocation (consumer_id, provider_id, resource_class, used)
      select ${consumer}, ${providerId}, resource_class, amount from taken),
    provider as (update placement.provider set generation = generation + 1 from fits where id = ${providerId} and all_of_them)
    select all_of_them as taken from fits`.execute(tx)
  return rows[0]?.taken ?? false
}

/**
 * Gives back everything that a consumer holds. Nothing held is no error. Like a claim it locks inventories in the order of their classes and
 * the provider after all of them, each part waiting for the one before: else the two would lock each other out.
 */
export async function release(tx: Tx, consumer: string): Promise<void> {
  const freed = sql`
    with freed as (delete from placement.allocation where consumer_id = ${consumer} returning provider_id, resource_class, used),
    locked as (
      select i.provider_id, i.resource_class, f.used from placement.inventory i join freed f using (provider_id, resource_class)
      order by i.provider_id, i.resource_class for update of i),
    returned as (
      update placement.inventory i set used = i.used - l.used from locked l
      where i.provider_id = l.provider_id and i.resource_class = l.resource_class returning i.provider_id),
    providers as materialized (select provider_id from returned group by provider_id)
    update placement.provider set generation = generation + 1 where id in (select provider_id from providers)`.execute(tx)
  await Promise.all([freed, tx.deleteFrom('placement.consumer').where('id', '=', consumer).execute()])
}
