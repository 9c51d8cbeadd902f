// Whether what projects are said to have (identity.usage) is what they have: the rows themselves, counted anew.
import { sql } from 'kysely'
import type { Tx } from '../src/database/connect.ts'

/** One sentence for each count that is not that of the rows. */
export async function miscounted(tx: Tx): Promise<string[]> {
  const { rows } = await sql<{ it: string }>`
    with counts as (
      select project_id, 'compute' as service, c.resource, c.amount from compute.server s, compute.counted(s.flavor) c
      union all select owner, 'image', c.resource, c.amount from image.image i, image.counted(i.status, i.size) c
      union all select project_id, 'network', 'network', 1 from network.network
      union all select project_id, 'network', 'subnet', 1 from network.subnet
      union all select project_id, 'network', 'port', 1 from network.port
      union all select project_id, 'network', 'security_group', 1 from network.security_group
      union all select project_id, 'network', 'security_group_rule', 1 from network.security_group_rule
    ), real as (select project_id, service, resource, sum(amount) as used from counts group by 1, 2, 3)
    select format('project %s is said to have %s of %s %s, and has %s', project_id, coalesce(u.used, 0), service, resource, coalesce(r.used, 0)) as it
    from identity.usage u full join real r using (project_id, service, resource)
    where service in ('compute', 'image', 'network') and coalesce(u.used, 0) <> coalesce(r.used, 0)
    order by 1`.execute(tx)
  return rows.map(({ it }) => it)
}
