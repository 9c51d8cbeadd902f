// Makes servers: all that is checked and written before the answer 202 leaves, in the request's one transaction. A refusal anywhere undoes
// everything, so no bad request leaves a row or a port behind. A server by itself is placed on a host in that transaction, too, which spares
// it one of its own; where several run, and where no host will do at once, is for the ladder to find out (server.ts).
import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import { badRequest, Fault } from '../../http/fault.ts'
import type { Who } from '../../http/who.ts'
import { imageForServer } from '../../image/control/image-for-server.ts'
import { type Nic, nicsOf, requestPorts, type WantedNic } from '../../network/control/server-ports.ts'
import { release } from '../../placement/control/claim.ts'
import type { Intent } from '../../wire/intend.ts'
import { pokeAll } from '../../work/engine.ts'
import { hintChanged } from '../../work/hint.ts'
import { beginActions } from './action.ts'
import type { Server, ServerFlavor, ServerImage } from './facts.ts'
import { limitOf, mustHaveRoom, roomFor, standingsOf } from './quota.ts'
import type { Candidate } from './schedule/filters.ts'
import { bound, lookAgain, takeHost, tellPlaced } from './server.ts'
import { checkMetadata } from './wish.ts'

export interface NewServers {
  name: string
  /** Given by the user since 2.90; else it follows from the name. */
  hostname?: string
  description: string | null
  flavor: string
  image: string
  least: number
  most: number
  networks?: 'auto' | 'none' | WantedNic[]
  security_groups: string[]
  key_name?: string
  user_data: string | null
  config_drive: boolean
  metadata: Record<string, string>
  tags: string[]
  access_ip_v4: string
  access_ip_v6: string
  availability_zone: string | null
  requested_host: string | null
  scheduler_hints: Record<string, unknown>
}

export interface Created {
  ids: string[]
  reservation_id: string
}

/** @throws Fault 400, 403, 404, 409 in Nova's words */
export async function createServers(tx: Tx, who: Who, projectId: string, requestId: string, wanted: NewServers): Promise<Created> {
  const [flavor, image, key, maxMetadata] = await Promise.all([
    flavorFor(tx, projectId, wanted.flavor),
    imageOf(tx, who, wanted.image),
    wanted.key_name === undefined ? null : keyOf(tx, who.user.id, wanted.key_name),
    mostMetadata(tx, who, projectId, wanted.metadata),
    wanted.requested_host === null ? null : mustBeHost(tx, wanted.requested_host),
  ])
  mustFit(image, flavor)
  checkMetadata(wanted.metadata, maxMetadata)
  const { least, most } = wanted
  const count = least === most ? most : await roomFor(tx, projectId, who.user.id, flavor, least, most)

  const reservation_id = `r-${randomBytes(5).toString('hex').slice(0, 8)}`
  const servers = Array.from({ length: count }, (_, index) => {
    const id = crypto.randomUUID()
    const suffix = wanted.most > 1 ? `-${index + 1}` : ''
    return {
      id,
      project_id: projectId,
      name: wanted.name + suffix,
      hostname: hostnameOf(wanted.hostname ?? wanted.name, suffix, id),
      launch_index: index,
    }
  })
  // The claim comes before whatever is counted for the project is locked, as where a server leaves: so the two cannot wait for each other.
  const place = {
    flavor,
    image: factsOf(image),
    user_id: who.user.id,
    availability_zone: wanted.availability_zone,
    requested_host: wanted.requested_host,
    tried: [],
  }
  const [host] = await Promise.all([
    most === 1 ? takeHost(tx, { ...servers[0]!, ...place }) : null,
    beginActions(tx, servers, who.user.id, requestId, 'create'),
  ])
  for (const server of servers)
    await requestPorts(
      tx,
      who,
      { ...server, security_groups: wanted.security_groups, availability_zone: wanted.availability_zone },
      wanted.networks,
    )
  const placed = host && (await placedOn(tx, host, servers[0]!.id, wanted.networks === 'none'))
  // All launches of a project meet where its servers are counted, which is when they are written: so that comes last.
  const insert = tx.insertInto('compute.server').values(
    servers.map((server) => ({
      ...server,
      user_id: who.user.id,
      description: wanted.description,
      flavor: json({ ...flavor }),
      image_id: wanted.image,
      image: json({ ...place.image }),
      key_name: wanted.key_name ?? null,
      key_data: key,
      user_data: wanted.user_data,
      config_drive: wanted.config_drive,
      metadata: json(wanted.metadata),
      tags: wanted.tags,
      access_ip_v4: wanted.access_ip_v4,
      access_ip_v6: wanted.access_ip_v6,
      availability_zone: wanted.availability_zone,
      requested_host: wanted.requested_host,
      scheduler_hints: json(wanted.scheduler_hints as never),
      security_groups: wanted.security_groups.length > 0 ? wanted.security_groups : ['default'],
      reservation_id,
      host: placed ? placed.host.name : null,
      task_state: placed ? 'networking' : 'scheduling',
    })),
  )
  // They are sent in this order: what is asked sees what was written.
  const [inserted] = await Promise.all([
    (placed ? insert.returningAll() : insert).execute(),
    mustHaveRoom(tx, projectId, who.user.id, flavor, count),
  ])
  for (const { id } of servers) hintChanged(tx, 'server', id, projectId)
  const ids = servers.map(({ id }) => id)
  if (placed) tellPlaced(tx, placed.host, inserted[0] as unknown as Server, placed.nics, placed.network, requestId)
  await pokeAll(tx, 'server', ids, placed ? lookAgain : 0)
  return { ids, reservation_id }
}

