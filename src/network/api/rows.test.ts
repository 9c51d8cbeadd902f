import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { checkRows } from '../../http/coverage.ts'
import { network } from '../service.ts'
import { addHost, type TestApi, testApi } from '../testing.ts'

/** What JSON brings, for tests that look into it. */
interface Json {
  [key: string]: Json
}
type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

let api: TestApi
let count = 0
const fresh = () => `p${++count}`
before(async () => {
  api = await testApi()
})
after(() => api.end())

const send = async (project: string, method: Method, path: string, body?: object, headers?: Record<string, string>) => {
  const { status, body: answer } = await api.send(project, method, path, body, headers)
  return { status, body: answer as unknown as Json, error: answer.NeutronError }
}
const items = (json: Json | undefined) => json as unknown as Json[]
async function must(project: string, method: Method, path: string, body?: object): Promise<Json> {
  const { status, body: answer, error } = await send(project, method, path, body)
  assert.ok(status < 300, `${method} ${path}: ${status} ${error?.message}`)
  return Object.values(answer)[0] as Json
}
const id = (json: Json) => json.id as unknown as string
async function fails(project: string, method: Method, path: string, body: object | undefined, status: number, type: string, message = /./) {
  const answer = await send(project, method, path, body)
  assert.deepEqual(
    [answer.status, answer.error?.type],
    [status, type],
    `${method} ${path} ${JSON.stringify(body)}: ${answer.error?.message}`,
  )
  assert.match(answer.error!.message, message)
}
const network4 = async (project: string, cidr = '10.0.0.0/24', more: object = {}) => {
  const made = id(await must(project, 'POST', '/networks', { network: { name: 'net' } }))
  const subnet = await must(project, 'POST', '/subnets', { subnet: { network_id: made, cidr, ip_version: 4, ...more } })
  return { network: made, subnet: id(subnet) }
}

test('every row has a rule that is known, or is open on purpose', () => {
  const { rows } = network()
  const open = rows.filter(({ policy }) => policy === null).map(({ route }) => route)
  assert.deepEqual(open, ['GET /', 'GET /v2.0', 'GET /v2.0/extensions', 'GET /v2.0/extensions/:alias'])
  assert.deepEqual(checkRows([network()]), [])
})

test('what is not built says so', async () => {
  for (const path of ['/routers/x', '/floatingips/x', '/subnetpools/x', '/trunks', '/qos/policies', '/rbac-policies', '/local_ips']) {
    const { status, error } = await send('p', 'GET', path)
    assert.equal(status, 501, path)
    assert.match(error!.message, /not available in this version of Wisp/)
  }
  // Clients look through these lists before they delete a network or a project; they are truly empty.
  for (const name of ['routers', 'floatingips', 'subnetpools']) assert.equal((await send('p', 'GET', `/${name}`)).status, 200, name)
  assert.equal((await send('p', 'GET', '/segments')).status, 403)
})

