// How many images a project may have and how large, under Glance's names. Counted by trigger (schema.sql: image.count_usage), so the
// functions here only look; nothing is limited until an operator registers a limit.
import type { Tx } from '../../database/connect.ts'
import { tooLarge } from '../../http/fault.ts'
import { over, type Quota, standings } from '../../identity/control/quota.ts'

const MiB = 1024 ** 2
const none = -1

const quota = {
  service: 'image',
  resources: {
    image_size_total: { limit: none, unit: MiB },
    image_stage_total: { limit: none, unit: MiB },
    image_count_total: { limit: none },
    image_count_uploading: { limit: none },
  },
} satisfies Quota

export type ImageQuota = keyof (typeof quota)['resources']

/**
 * After a change that made an image, or began an upload: is the project within these limits? An upload's size is not known when it begins,
 * so whoever is not over yet may go over once, as at Glance.
 * @throws Fault 413 in oslo.limit's words
 */
export async function withinQuota(tx: Tx, projectId: string, ...names: ImageQuota[]): Promise<void> {
  const exceeded = await over<ImageQuota>(tx, projectId, { quota, names })
  if (exceeded.length === 0) return
  const list = exceeded.map(({ resource, used, limit }) => `Resource ${resource} is over limit of ${limit} with a usage of ${used}`)
  throw tooLarge(`Project ${projectId} is over a limit for [${list.join(', ')}]. Delete images, or ask for a higher limit.`)
}

/** The quotas that have a limit, as GET /v2/info/usage shows them. */
export async function usageOf(tx: Tx, projectId: string): Promise<Record<string, { usage: number; limit: number }>> {
  const all = Object.entries(await standings(tx, projectId, quota))
  return Object.fromEntries(all.filter(([, { limit }]) => limit !== none).map(([name, { used, limit }]) => [name, { usage: used, limit }]))
}
