// The network's part of the engine: what is looked at again when networks, groups, their members or ports changed, what a host's report
// about them means, and what a host's hello does.
import { type RawBuilder, sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import type { Hello, Kind } from '../../wire/documents.ts'
import { type Intent, intend, withdraw } from '../../wire/intend.ts'
import type { Heard, Host } from '../../wire/observe.ts'
import { type Handler, poke, pokeAll } from '../../work/engine.ts'
import { hintChanged } from '../../work/hint.ts'
import {
  groupBody,
  membersBody,
  networkBody,
  type PortSource,
  portBody,
  readAround,
  readGroup,
  readMembers,
  readNetwork,
  readPort,
} from './compile.ts'
import { documentsFor, shareHost, spread } from './documents.ts'
import { fitDhcpPort } from './subnets.ts'

/** Subnets, MTU or peers changed: every host that carries the network gets its newest document, all others lose it. */
const network: Handler = async (tx, id) => {
  const { rows } = await sql`select from network.network where id = ${id} for no key update`.execute(tx)
  if (rows.length > 0) await fitDhcpPort(tx, id)
  const source = await readNetwork(tx, id)
  await spread(tx, 'network', id, source ? networkBody(source) : null)
  return null
}

/** Rules changed, or ports came into the group or left it. */
const group: Handler = async (tx, id) => {
  const source = await readGroup(tx, id)
  await spread(tx, 'security-group', id, source ? groupBody(source) : null)
  // Who holds the group needs the members of the groups that it names; who lost it, no more.
  const named = source?.rules.flatMap(({ remote_group_id }) => remote_group_id ?? []) ?? []
  await pokeAll(tx, 'group-members', named)
  return null
}

const members: Handler = async (tx, id) => {
  const source = await readMembers(tx, id)
  await spread(tx, 'group-members', id, source ? membersBody(source) : null)
  return null
}

/** The port itself changed: its host gets the newest document, any other host loses it. */
const port: Handler = async (tx, id) => {
  const source = await readPort(tx, id)
  const { rows: hosts } = await sql<{ id: string; name: string; here: boolean }>`
    select h.id, h.name, h.name = ${source?.host ?? ''} as here
    from wire.host h left join wire.document d on d.host_id = h.id and d.kind = 'port' and d.id = ${id}
    where d.body is not null or (${source?.host ?? ''} <> '' and h.name = ${source?.host ?? ''}) order by h.id`.execute(tx)
  const here = hosts.find((host) => host.here)
  const intents = source && here ? await renew(tx, here, source) : []
  for (const host of hosts) {
    if (host === here) await intend(tx, host.id, intents)
    else await withdraw(tx, host.id, [{ kind: 'port', id }])
  }
  if (source && hosts.some((host) => host !== here)) {
    await poke(tx, 'network', source.network_id)
    await pokeAll(tx, 'security-group', source.security_groups)
  }
  await settle(tx, sql`p.id = ${id}`)
  return null
}

async function renew(tx: Tx, host: Host, source: PortSource): Promise<Intent[]> {
  await sql`select ${shareHost(host.id)}`.execute(tx)
  const { id, network_id, port_security_enabled, security_groups } = source
  const around = await readAround(tx, host.id, [{ id, network_id, security_groups: port_security_enabled ? security_groups : [] }])
  const { rows } = await sql<{ same: boolean }>`
    select body = ${json(portBody(source))} as same from wire.document where host_id = ${host.id} and kind = 'port' and id = ${id}`.execute(
    tx,
  )
  const intents = documentsFor([source], around, host.name)
  return rows[0]?.same ? intents.filter(({ kind }) => kind !== 'port') : intents
}

export const handlers: Record<string, Handler> = { network, 'security-group': group, 'group-members': members, port }

interface Settled {
  id: string
  project_id: string
  device_id: string
  device_owner: string
}

/**
 * Derives the status of bound ports from what their host reported: ACTIVE when the port is there (and while a change is under way), ERROR
 * when it or its network failed, BUILD until then. Pokes the servers of ports whose status changed.
 */
async function settle(tx: Tx, which: RawBuilder<unknown>): Promise<void> {
  const { rows } = await sql<Settled>`
    update network.port port set status = s.status, revision = port.revision + 1, updated_at = now()
    from (
      select p.id, case
        when p.host = '' or not p.admin_state_up then 'DOWN'
        when o.state ->> 'state' = 'failed' or n.state ->> 'state' = 'failed' then 'ERROR'
        when o.state ->> 'state' = 'ready' and (o.generation >= d.generation or p.status = 'ACTIVE') then 'ACTIVE'
        else 'BUILD' end as status
      from network.port p
      left join wire.host h on h.name = p.host
      left join wire.document d on d.host_id = h.id and d.kind = 'port' and d.id = p.id
      left join wire.observed o on o.host_id = h.id and o.kind = 'port' and o.id = p.id
      left join wire.observed n on n.host_id = h.id and n.kind = 'network' and n.id = p.network_id
      where p.device_owner <> 'network:dhcp' and ${which}
    ) s
    where port.id = s.id and port.status <> s.status
    returning port.id, port.project_id, port.device_id, port.device_owner`.execute(tx)
  await pokeAll(
    tx,
    'server',
    rows.filter(({ device_id, device_owner }) => device_id !== '' && device_owner.startsWith('compute:')).map(({ device_id }) => device_id),
  )
  for (const { id, project_id } of rows) hintChanged(tx, 'port', id, project_id)
}

export const heard: Partial<Record<Kind, Heard>> = {
  port: (tx, _host, observations) => settle(tx, sql`p.id = any(${observations.map(({ id }) => id)}::text[])`),
  network: (tx, host, observations) =>
    settle(
      tx,
      sql`p.host = ${host.name} and p.network_id = any(${observations.map(({ id }) => id)}::text[]) and p.status in ('ERROR', 'ACTIVE', 'BUILD')`,
    ),
}

/** A host whose tunnel address is new to its peers: the networks that it carries are written anew. */
export async function hello(tx: Tx, host: { id: string; name: string }, said: Hello): Promise<void> {
  const { rows } = await sql<{ id: string }>`
    select distinct n.id from network.port p join network.network n on n.id = p.network_id
    where p.host = ${host.name} and n.network_type = 'vxlan' and exists (
      select from wire.document d
      where d.kind = 'network' and d.id = n.id and d.host_id <> ${host.id} and d.body is not null
        and not d.body -> 'peers' ? coalesce(${said.tunnel_ip}::text, ''))`.execute(tx)
  await pokeAll(
    tx,
    'network',
    rows.map(({ id }) => id),
  )
}
