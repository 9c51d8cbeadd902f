// Quotas of projects: how much of each resource a project may have, and has.

import { sql } from 'kysely'
import { type Static, Type } from 'typebox'
import { badRequest } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { limitsOf, type QuotaResource, quotaDefaults, quotaResources, usageOf } from '../control/quota.ts'
import { Flag, flagOf, given, numberOf, ownerTarget, Whole } from './attributes.ts'

// Quotas of what is not built yet are known to clients and are not kept: they cannot be used up.
const Limits = Type.Object(
  {
    ...Object.fromEntries(quotaResources.map((resource) => [resource, Type.Optional(Whole)])),
    force: Type.Optional(Flag),
    check_limit: Type.Optional(Flag),
  },
  { additionalProperties: false },
)
const Update = Type.Object({ quota: Limits }, { additionalProperties: false })

/** One's own quotas everyone may see; others' need the rule. */
function mustSee(call: Pick<Call, 'must' | 'who'>, project: string): void {
  if (project === call.who.project?.id) call.must('owner', ownerTarget(project))
  else call.must('get_quota', ownerTarget(project))
}

/** @throws Fault 400 for what is no limit */
function limitsIn(body: Static<typeof Limits>): [QuotaResource, number][] {
  return quotaResources.flatMap((resource) => {
    const value = (body as Partial<Record<QuotaResource, number | string>>)[resource]
    if (value === undefined) return []
    const limit = numberOf(value)
    if (limit < -1 || limit > 2_147_483_647) {
      throw badRequest(`Invalid input for ${resource}. Reason: '${limit}' is not in the range -1 to 2147483647.`, {
        type: 'HTTPBadRequest',
      })
    }
    return [[resource, limit]]
  })
}

async function mustFit(call: Pick<Call, 'tx'>, project: string, limits: [QuotaResource, number][]): Promise<void> {
  const usage = await usageOf(call.tx, project)
  for (const [resource, limit] of limits) {
    if (limit === -1 || usage[resource] <= limit) continue
    throw badRequest(`Quota limit ${limit} for ${resource} must be greater than or equal to already used ${usage[resource]}`, {
      type: 'HTTPBadRequest',
    })
  }
}

export const quotas = [
  row({
    route: 'GET /v2.0/quotas',
    policy: 'get_quota',
    reply: 200,
    summary: 'List the projects that have quotas of their own',
    run: async ({ tx, may, who }) => {
      const own = may('context_is_admin', {}) ? sql<boolean>`true` : sql<boolean>`project_id = ${who.project?.id ?? ''}`
      const rows = await tx.selectFrom('network.quota').selectAll().where(own).orderBy('project_id').execute()
      const projects = Map.groupBy(rows, ({ project_id }) => project_id)
      return {
        quotas: [...projects].map(([project_id, limits]) => ({
          ...quotaDefaults,
          ...Object.fromEntries(limits.map(({ resource, hard_limit }) => [resource, hard_limit])),
          project_id,
          tenant_id: project_id,
        })),
      }
    },
  }),
  row({
    route: 'GET /v2.0/quotas/:project_id',
    policy: 'get_quota',
    target: 'loaded',
    reply: 200,
    summary: "Show a project's quotas",
    run: async (call) => {
      mustSee(call, call.params.project_id)
      return { quota: await limitsOf(call.tx, call.params.project_id) }
    },
  }),
  row({
    route: 'GET /v2.0/quotas/:project_id/default',
    policy: 'get_quota',
    target: 'loaded',
    reply: 200,
    summary: 'Show the quotas that a project has where none are set for it',
    run: (call) => {
      mustSee(call, call.params.project_id)
      return { quota: quotaDefaults }
    },
  }),
  row({
    route: 'GET /v2.0/quotas/:project_id/details.json',
    policy: 'get_quota',
    target: 'loaded',
    reply: 200,
    summary: "Show a project's quotas and what it has used",
    run: async (call) => {
      const { project_id } = call.params
      mustSee(call, project_id)
      const [limits, usage] = [await limitsOf(call.tx, project_id), await usageOf(call.tx, project_id)]
      return {
        quota: Object.fromEntries(
          quotaResources.map((resource) => [resource, { limit: limits[resource], used: usage[resource], reserved: 0 }]),
        ),
      }
    },
  }),
  row({
    route: 'PUT /v2.0/quotas/:project_id',
    policy: 'update_quota',
    body: Update,
    reply: 200,
    summary: "Set a project's quotas",
    run: async ({ tx, params: { project_id }, body: { quota } }) => {
      const limits = limitsIn(quota)
      if (!given(quota.force as boolean | undefined, flagOf)) await mustFit({ tx }, project_id, limits)
      for (const [resource, hard_limit] of limits) {
        await tx
          .insertInto('network.quota')
          .values({ project_id, resource, hard_limit })
          .onConflict((conflict) => conflict.columns(['project_id', 'resource']).doUpdateSet({ hard_limit }))
          .execute()
      }
      return { quota: await limitsOf(tx, project_id) }
    },
  }),
  row({
    route: 'DELETE /v2.0/quotas/:project_id',
    policy: 'delete_quota',
    reply: 204,
    summary: 'Give a project the default quotas again',
    run: async ({ tx, params: { project_id } }) => {
      await tx.deleteFrom('network.quota').where('project_id', '=', project_id).execute()
    },
  }),
]