interface Placed {
  host: Candidate
  nics: Nic[]
  network: Intent[]
}

/** Binds its ports to the host; null, and the claim given back, if the host cannot carry them: the ladder tries them all. */
async function placedOn(tx: Tx, host: Candidate, serverId: string, bare: boolean): Promise<Placed | null> {
  const nics = bare ? [] : await nicsOf(tx, serverId)
  const network = await bound(tx, serverId, host, nics)
  if (!(network instanceof Fault)) return { host, nics, network }
  await release(tx, serverId)
  return null
}

/** The flavor that a project may use, by its id. @throws Fault 400 */
async function flavorFor(tx: Tx, projectId: string, id: string): Promise<ServerFlavor> {
  const flavor = await tx
    .selectFrom('compute.flavor as f')
    .select(['id', 'name', 'description', 'memory_mb', 'vcpus', 'root_gb', 'ephemeral_gb', 'swap_mb', 'extra_specs'])
    .where('id', '=', id)
    .where('disabled', '=', false)
    .where(
      sql<boolean>`(f.is_public or exists (select from compute.flavor_access a where a.flavor_id = f.id and a.project_id = ${projectId}))`,
    )
    .executeTakeFirst()
  if (!flavor) throw badRequest(`Flavor ${id} could not be found.`)
  return { ...flavor, extra_specs: flavor.extra_specs as Record<string, string> }
}

type Image = Exclude<Awaited<ReturnType<typeof imageForServer>>, Fault>

async function imageOf(tx: Tx, who: Who, id: string): Promise<Image> {
  const image = await imageForServer(tx, who, id)
  if (image instanceof Fault) throw image.status === 404 ? badRequest('Can not find requested image') : image
  return image
}

function mustFit(image: Image, flavor: ServerFlavor): void {
  if (flavor.memory_mb < image.min_ram) throw badRequest("Flavor's memory is too small for requested image.")
  const bytes = flavor.root_gb * 2 ** 30
  const size = Math.max(image.size ?? 0, image.virtual_size ?? 0)
  if (bytes > 0 && bytes < size) {
    throw badRequest(`Flavor's disk is too small for requested image. Flavor disk is ${bytes} bytes, image is ${size} bytes.`)
  }
  if (bytes > 0 && flavor.root_gb < image.min_disk) {
    throw badRequest(
      `Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is ${bytes} bytes, minimum size is ${image.min_disk * 2 ** 30} bytes.`,
    )
  }
}

function factsOf({ name, disk_format, container_format, min_disk, size, os_hash_algo, os_hash_value, properties }: Image): ServerImage {
  return {
    name: name ?? '',
    disk_format: disk_format ?? '',
    container_format: container_format ?? '',
    min_disk,
    size: size ?? 0,
    os_hash_algo: os_hash_algo ?? '',
    os_hash_value: os_hash_value ?? '',
    properties: properties as Record<string, string>,
  }
}

async function keyOf(tx: Tx, userId: string, name: string): Promise<string> {
  const key = await tx
    .selectFrom('compute.keypair')
    .select('public_key')
    .where('user_id', '=', userId)
    .where('name', '=', name)
    .executeTakeFirst()
  if (!key) throw badRequest('Invalid key_name provided.')
  return key.public_key
}

/** How many items of metadata a server may have; asked only where there are some. */
async function mostMetadata(tx: Tx, who: Who, projectId: string, metadata: Record<string, string>): Promise<number> {
  if (Object.keys(metadata).length === 0) return -1
  return limitOf(await standingsOf(tx, projectId, who.user.id), 'metadata_items')
}

async function mustBeHost(tx: Tx, name: string): Promise<void> {
  const host = await tx.selectFrom('compute.service').select('host').where('host', '=', name).executeTakeFirst()
  if (!host) throw badRequest(`Compute host ${name} could not be found.`)
}

/** A name as DNS allows it (nova/utils.py, sanitize_hostname); what nothing is left of becomes Server-{id}. */
export function hostnameOf(name: string, suffix: string, id: string): string {
  const clean = name
    .normalize('NFKD')
    .replaceAll(/[ _.]/g, '-')
    .replaceAll(/[^A-Za-z0-9-]/g, '')
    .toLowerCase()
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 63 - suffix.length)
  return clean === '' ? `Server-${id}` : clean + suffix
}
