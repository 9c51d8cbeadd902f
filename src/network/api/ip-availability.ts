// How many addresses networks have, and how many of them are used: for administrators who watch for networks running full.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { badRequest } from '../../http/fault.ts'
import { row } from '../../http/table.ts'
import { parseCidr, poolSize } from '../control/address.ts'
import { networkNotFound } from '../control/faults.ts'
import { given } from './attributes.ts'

interface Found {
  network_id: string
  network_name: string
  project_id: string
  subnets: { id: string; name: string; cidr: string; ip_version: 4 | 6; used: number; pools: { start: string; end: string }[] }[]
}

const read = async (tx: Tx, condition: ReturnType<typeof sql>): Promise<Found[]> =>
  (
    await sql<Found>`
      select n.id as network_id, n.name as network_name, n.project_id, (
        select coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'name', s.name, 'cidr', s.cidr, 'ip_version', s.ip_version,
          'used', (select count(*) from network.fixed_ip f where f.subnet_id = s.id),
          'pools', (select coalesce(jsonb_agg(jsonb_build_object('start', host(a.first_ip), 'end', host(a.last_ip))), '[]')
            from network.allocation_pool a where a.subnet_id = s.id)) order by s.created_at, s.id), '[]')
        from network.subnet s where s.network_id = n.id) as subnets
      from network.network n where ${condition} order by n.id`.execute(tx)
  ).rows

// As Neutron counts: the pools where there are any, else the whole range. IPv6 ranges exceed what a double holds exactly; JSON carries it rounded.
const sizeOf = ({ cidr, pools }: Found['subnets'][number]) => {
  if (pools.length > 0) return Number(pools.reduce((sum, pool) => sum + poolSize(pool), 0n))
  const range = parseCidr(cidr)!
  return Number(range.last - range.first + 1n)
}

const view = ({ network_id, network_name, project_id, subnets }: Found) => ({
  network_id,
  network_name,
  project_id,
  tenant_id: project_id,
  total_ips: subnets.reduce((sum, subnet) => sum + sizeOf(subnet), 0),
  used_ips: subnets.reduce((sum, { used }) => sum + used, 0),
  subnet_ip_availability: subnets.map((subnet) => ({
    subnet_id: subnet.id,
    subnet_name: subnet.name,
    cidr: subnet.cidr,
    ip_version: subnet.ip_version,
    total_ips: sizeOf(subnet),
    used_ips: subnet.used,
  })),
})

const filters: Record<string, string> = {
  network_id: 'n.id',
  network_name: 'n.name',
  project_id: 'n.project_id',
  tenant_id: 'n.project_id',
}

export const ipAvailability = [
  row({
    route: 'GET /v2.0/network-ip-availabilities',
    policy: 'get_network_ip_availability',
    // Who may not see it finds nothing, as in any list of Neutron's.
    target: 'loaded',
    reply: 200,
    summary: 'List how full networks are',
    run: async ({ tx, query, may }) => {
      if (!may('get_network_ip_availability')) return { network_ip_availabilities: [] }
      const version = given(query.ip_version, (asked) => Number([asked].flat()[0]))
      if (version !== undefined && version !== 4 && version !== 6)
        throw badRequest('Invalid input for ip_version. Reason: it is 4 or 6.', { type: 'InvalidInput' })
      const conditions = Object.entries(filters).flatMap(
        ([name, ref]) => given(query[name], (asked) => [sql`${sql.ref(ref)} = any(${[asked].flat()}::text[])`]) ?? [],
      )
      const found = await read(tx, sql`${sql.join([sql`true`, ...conditions], sql` and `)}`)
      const shown =
        version === undefined
          ? found
          : found.map((one) => ({ ...one, subnets: one.subnets.filter(({ ip_version }) => ip_version === version) }))
      return { network_ip_availabilities: shown.map(view) }
    },
  }),
  row({
    route: 'GET /v2.0/network-ip-availabilities/:network_id',
    policy: 'get_network_ip_availability',
    reply: 200,
    summary: 'Show how full a network is',
    run: async ({ tx, params: { network_id } }) => {
      const [found] = await read(tx, sql`n.id = ${network_id}`)
      if (!found) throw networkNotFound(network_id)
      return { network_ip_availability: view(found) }
    },
  }),
]
