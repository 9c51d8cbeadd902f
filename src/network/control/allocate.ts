// How ports get their addresses: right behind the statement that makes the port, by the primary key of network.fixed_ip. A random address of
// the pools is taken; where it is taken already and others were taken too, a gap is looked for in SQL. So no lock is held on a subnet,
// two ports never have one address, and a pool is full only when its last address is given out. A port is counted for its project before
// it has an address: so nobody waits to be counted who has an address that somebody else, counted already, could wait for.
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import { contains, eui64, normalIp, parseCidr, randomAddresses, randomMac } from './address.ts'
import { isAutomatic, type NetworkFacts, type SubnetFacts } from './facts.ts'
import {
  addressAllocated,
  addressIsAutomatic,
  addressNotOnNetwork,
  addressNotOnSubnet,
  badResource,
  invalidField,
  invalidInput,
  macInUse,
  noAddressLeft,
} from './faults.ts'

export interface FixedIpInput {
  subnet_id?: string
  ip_address?: string
}

/** An address that a port shall have: this one, or any one of the pools of these subnets, the first one first. */
export type Wish = { ip: string; subnet: SubnetFacts } | { any: SubnetFacts[] }

export interface NewPort {
  id: string
  project_id: string
  network: NetworkFacts
  name: string
  description: string
  /** Undefined = a random one. */
  mac_address: string | undefined
  admin_state_up: boolean
  status: 'DOWN' | 'ACTIVE'
  device_id: string
  device_owner: string
  device_index: number
  device_tag: string | null
  with_server: boolean
  host: string
  vnic_type: string
  binding_profile: unknown
  port_security_enabled: boolean
  allowed_address_pairs: unknown[]
  extra_dhcp_opts: unknown[]
  dns_name: string
  tags: string[]
  security_groups: string[]
  /** Undefined = one of each IP version that the network has. */
  fixed_ips: FixedIpInput[] | undefined
}

/** A port of which nothing was said. */
export const blankPort = (network: NetworkFacts, project: string): NewPort => ({
  id: randomUUID(),
  project_id: project,
  network,
  name: '',
  description: '',
  mac_address: undefined,
  admin_state_up: true,
  status: 'DOWN',
  device_id: '',
  device_owner: '',
  device_index: 0,
  device_tag: null,
  with_server: false,
  host: '',
  vnic_type: 'normal',
  binding_profile: {},
  port_security_enabled: network.port_security_enabled,
  allowed_address_pairs: [],
  extra_dhcp_opts: [],
  dns_name: '',
  tags: [],
  security_groups: [],
  fixed_ips: undefined,
})

/**
 * Which addresses a port shall have. Pure. @param asked undefined = as the network offers; an empty list = none
 * @throws Fault 400, 404 for what fits no subnet
 */
export function wishes(network: NetworkFacts, asked: FixedIpInput[] | undefined, deviceOwner: string, mac: string): Wish[] {
  const serves = ({ service_types }: SubnetFacts) => service_types.length === 0 || service_types.includes(deviceOwner)
  const subnets = network.subnets.filter(serves)
  const automatic = (subnet: SubnetFacts): Wish => ({ ip: eui64(parseCidr(subnet.cidr)!, mac), subnet })
  const everywhere = subnets.filter(isAutomatic)
  if (asked === undefined) {
    const offered = subnets.filter((subnet) => !isAutomatic(subnet))
    const byVersion = ([4, 6] as const).map((version) => offered.filter(({ ip_version }) => ip_version === version))
    return [...byVersion.filter((group) => group.length > 0).map((any): Wish => ({ any })), ...everywhere.map(automatic)]
  }
  const list = asked.map((fixed): Wish => {
    const ip = fixed.ip_address === undefined ? undefined : normalIp(fixed.ip_address)
    if (fixed.ip_address !== undefined && ip === undefined)
      throw invalidField('fixed_ips', `'${fixed.ip_address}' is not a valid IP address`)
    if (fixed.subnet_id === undefined && ip === undefined)
      throw badResource('port', "an entry of 'fixed_ips' needs 'subnet_id' or 'ip_address'")
    const subnet =
      fixed.subnet_id === undefined
        ? network.subnets.find(({ cidr }) => contains(parseCidr(cidr)!, ip!))
        : network.subnets.find(({ id }) => id === fixed.subnet_id)
    if (!subnet) {
      if (fixed.subnet_id === undefined) throw addressNotOnNetwork(ip!)
      throw invalidInput(`Failed to create port on network ${network.id}, because fixed_ips included invalid subnet ${fixed.subnet_id}`)
    }
    if (ip === undefined) return isAutomatic(subnet) ? automatic(subnet) : { any: [subnet] }
    const range = parseCidr(subnet.cidr)!
    if (!contains(range, ip)) throw addressNotOnSubnet(ip)
    if (isAutomatic(subnet)) {
      if (ip !== eui64(range, mac)) throw addressIsAutomatic(ip, subnet.id)
    } else if (range.version === 4 && range.prefix < 31 && !contains({ ...range, first: range.first + 1n, last: range.last - 1n }, ip)) {
      throw addressNotOnSubnet(ip)
    }
    return { ip, subnet }
  })
  const missing = asked.length > 0 ? everywhere.filter(({ id }) => !list.some((wish) => 'ip' in wish && wish.subnet.id === id)) : []
  return [...list, ...missing.map(automatic)]
}

