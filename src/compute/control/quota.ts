// Quotas: how much a project (or a user, for key pairs) may have. The counters in compute.usage change in the transactions that insert and
// delete servers, so they are exact; the conditional update that raises them is the check itself, under that row's lock.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { overQuota } from '../../http/fault.ts'
import type { ServerFlavor } from './facts.ts'

/** Nova's defaults (nova/conf/quota.py); -1 = no limit. */
export const defaults: Record<string, number> = {
  instances: 10,
  cores: 20,
  ram: 51_200,
  metadata_items: 128,
  injected_files: 5,
  injected_file_content_bytes: 10_240,
  injected_file_path_bytes: 255,
  key_pairs: 100,
  server_groups: 10,
  server_group_members: 10,
}

export type Limits = Record<string, number>

export interface Usage {
  instances: number
  cores: number
  ram: number
}

/** The limits of a project: its own, else those of the default class, else the program's. */
export async function limitsOf(tx: Tx, projectId: string): Promise<Limits> {
  const rows = await tx.selectFrom('compute.quota').selectAll().where('project_id', 'in', [projectId, 'default']).execute()
  const of = (owner: string) =>
    Object.fromEntries(rows.filter((row) => row.project_id === owner).map((row) => [row.resource, row.hard_limit]))
  return { ...defaults, ...of('default'), ...of(projectId) }
}

export const defaultLimits = (tx: Tx): Promise<Limits> => limitsOf(tx, 'default')

export async function usageOf(tx: Tx, projectId: string): Promise<Usage> {
  const row = await tx.selectFrom('compute.usage').selectAll().where('project_id', '=', projectId).executeTakeFirst()
  return { instances: row?.instances ?? 0, cores: row?.cores ?? 0, ram: row?.ram_mb ?? 0 }
}

type Size = Pick<ServerFlavor, 'vcpus' | 'memory_mb'>

/**
 * Takes room for `most` servers, or for as many as still fit if these are at least `least`. Returns how many.
 * @throws Fault 403 that names what is exceeded, in Nova's words
 */
export async function take(tx: Tx, projectId: string, size: Size, least: number, most: number, limits: Limits): Promise<number> {
  if (await raise(tx, projectId, size, most, limits)) return most
  const used = await usageOf(tx, projectId)
  const room = Math.min(
    free(limits.instances, used.instances),
    Math.floor(free(limits.cores, used.cores) / size.vcpus),
    Math.floor(free(limits.ram, used.ram) / size.memory_mb),
  )
  if (room >= least && (await raise(tx, projectId, size, room, limits))) return room
  throw exceeded(size, least, used, limits)
}

const free = (limit: number | undefined, used: number) => (limit === undefined || limit < 0 ? Number.POSITIVE_INFINITY : limit - used)

async function raise(tx: Tx, projectId: string, { vcpus, memory_mb }: Size, count: number, limits: Limits): Promise<boolean> {
  const most = (name: string) => (limits[name] === undefined || limits[name] < 0 ? 2_147_483_647 : limits[name])
  const { rows } = await sql`
    insert into compute.usage as u (project_id, instances, cores, ram_mb)
    select ${projectId}, n, n * ${vcpus}::int, n * ${memory_mb}::bigint from (select ${count}::int as n) one
    where n <= ${most('instances')} and n * ${vcpus}::int <= ${most('cores')} and n * ${memory_mb}::bigint <= ${most('ram')}
    on conflict (project_id) do update
      set instances = u.instances + excluded.instances, cores = u.cores + excluded.cores, ram_mb = u.ram_mb + excluded.ram_mb
      where u.instances + excluded.instances <= ${most('instances')} and u.cores + excluded.cores <= ${most('cores')}
        and u.ram_mb + excluded.ram_mb <= ${most('ram')}
    returning project_id`.execute(tx)
  return rows.length > 0
}

function exceeded({ vcpus, memory_mb }: Size, count: number, used: Usage, limits: Limits) {
  const wanted: Usage = { instances: count, cores: count * vcpus, ram: count * memory_mb }
  const over = (Object.keys(wanted) as (keyof Usage)[]).filter((name) => wanted[name] > free(limits[name], used[name]))
  const list = (of: (name: keyof Usage) => unknown) => over.map(of).join(', ')
  const names = over.join(', ')
  return overQuota(
    `Quota exceeded for ${names}: Requested ${list((name) => wanted[name])}, but already used ${list((name) => used[name])} of ${list((name) => limits[name])} ${names}`,
  )
}

/** Returns what one server took. */
export async function giveBack(tx: Tx, projectId: string, { vcpus, memory_mb }: Size): Promise<void> {
  await sql`
    update compute.usage set instances = instances - 1, cores = cores - ${vcpus}, ram_mb = ram_mb - ${memory_mb}
    where project_id = ${projectId}`.execute(tx)
}