test('a network: its defaults, what only administrators say and see, its end', async () => {
  const p = fresh()
  const made = await must(p, 'POST', '/networks', { network: { name: 'a', admin_state_up: 'true', tags: ['x'] } })
  assert.deepEqual(
    [made.mtu, made.status, made.shared, made['provider:network_type'], made.tags],
    [1450, 'ACTIVE', false, undefined, ['x']],
  )
  const seen = await must('admin', 'GET', `/networks/${id(made)}`)
  assert.equal(seen['provider:network_type'], 'vxlan')
  await fails(p, 'POST', '/networks', { network: { shared: true } }, 403, 'PolicyNotAuthorized', /create_network:shared/)
  await fails(p, 'POST', '/networks', { network: { 'provider:network_type': 'flat' } }, 403, 'PolicyNotAuthorized')
  await fails(p, 'POST', '/networks', { network: { project_id: 'other' } }, 403, 'PolicyNotAuthorized')
  await fails('reader-x', 'POST', '/networks', { network: {} }, 403, 'PolicyNotAuthorized')
  await fails(p, 'POST', '/networks', { network: { mtu: 1500 } }, 400, 'InvalidInput', /maximum is 1450/)
  const hinted = await send(p, 'POST', '/networks', { network: { availability_zone_hints: ['nova'] } })
  assert.deepEqual([hinted.status, /Availability zone hints/.test(`${hinted.error!.message}`)], [501, true])
  await must(p, 'POST', '/networks', { network: { availability_zone_hints: [] } })
  await fails(p, 'POST', '/networks', { network: { nonsense: 1 } }, 400, 'HTTPBadRequest', /nonsense/)
  await fails(p, 'POST', '/networks', { network: { name: 'a'.repeat(256) } }, 400, 'InvalidInput', /name/)
  await fails(p, 'POST', '/networks', {}, 400, 'HTTPBadRequest', /network/)
  await fails('other', 'GET', `/networks/${id(made)}`, undefined, 404, 'NetworkNotFound')
  await fails('other', 'DELETE', `/networks/${id(made)}`, undefined, 404, 'NetworkNotFound')
  const changed = await must(p, 'PUT', `/networks/${id(made)}`, { network: { name: 'b', mtu: 1400 } })
  assert.deepEqual([changed.name, changed.mtu, changed.revision_number], ['b', 1400, 2])
  assert.equal((await send(p, 'PUT', `/networks/${id(made)}`, { network: { name: 'c' } }, { 'if-match': 'revision_number=1' })).status, 412)
  assert.equal((await send(p, 'DELETE', `/networks/${id(made)}`)).status, 204)
  await fails(p, 'GET', `/networks/${id(made)}`, undefined, 404, 'NetworkNotFound')
})

test('segments are unique', async () => {
  const flat = { network: { 'provider:network_type': 'flat', 'provider:physical_network': `phys-${fresh()}` } }
  await must('admin', 'POST', '/networks', flat)
  await fails('admin', 'POST', '/networks', flat, 409, 'FlatNetworkInUse')
  const tunnel = { network: { 'provider:network_type': 'vxlan', 'provider:segmentation_id': 4242 } }
  await must('admin', 'POST', '/networks', tunnel)
  await fails('admin', 'POST', '/networks', tunnel, 409, 'TunnelIdInUse', /4242/)
  await fails('admin', 'POST', '/networks', { network: { 'provider:network_type': 'gre' } }, 400, 'InvalidInput')
  assert.equal((await send('admin', 'POST', '/networks', { network: { 'provider:network_type': 'vlan' } })).status, 501)
})

test('a shared network is seen and used by all, and changed by its owner only', async () => {
  const p = fresh()
  const shared = id(await must('admin', 'POST', '/networks', { network: { name: 'shared', shared: true } }))
  await must('admin', 'POST', '/subnets', { subnet: { network_id: shared, cidr: '10.0.0.0/24', ip_version: 4 } })
  assert.ok(items((await send(p, 'GET', '/networks')).body.networks).some((one) => id(one) === shared))
  const port = await must(p, 'POST', '/ports', { port: { network_id: shared } })
  await fails(p, 'PUT', `/networks/${shared}`, { network: { name: 'mine' } }, 403, 'PolicyNotAuthorized')
  await fails(p, 'POST', '/ports', { port: { network_id: shared, mac_address: 'fa:16:3e:00:00:01' } }, 403, 'PolicyNotAuthorized')
  await fails('admin', 'PUT', `/networks/${shared}`, { network: { shared: false } }, 409, 'InvalidSharedSetting')
  await fails('other', 'GET', `/ports/${id(port)}`, undefined, 404, 'PortNotFound')
})

