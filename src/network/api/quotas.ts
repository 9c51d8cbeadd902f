// Quotas of projects: how much of each resource a project may have, and has.

import { type Static, Type } from 'typebox'
import { badRequest, notBuilt } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { forgetLimits, projectsWithLimits, setLimits } from '../../identity/control/own-quota.ts'
import { everyProject, standings } from '../../identity/control/quota.ts'
import { type QuotaResource, quota as quotaOf, quotaResources } from '../control/quota.ts'
import { Flag, flagOf, given, numberOf, ownerTarget, Whole } from './attributes.ts'

// Clients know these, too; what is not built cannot be used up.
const notKept = ['floatingip', 'rbac_policy', 'router', 'subnetpool']
const Limits = Type.Object(
  {
    ...Object.fromEntries(quotaResources.map((resource) => [resource, Type.Optional(Whole)])),
    ...Object.fromEntries(notKept.map((resource) => [resource, Type.Optional(Whole)])),
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

/** @throws Fault 400 for what is no limit, 501 for the quota of what is not built */
function limitsIn(body: Static<typeof Limits>): [QuotaResource, number][] {
  const missing = notKept.find((resource) => (body as Record<string, unknown>)[resource] !== undefined)
  if (missing !== undefined) throw notBuilt(`A quota of '${missing}'`)
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

async function limitsOf({ tx }: Pick<Call, 'tx'>, project: string): Promise<Record<QuotaResource, number>> {
  const now = await standings(tx, project, quotaOf)
  return Object.fromEntries(quotaResources.map((resource) => [resource, now[resource].limit])) as Record<QuotaResource, number>
}

async function mustFit({ tx }: Pick<Call, 'tx'>, project: string, limits: [QuotaResource, number][]): Promise<void> {
  const now = await standings(tx, project, quotaOf)
  for (const [resource, limit] of limits) {
    const { used } = now[resource]
    if (limit === -1 || used <= limit) continue
    throw badRequest(`Quota limit ${limit} for ${resource} must be greater than or equal to already used ${used}`, {
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
      const own = await projectsWithLimits(tx, quotaOf, may('context_is_admin', {}) ? null : (who.project?.id ?? ''))
      const everyone = await limitsOf({ tx }, everyProject)
      return { quotas: [...own].map(([project_id, limits]) => ({ ...everyone, ...limits, project_id, tenant_id: project_id })) }
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
      return { quota: await limitsOf(call, call.params.project_id) }
    },
  }),
  row({
    route: 'GET /v2.0/quotas/:project_id/default',
    policy: 'get_quota',
    target: 'loaded',
    reply: 200,
    summary: 'Show the quotas that a project has where none are set for it',
    run: async (call) => {
      mustSee(call, call.params.project_id)
      return { quota: await limitsOf(call, everyProject) }
    },
  }),
  // The documentation has the first, the SDK and so the `openstack` client ask for the second.
  ...(['GET /v2.0/quotas/:project_id/details.json', 'GET /v2.0/quotas/:project_id/details'] as const).map((route) =>
    row({
      route,
      policy: 'get_quota',
      target: 'loaded',
      reply: 200,
      summary: "Show a project's quotas and what it has used",
      run: async (call) => {
        const { project_id } = call.params
        mustSee(call, project_id)
        const now = Object.entries(await standings(call.tx, project_id, quotaOf))
        return { quota: Object.fromEntries(now.map(([resource, { limit, used }]) => [resource, { limit, used, reserved: 0 }])) }
      },
    }),
  ),
  row({
    route: 'PUT /v2.0/quotas/:project_id',
    policy: 'update_quota',
    body: Update,
    reply: 200,
    summary: "Set a project's quotas",
    run: async ({ tx, params: { project_id }, body: { quota } }) => {
      const limits = limitsIn(quota)
      if (!given(quota.force as boolean | undefined, flagOf)) await mustFit({ tx }, project_id, limits)
      await setLimits(tx, quotaOf, { project: project_id }, Object.fromEntries(limits))
      return { quota: await limitsOf({ tx }, project_id) }
    },
  }),
  row({
    route: 'DELETE /v2.0/quotas/:project_id',
    policy: 'delete_quota',
    reply: 204,
    summary: 'Give a project the default quotas again',
    run: async ({ tx, params: { project_id } }) => {
      await forgetLimits(tx, quotaOf, { project: project_id })
    },
  }),
]
