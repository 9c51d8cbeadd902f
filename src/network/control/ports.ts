// Ports as rows: what is needed to make one, its changes and its end, in the caller's transaction.
import { type RawBuilder, sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import { poke, pokeAll } from '../../work/engine.ts'
import { hintChanged } from '../../work/hint.ts'
import { normalIp, parseCidr } from './address.ts'
import { addAddresses, type FixedIpInput, insertPorts, type NewPort, type Wish, wishes } from './allocate.ts'
import { isAutomatic, type NetworkFacts, networkFacts, readNetworkFacts } from './facts.ts'
import {
  groupNotFound,
  groupsNeedSecurity,
  invalidField,
  invalidInput,
  macInUse,
  pairsNeedSecurity,
  portBound,
  portHasGroups,
  portNotFound,
} from './faults.ts'
import { mustHaveRoom } from './quota.ts'
import { changedRevision, matchRevision } from './revision.ts'

export interface AddressPair {
  ip_address: string
  mac_address?: string | null
}

export interface DhcpOption {
  opt_name: string
  opt_value: string | null
  ip_version?: number
}

export interface PortInput {
  name: string
  description: string
  admin_state_up: boolean
  mac_address: string
  device_id: string
  device_owner: string
  host: string
  vnic_type: string
  binding_profile: Record<string, unknown>
  port_security_enabled: boolean
  allowed_address_pairs: AddressPair[]
  extra_dhcp_opts: DhcpOption[]
  security_groups: string[]
  fixed_ips: FixedIpInput[]
  tags: string[]
}

export interface GroupFacts {
  id: string
  project_id: string
  name: string
  is_default: boolean
}

export interface PortFacts {
  networks: NetworkFacts[]
  /** The named groups, and the project's default one. */
  groups: GroupFacts[]
}

/** Reads, in one statement, what is needed to make ports in a project. */
export async function readPortFacts(tx: Tx, project: string, networks: RawBuilder<unknown>, groups: string[]): Promise<PortFacts> {
  const { rows } = await sql<PortFacts>`
    select ${networkFacts(networks)} as networks, (
      select coalesce(jsonb_agg(jsonb_build_object('id', g.id, 'project_id', g.project_id, 'name', g.name, 'is_default', g.is_default)), '[]')
      from network.security_group g
      where g.id = any(${groups}::text[]) or g.project_id = ${project} and (g.is_default or g.name = any(${groups}::text[]))) as groups`.execute(
    tx,
  )
  return rows[0]!
}

const maxFixedIps = 5
const maxPairs = 10

/** @throws Fault 400, 409 for what cannot go together. Pure. */
export function checkPort(port: Partial<PortInput>, secure: boolean, groups: string[]): void {
  if ((port.fixed_ips?.length ?? 0) > maxFixedIps) throw invalidInput(`Exceeded maximum amount of fixed ips per port: ${maxFixedIps}`)
  const addresses = (port.fixed_ips ?? []).flatMap(({ ip_address }) => (ip_address === undefined ? [] : (normalIp(ip_address) ?? [])))
  const twice = addresses.find((ip, i) => addresses.indexOf(ip) !== i)
  if (twice !== undefined) throw invalidField('fixed_ips', `Duplicate IP address '${twice}'`)
  const pairs = port.allowed_address_pairs ?? []
  if (pairs.length > maxPairs) throw invalidInput(`Exceeded maximum amount of address pairs per port: ${maxPairs}`)
  if (pairs.length > 0 && !secure) throw pairsNeedSecurity()
  if (groups.length > 0 && !secure) throw groupsNeedSecurity()
  const seen = new Set<string>()
  for (const { ip_address, mac_address } of pairs) {
    const range = parseCidr(ip_address)
    if (!range) throw invalidField('allowed_address_pairs', `'${ip_address}' is not a valid IP address or CIDR`)
    const key = `${range.version} ${range.first} ${range.prefix} ${mac_address ?? ''}`
    if (seen.has(key))
      throw invalidInput(`Request contains duplicate address pair: mac_address ${mac_address ?? 'None'} ip_address ${ip_address}`)
    seen.add(key)
  }
}

/** @throws Fault 404 for a group that the project may not use */
export function groupIds(asked: string[], groups: GroupFacts[], visible: (group: GroupFacts) => boolean): string[] {
  return asked.map((id) => {
    const group = groups.find((known) => known.id === id && visible(known))
    if (!group) throw groupNotFound(id)
    return group.id
  })
}

/** Makes ports of one project (see insertPorts), and tells everybody whom it concerns. @throws Fault as insertPorts; 409 OverQuota */
export async function createPorts(tx: Tx, ports: NewPort[]): Promise<void> {
  await createUncheckedPorts(tx, ports)
  await mustHaveRoom(tx, ports[0]!.project_id, 'port')
}

/** For those who ask themselves, later in the transaction, whether the project may have so many. */
export async function createUncheckedPorts(tx: Tx, ports: NewPort[]): Promise<void> {
  await insertPorts(tx, ports)
  await membersChanged(
    tx,
    ports.flatMap(({ security_groups }) => security_groups),
  )
  await pokeAll(
    tx,
    'port',
    ports.filter(({ host }) => host !== '').map(({ id }) => id),
  )
  for (const { id, project_id } of ports) hintChanged(tx, 'port', id, project_id)
}

/** How long changes of a group's members are gathered before hosts are told, in milliseconds. */
const gather = 100

export const membersChanged = (tx: Tx, groups: string[]) => pokeAll(tx, 'group-members', groups, gather)

/**
 * Locks ports before they are read. In a statement of its own: one that waits for a lock reads what is joined to the row (addresses, groups)
 * as it was before the wait.
 */
export const holdPorts = (tx: Tx, which: RawBuilder<unknown>, strength: 'update' | 'no key update' = 'no key update') =>
  sql`select from network.port p where ${which} order by p.id for ${sql.raw(strength)}`.execute(tx)

interface LockedPort {
  id: string
  project_id: string
  network_id: string
  mac_address: string
  host: string
  device_id: string
  device_owner: string
  revision: number
  port_security_enabled: boolean
  allowed_address_pairs: AddressPair[]
  fixed_ips: { subnet_id: string; ip: string; position: number }[]
  security_groups: string[]
}

async function lockPort(tx: Tx, id: string, revision: number | undefined): Promise<LockedPort> {
  const port = sql<LockedPort>`
    select p.id, p.project_id, p.network_id, p.mac_address, p.host, p.device_id, p.device_owner, p.revision, p.port_security_enabled, p.allowed_address_pairs,
      (select coalesce(jsonb_agg(jsonb_build_object('subnet_id', subnet_id, 'ip', host(ip), 'position', position) order by position, ip), '[]')
        from network.fixed_ip where port_id = p.id) as fixed_ips,
      array(select security_group_id from network.port_security_group where port_id = p.id) as security_groups
    from network.port p where p.id = ${id}`
  const [, { rows }] = await Promise.all([holdPorts(tx, sql`p.id = ${id}`, 'update'), port.execute(tx)])
  if (!rows[0]) throw portNotFound(id)
  matchRevision(rows[0].revision, revision)
  return rows[0]
}

const isServers = ({ device_id, device_owner }: LockedPort) => device_id !== '' && device_owner.startsWith('compute:')

/** @param change with `security_groups` checked already. @throws Fault 400, 404, 409 */
export async function updatePort(tx: Tx, id: string, change: Partial<PortInput>, revision?: number): Promise<void> {
  const port = await lockPort(tx, id, revision)
  const { security_groups, fixed_ips, allowed_address_pairs, extra_dhcp_opts, binding_profile, ...columns } = change
  const secure = change.port_security_enabled ?? port.port_security_enabled
  if (!secure && security_groups === undefined && port.security_groups.length > 0) throw portHasGroups()
  checkPort(
    { ...change, allowed_address_pairs: allowed_address_pairs ?? port.allowed_address_pairs },
    secure,
    security_groups ?? port.security_groups,
  )
  if (isServers(port) && port.host !== '') {
    if (change.host !== undefined && change.host !== port.host) throw portBound(id, port.host)
    if (change.mac_address !== undefined && change.mac_address !== port.mac_address) throw portBound(id, port.host)
  }
  if (change.mac_address !== undefined && change.mac_address !== port.mac_address) await mustBeFree(tx, port, change.mac_address)
  await tx
    .updateTable('network.port')
    .set({
      ...columns,
      ...(allowed_address_pairs && { allowed_address_pairs: json(allowed_address_pairs as never) }),
      ...(extra_dhcp_opts && { extra_dhcp_opts: json(extra_dhcp_opts as never) }),
      ...(binding_profile && { binding_profile: json(binding_profile as never) }),
      generation: sql<number>`generation + 1`,
      ...changedRevision,
    })
    .where('id', '=', id)
    .execute()
  const mac = change.mac_address ?? port.mac_address
  if (fixed_ips !== undefined || mac !== port.mac_address) await changeAddresses(tx, port, mac, fixed_ips)
  if (security_groups !== undefined) await changeGroups(tx, id, security_groups)

  const groups = [...port.security_groups, ...(security_groups ?? [])]
  if (security_groups !== undefined || fixed_ips !== undefined || allowed_address_pairs !== undefined) await membersChanged(tx, groups)
  if (port.host !== '' || change.host) {
    await poke(tx, 'port', id)
    const left = port.security_groups.filter((group) => !secure || (security_groups && !security_groups.includes(group)))
    await pokeAll(tx, 'security-group', left)
  }
  hintChanged(tx, 'port', id, port.project_id)
}

async function mustBeFree(tx: Tx, port: LockedPort, mac: string): Promise<void> {
  const other = await tx
    .selectFrom('network.port')
    .select('id')
    .where('network_id', '=', port.network_id)
    .where('mac_address', '=', mac)
    .executeTakeFirst()
  if (other) throw macInUse(port.network_id, mac)
}

async function changeGroups(tx: Tx, id: string, groups: string[]): Promise<void> {
  await sql`
    with gone as (delete from network.port_security_group where port_id = ${id} and not security_group_id = any(${groups}::text[]))
    insert into network.port_security_group (port_id, security_group_id) select ${id}, g from unnest(${groups}::text[]) g on conflict do nothing`.execute(
    tx,
  )
}

/** Keeps the addresses that are still asked for; where only a subnet is asked for, one that the port has there is kept. */
async function changeAddresses(tx: Tx, port: LockedPort, mac: string, asked: FixedIpInput[] | undefined): Promise<void> {
  const network = (await readNetworkFacts(tx, port.network_id))!
  const automatic = new Set(network.subnets.filter(isAutomatic).map(({ id }) => id))
  const stay = port.fixed_ips
    .filter(({ subnet_id }) => !automatic.has(subnet_id))
    .map(({ subnet_id, ip }) => ({ subnet_id, ip_address: ip }))
  const left = new Map(port.fixed_ips.map((fixed) => [`${fixed.subnet_id} ${fixed.ip}`, fixed]))
  const list = wishes(network, asked ?? stay, port.device_owner, mac)
  const take = (found: { subnet_id: string; ip: string } | undefined) =>
    found !== undefined && left.delete(`${found.subnet_id} ${found.ip}`)
  const missing = list
    .filter((wish) => !('ip' in wish && take({ subnet_id: wish.subnet.id, ip: wish.ip })))
    .filter((wish: Wish) => 'ip' in wish || !take([...left.values()].find(({ subnet_id }) => wish.any.some(({ id }) => id === subnet_id))))
  if (left.size > 0) {
    const gone = [...left.values()]
    await sql`
      delete from network.fixed_ip f using jsonb_to_recordset(${json(gone)}) as g (subnet_id text, ip inet)
      where f.port_id = ${port.id} and f.subnet_id = g.subnet_id and f.ip = g.ip`.execute(tx)
  }
  await addAddresses(tx, { id: port.id, network }, missing, Math.max(-1, ...port.fixed_ips.map(({ position }) => position)) + 1)
}

/** @throws Fault 404 */
export async function deletePort(tx: Tx, id: string, revision?: number): Promise<void> {
  const port = await lockPort(tx, id, revision)
  await tx.deleteFrom('network.port').where('id', '=', id).execute()
  await membersChanged(tx, port.security_groups)
  if (port.host !== '') {
    await pokeAll(tx, 'security-group', port.security_groups)
    await poke(tx, 'port', id)
  }
  if (port.host !== '' || port.device_owner === 'network:dhcp') await poke(tx, 'network', port.network_id)
  if (isServers(port)) await poke(tx, 'server', port.device_id)
  hintChanged(tx, 'port', id, port.project_id)
}