/** One address that could be taken; of those of a wish the first free one is. */
interface Candidate {
  port_id: string
  position: number
  n: number
  subnet_id: string
  ip: string
}

const tries = 8

function candidatesOf(portId: string, list: Wish[], from = 0): Candidate[] {
  return list.flatMap((wish, i) =>
    ('ip' in wish
      ? [{ subnet_id: wish.subnet.id, ip: wish.ip }]
      : wish.any.slice(0, 1).flatMap(({ id, pools }) => randomAddresses(pools, tries).map((ip) => ({ subnet_id: id, ip })))
    ).map((candidate, n) => ({ port_id: portId, position: from + i, n, ...candidate })),
  )
}

/** Gives ports that exist addresses, each the first free one of its candidates. Answers which got one. */
const address = (tx: Tx, candidates: Candidate[]) =>
  sql<Addressed>`
  with choice as (
    select distinct on (c.port_id, c.position) c.port_id, c.position, c.subnet_id, c.ip
    from jsonb_to_recordset(${json(candidates)}) as c (port_id text, position int, n int, subnet_id text, ip inet)
    where not exists (select from network.fixed_ip f where f.subnet_id = c.subnet_id and f.ip = c.ip)
    order by c.port_id, c.position, c.n
  )
  insert into network.fixed_ip (subnet_id, ip, port_id, position)
  select choice.subnet_id, choice.ip, choice.port_id, choice.position from choice join network.port p on p.id = choice.port_id
  on conflict do nothing
  returning port_id, position`.execute(tx)

interface Addressed {
  port_id: string
  position: number
}

/**
 * Makes ports with their addresses and groups: two statements, and one more for each address that was not got at once.
 * @param again what becomes of a port that exists already: it is an error, or left out
 * @returns the ids of those made
 * @throws Fault 409 IpAddressGenerationFailure, IpAddressAlreadyAllocated, MacAddressInUse
 */