test('subnets: defaults, and what does not fit', async () => {
  const p = fresh()
  const { network: net, subnet } = await network4(p)
  const seen = await must(p, 'GET', `/subnets/${subnet}`)
  assert.deepEqual([seen.gateway_ip, seen.enable_dhcp, seen.cidr], ['10.0.0.1', true, '10.0.0.0/24'])
  assert.deepEqual(seen.allocation_pools, [{ start: '10.0.0.2', end: '10.0.0.254' }])
  const bad = (more: object, status: number, type: string, message?: RegExp) =>
    fails(p, 'POST', '/subnets', { subnet: { network_id: net, ip_version: 4, cidr: '10.1.0.0/24', ...more } }, status, type, message)
  await bad({ cidr: '10.0.0.128/25' }, 400, 'InvalidInput', /overlaps with another subnet/)
  await bad({ cidr: 'x' }, 400, 'InvalidInput')
  await bad({ ip_version: 6 }, 400, 'InvalidInput', /does not match the ip_version/)
  await bad({ allocation_pools: [{ start: '10.1.0.9', end: '10.1.0.2' }] }, 400, 'InvalidAllocationPool')
  await bad({ allocation_pools: [{ start: '10.1.0.9', end: '10.2.0.2' }] }, 400, 'OutOfBoundsAllocationPool')
  await bad({ allocation_pools: [{ start: '10.1.0.1', end: '10.1.0.2' }] }, 409, 'GatewayConflictWithAllocationPools')
  const overlapping = [
    { start: '10.1.0.9', end: '10.1.0.20' },
    { start: '10.1.0.20', end: '10.1.0.30' },
  ]
  await bad({ allocation_pools: overlapping }, 409, 'OverlappingAllocationPools')
  await bad({ ipv6_ra_mode: 'slaac' }, 400, 'InvalidInput', /ip_version is 4/)
  await bad({ dns_nameservers: ['x'] }, 400, 'HTTPBadRequest', /Invalid input for dns_nameservers/)
  await bad({ dns_nameservers: ['9.9.9.9', '9.9.9.9'] }, 400, 'HTTPBadRequest', /Invalid input for dns_nameservers/)
  await bad({ host_routes: [{ destination: '10.0.0.0/40', nexthop: '10.1.0.1' }] }, 400, 'HTTPBadRequest', /Invalid input for host_routes/)
  await bad({ host_routes: [{ destination: '10.0.0.0/8', nexthop: 'xy' }] }, 400, 'HTTPBadRequest', /Invalid input for host_routes/)
  await bad({ gateway_ip: 'xy' }, 400, 'HTTPBadRequest', /Invalid input for gateway_ip/)
  await bad({ network_id: 'nowhere' }, 404, 'NetworkNotFound')
  await bad({ ip_version: 5 }, 400, 'InvalidInput', /ip_version/)
  const six = { network_id: net, ip_version: 6, cidr: '2001:db8::/64', ipv6_ra_mode: 'slaac', ipv6_address_mode: 'slaac' }
  const auto = id(await must(p, 'POST', '/subnets', { subnet: six }))
  const port = await must(p, 'POST', '/ports', { port: { network_id: net } })
  assert.equal((port.fixed_ips as unknown as unknown[]).length, 2)
  assert.equal((await send(p, 'DELETE', `/subnets/${auto}`)).status, 204)
  assert.equal(((await must(p, 'GET', `/ports/${id(port)}`)).fixed_ips as unknown as unknown[]).length, 1)
  const changed = await must(p, 'PUT', `/subnets/${subnet}`, {
    subnet: { name: 'n', gateway_ip: null, host_routes: [{ destination: '10.9.0.0/16', nexthop: '10.0.0.9' }] },
  })
  assert.deepEqual([changed.gateway_ip, changed.host_routes], [null, [{ destination: '10.9.0.0/16', nexthop: '10.0.0.9' }]])
})

