// What this API is: its versions, its resources, and the extensions that are truly there. Clients and tempest look here to know what to try.
import { notFound } from '../../http/fault.ts'
import { row } from '../../http/table.ts'

const aliases: Record<string, string> = {
  agent: 'agent',
  'allowed-address-pairs': 'Allowed Address Pairs',
  availability_zone: 'Availability Zone',
  binding: 'Port Binding',
  'external-net': 'Neutron external network',
  extra_dhcp_opt: 'Neutron Extra DHCP options',
  'filter-validation': 'Filter parameters validation',
  'ip-substring-filtering': 'IP address substring filtering',
  'net-mtu': 'Network MTU',
  'net-mtu-writable': 'Network MTU (writable)',
  'network-ip-availability': 'Network IP Availability',
  network_availability_zone: 'Network Availability Zone',
  pagination: 'Pagination support',
  'port-security': 'Port Security',
  'port-security-groups-filtering': 'Port filtering on security groups',
  'project-id': 'project_id field enabled',
  provider: 'Provider Network',
  'quota-check-limit': 'Quota engine limit check',
  'quota-check-limit-default': 'Quota engine limit check by default',
  quota_details: 'Quota details management support',
  quotas: 'Quota management support',
  'revision-if-match': 'If-Match constraints based on revision_number',
  'security-group': 'security-group',
  'security-groups-normalized-cidr': 'Normalized CIDR field for security group rules',
  'service-type': 'Neutron Service Type Management',
  'sort-key-validation': 'Sort keys validation',
  sorting: 'Sorting support',
  'standard-attr-description': 'standard-attr-description',
  'standard-attr-revisions': 'Resource revision numbers',
  'standard-attr-tag': 'Tag support for resources with standard attribute: network, subnet, port, security_group',
  'standard-attr-timestamp': 'Resource timestamps',
  'stateful-security-group': 'Stateful security group',
  'subnet-service-types': 'Subnet service types',
  'tag-creation': 'Tag creation extension',
  'tag-ports-during-bulk-creation': 'Tag Ports During Bulk Creation',
}

const view = (alias: string) => ({
  alias,
  name: aliases[alias]!,
  description: aliases[alias]!,
  updated: '2026-01-01T00:00:00-00:00',
  links: [],
})

const resources = [
  'network',
  'subnet',
  'port',
  'security_group',
  'security_group_rule',
  'quota',
  'agent',
  'extension',
  'availability_zone',
  'network_ip_availability',
]
const collectionOf = (name: string) => (name === 'network_ip_availability' ? 'network_ip_availabilities' : `${name}s`)
const pathOf = (name: string) => (name === 'availability_zone' ? 'availability_zones' : collectionOf(name).replaceAll('_', '-'))

export const extensions = [
  row({
    route: 'GET /',
    policy: null,
    reply: 200,
    summary: 'List the versions of this API',
    run: ({ url }) => ({ versions: [{ id: 'v2.0', status: 'CURRENT', links: [{ rel: 'self', href: `${url.origin}/network/v2.0/` }] }] }),
  }),
  row({
    route: 'GET /v2.0',
    policy: null,
    reply: 200,
    summary: 'List the resources of this API',
    run: ({ url }) => ({
      resources: resources.map((name) => ({
        name,
        collection: collectionOf(name),
        links: [{ rel: 'self', href: `${url.origin}/network/v2.0/${pathOf(name)}` }],
      })),
    }),
  }),
  row({
    route: 'GET /v2.0/extensions',
    policy: null,
    reply: 200,
    summary: 'List extensions',
    run: () => ({ extensions: Object.keys(aliases).map(view) }),
  }),
  row({
    route: 'GET /v2.0/extensions/:alias',
    policy: null,
    reply: 200,
    summary: 'Show an extension',
    run: ({ params: { alias } }) => {
      if (!Object.hasOwn(aliases, alias)) throw notFound(`Extension with alias ${alias} does not exist`, { type: 'HTTPNotFound' })
      return { extension: view(alias) }
    },
  }),
  row({
    route: 'GET /v2.0/service-providers',
    policy: 'get_service_provider',
    reply: 200,
    summary: 'List service providers: there are none',
    run: () => ({ service_providers: [] }),
  }),
]
