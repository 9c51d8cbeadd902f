// Quotas and limits: how much a project may have, and how much it has.
import { Type as t } from 'typebox'
import { badRequest, notFound } from '../../http/fault.ts'
import { type Call, changed, lives, row, until } from '../../http/table.ts'
import { projectExists } from '../../identity/control/projects.ts'
import { defaultLimits, defaults, type Limits, limitsOf, type Usage, usageOf } from '../control/quota.ts'

type AnyCall = Pick<Call, 'tx' | 'version' | 'who'>
const at = (call: Pick<Call, 'version'>, version: string) => lives({ since: version }, call.version)

// Networks left the quotas at 2.36, injected files at 2.57; both are still shown to older clients, without limit.
const networkNames = ['fixed_ips', 'floating_ips', 'security_groups', 'security_group_rules']
const fileNames = ['injected_files', 'injected_file_content_bytes', 'injected_file_path_bytes']

function view(call: AnyCall, limits: Limits): Limits {
  const shown = Object.entries(limits).filter(([name]) => !(at(call, '2.57') && fileNames.includes(name)))
  return Object.fromEntries([...shown, ...(at(call, '2.36') ? [] : networkNames.map((name) => [name, -1] as const))])
}

function detail(call: AnyCall, limits: Limits, used: Usage) {
  return Object.fromEntries(
    Object.entries(view(call, limits)).map(([name, limit]) => [
      name,
      { limit, in_use: (used as unknown as Record<string, number>)[name] ?? 0, reserved: 0 },
    ]),
  )
}

async function mustBeProject(call: AnyCall, id: string): Promise<void> {
  if (id !== call.who.project?.id && !(await projectExists(call.tx, id))) throw badRequest(`Project ID ${id} is not a valid project.`)
}