test('ranges that DHCP cannot serve are refused while it is on', async () => {
  const p = fresh()
  const { network: net } = await network4(p)
  const subnet = (cidr: string, more: object = {}) => ({
    subnet: { network_id: net, cidr, ip_version: cidr.includes(':') ? 6 : 4, ...more },
  })
  for (const [cidr, why] of [
    ['10.1.0.0/31', /prefix length that is incompatible with DHCP/],
    ['10.1.0.0/32', /prefix length that is incompatible with DHCP/],
    ['224.0.1.0/24', /Multicast/],
    ['127.0.1.0/24', /Loopback/],
    ['0.0.0.0/8', /First IP '0.0.0.0'/],
    ['ff05::/64', /Multicast/],
    ['2001:db8::/127', /prefix length that is incompatible with DHCP/],
  ] as const) {
    await fails(p, 'POST', '/subnets', subnet(cidr), 400, 'InvalidInput', why)
  }
  const made = id(await must(p, 'POST', '/subnets', subnet('10.1.0.0/31', { enable_dhcp: false })))
  await fails(p, 'PUT', `/subnets/${made}`, { subnet: { enable_dhcp: true } }, 400, 'InvalidInput', /prefix length/)
  await must(p, 'POST', '/subnets', subnet('10.1.1.0/30'))
})

test('the DHCP port comes and goes with DHCP, and keeps nothing from being deleted', async () => {
  const p = fresh()
  const { network: net, subnet } = await network4(p)
  const dhcp = async () => items((await send(p, 'GET', `/ports?network_id=${net}&device_owner=network:dhcp`)).body.ports)
  assert.equal((await dhcp()).length, 1)
  await must(p, 'PUT', `/subnets/${subnet}`, { subnet: { enable_dhcp: false } })
  assert.equal((await dhcp()).length, 0)
  await must(p, 'PUT', `/subnets/${subnet}`, { subnet: { enable_dhcp: true } })
  const second = id(await must(p, 'POST', '/subnets', { subnet: { network_id: net, cidr: '10.0.1.0/24', ip_version: 4 } }))
  assert.equal(items((await dhcp())[0]!.fixed_ips).length, 2)
  assert.equal((await send(p, 'DELETE', `/subnets/${second}`)).status, 204)
  assert.equal(items((await dhcp())[0]!.fixed_ips).length, 1)
  const port = await must(p, 'POST', '/ports', { port: { network_id: net } })
  await fails(p, 'DELETE', `/subnets/${subnet}`, undefined, 409, 'SubnetInUse')
  await fails(p, 'DELETE', `/networks/${net}`, undefined, 409, 'NetworkInUse')
  await send(p, 'DELETE', `/ports/${id(port)}`)
  assert.equal((await send(p, 'DELETE', `/networks/${net}`)).status, 204)
  await fails(p, 'GET', `/subnets/${subnet}`, undefined, 404, 'SubnetNotFound')
})

