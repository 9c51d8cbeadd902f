// What decisions about ports need to know of networks, read in one statement: the network, its subnets and their pools.
import { type RawBuilder, sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type { Pool } from './address.ts'

export interface SubnetFacts {
  id: string
  ip_version: 4 | 6
  cidr: string
  gateway_ip: string | null
  enable_dhcp: boolean
  ipv6_address_mode: string | null
  service_types: string[]
  pools: Pool[]
}

export interface NetworkFacts {
  id: string
  project_id: string
  name: string
  shared: boolean
  external: boolean
  admin_state_up: boolean
  port_security_enabled: boolean
  mtu: number
  network_type: string
  /** Oldest first: the order in which they are tried. */
  subnets: SubnetFacts[]
}

/** A subquery: NetworkFacts[] of the networks `n` that meet the condition, as jsonb. */
export const networkFacts = (condition: RawBuilder<unknown>) => sql<NetworkFacts[]>`(
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', n.id, 'project_id', n.project_id, 'name', n.name, 'shared', n.shared, 'external', n.external, 'admin_state_up', n.admin_state_up,
    'port_security_enabled', n.port_security_enabled, 'mtu', n.mtu, 'network_type', n.network_type,
    'subnets', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', s.id, 'ip_version', s.ip_version, 'cidr', s.cidr, 'gateway_ip', host(s.gateway_ip), 'enable_dhcp', s.enable_dhcp,
        'ipv6_address_mode', s.ipv6_address_mode, 'service_types', s.service_types,
        'pools', (
          select coalesce(jsonb_agg(jsonb_build_object('start', host(p.first_ip), 'end', host(p.last_ip)) order by p.first_ip), '[]')
          from network.allocation_pool p where p.subnet_id = s.id)
      ) order by s.created_at, s.id), '[]')
      from network.subnet s where s.network_id = n.id)
  ) order by n.created_at, n.id), '[]')
  from network.network n where ${condition})`

export async function readNetworkFacts(tx: Tx, id: string): Promise<NetworkFacts | undefined> {
  const { rows } = await sql<{ networks: NetworkFacts[] }>`select ${networkFacts(sql`n.id = ${id}`)} as networks`.execute(tx)
  return rows[0]!.networks[0]
}

/** Ports get an address of such a subnet by their MAC, whether they ask for it or not. */
export const isAutomatic = (subnet: { ip_version: number; ipv6_address_mode: string | null }) =>
  subnet.ip_version === 6 && (subnet.ipv6_address_mode === 'slaac' || subnet.ipv6_address_mode === 'dhcpv6-stateless')