const Limit = t.Optional(t.Union([t.Integer({ minimum: -1, maximum: 2_147_483_647 }), t.String({ pattern: '^-?[0-9]{1,9}$' })]))
const resources = {
  instances: Limit,
  cores: Limit,
  ram: Limit,
  metadata_items: Limit,
  key_pairs: Limit,
  server_groups: Limit,
  server_group_members: Limit,
  injected_files: until('2.56', Limit),
  injected_file_content_bytes: until('2.56', Limit),
  injected_file_path_bytes: until('2.56', Limit),
  fixed_ips: until('2.35', Limit),
  floating_ips: until('2.35', Limit),
  security_groups: until('2.35', Limit),
  security_group_rules: until('2.35', Limit),
}
const Update = t.Object(
  {
    quota_set: t.Object(
      { ...resources, tenant_id: t.Optional(t.String()), force: t.Optional(t.Union([t.Boolean(), t.String()])) },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
)
const UpdateClass = t.Object({ quota_class_set: t.Object(resources, { additionalProperties: false }) }, { additionalProperties: false })

/** Writes the limits of `owner` ('default' = the default class); those not named stay. */
async function write(call: AnyCall, owner: string, asked: Record<string, unknown>): Promise<void> {
  const values = Object.entries(asked)
    .filter(([name]) => Object.hasOwn(defaults, name))
    .map(([resource, limit]) => ({ project_id: owner, resource, hard_limit: Number(limit) }))
  for (const { hard_limit } of values) if (hard_limit < -1) throw badRequest('Quota limit must be -1 or greater.')
  if (values.length === 0) return
  await call.tx
    .insertInto('compute.quota')
    .values(values)
    .onConflict((on) => on.columns(['project_id', 'resource']).doUpdateSet((e) => ({ hard_limit: e.ref('excluded.hard_limit') })))
    .execute()
}

const showRule = 'os_compute_api:os-quota-sets:show'

export const quotaSets = [
  row({
    route: 'GET /os-quota-sets/:id',
    policy: showRule,
    target: ({ params }) => ({ project_id: params.id }),
    reply: 200,
    run: async (call) => {
      await mustBeProject(call, call.params.id)
      return { quota_set: { id: call.params.id, ...view(call, await limitsOf(call.tx, call.params.id)) } }
    },
  }),
  row({
    route: 'GET /os-quota-sets/:id/detail',
    policy: 'os_compute_api:os-quota-sets:detail',
    target: ({ params }) => ({ project_id: params.id }),
    reply: 200,
    run: async (call) => {
      const { id } = call.params
      await mustBeProject(call, id)
      return { quota_set: { id, ...detail(call, await limitsOf(call.tx, id), await usageOf(call.tx, id)) } }
    },
  }),
  row({
    route: 'GET /os-quota-sets/:id/defaults',
    policy: 'os_compute_api:os-quota-sets:defaults',
    reply: 200,
    run: async (call) => {
      await mustBeProject(call, call.params.id)
      return { quota_set: { id: call.params.id, ...view(call, await defaultLimits(call.tx)) } }
    },
  }),
  row({
    route: 'PUT /os-quota-sets/:id',
    policy: 'os_compute_api:os-quota-sets:update',
    body: Update,
    reply: 200,
    run: async (call) => {
      const { id } = call.params
      await mustBeProject(call, id)
      const { force, tenant_id: _tenant, ...asked } = call.body.quota_set
      if (!/^(true|1|on|yes)$/i.test(String(force ?? ''))) {
        const used = (await usageOf(call.tx, id)) as unknown as Record<string, number>
        for (const [name, limit] of Object.entries(asked)) {
          const inUse = used[name] ?? 0
          if (Number(limit) >= 0 && Number(limit) < inUse)
            throw badRequest(`Quota limit ${limit} for ${name} must be greater than or equal to already used and reserved ${inUse}.`)
        }
      }
      await write(call, id, asked)
      return { quota_set: view(call, await limitsOf(call.tx, id)) }
    },
  }),
  row({
    route: 'DELETE /os-quota-sets/:id',
    policy: 'os_compute_api:os-quota-sets:delete',
    reply: 202,
    run: async (call) => {
      await mustBeProject(call, call.params.id)
      await call.tx.deleteFrom('compute.quota').where('project_id', '=', call.params.id).execute()
    },
  }),
  row({
    route: 'GET /os-quota-class-sets/:id',
    policy: 'os_compute_api:os-quota-class-sets:show',
    reply: 200,
    run: async (call) => ({ quota_class_set: { id: call.params.id, ...classView(call, await defaultLimits(call.tx)) } }),
  }),
  row({
    route: 'PUT /os-quota-class-sets/:id',
    policy: 'os_compute_api:os-quota-class-sets:update',
    body: UpdateClass,
    reply: 200,
    run: async (call) => {
      if (call.params.id !== 'default') throw notFound(`Quota class ${call.params.id} could not be found: only 'default' has a meaning.`)
      await write(call, 'default', call.body.quota_class_set)
      return { quota_class_set: classView(call, await defaultLimits(call.tx)) }
    },
  }),
]

/** Server groups came to the class sets at 2.50. */
function classView(call: AnyCall, limits: Limits): Limits {
  const shown = view(call, limits)
  if (at(call, '2.50')) return shown
  const { server_groups: _groups, server_group_members: _members, ...older } = shown
  return older
}

const Limited = t.Object(
  { tenant_id: t.Optional(t.String()), reserved: t.Optional(t.String()) },
  { additionalProperties: changed('2.75', true, false) },
)

export const limits = [
  row({
    route: 'GET /limits',
    policy: 'os_compute_api:limits',
    target: 'loaded',
    query: Limited,
    reply: 200,
    run: async (call) => {
      const own = call.who.project?.id
      const project = call.query.tenant_id ?? own
      call.must('os_compute_api:limits')
      if (project !== own) call.must('os_compute_api:limits:other_project')
      const most = await limitsOf(call.tx, project ?? 'default')
      const used = await usageOf(call.tx, project ?? '')
      return {
        limits: {
          rate: [],
          absolute: {
            maxTotalInstances: most.instances,
            maxTotalCores: most.cores,
            maxTotalRAMSize: most.ram,
            maxServerMeta: most.metadata_items,
            maxTotalKeypairs: most.key_pairs,
            maxServerGroups: most.server_groups,
            maxServerGroupMembers: most.server_group_members,
            totalInstancesUsed: used.instances,
            totalCoresUsed: used.cores,
            totalRAMUsed: used.ram,
            totalServerGroupsUsed: 0,
            ...(!at(call, '2.57') && { maxPersonality: most.injected_files, maxPersonalitySize: most.injected_file_content_bytes }),
            ...(!at(call, '2.39') && { maxImageMeta: most.metadata_items }),
            ...(!at(call, '2.36') && {
              maxSecurityGroups: -1,
              maxSecurityGroupRules: -1,
              maxTotalFloatingIps: -1,
              totalSecurityGroupsUsed: 0,
              totalFloatingIpsUsed: 0,
            }),
          },
        },
      }
    },
  }),
]
