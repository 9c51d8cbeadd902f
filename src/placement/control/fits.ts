// Which providers would do: conditions on a provider, for lists of providers and for allocation candidates.
import { type RawBuilder, sql } from 'kysely'
import type { Resources } from './claim.ts'

/** Sets of names of which one must be there (each set), and names of which none may be. */
export interface Wanted {
  any: string[][]
  none: string[]
}

export interface Filter {
  resources?: Resources
  traits?: Wanted
  aggregates?: Wanted
  /** A provider, anywhere in the tree. */
  inTree?: string
}

/** A condition on the provider of this alias: placement's rules of capacity, units and steps, traits, aggregates and trees. */
export function fits({ resources = {}, traits, aggregates, inTree }: Filter, p: string): RawBuilder<boolean> {
  const id = sql.ref(`${p}.id`)
  const all: RawBuilder<unknown>[] = Object.entries(resources).map(
    ([name, amount]) => sql`exists (
      select from placement.inventory i where i.provider_id = ${id} and i.resource_class = ${name}
        and i.used + ${amount}::bigint <= floor((i.total - i.reserved) * i.allocation_ratio)
        and ${amount}::bigint between i.min_unit and i.max_unit and ${amount}::bigint % i.step_size = 0)`,
  )
  const trait = (names: string[]) =>
    sql`exists (select from placement.provider_trait t where t.provider_id = ${id} and t.trait = any(${names}::text[]))`
  const aggregate = (names: string[]) =>
    sql`exists (select from placement.provider_aggregate a where a.provider_id = ${id} and a.aggregate_id = any(${names}::text[]))`
  for (const names of traits?.any ?? []) all.push(trait(names))
  if (traits?.none.length) all.push(sql`not ${trait(traits.none)}`)
  for (const names of aggregates?.any ?? []) all.push(aggregate(names))
  if (aggregates?.none.length) all.push(sql`not ${aggregate(aggregates.none)}`)
  if (inTree !== undefined) all.push(sql`${sql.ref(`${p}.root_id`)} = (select r.root_id from placement.provider r where r.id = ${inTree})`)
  return all.length > 0 ? sql<boolean>`(${sql.join(all, sql` and `)})` : sql<boolean>`true`
}
