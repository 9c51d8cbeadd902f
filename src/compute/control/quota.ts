// Quotas: how much a project (or a user in it) may have of servers and what belongs to them. Servers are counted by trigger (schema.sql:
// compute.count_usage); the functions here say the limits, and whether there is room, in Nova's words. Nova's quota sets and Keystone's
// unified limits name the same things differently: `unifiedNames` has both.
import { type RawBuilder, sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { overQuota } from '../../http/fault.ts'
import * as engine from '../../identity/control/quota.ts'
import { portQuota, portsExceeded } from '../../network/control/quota.ts'
import { diskOf, type ServerFlavor } from './facts.ts'

/** From the names of quota sets to those of unified limits (nova/limit/utils.py). */
export const unifiedNames = {
  instances: 'servers',
  cores: 'class:VCPU',
  ram: 'class:MEMORY_MB',
  metadata_items: 'server_metadata_items',
  injected_files: 'server_injected_files',
  injected_file_content_bytes: 'server_injected_file_content_bytes',
  injected_file_path_bytes: 'server_injected_file_path_bytes',
  key_pairs: 'server_key_pairs',
  server_groups: 'server_groups',
  server_group_members: 'server_group_members',
} as const
export type QuotaName = keyof typeof unifiedNames
export const quotaNames = Object.keys(unifiedNames) as QuotaName[]

/** Nova's defaults (nova/conf/quota.py). A disk can be limited in Keystone only. */
export const quota = {
  service: 'compute',
  resources: {
    servers: { limit: 10 },
    'class:VCPU': { limit: 20 },
    'class:MEMORY_MB': { limit: 51_200 },
    'class:DISK_GB': { limit: -1 },
    server_metadata_items: { limit: 128 },
    server_injected_files: { limit: 5 },
    server_injected_file_content_bytes: { limit: 10_240 },
    server_injected_file_path_bytes: { limit: 255 },
    server_key_pairs: { limit: 100 },
    server_groups: { limit: 10 },
    server_group_members: { limit: 10 },
  },
} satisfies engine.Quota
type Resource = keyof typeof quota.resources

const counted = ['servers', 'class:VCPU', 'class:MEMORY_MB', 'class:DISK_GB'] as const
type Counted = (typeof counted)[number]
const nameOf = (resource: Resource) => quotaNames.find((name) => unifiedNames[name] === resource) ?? resource

export type Standings = Record<Resource, engine.UserStanding>

/** What the project has and may have, and what the user may have in it. */
export const standingsOf = (tx: Tx, projectId: string, userId?: string): Promise<Standings> =>
  engine.standings(tx, projectId, quota, userId)

/** The limit that holds for the user: its own, else the project's. */
export const limitOf = (now: Standings, name: QuotaName): number => {
  const { userLimit, limit } = now[unifiedNames[name]]
  return userLimit ?? limit
}

const sizeOf = (flavor: ServerFlavor, count = 1): Record<Counted, number> => ({
  servers: count,
  'class:VCPU': count * flavor.vcpus,
  'class:MEMORY_MB': count * flavor.memory_mb,
  'class:DISK_GB': count * diskOf(flavor),
})

/**
 * How many servers to make where anything between `least` and `most` will do. Holds the project's counts (of ports, too) from here on.
 * @throws Fault 403 where not even `least` fit
 */
export async function roomFor(
  tx: Tx,
  projectId: string,
  userId: string,
  flavor: ServerFlavor,
  least: number,
  most: number,
): Promise<number> {
  // Ports are counted before servers wherever both are made or go.
  await engine.hold(tx, projectId, portQuota)
  await engine.hold(tx, projectId, { quota, names: counted })
  const now = await standingsOf(tx, projectId, userId)
  const inProject = engine.roomFor(quota, sizeOf(flavor), now, await roomOfUser(tx, projectId, userId, flavor, now, most))
  return Math.max(await engine.roomInDomain<Counted>(tx, projectId, quota, sizeOf(flavor), inProject), least)
}

/**
 * Asked after servers and their ports were made, in the same transaction: locks nothing that is not locked already, and one statement.
 * @throws Fault 403 that names what is exceeded, in Nova's words
 */
export async function mustHaveRoom(tx: Tx, projectId: string, userId: string, flavor: ServerFlavor, count: number): Promise<void> {
  const size = sizeOf(flavor)
  const names = counted.filter((resource) => size[resource] > 0)
  const { exceeded, userLimits } = await engine.overForUser<string>(tx, projectId, userId, { quota, names }, portQuota)
  const own = exceeded.filter(({ service }) => service === quota.service)
  if (own.length > 0) throw tooMuch(flavor, count, own as engine.Over<Counted>[])
  if (exceeded.length > 0) throw portsExceeded()
  if (userLimits.size === 0) return
  const used = await usedBy(tx, projectId, userId)
  const over = counted.flatMap((resource) => {
    const limit = userLimits.get(resource) ?? -1
    return limit >= 0 && used[resource] > limit ? [{ service: quota.service, resource, used: used[resource], limit }] : []
  })
  if (over.length > 0) throw tooMuch(flavor, count, over)
}

function tooMuch(flavor: ServerFlavor, count: number, exceeded: engine.Over<Counted>[]) {
  const wanted = sizeOf(flavor, count)
  const over = counted.flatMap((resource) => exceeded.find((one) => one.resource === resource) ?? [])
  const list = (of: (one: engine.Over<Counted>) => unknown) => over.map(of).join(', ')
  const names = list(({ resource }) => nameOf(resource))
  return overQuota(
    `Quota exceeded for ${names}: Requested ${list(({ resource }) => wanted[resource])}, but already used ${list(({ resource, used }) => used - wanted[resource])} of ${list(({ limit }) => limit)} ${names}`,
  )
}

const isLimited = (now: Standings) => counted.some((resource) => now[resource].userLimit !== null)

/** What a user has in a project. Users with limits of their own are few: theirs are counted when asked for, under the lock of the project's count. */
export async function usedBy(tx: Tx, projectId: string, userId: string): Promise<Record<Counted, number>> {
  const sum = (resource: Counted): RawBuilder<number> =>
    sql<number>`coalesce(sum(c.amount) filter (where c.resource = ${resource}), 0)::bigint`
  const { rows } = await sql<Record<Counted, number>>`
    select ${sql.join(counted.map((resource) => sql`${sum(resource)} as ${sql.id(resource)}`))}
    from compute.server s, compute.counted(s.flavor) c where s.project_id = ${projectId} and s.user_id = ${userId}`.execute(tx)
  return rows[0]!
}

async function roomOfUser(tx: Tx, projectId: string, userId: string, flavor: ServerFlavor, now: Standings, most: number): Promise<number> {
  if (!isLimited(now)) return most
  const used = await usedBy(tx, projectId, userId)
  const theirs = Object.fromEntries(
    counted.map((resource) => [resource, { used: used[resource], limit: now[resource].userLimit ?? -1 }]),
  ) as Record<Counted, engine.Standing>
  return engine.roomFor<Counted>(quota, sizeOf(flavor), theirs, most)
}
