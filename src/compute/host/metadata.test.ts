import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SubnetDocument } from '../../wire/documents.ts'
import { networkDocument, networkId, portDocument, serverDocument, subnetDocument } from '../../wire/testing.ts'
import { answerPath, configDriveFiles, networkData } from './metadata.ts'
import { guestAt } from './metadata-server.ts'

const port = portDocument()
const wiring = (over: Partial<SubnetDocument> = {}) => {
  const routes = [{ destination: '198.51.100.0/24', nexthop: '10.9.0.9' }]
  const subnet = subnetDocument({ dns_nameservers: ['192.0.2.53'], host_routes: routes, ...over })
  return { ports: new Map([[port.id, port]]), networks: new Map([[networkId, networkDocument({ subnets: [subnet] })]]) }
}
const get = (path: string, server = serverDocument()) => answerPath(path, server, '10.9.0.11', wiring())?.toString() ?? null

describe('metadata', () => {
  it('in OpenStack’s format, along the way that cloud-init goes', () => {
    assert.match(get('/openstack')!, /^2012-08-10\n(.*\n)*latest$/)
    assert.deepEqual(get('/openstack/latest/')!.split('\n'), ['meta_data.json', 'network_data.json', 'vendor_data.json', 'user_data'])
    const meta = JSON.parse(get('/openstack/2018-08-27/meta_data.json')!)
    assert.equal(meta.uuid, serverDocument().id)
    assert.equal(meta.hostname, 'one.novalocal')
    assert.deepEqual(meta.public_keys, { me: 'ssh-ed25519 AAAA me' })
    assert.deepEqual(meta.meta, { role: 'web' })
    assert.equal(get('/openstack/latest/user_data'), '#!/bin/sh\necho hello\n')
    assert.equal(get('/openstack/latest/vendor_data2.json'), '{}')
    assert.equal(get('/openstack/latest/password'), null)
  })

  it('in EC2’s format, as a tree', () => {
    assert.match(get('/')!, /(^|\n)latest(\n|$)/)
    assert.equal(get('/latest'), 'meta-data/\nuser-data')
    const names = get('/latest/meta-data/')!.split('\n')
    assert.ok(names.includes('placement/') && names.includes('public-keys/') && names.includes('instance-id'))
    assert.equal(get('/2009-04-04/meta-data/instance-id'), 'i-5e5e5e5e')
    assert.equal(get('/latest/meta-data/local-ipv4'), '10.9.0.11')
    assert.equal(get('/latest/meta-data/placement/availability-zone'), 'nova')
    assert.equal(get('/latest/meta-data/public-keys/'), '0=me')
    assert.equal(get('/latest/meta-data/public-keys/0/'), 'openssh-key')
    assert.equal(get('/latest/meta-data/public-keys/0/openssh-key'), 'ssh-ed25519 AAAA me')
    assert.equal(get('/latest/meta-data/security-groups'), 'default\nweb')
    assert.equal(get('/latest/user-data?x=1'), '#!/bin/sh\necho hello\n')
  })

  it('says no to what is not there', () => {
    for (const path of [
      '/favicon.ico',
      '/latest/meta-data/nothing',
      '/latest/meta-data/__proto__',
      '/latest/meta-data/constructor',
      '/latest/meta-data/hostname/x',
      '/openstack/latest/../..',
    ])
      assert.equal(get(path), null, path)
    const bare = serverDocument()
    bare.metadata = { ...bare.metadata, keys: [], user_data: null }
    for (const path of ['/latest/meta-data/public-keys/', '/latest/user-data', '/openstack/latest/user_data'])
      assert.equal(get(path, bare), null, path)
    assert.equal(JSON.parse(get('/openstack/latest/meta_data.json', bare)!).public_keys, undefined)
  })

  it('describes networks: by DHCP, or by themselves where there is none', () => {
    const byDhcp = networkData(serverDocument(), wiring())
    assert.deepEqual(byDhcp.networks, [{ id: 'network0', link: 'tap44444444-44', type: 'ipv4_dhcp', network_id: networkId }])
    assert.deepEqual(byDhcp.services, [{ type: 'dns', address: '192.0.2.53' }])
    const fixed = networkData(serverDocument(), wiring({ enable_dhcp: false }))
    assert.deepEqual(fixed.networks, [
      {
        id: 'network0',
        link: 'tap44444444-44',
        type: 'ipv4',
        network_id: networkId,
        ip_address: '10.9.0.11',
        netmask: '255.255.255.0',
        routes: [
          { network: '0.0.0.0', netmask: '0.0.0.0', gateway: '10.9.0.1' },
          { network: '198.51.100.0', netmask: '255.255.255.0', gateway: '10.9.0.9' },
        ],
      },
    ])
  })

  it('is on the config drive, too', () => {
    const files = configDriveFiles(serverDocument(), wiring())
    assert.deepEqual(Object.keys(files).sort(), [
      'ec2/latest/meta-data.json',
      'openstack/latest/meta_data.json',
      'openstack/latest/network_data.json',
      'openstack/latest/user_data',
      'openstack/latest/vendor_data.json',
    ])
    assert.equal(files['openstack/latest/user_data']!.toString(), '#!/bin/sh\necho hello\n')
    assert.equal(JSON.parse(files['openstack/latest/meta_data.json']!.toString()).uuid, serverDocument().id)
    assert.equal(JSON.parse(files['ec2/latest/meta-data.json']!.toString())['instance-id'], 'i-5e5e5e5e')
  })

  it('goes to the guest that has the address in that network, and to no other', () => {
    const server = serverDocument()
    const documents = { port: new Map([[port.id, port]]), server: new Map([[server.id, server]]) }
    const machine = { wanted: (kind: string) => (documents as Record<string, Map<string, unknown>>)[kind] ?? new Map() } as Parameters<
      typeof guestAt
    >[0]
    assert.equal(guestAt(machine, networkId, '10.9.0.11')?.id, server.id)
    assert.equal(guestAt(machine, 'other', '10.9.0.11'), null)
    assert.equal(guestAt(machine, networkId, '10.9.0.12'), null)
  })
})
