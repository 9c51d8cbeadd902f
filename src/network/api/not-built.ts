// What Neutron has and Wisp does not have yet: every operation answers 501 with the name of what is missing, to those who would be
// allowed to do it. A row leaves this file when its resource gets a file of its own.
import { notBuilt } from '../../http/fault.ts'
import { type AnyRow, type Method, type Route, row } from '../../http/table.ts'

const verbs: Record<Method, string> = { GET: 'get', HEAD: 'get', POST: 'create', PUT: 'update', PATCH: 'update', DELETE: 'delete' }

const missing = (route: Route, policy: string, what: string): AnyRow =>
  row({
    route,
    policy,
    reply: 200,
    summary: `${what}: not available yet`,
    run: () => {
      throw notBuilt(what)
    },
  })

/** The five operations of a resource. @param rule as in `get_<rule>`; null where the rule is Neutron's `default` */
function resource(what: string, path: string, rule: string | null = null, without: Method[] = []): AnyRow[] {
  const at = `/v2.0/${path}` as const
  const of = (method: Method) => (rule === null ? 'default' : `${verbs[method]}_${rule}`)
  const all: [Method, Route][] = [
    ['GET', `GET ${at}`],
    ['POST', `POST ${at}`],
    ['GET', `GET ${at}/:id`],
    ['PUT', `PUT ${at}/:id`],
    ['DELETE', `DELETE ${at}/:id`],
  ]
  return all.filter(([method]) => !without.includes(method)).map(([method, route]) => missing(route, of(method), what))
}

/** The list of a resource of which there truly is none: clients that clean up, or show everything, ask for it first. */
const none = (path: string, name: string, rule: string): AnyRow =>
  row({ route: `GET /v2.0/${path}`, policy: rule, reply: 200, summary: 'List what there is: none yet', run: () => ({ [name]: [] }) })

const withoutList = (rows: AnyRow[]) => rows.filter(({ route }) => !/^GET \/v2\.0\/[^/]+$/.test(route))

/** Operations that belong to none of the five, by rule. */
const others = (what: string, operations: [Route, string][]): AnyRow[] => operations.map(([route, rule]) => missing(route, rule, what))

/** A resource inside of another: who may see or change the outer one may do so with the inner one. */
function inner(what: string, path: string, rule: string, without: Method[] = []): AnyRow[] {
  const at = `/v2.0/${path}` as const
  const all: [Method, Route, string][] = [
    ['GET', `GET ${at}`, `get_${rule}`],
    ['POST', `POST ${at}`, `update_${rule}`],
    ['GET', `GET ${at}/:inner_id`, `get_${rule}`],
    ['PUT', `PUT ${at}/:inner_id`, `update_${rule}`],
    ['DELETE', `DELETE ${at}/:inner_id`, `update_${rule}`],
  ]
  return all.filter(([method]) => !without.includes(method)).map(([, route, policy]) => missing(route, policy, what))
}

const routers = [
  none('routers', 'routers', 'get_router'),
  ...withoutList(resource('Routers', 'routers', 'router')),
  ...others('Routers', [
    ['PUT /v2.0/routers/:id/add_router_interface', 'add_router_interface'],
    ['PUT /v2.0/routers/:id/remove_router_interface', 'remove_router_interface'],
    ['PUT /v2.0/routers/:id/add_extraroutes', 'add_extraroutes'],
    ['PUT /v2.0/routers/:id/remove_extraroutes', 'remove_extraroutes'],
    ['PUT /v2.0/routers/:id/add_external_gateways', 'add_external_gateways'],
    ['PUT /v2.0/routers/:id/update_external_gateways', 'update_external_gateways'],
    ['PUT /v2.0/routers/:id/remove_external_gateways', 'remove_external_gateways'],
    ['GET /v2.0/routers/:id/l3-agents', 'get_l3-agents'],
    ['GET /v2.0/agents/:id/l3-routers', 'get_l3-routers'],
    ['POST /v2.0/agents/:id/l3-routers', 'create_l3-router'],
    ['DELETE /v2.0/agents/:id/l3-routers/:router_id', 'delete_l3-router'],
  ]),
  ...inner('Conntrack helpers', 'routers/:id/conntrack_helpers', 'router'),
]

