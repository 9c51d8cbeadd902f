// Subnets as rows, and the port from which a network's DHCP answers. Whatever changes the subnets of a network locks the network's row
// first, so that the DHCP port always fits them; that two subnets of a network never overlap is the exclusion constraint's work.
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import { poke, pokeAll } from '../../work/engine.ts'
import { hintChanged } from '../../work/hint.ts'
import {
  contains,
  defaultGateway,
  defaultPools,
  dhcpProblem,
  formatCidr,
  normalIp,
  type Pool,
  parseCidr,
  poolProblem,
  type Range,
} from './address.ts'
import { addAddresses, blankPort, insertPorts } from './allocate.ts'
import { isAutomatic, readNetworkFacts } from './facts.ts'
import {
  badResource,
  gatewayInPool,
  gatewayInUse,
  invalidField,
  invalidInput,
  networkNotFound,
  poolInvalid,
  poolOutOfBounds,
  poolsOverlap,
  subnetInUse,
  subnetNotFound,
  subnetOverlaps,
} from './faults.ts'
import { membersChanged } from './ports.ts'
import { mustHaveRoom } from './quota.ts'
import { changedRevision, matchRevision } from './revision.ts'

export interface HostRoute {
  destination: string
  nexthop: string
}

export interface SubnetInput {
  name: string
  description: string
  enable_dhcp: boolean
  /** Undefined = the first address; null = none. */
  gateway_ip: string | null
  allocation_pools: Pool[]
  dns_nameservers: string[]
  host_routes: HostRoute[]
  service_types: string[]
}

export interface NewSubnet extends Partial<SubnetInput> {
  network_id: string
  cidr: string
  ip_version: 4 | 6
  ipv6_ra_mode?: string | null
  ipv6_address_mode?: string | null
}

const maxNameservers = 5
const maxRoutes = 20

/** The range of a new subnet. Pure. @throws Fault 400 */
export function rangeOf({
  cidr,
  ip_version,
  ...modes
}: Pick<NewSubnet, 'cidr' | 'ip_version' | 'ipv6_ra_mode' | 'ipv6_address_mode' | 'enable_dhcp'>): Range {
  const range = parseCidr(cidr)
  if (!range) throw invalidInput(`'${cidr}' isn't a recognized IP subnet cidr, '10.0.0.0/24' is recommended`)
  if (range.version !== ip_version) throw invalidInput(`cidr '${cidr}' does not match the ip_version '${ip_version}'`)
  if (range.prefix === 0) throw invalidInput('0 is not allowed as CIDR prefix length')
  if (modes.enable_dhcp !== false) mustServe(range)
  const { ipv6_ra_mode: ra, ipv6_address_mode: address } = modes
  if (ip_version === 4) {
    if (ra) throw invalidInput('ipv6_ra_mode is not valid when ip_version is 4')
    if (address) throw invalidInput('ipv6_address_mode is not valid when ip_version is 4')
    return range
  }
  if (modes.enable_dhcp === false && (ra || address)) {
    throw invalidInput('ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False')
  }
  if (ra && address && ra !== address)
    throw invalidInput(
      `ipv6_ra_mode set to '${ra}' with ipv6_address_mode set to '${address}' is not valid. If both attributes are set, they must be the same value`,
    )
  const mode = address ?? ra
  if ((mode === 'slaac' || mode === 'dhcpv6-stateless') && range.prefix !== 64)
    throw invalidInput(
      `Invalid CIDR ${cidr} for IPv6 address mode. OpenStack uses the EUI-64 address format, which requires the prefix to be /64`,
    )
  return range
}

/** @throws Fault 400 if DHCP cannot serve the range */
function mustServe(range: Range): void {
  const problem = dhcpProblem(range)
  if (problem !== undefined) throw invalidInput(problem)
}

