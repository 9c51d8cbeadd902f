// What a guest may learn about itself, in OpenStack's format and in EC2's: the same for the metadata service and for the config drive.
import ipaddr from 'ipaddr.js'
import type { NetworkDocument, PortDocument, ServerDocument } from '../../wire/documents.ts'

const domain = 'novalocal'

/** meta_data.json. */
export function metaData(server: ServerDocument): Record<string, unknown> {
  const { metadata } = server
  return {
    uuid: server.id,
    name: server.name,
    hostname: `${server.hostname}.${domain}`,
    launch_index: metadata.launch_index,
    availability_zone: metadata.availability_zone,
    project_id: metadata.project_id,
    devices: [],
    meta: metadata.meta,
    ...(metadata.keys.length > 0 && {
      keys: metadata.keys,
      public_keys: Object.fromEntries(metadata.keys.map((key) => [key.name, key.data])),
    }),
  }
}

export interface Wiring {
  ports: Map<string, PortDocument>
  networks: Map<string, NetworkDocument>
}

/** A prefix in the words of network_data.json. */
function network(cidr: string): { network: string; netmask: string } {
  const [address, length = address?.includes(':') ? '128' : '32'] = cidr.split('/')
  const kind = address!.includes(':') ? ipaddr.IPv6 : ipaddr.IPv4
  return { network: address!, netmask: kind.subnetMaskFromPrefixLength(Number(length)).toString() }
}

/** network_data.json: links, networks and DNS as cloud-init reads them. */
export function networkData(server: ServerDocument, { ports, networks }: Wiring): Record<string, unknown> {
  const links = server.nics.map((nic) => ({
    id: `tap${nic.port_id.slice(0, 11)}`,
    vif_id: nic.port_id,
    type: 'bridge',
    mtu: nic.mtu,
    ethernet_mac_address: nic.mac,
  }))
  const described = server.nics.flatMap((nic, index) => {
    const subnets = networks.get(nic.network_id)?.subnets ?? []
    return (ports.get(nic.port_id)?.ips ?? []).map((address) => {
      const subnet = subnets.find((one) => one.id === address.subnet_id)
      const version = address.ip.includes(':') ? 6 : 4
      return {
        id: `network${index}`,
        link: links[index]!.id,
        type: subnet?.enable_dhcp === false ? `ipv${version}` : `ipv${version}_dhcp`,
        network_id: nic.network_id,
        ...(subnet?.enable_dhcp === false && {
          ip_address: address.ip,
          netmask: network(subnet.cidr).netmask,
          routes: [
            ...(subnet.gateway_ip ? [{ ...network(version === 4 ? '0.0.0.0/0' : '::/0'), gateway: subnet.gateway_ip }] : []),
            ...subnet.host_routes.map((route) => ({ ...network(route.destination), gateway: route.nexthop })),
          ],
        }),
      }
    })
  })
  const dns = new Set(server.nics.flatMap((nic) => networks.get(nic.network_id)?.subnets.flatMap((subnet) => subnet.dns_nameservers) ?? []))
  return { links, networks: described, services: [...dns].map((address) => ({ type: 'dns', address })) }
}

export const userData = (server: ServerDocument): Buffer | null =>
  server.metadata.user_data === null ? null : Buffer.from(server.metadata.user_data, 'base64')

/** The files of a config drive. */
export function configDriveFiles(server: ServerDocument, wiring?: Wiring): Record<string, string | Buffer> {
  const data = userData(server)
  return {
    'openstack/latest/meta_data.json': JSON.stringify(metaData(server)),
    ...(wiring && { 'openstack/latest/network_data.json': JSON.stringify(networkData(server, wiring)) }),
    'openstack/latest/vendor_data.json': '{}',
    ...(data && { 'openstack/latest/user_data': data }),
    'ec2/latest/meta-data.json': JSON.stringify(
      Object.fromEntries(Object.entries(ec2(server, null)).filter(([, value]) => typeof value === 'string')),
    ),
  }
}

/** EC2's tree: a text is a leaf, an object a folder. */
type Tree = { [name: string]: string | Tree }

export function ec2(server: ServerDocument, ip: string | null): Tree {
  const { metadata } = server
  return {
    'ami-id': `ami-${server.image.id.slice(0, 8)}`,
    'ami-launch-index': String(metadata.launch_index),
    hostname: `${server.hostname}.${domain}`,
    'instance-action': 'none',
    'instance-id': `i-${server.id.slice(0, 8)}`,
    'instance-type': metadata.flavor,
    'local-hostname': `${server.hostname}.${domain}`,
    'local-ipv4': ip ?? '',
    placement: { 'availability-zone': metadata.availability_zone },
    'public-hostname': `${server.hostname}.${domain}`,
    'public-ipv4': '',
    ...(metadata.keys.length > 0 && {
      'public-keys': Object.fromEntries(metadata.keys.map((key, index) => [`${index}`, { 'openssh-key': key.data }])),
    }),
    'reservation-id': metadata.reservation_id,
    'security-groups': metadata.security_groups.join('\n'),
  }
}

/** The answer to a path of the metadata service; null = there is nothing there. */
export function answerPath(url: string, server: ServerDocument, ip: string, wiring: Wiring): string | Buffer | null {
  const parts = url
    .split('?')[0]!
    .split('/')
    .filter((part) => part !== '')
  if (parts.length === 0) return '1.0\n2009-04-04\nlatest\nopenstack'
  if (parts[0] === 'openstack') {
    if (parts.length === 1) return '2012-08-10\n2013-04-04\n2015-10-15\n2018-08-27\nlatest'
    if (parts.length === 2)
      return ['meta_data.json', 'network_data.json', 'vendor_data.json', ...(userData(server) ? ['user_data'] : [])].join('\n')
    if (parts[2] === 'meta_data.json') return JSON.stringify(metaData(server))
    if (parts[2] === 'network_data.json') return JSON.stringify(networkData(server, wiring))
    if (parts[2] === 'vendor_data.json' || parts[2] === 'vendor_data2.json') return '{}'
    if (parts[2] === 'user_data') return userData(server)
    return null
  }
  if (!/^(latest|1\.0|\d{4}-\d{2}-\d{2})$/.test(parts[0]!)) return null
  if (parts.length === 1) return ['meta-data/', ...(userData(server) ? ['user-data'] : [])].join('\n')
  if (parts[1] === 'user-data') return userData(server)
  if (parts[1] !== 'meta-data') return null
  // EC2 lists a key as 0=name.
  if (parts[2] === 'public-keys' && parts.length === 3)
    return server.metadata.keys.length > 0 ? server.metadata.keys.map((key, index) => `${index}=${key.name}`).join('\n') : null
  let node: string | Tree | undefined = ec2(server, ip)
  for (const part of parts.slice(2)) node = typeof node === 'object' && Object.hasOwn(node, part) ? node[part] : undefined
  if (node === undefined) return null
  return typeof node === 'string'
    ? node
    : Object.entries(node)
        .map(([name, value]) => (typeof value === 'string' ? name : `${name}/`))
        .join('\n')
}
