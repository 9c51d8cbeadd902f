// Documents for tests: a small network, a group, a port and a server that belong together. A test says what is different about its own.
import type { NetworkDocument, PortDocument, SecurityGroupDocument, SecurityRule, ServerDocument, SubnetDocument } from './documents.ts'

export const networkId = '11111111-1111-4111-8111-111111111111'
export const groupId = '22222222-2222-4222-8222-222222222222'
export const portId = '44444444-4444-4444-8444-444444444444'
export const serverId = '5e5e5e5e-5555-4555-8555-555555555555'

export const serverDocument = (over: Partial<ServerDocument> = {}): ServerDocument => ({
  v: 1,
  id: serverId,
  name: 'one',
  hostname: 'one',
  project_id: 'p',
  user_id: 'u',
  power: 'active',
  starts: 1,
  reboots: 0,
  reboot_type: 'SOFT',
  vcpus: 1,
  memory_mb: 128,
  root_gb: 1,
  ephemeral_gb: 0,
  swap_mb: 0,
  extra_specs: {},
  image: {
    id: '1a1a1a1a-1111-4111-8111-111111111111',
    name: 'guest',
    disk_format: 'qcow2',
    size: 1,
    hash: 'a'.repeat(128),
    properties: {},
  },
  nics: [{ port_id: portId, network_id: networkId, mac: 'fa:16:3e:00:00:01', mtu: 1450, tag: null }],
  config_drive: false,
  metadata: {
    project_id: 'p',
    availability_zone: 'nova',
    launch_index: 0,
    reservation_id: 'r-1',
    keys: [{ name: 'me', type: 'ssh', data: 'ssh-ed25519 AAAA me' }],
    meta: { role: 'web' },
    user_data: Buffer.from('#!/bin/sh\necho hello\n').toString('base64'),
    security_groups: ['default', 'web'],
    flavor: 'm1.nano',
  },
  ...over,
})

export const portDocument = (over: Partial<PortDocument> = {}): PortDocument => ({
  v: 1,
  id: portId,
  network_id: networkId,
  server_id: serverId,
  mac: 'fa:16:3e:00:00:01',
  ips: [{ ip: '10.9.0.11', subnet_id: 's4' }],
  mtu: 1450,
  admin_state_up: true,
  port_security_enabled: true,
  security_groups: [groupId],
  allowed_address_pairs: [],
  hostname: 'one',
  extra_dhcp_opts: [],
  ...over,
})

export const subnetDocument = (over: Partial<SubnetDocument> = {}): SubnetDocument => ({
  id: 's4',
  ip_version: 4,
  cidr: '10.9.0.0/24',
  gateway_ip: '10.9.0.1',
  enable_dhcp: true,
  dns_nameservers: [],
  host_routes: [],
  ipv6_ra_mode: null,
  ipv6_address_mode: null,
  ...over,
})

/** On this host alone, with DHCP. */
export const networkDocument = (over: Partial<NetworkDocument> = {}): NetworkDocument => ({
  v: 1,
  id: networkId,
  type: 'local',
  physical_network: null,
  segmentation_id: null,
  mtu: 1450,
  subnets: [subnetDocument()],
  dhcp: { port_id: 'd', mac: 'fa:16:3e:00:00:99', ips: [{ ip: '10.9.0.2', subnet_id: 's4' }] },
  peers: [],
  ...over,
})

/** Lets in all of IPv4. */
export const securityRule = (over: Partial<SecurityRule> = {}): SecurityRule => ({
  direction: 'ingress',
  ethertype: 'IPv4',
  protocol: null,
  port_min: null,
  port_max: null,
  remote_ip_prefix: null,
  remote_group_id: null,
  ...over,
})

export const groupDocument = (rules: SecurityRule[], over: Partial<SecurityGroupDocument> = {}): SecurityGroupDocument => ({
  v: 1,
  id: groupId,
  stateful: true,
  rules,
  ...over,
})