test('ports: addresses, MACs, pairs, security, many at once', async () => {
  const p = fresh()
  const { network: net, subnet } = await network4(p)
  const port = await must(p, 'POST', '/ports', { port: { network_id: net, fixed_ips: [{ subnet_id: subnet, ip_address: '10.0.0.9' }] } })
  assert.deepEqual(port.fixed_ips, [{ subnet_id: subnet, ip_address: '10.0.0.9' }])
  assert.match(port.mac_address as unknown as string, /^fa:16:3e:/)
  assert.equal(items(port.security_groups).length, 1)
  assert.equal(port['binding:host_id'], undefined)
  const bad = (more: object, status: number, type: string, message?: RegExp) =>
    fails(p, 'POST', '/ports', { port: { network_id: net, ...more } }, status, type, message)
  await bad({ fixed_ips: [{ ip_address: '10.0.0.9' }] }, 409, 'IpAddressAlreadyAllocated')
  await bad({ fixed_ips: [{ ip_address: '192.168.0.9' }] }, 400, 'InvalidIpForNetwork')
  await bad({ mac_address: port.mac_address }, 409, 'MacAddressInUse')
  await bad({ mac_address: 'x' }, 400, 'HTTPBadRequest', /mac_address/)
  await bad({ security_groups: ['nowhere'] }, 404, 'SecurityGroupNotFound')
  await bad({ port_security_enabled: false, security_groups: ['x'] }, 404, 'SecurityGroupNotFound')
  await bad(
    { port_security_enabled: false, allowed_address_pairs: [{ ip_address: '10.0.0.1' }] },
    409,
    'AddressPairAndPortSecurityRequired',
  )
  await bad({ allowed_address_pairs: [{ ip_address: 'x' }] }, 400, 'HTTPBadRequest', /Invalid input for allowed_address_pairs/)
  await bad({ fixed_ips: [{ ip_address: 'foo' }] }, 400, 'HTTPBadRequest', /Invalid input for fixed_ips/)
  await bad({ fixed_ips: [{ ip_address: '10.0.0.7' }, { ip_address: '10.0.0.7' }] }, 400, 'HTTPBadRequest', /fixed_ips.*Duplicate/)
  const [group] = items(port.security_groups)
  await bad({ port_security_enabled: false, security_groups: [group] }, 400, 'PortSecurityAndIPRequiredForSecurityGroups')
  await bad({ 'binding:host_id': 'h' }, 403, 'PolicyNotAuthorized')
  await bad({ network_id: 'nowhere' }, 404, 'NetworkNotFound')
  await bad({ extra_dhcp_opts: [{ opt_name: '' }] }, 400, 'InvalidInput', /opt_name/)
  const pairs = {
    allowed_address_pairs: [{ ip_address: '10.0.0.50' }],
    name: 'n',
    extra_dhcp_opts: [{ opt_name: 'mtu', opt_value: '1400' }],
  }
  const changed = await must(p, 'PUT', `/ports/${id(port)}`, {
    port: { ...pairs, fixed_ips: [{ subnet_id: subnet, ip_address: '10.0.0.9' }, { subnet_id: subnet }] },
  })
  assert.deepEqual(changed.allowed_address_pairs, [{ ip_address: '10.0.0.50', mac_address: port.mac_address }])
  assert.equal(items(changed.fixed_ips).length, 2)
  assert.deepEqual(items(changed.fixed_ips)[0], { subnet_id: subnet, ip_address: '10.0.0.9' })
  await fails(p, 'PUT', `/ports/${id(port)}`, { port: { port_security_enabled: false } }, 409, 'PortSecurityPortHasSecurityGroup')
  await must(p, 'PUT', `/ports/${id(port)}`, { port: { port_security_enabled: false, security_groups: [], allowed_address_pairs: [] } })
  const many = await send(p, 'POST', '/ports', { ports: Array.from({ length: 20 }, (_, i) => ({ network_id: net, name: `n${i}` })) })
  assert.deepEqual(
    items(many.body.ports).map(({ name }) => name),
    Array.from({ length: 20 }, (_, i) => `n${i}`),
  )
  assert.equal(items((await send(p, 'GET', '/ports?fixed_ips=ip_address=10.0.0.9')).body.ports).length, 1)
  assert.equal(items((await send(p, 'GET', '/ports?name=n1&name=n2')).body.ports).length, 2)
})

test('an address is free again as soon as its port is gone', async () => {
  const p = fresh()
  const { network: net } = await network4(p, '10.0.0.0/29')
  const ports: string[] = []
  for (let i = 0; i < 4; i++) ports.push(id(await must(p, 'POST', '/ports', { port: { network_id: net } })))
  await fails(p, 'POST', '/ports', { port: { network_id: net } }, 409, 'IpAddressGenerationFailure')
  await send(p, 'DELETE', `/ports/${ports[0]}`)
  await must(p, 'POST', '/ports', { port: { network_id: net } })
})

