// Quotas and limits: how much a project may have, and how much it has.
import { Type as t } from 'typebox'
import { badRequest, conflict, notFound } from '../../http/fault.ts'
import { type Call, changed, lives, row, until } from '../../http/table.ts'
import { forgetLimits, type Owner, registered, setLimits } from '../../identity/control/own-quota.ts'
import { projectExists } from '../../identity/control/projects.ts'
import { everyProject } from '../../identity/control/quota.ts'
import { limitOf, type QuotaName, quota, quotaNames, type Standings, standingsOf, unifiedNames, usedBy } from '../control/quota.ts'

type AnyCall = Pick<Call, 'tx' | 'version' | 'who'>
const at = (call: Pick<Call, 'version'>, version: string) => lives({ since: version }, call.version)

// Networks left the quotas at 2.36, injected files at 2.57; both are still shown to older clients, without limit.
const networkNames = ['fixed_ips', 'floating_ips', 'security_groups', 'security_group_rules']
const fileNames = ['injected_files', 'injected_file_content_bytes', 'injected_file_path_bytes']

type Limits = Record<string, number>

function view(call: AnyCall, now: Standings): Limits {
  const limits = Object.fromEntries(quotaNames.map((name) => [name, limitOf(now, name)]))
  const shown = Object.entries(limits).filter(([name]) => !(at(call, '2.57') && fileNames.includes(name)))
  return Object.fromEntries([...shown, ...(at(call, '2.36') ? [] : networkNames.map((name) => [name, -1] as const))])
}

const detail = (call: AnyCall, now: Standings, used: Limits) =>
  Object.fromEntries(Object.entries(view(call, now)).map(([name, limit]) => [name, { limit, in_use: used[name] ?? 0, reserved: 0 }]))

/** What the project has under the names of quota sets, or what the user has in it. */
async function usedOf({ tx }: AnyCall, { project, user }: Owner, now: Standings): Promise<Limits> {
  const used: Partial<Limits> = user === undefined ? {} : await usedBy(tx, project, user)
  const of = (name: QuotaName) => (user === undefined ? now[unifiedNames[name]].used : (used[unifiedNames[name]] ?? 0))
  return Object.fromEntries(quotaNames.map((name) => [name, of(name)]))
}

/** `user_id` asks for what a user may have in the project. */
const OfUser = t.Object({ user_id: t.Optional(t.String()) }, { additionalProperties: changed('2.75', true, false) })
const ownerOf = ({ params, query }: { params: { id: string }; query: { user_id?: string } }): Owner => ({
  project: params.id,
  ...(query.user_id !== undefined && { user: query.user_id }),
})
const standingOf = ({ tx }: AnyCall, { project, user }: Owner) => standingsOf(tx, project, user)

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

/** Those that are kept, of what was asked for. @throws Fault 400 */
function limitsIn(asked: Record<string, unknown>): [QuotaName, number][] {
  const limits = quotaNames.flatMap((name): [QuotaName, number][] => (asked[name] === undefined ? [] : [[name, Number(asked[name])]]))
  for (const [, limit] of limits) if (limit < -1) throw badRequest('Quota limit must be -1 or greater.')
  return limits
}

const write = ({ tx }: AnyCall, owner: Owner, limits: [QuotaName, number][]) =>
  setLimits(tx, quota, owner, Object.fromEntries(limits.map(([name, limit]) => [unifiedNames[name], limit])))

/** No user may have more than the project has, and nobody less than is used. @throws Fault 400 */
async function mustFit(call: AnyCall, owner: Owner, limits: [QuotaName, number][], force: boolean): Promise<void> {
  const now = await standingOf(call, owner)
  const used = force ? {} : await usedOf(call, owner, now)
  for (const [name, limit] of limits) {
    const most = now[unifiedNames[name]].limit
    if (owner.user !== undefined && most >= 0 && (limit < 0 || limit > most))
      throw badRequest(`Quota limit ${limit} for ${name} must be less than or equal to ${most}.`)
    const inUse = used[name] ?? 0
    if (limit >= 0 && limit < inUse)
      throw badRequest(`Quota limit ${limit} for ${name} must be greater than or equal to already used and reserved ${inUse}.`)
  }
}

