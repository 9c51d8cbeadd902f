// From rows to what a host is told: the documents of networks, security groups, group members and ports. Reading (few statements) is apart
// from writing down, so that what a document says can be tested without a database.
import { type RawBuilder, sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type {
  Address,
  GroupMembersDocument,
  NetworkDocument,
  PortDocument,
  SecurityGroupDocument,
  SecurityRule,
  SubnetDocument,
} from '../../wire/documents.ts'
import { normalIp } from './address.ts'
import { holdPorts } from './ports.ts'

export interface NetworkSource {
  id: string
  network_type: NetworkDocument['type']
  physical_network: string | null
  segmentation_id: number | null
  mtu: number
  admin_state_up: boolean
  subnets: SubnetDocument[]
  dhcp: { port_id: string; mac: string; ips: Address[] } | null
  /** Tunnel addresses of the hosts that carry the network. */
  tunnels: string[]
  /** Names of the hosts that carry it and have no tunnel address: one such host can carry it alone, and only alone. */
  untunneled: string[]
}

export interface GroupSource {
  id: string
  stateful: boolean
  rules: SecurityRule[]
}

export interface MembersSource {
  id: string
  ips: string[]
}

export interface PortSource {
  id: string
  generation: number
  project_id: string
  network_id: string
  device_id: string
  device_owner: string
  device_tag: string | null
  mac_address: string
  mtu: number
  admin_state_up: boolean
  port_security_enabled: boolean
  allowed_address_pairs: { ip_address: string; mac_address?: string | null }[]
  extra_dhcp_opts: { opt_name: string; opt_value: string | null; ip_version?: number }[]
  dns_name: string
  host: string
  ips: Address[]
  security_groups: string[]
}

/** The network as every host sees it; `peers` are all tunnel ends, the reader's own included. A network that is down answers no DHCP. */
export const networkBody = (source: NetworkSource): NetworkDocument => ({
  v: 1,
  id: source.id,
  type: source.network_type,
  physical_network: source.physical_network,
  segmentation_id: source.segmentation_id,
  mtu: source.mtu,
  subnets: source.subnets,
  dhcp: source.admin_state_up ? source.dhcp : null,
  peers: source.network_type === 'vxlan' ? [...new Set(source.tunnels)].sort() : [],
})

/** The same for one host: its own tunnel end is no peer of it. */
export const networkBodyFor = (source: NetworkSource, tunnel: string | null): NetworkDocument => {
  const body = networkBody(source)
  return { ...body, peers: body.peers.filter((peer) => peer !== tunnel) }
}

export const groupBody = ({ id, stateful, rules }: GroupSource): SecurityGroupDocument => ({ v: 1, id, stateful, rules })

export const membersBody = ({ id, ips }: MembersSource): GroupMembersDocument => ({ v: 1, id, ips: [...new Set(ips)].sort() })

export const portBody = (source: PortSource): PortDocument => ({
  v: 1,
  id: source.id,
  network_id: source.network_id,
  server_id: source.device_owner.startsWith('compute:') && source.device_id !== '' ? source.device_id : null,
  mac: source.mac_address,
  ips: source.ips,
  mtu: source.mtu,
  admin_state_up: source.admin_state_up,
  port_security_enabled: source.port_security_enabled,
  security_groups: source.port_security_enabled ? [...source.security_groups].sort() : [],
  allowed_address_pairs: source.allowed_address_pairs.map(({ ip_address, mac_address }) => ({
    ip_address: normalIp(ip_address) ?? ip_address,
    mac_address: mac_address ?? source.mac_address,
  })),
  hostname: source.dns_name || hostnameOf(source.ips),
  extra_dhcp_opts: source.extra_dhcp_opts.map(({ opt_name, opt_value, ip_version }) => ({
    opt_name,
    opt_value,
    ip_version: ip_version ?? 4,
  })),
})

// As Neutron's DHCP agent names a port that has no name of its own.
const hostnameOf = (ips: Address[]) => (ips[0] ? `host-${ips[0].ip.replaceAll(/[.:]+/g, '-')}` : '')

/** A subquery: NetworkSource[] of the networks `n` that meet the condition. */
const networkSources = (condition: RawBuilder<unknown>) => sql<NetworkSource[]>`(
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', n.id, 'network_type', n.network_type, 'physical_network', n.physical_network, 'segmentation_id', n.segmentation_id, 'mtu', n.mtu,
    'admin_state_up', n.admin_state_up,
    'subnets', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', s.id, 'ip_version', s.ip_version, 'cidr', s.cidr, 'gateway_ip', host(s.gateway_ip), 'enable_dhcp', s.enable_dhcp,
        'dns_nameservers', s.dns_nameservers, 'host_routes', s.host_routes, 'ipv6_ra_mode', s.ipv6_ra_mode, 'ipv6_address_mode', s.ipv6_address_mode
      ) order by s.created_at, s.id), '[]')
      from network.subnet s where s.network_id = n.id),
    'dhcp', (
      select jsonb_build_object('port_id', p.id, 'mac', p.mac_address, 'ips', ${addresses(sql`p.id`)})
      from network.port p where p.network_id = n.id and p.device_owner = 'network:dhcp' and p.device_id = 'dhcp-' || n.id),
    'tunnels', case when n.network_type = 'vxlan' then (
      select coalesce(jsonb_agg(h.hello ->> 'tunnel_ip'), '[]')
      from (select distinct host from network.port where network_id = n.id and host <> '') c
      join wire.host h on h.name = c.host where h.hello ->> 'tunnel_ip' is not null) else '[]' end,
    'untunneled', case when n.network_type = 'vxlan' then (
      select coalesce(jsonb_agg(h.name order by h.name), '[]')
      from (select distinct host from network.port where network_id = n.id and host <> '') c
      join wire.host h on h.name = c.host where h.hello ->> 'tunnel_ip' is null) else '[]' end
  )), '[]')
  from network.network n where ${condition})`

const addresses = (portId: RawBuilder<unknown>) => sql`(
  select coalesce(jsonb_agg(jsonb_build_object('ip', host(f.ip), 'subnet_id', f.subnet_id) order by f.position, f.ip), '[]')
  from network.fixed_ip f where f.port_id = ${portId})`

/** A subquery: GroupSource[] of the groups `g` that meet the condition. */
const groupSources = (condition: RawBuilder<unknown>) => sql<GroupSource[]>`(
  select coalesce(jsonb_agg(jsonb_build_object('id', g.id, 'stateful', g.stateful, 'rules', (
    select coalesce(jsonb_agg(jsonb_build_object(
      'direction', r.direction, 'ethertype', r.ethertype, 'protocol', r.protocol, 'port_min', r.port_range_min, 'port_max', r.port_range_max,
      'remote_ip_prefix', r.remote_ip_prefix, 'remote_group_id', r.remote_group_id) order by r.created_at, r.id), '[]')
    from network.security_group_rule r where r.security_group_id = g.id))), '[]')
  from network.security_group g where ${condition})`

/** A subquery: MembersSource[] of the groups `g` that meet the condition: the addresses of all their ports, and the pairs that they may use. */
const membersSources = (condition: RawBuilder<unknown>) => sql<MembersSource[]>`(
  select coalesce(jsonb_agg(jsonb_build_object('id', g.id, 'ips', (
    select coalesce(jsonb_agg(a.ip), '[]') from (
      select host(f.ip) as ip from network.port_security_group m join network.fixed_ip f on f.port_id = m.port_id where m.security_group_id = g.id
      union
      select pair ->> 'ip_address' from network.port_security_group m join network.port p on p.id = m.port_id,
        jsonb_array_elements(p.allowed_address_pairs) pair
      where m.security_group_id = g.id and p.allowed_address_pairs <> '[]'
    ) a))), '[]')
  from network.security_group g where ${condition})`

/** The columns of PortSource, of `p` (network.port) and `n` (its network). */
export const portColumns = sql`
  p.id, p.generation, p.project_id, p.network_id, p.device_id, p.device_owner, p.device_tag, p.mac_address, n.mtu,
  p.admin_state_up and n.admin_state_up as admin_state_up, p.port_security_enabled, p.allowed_address_pairs, p.extra_dhcp_opts, p.dns_name, p.host,
  ${addresses(sql`p.id`)} as ips,
  array(select security_group_id from network.port_security_group m where m.port_id = p.id) as security_groups`

export async function readNetwork(tx: Tx, id: string): Promise<NetworkSource | undefined> {
  const { rows } = await sql<{ networks: NetworkSource[] }>`select ${networkSources(sql`n.id = ${id}`)} as networks`.execute(tx)
  return rows[0]!.networks[0]
}

export async function readGroup(tx: Tx, id: string): Promise<GroupSource | undefined> {
  const { rows } = await sql<{ groups: GroupSource[] }>`select ${groupSources(sql`g.id = ${id}`)} as groups`.execute(tx)
  return rows[0]!.groups[0]
}

export async function readMembers(tx: Tx, id: string): Promise<MembersSource | undefined> {
  const { rows } = await sql<{ members: MembersSource[] }>`select ${membersSources(sql`g.id = ${id}`)} as members`.execute(tx)
  return rows[0]!.members[0]
}

export async function readPort(tx: Tx, id: string): Promise<PortSource | undefined> {
  const [, { rows }] = await Promise.all([
    holdPorts(tx, sql`p.id = ${id}`),
    sql<PortSource>`select ${portColumns} from network.port p join network.network n on n.id = p.network_id where p.id = ${id}`.execute(tx),
  ])
  return rows[0]
}

export interface Held {
  kind: 'network' | 'security-group' | 'group-members' | 'port'
  id: string
  generation: number
  /** False for a tombstone. */
  wanted: boolean
}

export interface Around {
  /** The host's own tunnel end. */
  tunnel: string | null
  physical_networks: string[]
  held: Held[]
  /** Whether another host still holds one of the ports. */
  elsewhere: boolean
  networks: NetworkSource[]
  groups: GroupSource[]
  members: MembersSource[]
}

/** What a host needs around some ports and does not have: their networks, their groups, and the members of the groups that those name. */
export async function readAround(
  tx: Tx,
  hostId: string,
  ports: { id: string; network_id: string; security_groups: string[] }[],
): Promise<Around> {
  const networks = [...new Set(ports.map(({ network_id }) => network_id))]
  const groups = [...new Set(ports.flatMap(({ security_groups }) => security_groups))]
  const lacking = (kind: string, id: RawBuilder<unknown>) =>
    sql`not exists (select from wire.document d where d.host_id = ${hostId} and d.kind = ${kind} and d.id = ${id} and d.body is not null)`
  const named = sql`(select remote_group_id from network.security_group_rule where security_group_id = any(${groups}::text[]) and remote_group_id is not null)`
  const { rows } = await sql<Around>`
    select h.hello ->> 'tunnel_ip' as tunnel, coalesce(h.hello -> 'physical_networks', '[]') as physical_networks,
      (select coalesce(jsonb_agg(jsonb_build_object('kind', d.kind, 'id', d.id, 'generation', d.generation, 'wanted', d.body is not null)), '[]')
        from wire.document d where d.host_id = h.id and (
          d.kind = 'port' and d.id = any(${ports.map(({ id }) => id)}::text[]) or d.kind = 'network' and d.id = any(${networks}::text[]) or
          d.kind = 'security-group' and d.id = any(${groups}::text[]) or d.kind = 'group-members' and d.id in ${named})) as held,
      exists (
        select from wire.document d
        where d.kind = 'port' and d.id = any(${ports.map(({ id }) => id)}::text[]) and d.host_id <> h.id and d.body is not null) as elsewhere,
      ${networkSources(sql`n.id = any(${networks}::text[]) and ${lacking('network', sql`n.id`)}`)} as networks,
      ${groupSources(sql`g.id = any(${groups}::text[]) and ${lacking('security-group', sql`g.id`)}`)} as groups,
      ${membersSources(sql`g.id in ${named} and ${lacking('group-members', sql`g.id`)}`)} as members
    from wire.host h where h.id = ${hostId}`.execute(tx)
  if (!rows[0]) throw new Error(`There is no host ${hostId}`)
  return rows[0]
}