test('security groups: the default one, rules, what is in use, what is double', async () => {
  const p = fresh()
  const groups = items((await send(p, 'GET', '/security-groups')).body.security_groups)
  assert.deepEqual(
    groups.map(({ name }) => name),
    ['default'],
  )
  const standing = groups[0]!
  assert.equal(items(standing.security_group_rules).length, 4)
  assert.equal(items(standing.security_group_rules).filter(({ remote_group_id }) => remote_group_id === standing.id).length, 2)
  await fails(p, 'DELETE', `/security-groups/${id(standing)}`, undefined, 409, 'SecurityGroupCannotRemoveDefault')
  await fails(p, 'POST', '/security-groups', { security_group: { name: 'default' } }, 409, 'SecurityGroupDefaultAlreadyExists')
  await fails(p, 'PUT', `/security-groups/${id(standing)}`, { security_group: { name: 'x' } }, 409, 'SecurityGroupCannotUpdateDefault')
  const web = await must(p, 'POST', '/security-groups', { security_group: { name: 'web', description: 'd' } })
  assert.equal(items(web.security_group_rules).length, 2)
  const rule = {
    security_group_id: web.id,
    direction: 'ingress',
    protocol: 'tcp',
    port_range_min: 80,
    port_range_max: 80,
    remote_ip_prefix: '0.0.0.0/0',
  }
  const made = await must(p, 'POST', '/security-group-rules', { security_group_rule: rule })
  assert.deepEqual([made.ethertype, made.normalized_cidr, made.project_id], ['IPv4', '0.0.0.0/0', p])
  await fails(
    p,
    'POST',
    '/security-group-rules',
    { security_group_rule: { ...rule, protocol: '6' } },
    409,
    'SecurityGroupRuleExists',
    new RegExp(id(made)),
  )
  await fails(
    p,
    'POST',
    '/security-group-rules',
    {
      security_group_rules: [
        { ...rule, port_range_max: 81 },
        { ...rule, port_range_max: 81 },
      ],
    },
    409,
    'DuplicateSecurityGroupRuleInPost',
  )
  await fails(
    p,
    'POST',
    '/security-group-rules',
    { security_group_rule: { ...rule, remote_ip_prefix: null, remote_group_id: 'nowhere' } },
    404,
    'SecurityGroupNotFound',
  )
  await fails(p, 'POST', '/security-group-rules', { security_group_rule: { ...rule, direction: 'up' } }, 400, 'InvalidInput', /direction/)
  const ping = { security_group_id: web.id, direction: 'ingress', ethertype: 'IPv6' }
  await must(p, 'POST', '/security-group-rules', { security_group_rule: { ...ping, protocol: 'icmpv6' } })
  for (const protocol of ['icmp', 'ipv6-icmp', '1', '58'])
    await fails(p, 'POST', '/security-group-rules', { security_group_rule: { ...ping, protocol } }, 409, 'SecurityGroupRuleExists')
  await fails('other', 'POST', '/security-group-rules', { security_group_rule: rule }, 404, 'SecurityGroupNotFound')
  await fails('other', 'GET', `/security-group-rules/${id(made)}`, undefined, 404, 'SecurityGroupRuleNotFound')
  const { network: net } = await network4(p)
  const port = id(await must(p, 'POST', '/ports', { port: { network_id: net, security_groups: [web.id] } }))
  await fails(p, 'DELETE', `/security-groups/${id(web)}`, undefined, 409, 'SecurityGroupInUse')
  await send(p, 'DELETE', `/ports/${port}`)
  assert.equal((await send(p, 'DELETE', `/security-group-rules/${id(made)}`)).status, 204)
  assert.equal((await send(p, 'DELETE', `/security-groups/${id(web)}`)).status, 204)
})