/** @throws Fault 400, 409 for what does not fit the range or each other. Pure. */
export function checkSubnet(
  range: Range,
  { gateway_ip, allocation_pools, dns_nameservers = [], host_routes = [] }: Partial<SubnetInput>,
): void {
  if (gateway_ip && normalIp(gateway_ip) === undefined) throw invalidField('gateway_ip', `'${gateway_ip}' is not a valid IP address`)
  if (gateway_ip && contains(range, gateway_ip) && range.version === 4 && range.prefix < 31) {
    const inside = { ...range, first: range.first + 1n, last: range.last - 1n }
    if (!contains(inside, gateway_ip)) throw invalidInput('Gateway is not valid on subnet')
  }
  if (gateway_ip && gateway_ip.includes(':') !== (range.version === 6))
    throw invalidInput('gateway_ip does not match the ip_version of the subnet')
  if (dns_nameservers.length > maxNameservers) throw badResource('subnet', `too many DNS nameservers, at most ${maxNameservers}`)
  const twice = dns_nameservers.find((server, i) => dns_nameservers.indexOf(server) !== i)
  if (twice !== undefined) throw invalidField('dns_nameservers', `Duplicate nameserver '${twice}'`)
  for (const server of dns_nameservers)
    if (normalIp(server) === undefined)
      throw invalidField('dns_nameservers', `'${server}' is not a valid nameserver. '${server}' is not a valid IP address`)
  if (host_routes.length > maxRoutes) throw badResource('subnet', `too many host routes, at most ${maxRoutes}`)
  for (const { destination, nexthop } of host_routes) {
    const to = parseCidr(destination)
    if (!to) throw invalidField('host_routes', `'${destination}' is not a valid CIDR`)
    if (normalIp(nexthop) === undefined) throw invalidField('host_routes', `'${nexthop}' is not a valid IP address`)
    if (to.version !== range.version || nexthop.includes(':') !== (range.version === 6))
      throw invalidField('host_routes', 'a route does not match the ip_version of the subnet')
  }
  if (!allocation_pools) return
  const problem = poolProblem(range, allocation_pools, gateway_ip ?? null)
  switch (problem?.what) {
    case 'invalid':
      throw poolInvalid(problem.pool)
    case 'out of bounds':
      throw poolOutOfBounds(problem.pool, formatCidr(range))
    case 'overlap':
      throw poolsOverlap(problem.pool, problem.other, formatCidr(range))
    case 'gateway':
      throw gatewayInPool(gateway_ip!, problem.pool)
  }
}

/** @returns its id. @throws Fault 400, 404, 409 */
export async function createSubnet(tx: Tx, project: string, input: NewSubnet): Promise<string> {
  const range = rangeOf(input)
  const cidr = formatCidr(range)
  const gateway = input.gateway_ip === undefined ? defaultGateway(range) : input.gateway_ip
  checkSubnet(range, { ...input, gateway_ip: gateway })
  const pools = input.allocation_pools ?? defaultPools(range, gateway)
  await lockNetwork(tx, input.network_id)
  const overlapping = await tx
    .selectFrom('network.subnet')
    .select('id')
    .where('network_id', '=', input.network_id)
    .where(sql<boolean>`cidr && ${cidr}::cidr`)
    .executeTakeFirst()
  if (overlapping) throw subnetOverlaps(cidr, input.network_id)
  const id = randomUUID()
  await tx
    .insertInto('network.subnet')
    .values({
      id,
      project_id: project,
      network_id: input.network_id,
      ip_version: input.ip_version,
      cidr,
      gateway_ip: gateway,
      enable_dhcp: input.enable_dhcp ?? true,
      ipv6_ra_mode: input.ipv6_ra_mode ?? null,
      ipv6_address_mode: input.ipv6_address_mode ?? null,
      name: input.name ?? '',
      description: input.description ?? '',
      dns_nameservers: input.dns_nameservers ?? [],
      host_routes: json((input.host_routes ?? []) as never),
      service_types: input.service_types ?? [],
    })
    .execute()
  await mustHaveRoom(tx, project, 'subnet')
  await insertPools(tx, id, pools)
  await fitDhcpPort(tx, input.network_id)
  await changed(tx, id, input.network_id, project)
  return id
}

