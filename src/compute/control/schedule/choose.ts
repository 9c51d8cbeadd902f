// Chooses hosts for a server. PostgreSQL picks the roomiest few that have the capacity out of a sample, so that a thousand hosts cost no more
// than a hundred; the filters and weighers decide among them. Only when none remains are all hosts read, to find one or to say why.
import { sql } from 'kysely'
import type { Tx } from '../../../database/connect.ts'
import { downAfter } from '../../../wire/stream.ts'
import { diskOf, type Server } from '../facts.ts'
import { type Candidate, type Request, rejection } from './filters.ts'
import { byWeight } from './weighers.ts'

const few = 20
/** In a cloud of no more hosts than this all are compared; in a larger one so many, beginning anywhere: the best of them is nearly the best of all. */
const sample = 128
/** Hosts named in the message that users see; the rest are counted by filter. */
const named = 10

/** What of a server says where it may run. */
type Wanting = Pick<Server, 'flavor' | 'image' | 'availability_zone' | 'requested_host' | 'tried'>

export const requestOf = ({ flavor, image, availability_zone, requested_host, tried }: Wanting): Request => ({
  vcpus: flavor.vcpus,
  memory_mb: flavor.memory_mb,
  disk_gb: diskOf(flavor),
  availability_zone,
  requested_host,
  extra_specs: flavor.extra_specs,
  image_properties: image.properties ?? {},
  tried,
})

/** Hosts that may carry the server, best first; the claim decides which one does. Empty: `explainNoHost` says why. */
export async function chooseHosts(tx: Tx, server: Wanting): Promise<Candidate[]> {
  const request = requestOf(server)
  const pass = (host: Candidate) => rejection(host, request) === null
  const best = byWeight((await candidates(tx, request, few)).filter(pass))
  return best.length > 0 ? best : byWeight((await candidates(tx, null, null)).filter(pass))
}

/** Why no host will do: a sentence for the user, and every host's reason for the administrator. */
export async function explainNoHost(tx: Tx, server: Server): Promise<{ message: string; details: string }> {
  const request = requestOf(server)
  const hosts = await candidates(tx, null, null)
  if (hosts.length === 0) return { message: 'No valid host was found. No host has joined this cloud yet.', details: '' }
  const rejected = hosts
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((host) => ({
      host: host.name,
      ...(rejection(host, request) ?? { filter: 'claim', reason: 'another server was quicker to take its last room' }),
    }))
  const each = rejected.map(({ host, filter, reason }) => `${host} rejected by ${filter}: ${reason}`)
  const details = each.join('\n')
  if (rejected.length <= named) return { message: `No valid host was found. ${each.join('; ')}`, details }
  const counts = new Map<string, { count: number; example: string }>()
  for (const { filter, reason } of rejected) counts.set(filter, { count: (counts.get(filter)?.count ?? 0) + 1, example: reason })
  const summary = [...counts].map(([filter, { count, example }]) => `${count} rejected by ${filter} (for example: ${example})`)
  return { message: `No valid host was found. Of ${rejected.length} hosts, ${summary.join('; ')}`, details }
}

interface Row {
  id: string
  name: string
  disabled: boolean
  disabled_reason: string | null
  up: boolean
  arch: string | null
  hypervisor: string | null
  vcpus: number
  memory_mb: number
  disk_gb: number
  free_vcpus: number
  free_memory_mb: number
  free_disk_gb: number
  max_vcpus: number
  max_memory_mb: number
  max_disk_gb: number
  traits: string[] | null
}

/** Ids of hosts are random, and so is where among them the sample begins. */
function beginningAnywhere() {
  const start = crypto.randomUUID()
  return sql`
    (select id from wire.host where id >= ${start} order by id limit ${sample}) union all
    (select id from wire.host where id < ${start} order by id limit ${sample}) limit ${sample}`
}

/** With a request: the roomiest hosts of a sample that are up and fit it. Without: all there are. */
async function candidates(tx: Tx, request: Request | null, limit: number | null): Promise<Candidate[]> {
  const up = sql`(h.seen_at > now() - ${downAfter} and not c.forced_down)`
  const fits = request
    ? sql`where not c.disabled and ${up}
        and i.free_vcpus >= ${request.vcpus} and i.max_vcpus >= ${request.vcpus}
        and i.free_memory_mb >= ${request.memory_mb} and i.max_memory_mb >= ${request.memory_mb}
        and i.free_disk_gb >= ${request.disk_gb} and i.max_disk_gb >= ${request.disk_gb}
        and (${request.requested_host}::text is null or h.name = ${request.requested_host})
        and h.name <> all(${request.tried.map(({ host }) => host)}::text[])
      order by i.free_vcpus / nullif(i.vcpus, 0) + i.free_memory_mb / nullif(i.memory_mb, 0) + i.free_disk_gb / nullif(i.disk_gb, 0) desc nulls last, random()
      limit ${limit}`
    : sql``
  const of = (name: string, value: string) =>
    sql`coalesce(max(${sql.raw(value)}) filter (where resource_class = ${sql.lit(name)}), 0)::float8`
  const capacity = 'floor((total - reserved) * allocation_ratio)'
  const { rows } = await sql<Row>`
    with sampled as (${request && request.requested_host === null ? beginningAnywhere() : sql`select id from wire.host`}),
    i as (
      select provider_id,
        ${of('VCPU', capacity)} as vcpus, ${of('VCPU', `${capacity} - used`)} as free_vcpus, ${of('VCPU', 'max_unit')} as max_vcpus,
        ${of('MEMORY_MB', capacity)} as memory_mb, ${of('MEMORY_MB', `${capacity} - used`)} as free_memory_mb, ${of('MEMORY_MB', 'max_unit')} as max_memory_mb,
        ${of('DISK_GB', capacity)} as disk_gb, ${of('DISK_GB', `${capacity} - used`)} as free_disk_gb, ${of('DISK_GB', 'max_unit')} as max_disk_gb
      from placement.inventory where provider_id in (select id from sampled) group by provider_id),
    chosen as (
      select h.id, h.name, c.disabled, c.disabled_reason, ${up} as up, i.*
      from compute.service c join wire.host h on h.name = c.host join i on i.provider_id = h.id
      ${fits})
    select chosen.*, h.hello -> 'hypervisor' ->> 'arch' as arch, h.hello -> 'hypervisor' ->> 'type' as hypervisor,
      (select array_agg(trait) from placement.provider_trait t where t.provider_id = chosen.id) as traits
    from chosen join wire.host h on h.id = chosen.id`.execute(tx)
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    disabled: row.disabled,
    disabled_reason: row.disabled_reason,
    up: row.up ?? false,
    arch: row.arch ?? 'x86_64',
    hypervisor: row.hypervisor ?? 'QEMU',
    capacity: { vcpus: row.vcpus, memory_mb: row.memory_mb, disk_gb: row.disk_gb },
    free: { vcpus: row.free_vcpus, memory_mb: row.free_memory_mb, disk_gb: row.free_disk_gb },
    largest: { vcpus: row.max_vcpus, memory_mb: row.max_memory_mb, disk_gb: row.max_disk_gb },
    traits: row.traits ?? [],
  }))
}
