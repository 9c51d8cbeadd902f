import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '../../http/fault.ts'
import { type Around, membersBody, type NetworkSource, networkBodyFor, type PortSource, portBody } from './compile.ts'
import { cannotCarry, documentsFor } from './documents.ts'

const network: NetworkSource = {
  id: 'n',
  network_type: 'vxlan',
  physical_network: null,
  segmentation_id: 7,
  mtu: 1450,
  admin_state_up: true,
  subnets: [],
  dhcp: { port_id: 'd', mac: 'fa:16:3e:00:00:01', ips: [] },
  tunnels: ['192.0.2.3', '192.0.2.1', '192.0.2.3', '192.0.2.2'],
  untunneled: [],
}
const port: PortSource = {
  id: 'p',
  generation: 2,
  project_id: 'x',
  network_id: 'n',
  device_id: 's',
  device_owner: 'compute:nova',
  device_tag: null,
  mac_address: 'fa:16:3e:00:00:02',
  mtu: 1450,
  admin_state_up: true,
  port_security_enabled: true,
  allowed_address_pairs: [
    { ip_address: '10.0.0.9', mac_address: null },
    { ip_address: '10.1.0.0/16', mac_address: 'fa:16:3e:00:00:03' },
  ],
  extra_dhcp_opts: [{ opt_name: 'mtu', opt_value: '1400' }],
  dns_name: '',
  host: 'h',
  ips: [{ ip: '10.0.0.5', subnet_id: 'u' }],
  security_groups: ['b', 'a'],
}
const around: Around = {
  tunnel: '192.0.2.2',
  physical_networks: [],
  held: [],
  elsewhere: false,
  networks: [network],
  groups: [],
  members: [],
}

test('a host is told of the other tunnel ends only, each once and in order', () => {
  assert.deepEqual(networkBodyFor(network, '192.0.2.2').peers, ['192.0.2.1', '192.0.2.3'])
  assert.deepEqual(networkBodyFor({ ...network, network_type: 'local' }, null).peers, [])
})

test('a network that is down answers no DHCP', () => {
  assert.equal(networkBodyFor({ ...network, admin_state_up: false }, null).dhcp, null)
})

test('a port document says what the host must let through', () => {
  assert.deepEqual(portBody(port), {
    v: 1,
    id: 'p',
    network_id: 'n',
    server_id: 's',
    mac: 'fa:16:3e:00:00:02',
    ips: [{ ip: '10.0.0.5', subnet_id: 'u' }],
    mtu: 1450,
    admin_state_up: true,
    port_security_enabled: true,
    security_groups: ['a', 'b'],
    allowed_address_pairs: [
      { ip_address: '10.0.0.9', mac_address: 'fa:16:3e:00:00:02' },
      { ip_address: '10.1.0.0/16', mac_address: 'fa:16:3e:00:00:03' },
    ],
    hostname: 'host-10-0-0-5',
    extra_dhcp_opts: [{ opt_name: 'mtu', opt_value: '1400', ip_version: 4 }],
  })
  assert.deepEqual(portBody({ ...port, port_security_enabled: false }).security_groups, [])
  assert.equal(portBody({ ...port, device_owner: 'network:x' }).server_id, null)
  assert.equal(portBody({ ...port, dns_name: 'web' }).hostname, 'web')
})

test('members are listed once and in order, so that equal sets are equal documents', () => {
  assert.deepEqual(membersBody({ id: 'g', ips: ['b', 'a', 'b'] }).ips, ['a', 'b'])
})

test('documents come in the order in which a host makes them true, newer than what it holds', () => {
  const held = [
    { kind: 'network' as const, id: 'n', generation: 4, wanted: false },
    { kind: 'port' as const, id: 'p', generation: 9, wanted: true },
  ]
  const intents = documentsFor(
    [port],
    { ...around, held, groups: [{ id: 'a', stateful: true, rules: [] }], members: [{ id: 'a', ips: [] }] },
    'h',
  )
  assert.deepEqual(
    intents.map(({ kind, generation }) => [kind, generation]),
    [
      ['network', 5],
      ['security-group', 1],
      ['group-members', 1],
      ['port', 10],
    ],
  )
})

test('a host that cannot carry a network is told why', () => {
  assert.equal(cannotCarry(network, around, 'h'), null)
  assert.match(cannotCarry(network, { ...around, tunnel: null }, 'h')!, /no tunnel address/)
  assert.equal(
    cannotCarry({ ...network, tunnels: [], untunneled: ['h'] }, { ...around, tunnel: null }, 'h'),
    null,
    'alone it needs no tunnel',
  )
  assert.match(cannotCarry({ ...network, untunneled: ['other'] }, around, 'h')!, /host other carries it already/)
  const flat = { network_type: 'flat' as const, physical_network: 'physnet1', tunnels: [], untunneled: [] }
  assert.match(cannotCarry(flat, around, 'h')!, /physical network 'physnet1'/)
  assert.equal(cannotCarry(flat, { ...around, physical_networks: ['physnet1'] }, 'h'), null)
  assert.throws(
    () => documentsFor([port], { ...around, tunnel: null }, 'h'),
    (error) => error instanceof Fault && error.status === 409 && error.message.startsWith('Host h cannot carry'),
  )
})