export async function insertPorts(tx: Tx, ports: NewPort[], again: 'error' | 'leave out' = 'error'): Promise<string[]> {
  const wishesOf = new Map<string, Wish[]>()
  const rows = ports.map(({ network, security_groups, fixed_ips, ...port }) => {
    const mac_address = port.mac_address ?? randomMac()
    wishesOf.set(port.id, wishes(network, fixed_ips, port.device_owner, mac_address))
    return { ...port, mac_address, network_id: network.id }
  })
  const groups = ports.flatMap(({ id, security_groups }) =>
    [...new Set(security_groups)].map((security_group_id) => ({ port_id: id, security_group_id })),
  )
  const insert = sql<{ id: string }>`
    with made as (
      insert into network.port (id, network_id, project_id, name, description, mac_address, admin_state_up, status, device_id, device_owner, device_index,
        device_tag, with_server, host, vnic_type, binding_profile, port_security_enabled, allowed_address_pairs, extra_dhcp_opts, dns_name, tags)
      select id, network_id, project_id, name, description, mac_address, admin_state_up, status, device_id, device_owner, device_index,
        device_tag, with_server, host, vnic_type, binding_profile, port_security_enabled, allowed_address_pairs, extra_dhcp_opts, dns_name, tags
      from jsonb_populate_recordset(null::network.port, ${json(rows)})
      on conflict do nothing
      returning id
    ), grouped as (
      insert into network.port_security_group (port_id, security_group_id)
      select g.port_id, g.security_group_id from jsonb_to_recordset(${json(groups)}) as g (port_id text, security_group_id text) join made on made.id = g.port_id
    )
    select id from made`
  const candidates = [...wishesOf].flatMap(([id, list]) => candidatesOf(id, list))
  const [{ rows: made }, { rows: addressed }] = await Promise.all([insert.execute(tx), address(tx, candidates)])

  const isMade = new Set(made.map(({ id }) => id))
  await fill(
    tx,
    ports.filter(({ id }) => isMade.has(id)).map(({ id, network }) => ({ id, network, list: wishesOf.get(id)!, from: 0 })),
    addressed,
  )
  const missing = ports.filter(({ id }) => !isMade.has(id))
  if (again === 'leave out' || missing.length === 0) return [...isMade]
  const clash = missing.find(({ mac_address }) => mac_address !== undefined)
  if (clash) throw macInUse(clash.network.id, clash.mac_address!)
  // A random MAC met one that exists: one in 16 million for each port of the network.
  return [...isMade, ...(await insertPorts(tx, missing))]
}

interface Holder {
  id: string
  network: NetworkFacts
  list: Wish[]
  /** The position of the first wish. */
  from: number
}

/** Gets the addresses that the first attempt did not get, or says which could not be had. */
async function fill(tx: Tx, ports: Holder[], got: Addressed[]): Promise<void> {
  const have = new Set(got.map(({ port_id, position }) => `${port_id} ${position}`))
  for (const { id, network, list, from } of ports) {
    for (const [i, wish] of list.entries()) {
      const position = from + i
      if (have.has(`${id} ${position}`)) continue
      if ('ip' in wish) throw addressAllocated(wish.ip, wish.subnet.id)
      let found = false
      for (const subnet of wish.any) {
        found = await takeGap(tx, subnet, id, position)
        if (found) break
      }
      if (!found) throw noAddressLeft(network.id)
    }
  }
}

/**
 * Takes the first free address behind a random one, or else the first one of all; false if there is none. Any run of free addresses
 * in a pool begins at the pool's first address or behind a used one. Whoever was quicker makes us look again: so somebody always gets on.
 */
async function takeGap(tx: Tx, subnet: SubnetFacts, portId: string, position: number): Promise<boolean> {
  for (;;) {
    const [from] = randomAddresses(subnet.pools, 1)
    if (from === undefined) return false
    const behindUsed = sql`
      select f.ip + 1 as ip from network.fixed_ip f
      join network.allocation_pool p on p.subnet_id = f.subnet_id and f.ip >= p.first_ip and f.ip < p.last_ip
      where f.subnet_id = ${subnet.id} and not exists (select from network.fixed_ip g where g.subnet_id = f.subnet_id and g.ip = f.ip + 1)`
    const { rows } = await sql<{ seen: boolean; taken: boolean }>`
      with gap as materialized (
        (${behindUsed} and f.ip >= ${from}::inet order by f.ip limit 1)
        union all
        (select p.first_ip from network.allocation_pool p
          where p.subnet_id = ${subnet.id} and not exists (select from network.fixed_ip g where g.subnet_id = p.subnet_id and g.ip = p.first_ip) limit 1)
        union all
        (${behindUsed} order by f.ip limit 1)
        limit 1
      ), taken as (
        insert into network.fixed_ip (subnet_id, ip, port_id, position) select ${subnet.id}, gap.ip, ${portId}, ${position}::int from gap
        on conflict do nothing
        returning ip
      )
      select exists (select from gap) as seen, exists (select from taken) as taken`.execute(tx)
    if (rows[0]!.taken) return true
    if (!rows[0]!.seen) return false
  }
}

/** Gives a port that exists further addresses, at positions from `from` on. @throws as insertPorts */
export async function addAddresses(tx: Tx, port: { id: string; network: NetworkFacts }, list: Wish[], from: number): Promise<void> {
  if (list.length === 0) return
  const { rows } = await address(tx, candidatesOf(port.id, list, from))
  await fill(tx, [{ ...port, list, from }], rows)
}
