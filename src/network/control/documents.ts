// Which documents a host gets because of its ports, and which it loses: the one place that compares what hosts hold with what they need.
//
// A host holds a network while it has a port of it, a group while a port is in it, a group's members while one of its groups names that
// group. Whoever binds a port to a host shares an advisory lock on the host; whoever takes something away holds it alone and looks again:
// so nothing is taken away that someone else has just begun to need.
import { type RawBuilder, sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import { conflict } from '../../http/fault.ts'
import type { DocumentOf } from '../../wire/documents.ts'
import { type Intent, intendOnAll, withdraw } from '../../wire/intend.ts'
import { type Around, groupBody, type Held, membersBody, type NetworkSource, networkBodyFor, type PortSource, portBody } from './compile.ts'

const lockName = (hostId: string) => sql`hashtextextended(${`network host ${hostId}`}, 0)`
export const shareHost = (hostId: string) => sql`pg_advisory_xact_lock_shared(${lockName(hostId)})`
export const ownHost = (hostId: string) => sql`pg_advisory_xact_lock(${lockName(hostId)})`

/** What keeps a host from carrying a network, as a sentence; null = nothing does. Pure. */
export function cannotCarry(
  network: Pick<NetworkSource, 'network_type' | 'physical_network' | 'tunnels' | 'untunneled'>,
  host: Pick<Around, 'tunnel' | 'physical_networks'>,
  hostName: string,
): string | null {
  const apart = network.untunneled.filter((name) => name !== hostName)
  if (network.network_type === 'vxlan' && host.tunnel === null && (network.tunnels.length > 0 || apart.length > 0))
    return 'other hosts carry it already, and this one has no tunnel address (set WISP_TUNNEL_IP on it)'
  if (network.network_type === 'vxlan' && apart.length > 0)
    return `host ${apart[0]} carries it already and has no tunnel address (set WISP_TUNNEL_IP on ${apart[0]})`
  if (network.network_type === 'flat' && !host.physical_networks.includes(network.physical_network!))
    return `it is not connected to the physical network '${network.physical_network}'`
  return null
}

/** The documents that a host needs for these ports: the ports' own, and what it does not hold yet of what is around them. Pure. */
export function documentsFor(ports: PortSource[], around: Around, hostName: string): Intent[] {
  const held = new Map(around.held.map((document) => [`${document.kind} ${document.id}`, document]))
  const next = (kind: Held['kind'], id: string) => (held.get(`${kind} ${id}`)?.generation ?? 0) + 1
  const obstacle = around.networks.flatMap((network) => cannotCarry(network, around, hostName) ?? [])[0]
  if (obstacle !== undefined) throw conflict(`Host ${hostName} cannot carry the network: ${obstacle}.`, { type: 'PortBindingFailed' })
  return [
    ...around.networks.map(
      (network): Intent => ({
        kind: 'network',
        id: network.id,
        generation: next('network', network.id),
        body: networkBodyFor(network, around.tunnel),
      }),
    ),
    ...around.groups.map(
      (group): Intent => ({ kind: 'security-group', id: group.id, generation: next('security-group', group.id), body: groupBody(group) }),
    ),
    ...around.members.map(
      (group): Intent => ({ kind: 'group-members', id: group.id, generation: next('group-members', group.id), body: membersBody(group) }),
    ),
    ...ports.map(
      (port): Intent => ({ kind: 'port', id: port.id, generation: Math.max(port.generation, next('port', port.id)), body: portBody(port) }),
    ),
  ]
}

type Shared = 'network' | 'security-group' | 'group-members'

/** A query: the names of the hosts that need the object. */
const needing: Record<Shared, (id: RawBuilder<unknown>) => RawBuilder<unknown>> = {
  network: (id) => sql`select p.host from network.port p where p.network_id = ${id} and p.host <> ''`,
  'security-group': (id) => sql`
    select p.host from network.port_security_group m join network.port p on p.id = m.port_id
    where m.security_group_id = ${id} and p.host <> '' and p.port_security_enabled`,
  'group-members': (id) => sql`
    select p.host from network.security_group_rule r join network.port_security_group m on m.security_group_id = r.security_group_id
    join network.port p on p.id = m.port_id where r.remote_group_id = ${id} and p.host <> '' and p.port_security_enabled`,
}

interface Difference {
  host_id: string
  needed: boolean
  /** Of the document that it holds; 0 = none. */
  generation: number
}

/**
 * Makes all hosts hold the newest document of the object, and no others hold it. One statement finds who lacks it; PostgreSQL compares the
 * bodies, so that what a thousand hosts hold already is not fetched. @param body null = the object is no more
 */
export async function spread<K extends Shared>(
  tx: Tx,
  kind: K,
  id: string,
  body: DocumentOf[K] | null,
): Promise<{ given: number; taken: number }> {
  // A network's document differs by host in this one thing: a host is not its own peer.
  const own =
    kind === 'network'
      ? sql`${json(body)} || jsonb_build_object('peers', (${json(body)} -> 'peers') - coalesce(h.hello ->> 'tunnel_ip', ''))`
      : json(body)
  const { rows } = await sql<Difference>`
    with needed as (select h.id, ${own} as body from wire.host h where h.name in (${needing[kind](sql`${id}`)}))
    select coalesce(needed.id, d.host_id) as host_id, needed.id is not null as needed, coalesce(d.generation, 0) as generation
    from needed full join (select * from wire.document where kind = ${kind} and id = ${id}) d on d.host_id = needed.id
    where case when needed.id is null then d.body is not null else d.body is distinct from needed.body end
    order by 1`.execute(tx)
  const superfluous = rows.filter(({ needed }) => !needed || body === null)
  for (const { host_id } of superfluous) await sql`select ${ownHost(host_id)}`.execute(tx)
  if (superfluous.length > 0) await lockHosts(tx, rows)
  const lacking = rows.filter(({ needed }) => needed && body !== null)
  const next = lacking.map(({ host_id, generation }) => ({ host_id, generation: generation + 1 }))
  await intendOnAll(tx, kind, id, next, own)
  let taken = 0
  for (const { host_id } of superfluous) taken += await takeUnneeded(tx, host_id, [{ kind, id }])
  return { given: lacking.length, taken }
}

/** For those who give to some hosts and take from others: host rows are locked in the order of their ids. */
const lockHosts = (tx: Tx, hosts: { host_id: string }[]) =>
  sql`select from wire.host where id = any(${hosts.map(({ host_id }) => host_id)}::text[]) order by id for no key update`.execute(tx)

/** Takes back those of the objects that nothing on the host needs any more. The caller holds the host alone (`ownHost`). Returns how many. */
export async function takeUnneeded(
  tx: Tx,
  hostId: string,
  objects: { kind: Shared; id: string }[],
  also: { kind: 'port'; id: string }[] = [],
): Promise<number> {
  const needs = (kind: Shared) =>
    sql`d.kind = ${kind} and not exists (select from (${needing[kind](sql`d.id`)}) u join wire.host h on h.name = u.host where h.id = ${hostId})`
  const { rows } = await sql<{ kind: Shared; id: string }>`
    select d.kind, d.id from wire.document d
    join jsonb_to_recordset(${json(objects)}) as o (kind text, id text) on o.kind = d.kind and o.id = d.id
    where d.host_id = ${hostId} and d.body is not null and (${needs('network')} or ${needs('security-group')} or ${needs('group-members')})`.execute(
    tx,
  )
  await withdraw(tx, hostId, [...also, ...rows])
  return rows.length
}