const floatingIps = [
  none('floatingips', 'floatingips', 'get_floatingip'),
  ...withoutList(resource('Floating IPs', 'floatingips', 'floatingip')),
  ...inner('Port forwardings', 'floatingips/:id/port_forwardings', 'floatingip'),
  ...others('Floating IPs', [['GET /v2.0/floatingip_pools', 'get_floatingip_pool']]),
]

const addresses = [
  none('subnetpools', 'subnetpools', 'get_subnetpool'),
  ...withoutList(resource('Subnet pools', 'subnetpools', 'subnetpool')),
  ...others('Subnet pools', [
    ['PUT /v2.0/subnetpools/:id/add_prefixes', 'add_prefixes'],
    ['PUT /v2.0/subnetpools/:id/remove_prefixes', 'remove_prefixes'],
    ['PUT /v2.0/subnetpools/:id/onboard_network_subnets', 'onboard_network_subnets'],
  ]),
  ...resource('Address scopes', 'address-scopes', 'address_scope'),
  ...resource('Address groups', 'address-groups', 'address_group'),
  ...others('Address groups', [
    ['PUT /v2.0/address-groups/:id/add_addresses', 'add_addresses'],
    ['PUT /v2.0/address-groups/:id/remove_addresses', 'remove_addresses'],
  ]),
  ...resource('Local IPs', 'local_ips'),
  ...inner('Local IPs', 'local_ips/:id/port_associations', 'network', ['PUT']).filter(
    ({ route }) => !route.startsWith('GET /v2.0/local_ips/:id/port_associations/'),
  ),
  ...resource('NDP proxies', 'ndp_proxies'),
]

const sharing = [
  ...resource('RBAC policies', 'rbac-policies', 'rbac_policy'),
  ...resource('Default security group rules', 'default-security-group-rules', 'default_security_group_rule', ['PUT']),
  ...resource('The default statefulness of security groups', 'security-groups-default-statefulness'),
  ...others('The auto-allocated topology', [
    ['GET /v2.0/auto-allocated-topology/:project_id', 'get_auto_allocated_topology'],
    ['DELETE /v2.0/auto-allocated-topology/:project_id', 'delete_auto_allocated_topology'],
  ]),
]

const segments = [
  ...resource('Segments', 'segments', 'segment'),
  ...resource('Network segment ranges', 'network_segment_ranges', 'network_segment_range'),
  ...resource('Trunks', 'trunks', 'trunk'),
  ...others('Trunks', [
    ['GET /v2.0/trunks/:id/get_subports', 'get_subports'],
    ['PUT /v2.0/trunks/:id/add_subports', 'add_subports'],
    ['PUT /v2.0/trunks/:id/remove_subports', 'remove_subports'],
  ]),
  ...others('Further bindings of a port', [
    ['GET /v2.0/ports/:id/bindings', 'get_port:binding:host_id'],
    ['POST /v2.0/ports/:id/bindings', 'update_port:binding:host_id'],
    ['PUT /v2.0/ports/:id/bindings/:host', 'update_port:binding:host_id'],
    ['PUT /v2.0/ports/:id/bindings/:host/activate', 'update_port:binding:host_id'],
    ['DELETE /v2.0/ports/:id/bindings/:host', 'update_port:binding:host_id'],
  ]),
]

