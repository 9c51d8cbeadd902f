// Rules of security groups: never changed, only made and removed. A rule belongs to its group's project.
import { type Selectable, sql } from 'kysely'
import { type Static, Type } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import type { NetworkSecurityGroupRule } from '../../database/types.ts'
import { pickFields } from '../../http/filter.ts'
import { type Call, row } from '../../http/table.ts'
import { groupNotFound, ruleNotFound } from '../control/faults.ts'
import { createRules, defaultGroup, deleteRule } from '../control/security-groups.ts'
import { Id, Name, oneOrMany, ownerTarget, timeOf } from './attributes.ts'
import { list, type Resource } from './list.ts'
import { isAdmin, owned, ownProject } from './visible.ts'

const closed = { additionalProperties: false }
const orNull = <T extends Parameters<typeof Type.Optional>[0]>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]))
const Port = Type.Union([Type.Integer(), Type.String({ maxLength: 16 })])
const NewRule = Type.Object(
  {
    security_group_id: Id,
    direction: Type.Union([Type.Literal('ingress'), Type.Literal('egress')]),
    ethertype: orNull(Type.String({ maxLength: 40 })),
    protocol: orNull(Type.Union([Type.Integer(), Type.String({ maxLength: 40 })])),
    port_range_min: orNull(Port),
    port_range_max: orNull(Port),
    remote_ip_prefix: orNull(Type.String({ maxLength: 255 })),
    remote_group_id: orNull(Id),
    remote_address_group_id: Type.Optional(Type.Null()),
    description: Type.Optional(Name),
    project_id: Type.Optional(Id),
    tenant_id: Type.Optional(Id),
  },
  closed,
)
const Create = Type.Object(
  { security_group_rule: Type.Optional(NewRule), security_group_rules: Type.Optional(Type.Array(NewRule, { minItems: 1 })) },
  closed,
)

export type RuleRow = Selectable<NetworkSecurityGroupRule>

export const viewRule = (rule: RuleRow) => ({
  id: rule.id,
  tenant_id: rule.project_id,
  project_id: rule.project_id,
  security_group_id: rule.security_group_id,
  direction: rule.direction,
  ethertype: rule.ethertype,
  protocol: rule.protocol,
  port_range_min: rule.port_range_min,
  port_range_max: rule.port_range_max,
  remote_ip_prefix: rule.remote_ip_prefix,
  normalized_cidr: rule.remote_ip_prefix,
  remote_group_id: rule.remote_group_id,
  remote_address_group_id: null,
  description: rule.description,
  created_at: timeOf(rule.created_at),
  updated_at: timeOf(rule.updated_at),
  revision_number: rule.revision,
})

const selectRules = (tx: Tx) => tx.selectFrom('network.security_group_rule as r').selectAll('r')

const targetOf = (project: string) => ({
  ...ownerTarget(project),
  'security_group:project_id': project,
  'security_group:tenant_id': project,
})

async function load(call: Pick<Call, 'tx' | 'may' | 'who'>, id: string): Promise<RuleRow> {
  const rule = await selectRules(call.tx).where('r.id', '=', id).where(owned(call, 'r')).executeTakeFirst()
  if (!rule) throw ruleNotFound(id)
  return rule
}

const resource: Resource = {
  name: 'security_group_rules',
  id: 'r.id',
  also: ['remote_address_group_id'],
  columns: {
    id: { ref: 'r.id' },
    project_id: { ref: 'r.project_id' },
    tenant_id: { ref: 'r.project_id' },
    security_group_id: { ref: 'r.security_group_id' },
    direction: { ref: 'r.direction' },
    ethertype: { ref: 'r.ethertype' },
    protocol: { ref: 'r.protocol', nullable: true },
    remote_ip_prefix: { ref: 'r.remote_ip_prefix', nullable: true },
    port_range_min: { ref: 'r.port_range_min', type: 'integer', nullable: true },
    port_range_max: { ref: 'r.port_range_max', type: 'integer', nullable: true },
    remote_group_id: { ref: 'r.remote_group_id', nullable: true },
    description: { ref: 'r.description' },
    revision_number: { ref: 'r.revision', type: 'integer' },
    created_at: { ref: 'r.created_at' },
    updated_at: { ref: 'r.updated_at' },
  },
}

async function create(call: Call, groupId: string, items: Static<typeof NewRule>[]): Promise<string[]> {
  const admin = isAdmin(call)
  const group = await call.tx.selectFrom('network.security_group').select('project_id').where('id', '=', groupId).executeTakeFirst()
  if (!group || (!admin && group.project_id !== ownProject(call))) throw groupNotFound(groupId)
  call.must('create_security_group_rule', targetOf(group.project_id))
  return createRules(call.tx, groupId, items, ({ project_id }) => admin || project_id === group.project_id)
}

export const securityGroupRules = [
  row({
    route: 'GET /v2.0/security-group-rules',
    policy: 'get_security_group_rule',
    target: ({ who }) => targetOf(who.project?.id ?? ''),
    reply: 200,
    summary: 'List the rules of security groups',
    run: async (call) => {
      if (call.who.project) await defaultGroup(call.tx, call.who.project.id)
      return list(call, selectRules(call.tx).where(owned(call, 'r')), resource, viewRule, (select) =>
        call.query.remote_address_group_id === undefined ? select : select.where(sql<boolean>`false`),
      )
    },
  }),
  row({
    route: 'GET /v2.0/security-group-rules/:id',
    policy: 'get_security_group_rule',
    target: 'loaded',
    reply: 200,
    summary: 'Show a rule',
    run: async (call) => {
      const rule = await load(call, call.params.id)
      call.must('get_security_group_rule', targetOf(rule.project_id))
      return { security_group_rule: pickFields(viewRule(rule), call.query.fields) }
    },
  }),
  row({
    route: 'POST /v2.0/security-group-rules',
    policy: 'create_security_group_rule',
    target: 'loaded',
    body: Create,
    reply: 201,
    summary: 'Create rules',
    run: async (call) => {
      const { items, bulk } = oneOrMany(call.body.security_group_rule, call.body.security_group_rules, 'security_group_rule')
      const byGroup = Map.groupBy(items.entries(), ([, { security_group_id }]) => security_group_id)
      const ids: string[] = []
      for (const [groupId, own] of [...byGroup].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const made = await create(
          call,
          groupId,
          own.map(([, item]) => item),
        )
        for (const [i, [index]] of own.entries()) ids[index] = made[i]!
      }
      const rows = await selectRules(call.tx).where('r.id', 'in', ids).execute()
      const views = ids.map((id) => viewRule(rows.find((rule) => rule.id === id)!))
      return bulk ? { security_group_rules: views } : { security_group_rule: views[0] }
    },
  }),
  row({
    route: 'DELETE /v2.0/security-group-rules/:id',
    policy: 'delete_security_group_rule',
    target: 'loaded',
    reply: 204,
    summary: 'Delete a rule',
    run: async (call) => {
      const rule = await load(call, call.params.id)
      call.must('delete_security_group_rule', targetOf(rule.project_id))
      await deleteRule(call.tx, rule)
    },
  }),
]