test('quotas hold, show what is used, and are set by administrators', async () => {
  const p = fresh()
  assert.equal((await must(p, 'GET', `/quotas/${p}`)).port, 500)
  await fails(p, 'PUT', `/quotas/${p}`, { quota: { network: 1 } }, 403, 'PolicyNotAuthorized')
  await fails(p, 'GET', '/quotas/other', undefined, 403, 'PolicyNotAuthorized')
  await must('admin', 'PUT', `/quotas/${p}`, { quota: { network: 1, security_group_rule: '5' } })
  const made = await must(p, 'POST', '/networks', { network: {} })
  await fails(p, 'POST', '/networks', { network: {} }, 409, 'OverQuota', /Quota exceeded for resources: \['network'\]/)
  for (const details of ['details.json', 'details'])
    assert.deepEqual((await must(p, 'GET', `/quotas/${p}/${details}`)).network, { limit: 1, used: 1, reserved: 0 })
  await fails('admin', 'PUT', `/quotas/${p}`, { quota: { network: 0 } }, 400, 'HTTPBadRequest', /already used 1/)
  await fails('admin', 'PUT', `/quotas/${p}`, { quota: { network: -2 } }, 400, 'HTTPBadRequest', /network/)
  await fails('admin', 'PUT', `/quotas/${p}`, { quota: { nonsense: 1 } }, 400, 'HTTPBadRequest', /nonsense/)
  const unbuilt = await send('admin', 'PUT', `/quotas/${p}`, { quota: { network: 7, router: 1 } })
  assert.deepEqual([unbuilt.status, unbuilt.error!.message], [501, "A quota of 'router': not available in this version of Wisp."])
  assert.equal((await must(p, 'GET', `/quotas/${p}`)).network, 1)
  assert.equal((await send('admin', 'DELETE', `/quotas/${p}`)).status, 204)
  assert.equal((await must(p, 'GET', `/quotas/${p}`)).network, 100)
  // A limit that is registered in Keystone holds for every project that has no quota of its own.
  const { read } = api.db
  await read.insertInto('identity.service').values({ id: 'neutron', type: 'network' }).execute()
  const limit = { id: 'networks', service_id: 'neutron', resource_name: 'network', default_limit: 2 }
  await read.insertInto('identity.registered_limit').values(limit).execute()
  assert.equal((await must(p, 'GET', `/quotas/${p}/default`)).network, 2)
  await must(p, 'POST', '/networks', { network: {} })
  await fails(p, 'POST', '/networks', { network: {} }, 409, 'OverQuota', /Quota exceeded for resources: \['network'\]/)
  await read.deleteFrom('identity.registered_limit').execute()
  await send(p, 'DELETE', `/networks/${id(made)}`)
})

test('lists: pages in order, filters, fields, tags', async () => {
  const p = fresh()
  for (const name of ['c', 'a', 'b']) await must(p, 'POST', '/networks', { network: { name, tags: name === 'a' ? ['x', 'y'] : ['y'] } })
  const names = async (query: string) =>
    items((await send(p, 'GET', `/networks?project_id=${p}&${query}`)).body.networks).map(({ name }) => name)
  assert.deepEqual(await names('sort_key=name&sort_dir=desc'), ['c', 'b', 'a'])
  const first = await send(p, 'GET', `/networks?project_id=${p}&sort_key=name&sort_dir=asc&limit=2`)
  assert.deepEqual(
    items(first.body.networks).map(({ name }) => name),
    ['a', 'b'],
  )
  const next = items(first.body.networks_links)[0]!
  assert.equal(next.rel, 'next')
  assert.deepEqual(await names(`sort_key=name&sort_dir=asc&limit=2&marker=${id(items(first.body.networks)[1]!)}`), ['c'])
  assert.deepEqual(await names('tags=x,y'), ['a'])
  assert.deepEqual((await names('tags-any=x,z')).length, 1)
  assert.deepEqual((await names('not-tags=x')).length, 2)
  assert.deepEqual((await names('admin_state_up=True')).length, 3)
  assert.deepEqual((await names('status=DOWN')).length, 0)
  assert.deepEqual(Object.keys(items((await send(p, 'GET', '/networks?fields=name&fields=id')).body.networks)[0]!).sort(), ['id', 'name'])
  await fails(p, 'GET', '/networks?nonsense=1', undefined, 400, 'HTTPBadRequest', /nonsense/)
  assert.equal((await send(p, 'GET', '/networks?sort_key=nonsense&sort_dir=asc')).status, 400)
})

