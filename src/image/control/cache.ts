// The caches of hosts: which images shall lie there before a server asks for them (image.prefetch, and a document for each host), and what
// hosts say that lies there. A wish and the documents that carry it out are written in one transaction; a host that joins later gets
// its documents from the key 'image-cache' of its id.
import { sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import { badRequest } from '../../http/fault.ts'
import type { Hello, ImageDocument } from '../../wire/documents.ts'
import { intend, intendOnAll } from '../../wire/intend.ts'
import type { Host } from '../../wire/observe.ts'
import { type Handler, poke } from '../../work/engine.ts'
import { isBare } from './formats.ts'

/** Whoever changes wishes of many images or of all hosts goes alone: so a host that joins meanwhile misses none. */
const alone = sql`select pg_advisory_xact_lock(hashtextextended('image cache', 0))`

interface Cacheable {
  id: string
  disk_format: string | null
  container_format: string | null
  size: number | null
  os_hash_value: string | null
  checksum: string | null
}

const documentOf = ({ id, disk_format, size, os_hash_value, checksum }: Cacheable): ImageDocument => ({
  v: 1,
  id,
  disk_format: disk_format ?? 'raw',
  size: size ?? 0,
  hash: os_hash_value ?? checksum ?? '',
})

/** What servers can be started from; hosts have no use for anything else. */
const startable = new Set(['raw', 'qcow2', 'vmdk', 'vdi', 'vhd', 'vhdx'])

/** Ids of the hosts of these names; undefined = no names, all hosts. @throws Fault 400 for a name that no host has */
export async function hostsNamed(tx: Tx, names: string[]): Promise<string[] | undefined> {
  if (names.length === 0) return undefined
  const hosts = await tx.selectFrom('wire.host').select(['id', 'name']).where('name', 'in', names).execute()
  const unknown = names.find((name) => !hosts.some((host) => host.name === name))
  if (unknown !== undefined) throw badRequest(`There is no host '${unknown.slice(0, 64)}'. GET /compute/v2.1/os-hypervisors lists them.`)
  return hosts.map(({ id }) => id)
}

/**
 * Says that hosts shall have an active image, whose row the caller has locked.
 * @param hosts undefined = all, also those that join later
 * @throws Fault 400 for what no server can start from
 */
export async function queueImage(tx: Tx, image: Cacheable, hosts: string[] | undefined): Promise<void> {
  if (!isBare(image.container_format) || !startable.has(image.disk_format ?? '')) {
    throw badRequest(
      `Hosts cache what servers start from: disks of the formats ${[...startable].join(', ')}. Image ${image.id} is ${image.disk_format} in ${image.container_format}.`,
    )
  }
  await alone.execute(tx)
  // A wish for every host stands for those of single ones.
  if (!hosts) await tx.deleteFrom('image.prefetch').where('image_id', '=', image.id).execute()
  await sql`
    insert into image.prefetch (image_id, host_id)
    select ${image.id}, host from unnest(${hosts ?? [null]}::text[]) as host
    where not exists (select from image.prefetch where image_id = ${image.id} and host_id is null)
    on conflict do nothing`.execute(tx)
  const { rows } = await sql<{ host_id: string; generation: number }>`
    select h.id as host_id, coalesce(d.generation, 0) + 1 as generation
    from wire.host h left join wire.document d on d.host_id = h.id and d.kind = 'image' and d.id = ${image.id}
    where (${hosts ?? null}::text[] is null or h.id = any(${hosts ?? null}::text[])) and d.body is null`.execute(tx)
  await intendOnAll(tx, 'image', image.id, rows, sql`${json(documentOf(image) as never)}::jsonb`)
}

/** A host gets documents for the images that are wanted on it, and loses those that nobody wants any more. */
const host: Handler = async (tx, id) => {
  await alone.execute(tx)
  const { rows } = await sql<Cacheable & { wanted: boolean; held: boolean; generation: number }>`
    select coalesce(i.id, d.id) as id, i.disk_format, i.container_format, i.size, i.os_hash_value, i.checksum,
      i.id is not null as wanted, d.body is not null as held, coalesce(d.generation, 0) + 1 as generation
    from (select * from image.image where id in (select image_id from image.prefetch where host_id is null or host_id = ${id})) i
    full join (select * from wire.document where host_id = ${id} and kind = 'image') d on d.id = i.id
    where exists (select from wire.host where id = ${id})`.execute(tx)
  const intents = rows
    .filter(({ wanted, held }) => wanted !== held)
    .map(({ wanted, generation, ...image }) => ({
      kind: 'image' as const,
      id: image.id,
      generation,
      body: wanted ? documentOf(image) : null,
    }))
  await intend(tx, id, intents)
  return null
}
export const handlers: Record<string, Handler> = { 'image-cache': host }

/** What a host says that its cache holds replaces what was known of images without a document; the others it reports by themselves. */
export async function hello(tx: Tx, { id }: Host, { images = {} }: Hello): Promise<void> {
  await poke(tx, 'image-cache', id)
  await sql`
    delete from wire.observed o where host_id = ${id} and kind = 'image' and not (${json(images as never)}::jsonb ? o.id)
      and not exists (select from wire.document d where d.host_id = ${id} and d.kind = 'image' and d.id = o.id)`.execute(tx)
  await sql`
    insert into wire.observed (host_id, kind, id, generation, state)
    select ${id}, 'image', key, 0, jsonb_build_object('state', 'ready', 'image', value) from jsonb_each(${json(images as never)}::jsonb)
    on conflict (host_id, kind, id) do update set state = excluded.state, at = now() where wire.observed.generation = 0`.execute(tx)
}

export interface Clearing {
  /** undefined = all. */
  image?: string
  hosts?: string[] | undefined
  /** What is only wished for, what only lies there, or both. */
  what?: 'queue' | 'cache'
  /** Spares what is wanted, and what servers on the host were made of. */
  unused?: boolean
  /** Only what a host could not fetch. */
  failed?: boolean
}

export interface Cleared {
  images: string[]
  copies: number
  /** Of the copies, as hosts reported them. */
  bytes: number
}

/**
 * Takes images out of the caches and out of the wishes. A host lets go of its copy at once, unless disks of servers stand on it: then
 * with the last of them.
 */
export async function clearCache(tx: Tx, { image, hosts, what, unused = false, failed = false }: Clearing): Promise<Cleared> {
  await alone.execute(tx)
  const these = sql`(${image ?? null}::text is null or c.id = ${image ?? null}) and (${hosts ?? null}::text[] is null or c.host_id = any(${hosts ?? null}::text[]))`
  const { rows } = await sql<{ id: string; host_id: string; generation: number; bytes: number }>`
    select c.id, c.host_id, greatest(d.generation, o.generation, 0) + 1 as generation, coalesce((o.state -> 'image' ->> 'size')::bigint, 0) as bytes
    from (select host_id, id from wire.document where kind = 'image' and body is not null
          union select host_id, id from wire.observed where kind = 'image') c
    left join wire.document d on d.host_id = c.host_id and d.kind = 'image' and d.id = c.id
    left join wire.observed o on o.host_id = c.host_id and o.kind = 'image' and o.id = c.id
    where ${these} and (d.id is null or d.body is not null)
      and (${what ?? ''} <> 'queue' or coalesce(o.state ->> 'state', '') <> 'ready')
      and (${what ?? ''} <> 'cache' or o.state ->> 'state' = 'ready')
      and (not ${failed}::boolean or o.state ->> 'state' = 'failed')
      and (not ${unused}::boolean or d.body is null and not exists (
        select from wire.document s where s.host_id = c.host_id and s.kind = 'server' and s.body -> 'image' ->> 'id' = c.id))
    order by c.id, c.host_id`.execute(tx)
  await forgetWishes(tx, rows, image, hosts, what === undefined && !unused && !failed, what === 'queue')
  // Several images on the same hosts: all hosts are locked first, in one order.
  await sql`select from wire.host where id = any(${rows.map((row) => row.host_id)}::text[]) order by id for no key update`.execute(tx)
  const images = [...new Set(rows.map(({ id }) => id))]
  for (const id of images)
    await intendOnAll(
      tx,
      'image',
      id,
      rows.filter((row) => row.id === id),
      sql`null::jsonb`,
    )
  return { images, copies: rows.length, bytes: rows.reduce((sum, row) => sum + row.bytes, 0) }
}

/** The image will be no more: hosts let go of it, like all that is cleared. The caller has locked its row, so that nobody wishes for it anew. */
export async function forgetCopies(tx: Tx, image: string): Promise<void> {
  const { rows } = await sql`
    select from image.prefetch where image_id = ${image}
    union all select from wire.document where kind = 'image' and id = ${image}
    union all select from wire.observed where kind = 'image' and id = ${image} limit 1`.execute(tx)
  if (rows.length > 0) await clearCache(tx, { image })
}

/** Where some hosts keep what was wanted on every host, the wish for every host becomes one for each of those. */
async function forgetWishes(
  tx: Tx,
  gone: { id: string; host_id: string }[],
  image: string | undefined,
  hosts: string[] | undefined,
  all: boolean,
  queue: boolean,
): Promise<void> {
  if (all && !hosts) {
    await tx
      .deleteFrom('image.prefetch')
      .$if(image !== undefined, (query) => query.where('image_id', '=', image!))
      .execute()
    return
  }
  // Wished for while no host has it: nothing of it is left.
  if (queue && !hosts)
    await sql`
      delete from image.prefetch p where host_id is null and (${image ?? null}::text is null or image_id = ${image ?? null}) and not exists (
        select from wire.observed o where o.kind = 'image' and o.id = p.image_id and o.state ->> 'state' = 'ready')`.execute(tx)
  const pairs = sql`jsonb_to_recordset(${json(gone)}) as g (id text, host_id text)`
  await sql`
    with whole as (delete from image.prefetch p where host_id is null and exists (select from ${pairs} where g.id = p.image_id) returning image_id, queued_at)
    insert into image.prefetch (image_id, host_id, queued_at) select image_id, h.id, queued_at from whole cross join wire.host h
    on conflict do nothing`.execute(tx)
  await sql`delete from image.prefetch p using ${pairs} where g.id = p.image_id and g.host_id = p.host_id`.execute(tx)
}

export interface CachedCopy {
  image_id: string
  /** How many disks were made of it, on all hosts. */
  hits: number
  /** Seconds since 1970. */
  last_accessed: number
  last_modified: number
  /** Bytes of the largest copy. */
  size: number
  /** Names. */
  hosts: string[]
}

/** What lies in the caches, and which images are wanted on hosts that do not have them yet. @param hosts ids; undefined = all */
export async function cacheState(tx: Tx, hosts: string[] | undefined) {
  const some = sql`(${hosts ?? null}::text[] is null or h.id = any(${hosts ?? null}::text[]))`
  const { rows: cached_images } = await sql<CachedCopy>`
    select o.id as image_id, sum((o.state -> 'image' ->> 'hits')::bigint)::bigint as hits,
      extract(epoch from max(coalesce(o.state -> 'image' ->> 'used_at', o.state -> 'image' ->> 'cached_at')::timestamptz))::float8 as last_accessed,
      extract(epoch from max((o.state -> 'image' ->> 'cached_at')::timestamptz))::float8 as last_modified,
      max((o.state -> 'image' ->> 'size')::bigint) as size, array_agg(h.name order by h.name) as hosts
    from wire.observed o join wire.host h on h.id = o.host_id
    where o.kind = 'image' and o.state ->> 'state' = 'ready' and ${some} and not exists (
      select from wire.document d where d.host_id = o.host_id and d.kind = 'image' and d.id = o.id and d.body is null)
    group by o.id order by o.id`.execute(tx)
  const { rows } = await sql<{ image_id: string; host: string | null; error: string | null }>`
    select p.image_id, h.name as host, o.state -> 'error' ->> 'message' as error
    from image.prefetch p left join wire.host h on (p.host_id is null or p.host_id = h.id)
    left join wire.observed o on o.host_id = h.id and o.kind = 'image' and o.id = p.image_id
    where coalesce(o.state ->> 'state', '') <> 'ready' and (h.id is null or ${some})
    order by p.queued_at, p.image_id, h.name`.execute(tx)
  return {
    cached_images,
    queued_images: [...new Set(rows.map(({ image_id }) => image_id))],
    failed: rows.filter(({ error }) => error !== null),
  }
}

/** Names of the hosts whose cache has the image. */
export async function hostsWith(tx: Tx, image: string): Promise<string[]> {
  const { cached_images } = await cacheState(tx, undefined)
  return cached_images.find(({ image_id }) => image_id === image)?.hosts ?? []
}