const operators = [
  ...others('Switching agents', [
    ['PUT /v2.0/agents/:id', 'update_agent'],
    ['DELETE /v2.0/agents/:id', 'delete_agent'],
  ]),
  ...others('Scheduling networks to DHCP agents', [
    ['GET /v2.0/agents/:id/dhcp-networks', 'get_dhcp-networks'],
    ['POST /v2.0/agents/:id/dhcp-networks', 'create_dhcp-network'],
    ['DELETE /v2.0/agents/:id/dhcp-networks/:network_id', 'delete_dhcp-network'],
  ]),
  ...resource('Network flavors', 'flavors', 'flavor'),
  ...others('Network flavors', [
    ['POST /v2.0/flavors/:id/service_profiles', 'create_flavor_service_profile'],
    ['DELETE /v2.0/flavors/:id/service_profiles/:profile_id', 'delete_flavor_service_profile'],
  ]),
  ...resource('Service profiles', 'service_profiles', 'service_profile'),
  ...resource('Metering labels', 'metering/metering-labels', 'metering_label', ['PUT']),
  ...resource('Metering label rules', 'metering/metering-label-rules', 'metering_label_rule', ['PUT']),
  ...resource('Packet logs', 'log/logs'),
  ...others('Packet logs', [['GET /v2.0/log/loggable-resources', 'default']]),
]

const quality = [
  ...resource('QoS policies', 'qos/policies', 'policy'),
  ...[
    'bandwidth_limit_rules',
    'dscp_marking_rules',
    'minimum_bandwidth_rules',
    'minimum_packet_rate_rules',
    'packet_rate_limit_rules',
  ].flatMap((rules) => inner('QoS rules', `qos/policies/:id/${rules}`, 'policy')),
  ...['bandwidth_limit', 'dscp_marking', 'minimum_bandwidth', 'minimum_packet_rate'].flatMap((kind) =>
    resource('QoS rules', `qos/alias_${kind}_rules`, 'policy').filter(({ route }) => route.endsWith('/:id')),
  ),
  ...others('QoS policies', [
    ['GET /v2.0/qos/rule-types', 'get_rule_type'],
    ['GET /v2.0/qos/rule-types/:rule_type', 'get_rule_type'],
  ]),
]

// Services that run beside Neutron's core, with policies of their own there.
const beside = [
  ...['endpoint-groups', 'ikepolicies', 'ipsec-site-connections', 'ipsecpolicies', 'vpnservices'].flatMap((kind) =>
    resource('VPNs', `vpn/${kind}`),
  ),
  ...['firewall_groups', 'firewall_policies', 'firewall_rules'].flatMap((kind) => resource('Firewalls', `fwaas/${kind}`)),
  ...others('Firewalls', [
    ['PUT /v2.0/fwaas/firewall_policies/:id/insert_rule', 'default'],
    ['PUT /v2.0/fwaas/firewall_policies/:id/remove_rule', 'default'],
  ]),
  ...resource('BGP peers', 'bgp-peers'),
  ...resource('BGP speakers', 'bgp-speakers'),
  ...others('BGP speakers', [
    ['PUT /v2.0/bgp-speakers/:id/add_bgp_peer', 'default'],
    ['PUT /v2.0/bgp-speakers/:id/remove_bgp_peer', 'default'],
    ['PUT /v2.0/bgp-speakers/:id/add_gateway_network', 'default'],
    ['PUT /v2.0/bgp-speakers/:id/remove_gateway_network', 'default'],
    ['GET /v2.0/bgp-speakers/:id/bgp-dragents', 'default'],
    ['GET /v2.0/bgp-speakers/:id/get_advertised_routes', 'default'],
    ['GET /v2.0/agents/:id/bgp-drinstances', 'default'],
    ['POST /v2.0/agents/:id/bgp-drinstances', 'default'],
    ['DELETE /v2.0/agents/:id/bgp-drinstances/:speaker_id', 'default'],
  ]),
  ...resource('BGP VPNs', 'bgpvpn/bgpvpns'),
  ...['network', 'port', 'router'].flatMap((kind) => inner('BGP VPNs', `bgpvpn/bgpvpns/:id/${kind}_associations`, 'network')),
  ...['tap_flows', 'tap_services', 'tap_mirrors'].flatMap((kind) => resource('Taps', `taas/${kind}`)),
  ...['flow_classifiers', 'port_chains', 'port_pair_groups', 'port_pairs', 'service_graphs'].flatMap((kind) =>
    resource('Service function chains', `sfc/${kind}`),
  ),
]

export const notBuiltYet: AnyRow[] = [
  ...routers,
  ...floatingIps,
  ...addresses,
  ...sharing,
  ...segments,
  ...operators,
  ...quality,
  ...beside,
]