const insertPools = (tx: Tx, subnetId: string, pools: Pool[]) =>
  pools.length === 0
    ? undefined
    : tx
        .insertInto('network.allocation_pool')
        .values(pools.map(({ start, end }) => ({ subnet_id: subnetId, first_ip: start, last_ip: end })))
        .execute()

export async function updateSubnet(
  tx: Tx,
  id: string,
  { allocation_pools, host_routes, ...change }: Partial<SubnetInput>,
  revision?: number,
): Promise<void> {
  const subnet = await lockSubnet(tx, id, revision)
  const range = parseCidr(subnet.cidr)!
  if (change.enable_dhcp) mustServe(range)
  const known = await tx
    .selectFrom('network.allocation_pool')
    .select([sql<string>`host(first_ip)`.as('start'), sql<string>`host(last_ip)`.as('end')])
    .where('subnet_id', '=', id)
    .execute()
  const gateway = change.gateway_ip === undefined ? subnet.gateway_ip : change.gateway_ip
  checkSubnet(range, { ...change, host_routes, gateway_ip: gateway, allocation_pools: allocation_pools ?? known })
  if (change.gateway_ip !== undefined && subnet.gateway_ip !== null && change.gateway_ip !== subnet.gateway_ip) {
    const router = await tx
      .selectFrom('network.fixed_ip as f')
      .innerJoin('network.port as p', 'p.id', 'f.port_id')
      .select('p.id')
      .where('f.subnet_id', '=', id)
      .where('f.ip', '=', subnet.gateway_ip)
      .where('p.device_owner', 'like', 'network:router%')
      .executeTakeFirst()
    if (router) throw gatewayInUse(subnet.gateway_ip, router.id)
  }
  await tx
    .updateTable('network.subnet')
    .set({ ...change, ...(host_routes && { host_routes: json(host_routes as never) }), ...changedRevision })
    .where('id', '=', id)
    .execute()
  if (allocation_pools) {
    await tx.deleteFrom('network.allocation_pool').where('subnet_id', '=', id).execute()
    await insertPools(tx, id, allocation_pools)
  }
  if (change.enable_dhcp !== undefined) await fitDhcpPort(tx, subnet.network_id)
  await changed(tx, id, subnet.network_id, subnet.project_id)
}

/**
 * Addresses that ports got by themselves go with their subnet, as DHCP's own do.
 * @throws Fault 409 SubnetInUse if a port was given an address of it
 */
export async function deleteSubnet(tx: Tx, id: string, revision?: number): Promise<void> {
  const subnet = await lockSubnet(tx, id, revision)
  // With the row locked, nobody gets an address of it any more: the foreign key of an address needs the row.
  await tx.selectFrom('network.subnet').select('id').where('id', '=', id).forUpdate().execute()
  const used = await tx
    .selectFrom('network.fixed_ip as f')
    .innerJoin('network.port as p', 'p.id', 'f.port_id')
    .select('p.id')
    .where('f.subnet_id', '=', id)
    .where('p.device_owner', '<>', 'network:dhcp')
    .limit(1)
    .executeTakeFirst()
  if (used && !isAutomatic(subnet)) throw subnetInUse(id)
  if (used) await withdrawAddresses(tx, id)
  await tx.deleteFrom('network.fixed_ip').where('subnet_id', '=', id).execute()
  await tx.deleteFrom('network.subnet').where('id', '=', id).execute()
  await fitDhcpPort(tx, subnet.network_id)
  await changed(tx, id, subnet.network_id, subnet.project_id)
}

