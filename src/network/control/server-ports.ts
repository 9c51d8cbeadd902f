// What compute asks of the network for a server: ports at the time of the request, their binding when a host is chosen, their end.
import { type RawBuilder, sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import { badRequest, conflict, Fault, notFound } from '../../http/fault.ts'
import type { Who } from '../../http/who.ts'
import type { Intent } from '../../wire/intend.ts'
import { pokeAll } from '../../work/engine.ts'
import { hintChanged } from '../../work/hint.ts'
import { normalIp } from './address.ts'
import { blankPort, type NewPort } from './allocate.ts'
import { type Around, type PortSource, portColumns, readAround } from './compile.ts'
import { documentsFor, ownHost, shareHost, takeUnneeded } from './documents.ts'
import type { NetworkFacts } from './facts.ts'
import { createUncheckedPorts, type GroupFacts, holdPorts, membersChanged, readPortFacts } from './ports.ts'
import { defaultGroup } from './security-groups.ts'

/** One NIC as Nova's `networks` names it; exactly one of network_id and port_id. */
export interface WantedNic {
  network_id?: string
  port_id?: string
  fixed_ip?: string
  tag?: string
}

/** The server as far as its ports need to know it; `security_groups` are names or ids, empty = the project's default group. */
export interface PortsServer {
  id: string
  project_id: string
  hostname: string
  security_groups: string[]
  /** Becomes `device_owner` compute:<zone>; 'nova' by default. */
  availability_zone?: string | null
}

export interface Nic {
  port_id: string
  network_id: string
  mac: string
  mtu: number
  tag: string | null
}

export interface ServerAddress {
  /** The network's name. */
  network: string
  network_id: string
  port_id: string
  mac: string
  ips: { ip: string; version: 4 | 6 }[]
  security_groups: { id: string; name: string }[]
}

interface ExistingPort {
  id: string
  network_id: string
  project_id: string
  device_id: string
  addresses: number
}

/**
 * At API time: makes the ports of a server, or takes those that the user made, in the order wanted. Three statements for any number of
 * NICs on known networks (facts, ports, a poke). The caller asks whether the project may have so many ports. @param wanted undefined = the project's only network, or none
 * @throws Fault 400, 404, 409 in Nova's words
 */
export async function requestPorts(tx: Tx, who: Who, server: PortsServer, wanted?: 'auto' | 'none' | WantedNic[]): Promise<void> {
  if (wanted === 'none') return
  const admin = who.roles.includes('admin')
  const nics = wanted === 'auto' || wanted === undefined ? null : wanted
  const ids = nics?.flatMap(({ network_id }) => network_id ?? []) ?? []
  const mine = sql`(n.project_id = ${server.project_id} or n.shared)`
  const condition = nics ? sql`n.id = any(${ids}::text[])` : sql`${mine} and not n.external`
  const { networks, groups } = await readPortFacts(tx, server.project_id, condition, server.security_groups)
  const usable = (network: NetworkFacts) => admin || network.shared || network.project_id === server.project_id

  const list = nics ?? onlyNetwork(networks)
  if (wanted === 'auto' && list.length === 0)
    throw badRequest(`Unable to automatically allocate a network for project ${server.project_id}`)
  const portIds = list.flatMap(({ port_id }) => port_id ?? [])
  const existing = portIds.length > 0 ? await lockPorts(tx, portIds) : []
  const made: NewPort[] = []
  const taken: { id: string; index: number; tag: string | null }[] = []
  const owner = `compute:${server.availability_zone ?? 'nova'}`
  let securityGroups: string[] | undefined
  for (const [index, nic] of list.entries()) {
    if (nic.port_id !== undefined) {
      checkExisting(nic.port_id, existing, server.project_id, admin, taken)
      taken.push({ id: nic.port_id, index, tag: nic.tag ?? null })
      continue
    }
    const network = networks.find(({ id }) => id === nic.network_id)
    if (!network || !usable(network)) throw badRequest(`Network ${nic.network_id} could not be found.`)
    if (network.external && !admin && !network.shared) {
      throw new Fault(403, `It is not allowed to create an interface on external network ${network.id}`)
    }
    if (network.subnets.length === 0) {
      throw badRequest(`Network ${network.id} requires a subnet in order to boot instances on.`)
    }
    if (network.port_security_enabled) securityGroups ??= await groupsOf(tx, server, groups)
    made.push({
      ...blankPort(network, server.project_id),
      device_id: server.id,
      device_owner: owner,
      device_index: index,
      device_tag: nic.tag ?? null,
      with_server: true,
      dns_name: server.hostname,
      security_groups: network.port_security_enabled ? securityGroups! : [],
      ...(nic.fixed_ip !== undefined && { fixed_ips: [fixedIp(nic.fixed_ip)] }),
    })
  }
  if (taken.length > 0) await takePorts(tx, server, owner, taken)
  if (made.length === 0) return
  await createUncheckedPorts(tx, made).catch((error: unknown) => {
    throw asNova(error)
  })
}

function onlyNetwork(networks: NetworkFacts[]): WantedNic[] {
  const candidates = networks.filter(({ subnets }) => subnets.length > 0)
  if (candidates.length > 1) throw conflict('Multiple possible networks found, use a Network ID to be more specific.')
  return candidates.map(({ id }) => ({ network_id: id }))
}

function fixedIp(text: string) {
  if (normalIp(text) === undefined) throw badRequest(`Invalid fixed IP address (${text})`)
  return { ip_address: text }
}

// Nova's answers to what Neutron refuses (nova/network/neutron.py).
function asNova(error: unknown): unknown {
  if (!(error instanceof Fault)) return error
  if (error.type === 'IpAddressAlreadyAllocated') return badRequest(`Fixed IP address is already in use: ${error.message}.`)
  if (error.type === 'IpAddressGenerationFailure') return badRequest('No fixed IP addresses available for network.')
  return error
}

async function lockPorts(tx: Tx, ids: string[]): Promise<ExistingPort[]> {
  const those = sql`p.id = any(${ids}::text[])`
  const [, { rows }] = await Promise.all([
    holdPorts(tx, those),
    sql<ExistingPort>`
      select p.id, p.network_id, p.project_id, p.device_id, (select count(*)::int from network.fixed_ip f where f.port_id = p.id) as addresses
      from network.port p where ${those}`.execute(tx),
  ])
  return rows
}

function checkExisting(id: string, ports: ExistingPort[], project: string, admin: boolean, taken: { id: string }[]): void {
  const port = ports.find((known) => known.id === id)
  if (!port || (port.project_id !== project && !admin)) throw notFound(`Port id ${id} could not be found.`)
  if (port.project_id !== project) throw badRequest(`Port ${id} not usable for instance.`)
  if (port.device_id !== '' || taken.some((other) => other.id === id)) throw conflict(`Port ${id} is still in use.`)
  if (port.addresses === 0) throw badRequest(`Port ${id} requires a FixedIP in order to be used.`)
}

async function takePorts(
  tx: Tx,
  server: PortsServer,
  owner: string,
  taken: { id: string; index: number; tag: string | null }[],
): Promise<void> {
  await sql`
    update network.port p
    set device_id = ${server.id}, device_owner = ${owner}, device_index = t.index, device_tag = t.tag, with_server = false,
      dns_name = case when p.dns_name = '' then ${server.hostname} else p.dns_name end, revision = p.revision + 1, updated_at = now()
    from jsonb_to_recordset(${json(taken)}) as t (id text, index int, tag text) where p.id = t.id`.execute(tx)
  for (const { id } of taken) hintChanged(tx, 'port', id, server.project_id)
}

/** The ids of the groups that the server names, by id or by a name that is one group's only. */
async function groupsOf(tx: Tx, server: PortsServer, known: GroupFacts[]): Promise<string[]> {
  const names = server.security_groups.length > 0 ? server.security_groups : ['default']
  const ids: string[] = []
  for (const name of new Set(names)) {
    const own = known.filter(({ project_id }) => project_id === server.project_id)
    const found = own.filter(({ id }) => id === name)
    if (found.length === 0) found.push(...own.filter((group) => group.name === name))
    if (found.length > 1) throw conflict(`Multiple security groups found matching '${name}'. Use an ID to be more specific.`)
    if (found[0]) ids.push(found[0].id)
    else if (name === 'default') ids.push(await defaultGroup(tx, server.project_id))
    else throw badRequest(`Security group ${name} not found for project ${server.project_id}.`)
  }
  return ids
}

/** The condition on `p` (network.port) that it is one of the server's. */
const portsOf = (serverId: string) => sql`p.device_id = ${serverId} and p.device_owner like 'compute:%'`

/**
 * Binds the server's ports to a host; again, with another host, it moves them. Three statements, and up to three pokes where the host is
 * new to a network or group. @returns what the host must be told: the caller passes it to `intend`, with its own documents
 * @throws Fault 409 if the host cannot carry one of the networks
 */
export async function bindPorts(tx: Tx, serverId: string, host: { id: string; name: string }): Promise<Intent[]> {
  const bound = sql<PortSource>`
    with locked as (select ${shareHost(host.id)}), bound as (
      update network.port p
      set host = ${host.name}, generation = p.generation + 1, status = case when p.admin_state_up then 'BUILD' else 'DOWN' end
      from locked where ${portsOf(serverId)}
      returning p.*
    )
    select ${portColumns} from bound p join network.network n on n.id = p.network_id order by p.device_index, p.id`
  const [, { rows }] = await Promise.all([holdPorts(tx, portsOf(serverId)), bound.execute(tx)])
  if (rows.length === 0) return []
  const secured = rows.map(({ id, network_id, port_security_enabled, security_groups }) => ({
    id,
    network_id,
    security_groups: port_security_enabled ? security_groups : [],
  }))
  const around = await readAround(tx, host.id, secured)
  const intents = documentsFor(rows, around, host.name)
  if (around.elsewhere || intents.length > rows.length) await lookAgain(tx, around, rows)
  for (const { id, project_id } of rows) hintChanged(tx, 'port', id, project_id)
  return intents
}

/** What the host gets for the first time may change elsewhere before this transaction commits, and others must know of the host: looks afterwards find both. */
async function lookAgain(tx: Tx, { networks, groups, members, elsewhere }: Around, ports: PortSource[]): Promise<void> {
  const ids = (objects: { id: string }[]) => objects.map(({ id }) => id)
  await pokeAll(tx, 'network', ids(networks))
  await pokeAll(tx, 'security-group', ids(groups))
  await membersChanged(tx, ids(members))
  if (elsewhere) await pokeAll(tx, 'port', ids(ports))
}

/** The server's NICs in order, for its document. */
export async function nicsOf(tx: Tx, serverId: string): Promise<Nic[]> {
  return await tx
    .selectFrom('network.port as p')
    .innerJoin('network.network as n', 'n.id', 'p.network_id')
    .select(['p.id as port_id', 'p.network_id', 'p.mac_address as mac', 'n.mtu', 'p.device_tag as tag'])
    .where('p.device_id', '=', serverId)
    .where('p.device_owner', 'like', 'compute:%')
    .orderBy('p.device_index')
    .orderBy('p.id')
    .execute()
}

interface Released {
  id: string
  project_id: string
  network_id: string
  host_id: string | null
  groups: string[]
  named: string[]
}

/**
 * Ports that the user made are free again; those that were made for the server leave its host, and wait for `deletePorts`. The host forgets
 * them and what only they needed.
 */
export async function releasePorts(tx: Tx, serverId: string): Promise<void> {
  const released = sql<Released>`
    with mine as (
      select p.id, p.project_id, p.network_id, p.with_server, h.id as host_id, g.groups,
        array(select distinct remote_group_id from network.security_group_rule where security_group_id = any(g.groups) and remote_group_id is not null) as named
      from network.port p left join wire.host h on h.name = p.host,
        lateral (select array(select security_group_id from network.port_security_group where port_id = p.id) as groups) g
      where ${portsOf(serverId)}
    ), unbound as (
      update network.port p set host = '' from mine where p.id = mine.id and mine.with_server and p.host <> ''
    ), freed as (
      update network.port p
      set device_id = '', device_owner = '', device_index = 0, device_tag = null, dns_name = '', host = '', status = 'DOWN', generation = p.generation + 1,
        revision = p.revision + 1, updated_at = now()
      from mine where p.id = mine.id and not mine.with_server
    )
    select id, project_id, network_id, host_id, groups, named from mine`
  const [, { rows }] = await Promise.all([holdPorts(tx, portsOf(serverId)), released.execute(tx)])
  const bound = rows.filter(({ host_id }) => host_id !== null)
  const hosts = [...new Set(bound.map(({ host_id }) => host_id!))].sort()
  for (const host of hosts) await sql`select ${ownHost(host)}`.execute(tx)
  for (const host of hosts)
    await forget(
      tx,
      host,
      bound.filter(({ host_id }) => host_id === host),
    )
  await membersChanged(
    tx,
    rows.flatMap(({ groups }) => groups),
  )
  for (const { id, project_id } of rows) hintChanged(tx, 'port', id, project_id)
}

/** The end of the ports that were made for the server, after `releasePorts`: where they are counted all launches of the project meet, so it comes late. */
export async function deletePorts(tx: Tx, serverId: string): Promise<void> {
  await sql`delete from network.port where device_id = ${serverId} and device_owner like 'compute:%' and with_server`.execute(tx)
}

async function forget(tx: Tx, hostId: string, ports: Released[]): Promise<void> {
  const distinct = (ids: string[]) => [...new Set(ids)]
  const networks = distinct(ports.map(({ network_id }) => network_id))
  const around = [
    ...networks.map((id) => ({ kind: 'network' as const, id })),
    ...distinct(ports.flatMap(({ groups }) => groups)).map((id) => ({ kind: 'security-group' as const, id })),
    ...distinct(ports.flatMap(({ named }) => named)).map((id) => ({ kind: 'group-members' as const, id })),
  ]
  const taken = await takeUnneeded(
    tx,
    hostId,
    around,
    ports.map(({ id }) => ({ kind: 'port', id })),
  )
  // The other hosts have a peer less.
  if (taken > 0) await pokeAll(tx, 'network', networks)
}

interface AddressRow extends ServerAddress {
  server_id: string
}

/** The addresses of many servers in one statement, each server's in the order of its NICs. */
export async function addressesOf(tx: Tx, serverIds: string[]): Promise<Map<string, ServerAddress[]>> {
  const found = new Map<string, ServerAddress[]>(serverIds.map((id) => [id, []]))
  if (serverIds.length === 0) return found
  const { rows } = await sql<AddressRow>`
    select p.device_id as server_id, ${addressColumns} from network.port p join network.network n on n.id = p.network_id
    where p.device_id = any(${serverIds}::text[]) and p.device_id <> '' and p.device_owner like 'compute:%'
    order by p.device_index, p.id`.execute(tx)
  for (const { server_id, ...address } of rows) found.get(server_id)?.push(address)
  return found
}

/** The same of one server, as a part of a statement that reads it. */
export const addressesColumn = (serverId: RawBuilder<unknown>) => sql<ServerAddress[]>`(
  select coalesce(jsonb_agg(to_jsonb(address) - 'place' order by address.place), '[]') from (
    select row_number() over (order by p.device_index, p.id) as place, ${addressColumns}
    from network.port p join network.network n on n.id = p.network_id
    where p.device_id = ${serverId} and p.device_id <> '' and p.device_owner like 'compute:%') address)`

const addressColumns = sql`
  n.name as network, n.id as network_id, p.id as port_id, p.mac_address as mac,
  (select coalesce(jsonb_agg(jsonb_build_object('ip', host(f.ip), 'version', family(f.ip)) order by f.position, f.ip), '[]')
    from network.fixed_ip f where f.port_id = p.id) as ips,
  (select coalesce(jsonb_agg(jsonb_build_object('id', g.id, 'name', g.name) order by g.name, g.id), '[]')
    from network.port_security_group m join network.security_group g on g.id = m.security_group_id where m.port_id = p.id) as security_groups`

/** Whether the host has reported every port of the server ready, as it was last told. True for a server without ports. */
export async function portsReady(tx: Tx, serverId: string): Promise<boolean> {
  const { rows } = await sql<{ ready: boolean }>`
    select not exists (
      select from network.port p
      where p.device_id = ${serverId} and p.device_owner like 'compute:%' and not exists (
        select from wire.host h
        join wire.document d on d.host_id = h.id and d.kind = 'port' and d.id = p.id and d.body is not null
        join wire.observed o on o.host_id = h.id and o.kind = 'port' and o.id = p.id
        where h.name = p.host and o.state ->> 'state' = 'ready' and o.generation >= d.generation)
    ) as ready`.execute(tx)
  return rows[0]!.ready
}
