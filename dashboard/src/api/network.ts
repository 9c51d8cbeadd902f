// Networking v2.0: networks, subnets, ports, security groups and the project's quota of them.
import { command, request } from './http.ts'

export type Network = {
  id: string
  name: string
  status: string
  admin_state_up: boolean
  shared: boolean
  'router:external'?: boolean
  mtu?: number
  subnets: string[]
  project_id: string
  port_security_enabled?: boolean
  description?: string
  created_at?: string
  'provider:network_type'?: string
  'provider:segmentation_id'?: number | null
}

export type Subnet = {
  id: string
  name: string
  network_id: string
  cidr: string
  ip_version: 4 | 6
  gateway_ip: string | null
  enable_dhcp: boolean
  dns_nameservers: string[]
  allocation_pools: { start: string; end: string }[]
}

export type Port = {
  id: string
  name: string
  network_id: string
  status: string
  mac_address: string
  device_id: string
  device_owner: string
  fixed_ips: { subnet_id: string; ip_address: string }[]
  security_groups: string[]
  admin_state_up: boolean
}

export type SecurityGroupRule = {
  id: string
  direction: 'ingress' | 'egress'
  ethertype: 'IPv4' | 'IPv6'
  protocol: string | null
  port_range_min: number | null
  port_range_max: number | null
  remote_ip_prefix: string | null
  remote_group_id: string | null
  security_group_id: string
  description?: string
}

export type SecurityGroup = { id: string; name: string; description: string; project_id: string; security_group_rules: SecurityGroupRule[] }

export async function listNetworks(signal?: AbortSignal): Promise<Network[]> {
  return (await request<{ networks: Network[] }>('network', '/networks', { signal })).networks
}

export async function getNetwork(id: string, signal?: AbortSignal): Promise<Network> {
  return (await request<{ network: Network }>('network', `/networks/${encodeURIComponent(id)}`, { signal })).network
}

export async function listSubnets(signal?: AbortSignal): Promise<Subnet[]> {
  return (await request<{ subnets: Subnet[] }>('network', '/subnets', { signal })).subnets
}

export async function listPorts(of: { network_id?: string; device_id?: string }, signal?: AbortSignal): Promise<Port[]> {
  return (await request<{ ports: Port[] }>('network', '/ports', { signal, query: of })).ports
}

export async function createNetwork(name: string): Promise<Network> {
  return (await request<{ network: Network }>('network', '/networks', { method: 'POST', body: { network: { name } } })).network
}

export type SubnetCreate = {
  network_id: string
  name: string
  cidr: string
  ip_version: 4 | 6
  enable_dhcp: boolean
  gateway_ip?: null
  dns_nameservers?: string[]
}

export async function createSubnet(subnet: SubnetCreate): Promise<Subnet> {
  return (await request<{ subnet: Subnet }>('network', '/subnets', { method: 'POST', body: { subnet } })).subnet
}

export async function deleteNetwork(id: string): Promise<void> {
  await command('network', `/networks/${id}`, { method: 'DELETE' })
}

export async function deleteSubnet(id: string): Promise<void> {
  await command('network', `/subnets/${id}`, { method: 'DELETE' })
}

/** The project's own security groups; `projectId` keeps those of other projects out of an administrator's list. */
export async function listSecurityGroups(projectId: string, signal?: AbortSignal): Promise<SecurityGroup[]> {
  const query = { project_id: projectId }
  return (await request<{ security_groups: SecurityGroup[] }>('network', '/security-groups', { signal, query })).security_groups
}

export async function getSecurityGroup(id: string, signal?: AbortSignal): Promise<SecurityGroup> {
  return (await request<{ security_group: SecurityGroup }>('network', `/security-groups/${encodeURIComponent(id)}`, { signal }))
    .security_group
}

export async function createSecurityGroup(name: string, description: string): Promise<SecurityGroup> {
  const body = { security_group: { name, description } }
  return (await request<{ security_group: SecurityGroup }>('network', '/security-groups', { method: 'POST', body })).security_group
}

export async function deleteSecurityGroup(id: string): Promise<void> {
  await command('network', `/security-groups/${id}`, { method: 'DELETE' })
}

export type SecurityGroupRuleCreate = Pick<SecurityGroupRule, 'security_group_id' | 'direction' | 'ethertype'> &
  Partial<
    Pick<SecurityGroupRule, 'protocol' | 'port_range_min' | 'port_range_max' | 'remote_ip_prefix' | 'remote_group_id' | 'description'>
  >

export async function createSecurityGroupRule(rule: SecurityGroupRuleCreate): Promise<void> {
  await command('network', '/security-group-rules', { method: 'POST', body: { security_group_rule: rule } })
}

export async function deleteSecurityGroupRule(id: string): Promise<void> {
  await command('network', `/security-group-rules/${id}`, { method: 'DELETE' })
}

export type Quota = { used: number; limit: number; reserved?: number }
export type NetworkQuotas = Record<string, Quota>

export async function getNetworkQuotas(projectId: string, signal?: AbortSignal): Promise<NetworkQuotas> {
  return (await request<{ quota: NetworkQuotas }>('network', `/quotas/${projectId}/details.json`, { signal })).quota
}