const showRule = 'os_compute_api:os-quota-sets:show'

export const quotaSets = [
  row({
    route: 'GET /os-quota-sets/:id',
    policy: showRule,
    target: ({ params }) => ({ project_id: params.id }),
    query: OfUser,
    reply: 200,
    run: async (call) => {
      await mustBeProject(call, call.params.id)
      return { quota_set: { id: call.params.id, ...view(call, await standingOf(call, ownerOf(call))) } }
    },
  }),
  row({
    route: 'GET /os-quota-sets/:id/detail',
    policy: 'os_compute_api:os-quota-sets:detail',
    target: ({ params }) => ({ project_id: params.id }),
    query: OfUser,
    reply: 200,
    run: async (call) => {
      await mustBeProject(call, call.params.id)
      const now = await standingOf(call, ownerOf(call))
      return { quota_set: { id: call.params.id, ...detail(call, now, await usedOf(call, ownerOf(call), now)) } }
    },
  }),
  row({
    route: 'GET /os-quota-sets/:id/defaults',
    policy: 'os_compute_api:os-quota-sets:defaults',
    reply: 200,
    run: async (call) => {
      await mustBeProject(call, call.params.id)
      return { quota_set: { id: call.params.id, ...view(call, await standingsOf(call.tx, everyProject)) } }
    },
  }),
  row({
    route: 'PUT /os-quota-sets/:id',
    policy: 'os_compute_api:os-quota-sets:update',
    query: OfUser,
    body: Update,
    reply: 200,
    run: async (call) => {
      const owner = ownerOf(call)
      await mustBeProject(call, owner.project)
      const { force, tenant_id: _tenant, ...asked } = call.body.quota_set
      const limits = limitsIn(asked)
      await mustFit(call, owner, limits, /^(true|1|on|yes)$/i.test(String(force ?? '')))
      await write(call, owner, limits)
      return { quota_set: view(call, await standingOf(call, owner)) }
    },
  }),
  row({
    route: 'DELETE /os-quota-sets/:id',
    policy: 'os_compute_api:os-quota-sets:delete',
    query: OfUser,
    reply: 202,
    run: async (call) => {
      await mustBeProject(call, call.params.id)
      await forgetLimits(call.tx, quota, ownerOf(call))
    },
  }),
  row({
    route: 'GET /os-quota-class-sets/:id',
    policy: 'os_compute_api:os-quota-class-sets:show',
    reply: 200,
    run: async (call) => ({ quota_class_set: { id: call.params.id, ...classView(call, await standingsOf(call.tx, everyProject)) } }),
  }),
  row({
    route: 'PUT /os-quota-class-sets/:id',
    policy: 'os_compute_api:os-quota-class-sets:update',
    body: UpdateClass,
    reply: 200,
    run: async (call) => {
      if (call.params.id !== 'default') throw notFound(`Quota class ${call.params.id} could not be found: only 'default' has a meaning.`)
      const limits = limitsIn(call.body.quota_class_set)
      const elsewhere = await registered(
        call.tx,
        quota,
        limits.map(([name]) => unifiedNames[name]),
      )
      if (elsewhere.length > 0)
        throw conflict(`Keystone has registered limits for ${elsewhere.join(', ')}, which hold for every project: change them there.`)
      await write(call, { project: everyProject }, limits)
      return { quota_class_set: classView(call, await standingsOf(call.tx, everyProject)) }
    },
  }),
]

/** Server groups came to the class sets at 2.50. */
function classView(call: AnyCall, now: Standings): Limits {
  const shown = view(call, now)
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
      const now = await standingsOf(call.tx, project ?? everyProject, project === own ? call.who.user.id : undefined)
      const most = Object.fromEntries(quotaNames.map((name) => [name, limitOf(now, name)])) as Record<QuotaName, number>
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
            totalInstancesUsed: now.servers.used,
            totalCoresUsed: now['class:VCPU'].used,
            totalRAMUsed: now['class:MEMORY_MB'].used,
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
