// The service catalog: what exists, and under which address this client reaches it.
import type { Tx } from '../../database/connect.ts'
import { readEndpointFilters } from './endpoint-filters.ts'

export interface CatalogRow {
  service_id: string
  type: string
  service_name: string | null
  id: string
  interface: string
  region_id: string | null
  url: string
}

export interface Catalog {
  /** All enabled endpoints of enabled services. */
  rows: CatalogRow[]
  /** For the projects that see only some endpoints: which. */
  only: Map<string, Set<string>>
}

export async function readCatalog(tx: Tx): Promise<Catalog> {
  const rows = await tx
    .selectFrom('identity.endpoint as e')
    .innerJoin('identity.service as s', 's.id', 'e.service_id')
    .select(['s.id as service_id', 's.type', 's.name as service_name', 'e.id', 'e.interface', 'e.region_id', 'e.url'])
    .where('s.enabled', '=', true)
    .where('e.enabled', '=', true)
    .orderBy('s.type')
    .orderBy('s.id')
    .orderBy('e.region_id')
    .orderBy('e.interface')
    .execute()
  return { rows, only: await readEndpointFilters(tx) }
}

/**
 * The catalog as tokens show it. Endpoints that need a project are left out where there is none.
 * @param publicUrl what `$(public_url)s` stands for
 */
export function catalogFor({ rows, only }: Catalog, publicUrl: string, { user_id, project_id }: { user_id: string; project_id?: string }) {
  const services = new Map<string, { id: string; type: string; name: string; endpoints: object[] }>()
  const values: Record<string, string | undefined> = { public_url: publicUrl, user_id, project_id, tenant_id: project_id }
  const seen = project_id === undefined ? undefined : only.get(project_id)
  for (const row of rows) {
    if (seen && !seen.has(row.id)) continue
    const url = fill(row.url, values)
    if (url === undefined) continue
    const service = services.get(row.service_id) ?? { id: row.service_id, type: row.type, name: row.service_name ?? '', endpoints: [] }
    services.set(row.service_id, service)
    service.endpoints.push({ id: row.id, interface: row.interface, region_id: row.region_id, region: row.region_id, url })
  }
  return [...services.values()]
}

// Both of Keystone's spellings: $(project_id)s and %(project_id)s. A name that is not known makes the address useless.
function fill(url: string, values: Record<string, string | undefined>): string | undefined {
  let complete = true
  const filled = url.replaceAll(/[$%]\((\w+)\)s/g, (_whole, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined
    if (value === undefined) complete = false
    return value ?? ''
  })
  return complete ? filled : undefined
}