/** Tells everybody whom it concerns that ports lose their addresses of a subnet. */
async function withdrawAddresses(tx: Tx, subnetId: string): Promise<void> {
  const { rows: ports } = await sql<{ id: string; host: string; project_id: string; groups: string[] }>`
    update network.port p set generation = generation + 1, revision = revision + 1, updated_at = now()
    where id in (select port_id from network.fixed_ip where subnet_id = ${subnetId})
    returning id, host, project_id, array(select security_group_id from network.port_security_group where port_id = p.id) as groups`.execute(
    tx,
  )
  await membersChanged(
    tx,
    ports.flatMap(({ groups }) => groups),
  )
  await pokeAll(
    tx,
    'port',
    ports.filter(({ host }) => host !== '').map(({ id }) => id),
  )
  for (const { id, project_id } of ports) hintChanged(tx, 'port', id, project_id)
}

async function lockNetwork(tx: Tx, id: string): Promise<void> {
  const network = await tx.selectFrom('network.network').select('id').where('id', '=', id).forNoKeyUpdate().executeTakeFirst()
  if (!network) throw networkNotFound(id)
}

/** Locks the subnet's network, then reads the subnet. */
async function lockSubnet(tx: Tx, id: string, revision: number | undefined) {
  const subnet = await tx
    .selectFrom('network.subnet as s')
    .innerJoin('network.network as n', 'n.id', 's.network_id')
    .select([
      's.network_id',
      's.project_id',
      's.cidr',
      's.revision',
      's.ip_version',
      's.ipv6_address_mode',
      sql<string | null>`host(s.gateway_ip)`.as('gateway_ip'),
    ])
    .where('s.id', '=', id)
    .forNoKeyUpdate()
    .executeTakeFirst()
  if (!subnet) throw subnetNotFound(id)
  matchRevision(subnet.revision, revision)
  return subnet
}

async function changed(tx: Tx, id: string, networkId: string, project: string): Promise<void> {
  await poke(tx, 'network', networkId)
  hintChanged(tx, 'subnet', id, project)
  hintChanged(tx, 'network', networkId, project)
}

/**
 * Makes the network's DHCP port such that it has one address in each IPv4 subnet with DHCP: makes it, changes its addresses, or
 * removes it. The caller holds the network's row.
 */
export async function fitDhcpPort(tx: Tx, networkId: string): Promise<void> {
  const network = await readNetworkFacts(tx, networkId)
  if (!network) return
  const wanted = network.subnets.filter(({ ip_version, enable_dhcp }) => ip_version === 4 && enable_dhcp)
  const device = `dhcp-${networkId}`
  const port = await tx
    .selectFrom('network.port as p')
    .select(['p.id', sql<string[]>`array(select subnet_id from network.fixed_ip where port_id = p.id)`.as('subnets')])
    .where('p.network_id', '=', networkId)
    .where('p.device_owner', '=', 'network:dhcp')
    .where('p.device_id', '=', device)
    .executeTakeFirst()
  if (!port) {
    const port = {
      ...blankPort(network, network.project_id),
      device_id: device,
      device_owner: 'network:dhcp',
      port_security_enabled: false,
    }
    const fixed_ips = wanted.map(({ id }) => ({ subnet_id: id }))
    if (wanted.length > 0) await insertPorts(tx, [{ ...port, status: 'ACTIVE', fixed_ips }], 'leave out')
    return
  }
  if (wanted.length === 0) {
    await tx.deleteFrom('network.port').where('id', '=', port.id).execute()
    return
  }
  const superfluous = port.subnets.filter((id) => !wanted.some((subnet) => subnet.id === id))
  if (superfluous.length > 0)
    await tx.deleteFrom('network.fixed_ip').where('port_id', '=', port.id).where('subnet_id', 'in', superfluous).execute()
  const missing = wanted.filter(({ id }) => !port.subnets.includes(id))
  await addAddresses(
    tx,
    { id: port.id, network },
    missing.map((subnet) => ({ any: [subnet] })),
    port.subnets.length,
  )
}