test('tags are put, asked for and removed', async () => {
  const p = fresh()
  const { network: net, subnet } = await network4(p)
  const group = id(items((await send(p, 'GET', '/security-groups')).body.security_groups)[0]!)
  const port = id(items((await send(p, 'GET', '/ports')).body.ports)[0]!)
  for (const path of [`/networks/${net}`, `/subnets/${subnet}`, `/ports/${port}`, `/security-groups/${group}`]) {
    assert.deepEqual((await send(p, 'PUT', `${path}/tags`, { tags: ['a', 'b'] })).body, { tags: ['a', 'b'] })
    assert.equal((await send(p, 'PUT', `${path}/tags/c`)).status, 201)
    assert.equal((await send(p, 'GET', `${path}/tags/c`)).status, 204)
    assert.equal((await send(p, 'DELETE', `${path}/tags/a`)).status, 204)
    assert.deepEqual((await send(p, 'GET', `${path}/tags`)).body, { tags: ['b', 'c'] })
    assert.equal((await send(p, 'GET', `${path}/tags/a`)).error?.type, 'TagNotFound')
    assert.equal((await send('other', 'GET', `${path}/tags`)).error?.type, 'TagResourceNotFound')
    assert.equal((await send(p, 'DELETE', `${path}/tags`)).status, 204)
    assert.equal((await send(p, 'PUT', `${path}/tags`, { tags: ['a', 'a'] })).status, 400)
  }
})

test('agents follow from hosts', async () => {
  const host = await addHost(api.db.read, 'agents-1', '192.0.2.9')
  const agents = items((await send('admin', 'GET', `/agents?host=${host.name}`)).body.agents)
  assert.deepEqual(agents.map(({ agent_type }) => agent_type).sort(), ['DHCP agent', 'Linux bridge agent', 'Metadata agent'])
  assert.equal((await must('admin', 'GET', `/agents/${id(agents[0]!)}`)).host, host.name)
  assert.equal(agents[0]!.alive, false)
  await api.db.read.updateTable('wire.host').set({ seen_at: new Date() }).where('id', '=', host.id).execute()
  assert.equal(items((await send('admin', 'GET', `/agents?host=${host.name}&alive=true`)).body.agents).length, 3)
  assert.deepEqual((await send('p', 'GET', '/agents')).body, { agents: [] })
  await fails('p', 'GET', `/agents/${id(agents[0]!)}`, undefined, 403, 'PolicyNotAuthorized')
  await fails('admin', 'GET', '/agents/nowhere', undefined, 404, 'AgentNotFound')
})

test('versions, extensions, zones and how full networks are', async () => {
  const versions = await api.app.inject({ url: '/network/' })
  assert.equal(versions.json().versions[0].id, 'v2.0')
  assert.equal((await api.app.inject({ url: '/network' })).statusCode, 200)
  const aliases = items((await send('p', 'GET', '/extensions')).body.extensions).map(({ alias }) => alias as unknown as string)
  assert.ok(aliases.includes('security-group') && !aliases.includes('router'))
  assert.equal((await send('p', 'GET', '/extensions/router')).status, 404)
  assert.deepEqual((await send('p', 'GET', '/service-providers')).body, { service_providers: [] })
  const p = fresh()
  const { network: net } = await network4(p)
  assert.deepEqual((await send(p, 'GET', '/network-ip-availabilities')).body, { network_ip_availabilities: [] })
  const full = await must('admin', 'GET', `/network-ip-availabilities/${net}`)
  assert.deepEqual([full.total_ips, full.used_ips], [253, 1])
  await fails('admin', 'GET', '/network-ip-availabilities/nowhere', undefined, 404, 'NetworkNotFound')
})
