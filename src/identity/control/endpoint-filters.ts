// Which endpoints the catalog of a project is limited to, where somebody has limited it.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'

/** An expression over an endpoint `e` and an endpoint group `g`: whether the one belongs to the other. */
export const endpointFits = sql<boolean>`(
  e.service_id = coalesce(g.filters->>'service_id', e.service_id) and e.interface = coalesce(g.filters->>'interface', e.interface)
  and (not g.filters ? 'region_id' or e.region_id is not distinct from g.filters->>'region_id'))`

/** The ids of all endpoints that a project may see, disabled ones too; a project that is not there sees everything. */
export async function readEndpointFilters(tx: Tx): Promise<Map<string, Set<string>>> {
  const { rows } = await sql<{ project_id: string; endpoints: string[] }>`
    select project_id, array_agg(endpoint_id) as endpoints from (
      select project_id, endpoint_id from identity.project_endpoint
      union
      select has.project_id, e.id
      from identity.project_endpoint_group has join identity.endpoint_group g on g.id = has.endpoint_group_id
      join identity.endpoint e on ${endpointFits}
    ) has group by project_id`.execute(tx)
  return new Map(rows.map(({ project_id, endpoints }) => [project_id, new Set(endpoints)]))
}
