// Security groups: what is let through to the ports that are in them. A project's default group is made on first use.
import { sql } from 'kysely'
import { type Static, Type } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { pickFields } from '../../http/filter.ts'
import { type Call, row } from '../../http/table.ts'
import { groupNotFound } from '../control/faults.ts'
import { createGroup, defaultGroup, deleteGroup, type GroupInput, updateGroup } from '../control/security-groups.ts'
import { Flag, flagOf, given, Id, known, Name, oneOrMany, ownerTarget, projectOf, standard, Tags, wantedRevision } from './attributes.ts'
import { list, type Resource } from './list.ts'
import { type RuleRow, viewRule } from './security-group-rules.ts'
import { isAdmin, owned } from './visible.ts'

const closed = { additionalProperties: false }
const changeable = { name: Type.Optional(Name), description: Type.Optional(Name), stateful: Type.Optional(Flag) }
const NewGroup = Type.Object(
  { ...changeable, project_id: Type.Optional(Id), tenant_id: Type.Optional(Id), tags: Type.Optional(Tags) },
  closed,
)
const Create = Type.Object(
  { security_group: Type.Optional(NewGroup), security_groups: Type.Optional(Type.Array(NewGroup, { minItems: 1 })) },
  closed,
)
const Update = Type.Object({ security_group: Type.Object(changeable, closed) }, closed)

// Times come as text inside json; the rule's view wants them as dates.
type JsonRule = Omit<RuleRow, 'created_at' | 'updated_at'> & { created_at: string; updated_at: string }

const selectGroups = (tx: Tx) =>
  tx
    .selectFrom('network.security_group as g')
    .selectAll('g')
    .select(
      sql<JsonRule[]>`(
        select coalesce(jsonb_agg(to_jsonb(r) order by r.created_at, r.id), '[]') from network.security_group_rule r where r.security_group_id = g.id
      )`.as('rules'),
    )
type GroupRow = Awaited<ReturnType<ReturnType<typeof selectGroups>['executeTakeFirstOrThrow']>>

const view = (group: GroupRow) => ({
  ...standard(group),
  stateful: group.stateful,
  shared: false,
  security_group_rules: group.rules.map((rule) =>
    viewRule({ ...rule, created_at: new Date(rule.created_at), updated_at: new Date(rule.updated_at) }),
  ),
})

async function load(call: Pick<Call, 'tx' | 'may' | 'who'>, id: string): Promise<GroupRow> {
  const group = await selectGroups(call.tx).where('g.id', '=', id).where(owned(call, 'g')).executeTakeFirst()
  if (!group) throw groupNotFound(id)
  return group
}

const resource: Resource = {
  name: 'security_groups',
  id: 'g.id',
  tags: 'g.tags',
  also: ['shared'],
  columns: {
    id: { ref: 'g.id' },
    name: { ref: 'g.name' },
    description: { ref: 'g.description' },
    project_id: { ref: 'g.project_id' },
    tenant_id: { ref: 'g.project_id' },
    stateful: { ref: 'g.stateful', type: 'boolean' },
    revision_number: { ref: 'g.revision', type: 'integer' },
    created_at: { ref: 'g.created_at' },
    updated_at: { ref: 'g.updated_at' },
  },
}

const inputOf = (item: Static<typeof Update>['security_group']): Partial<GroupInput> =>
  known({ name: item.name, description: item.description, stateful: given(item.stateful, flagOf) })

export const securityGroups = [
  row({
    route: 'GET /v2.0/security-groups',
    policy: 'get_security_group',
    reply: 200,
    summary: 'List security groups',
    run: async (call) => {
      if (call.who.project) await defaultGroup(call.tx, call.who.project.id)
      return list(call, selectGroups(call.tx).where(owned(call, 'g')), resource, view, (select) =>
        given(call.query.shared, (shared) => [shared].flat().some((text) => /^true$/i.test(text)))
          ? select.where(sql<boolean>`false`)
          : select,
      )
    },
  }),
  row({
    route: 'GET /v2.0/security-groups/:id',
    policy: 'get_security_group',
    target: 'loaded',
    reply: 200,
    summary: 'Show a security group with its rules',
    run: async (call) => {
      const group = await load(call, call.params.id)
      call.must('get_security_group', ownerTarget(group.project_id))
      return { security_group: pickFields(view(group), call.query.fields) }
    },
  }),
  row({
    route: 'POST /v2.0/security-groups',
    policy: 'create_security_group',
    target: 'loaded',
    body: Create,
    reply: 201,
    summary: 'Create security groups',
    run: async (call) => {
      const { items, bulk } = oneOrMany(call.body.security_group, call.body.security_groups, 'security_group')
      const ids: string[] = []
      for (const item of items) {
        const project = projectOf(call, item)
        call.must('create_security_group', ownerTarget(project))
        const id = await createGroup(call.tx, project, { name: '', description: '', stateful: true, ...inputOf(item) })
        if (item.tags?.length) await call.tx.updateTable('network.security_group').set({ tags: item.tags }).where('id', '=', id).execute()
        ids.push(id)
      }
      const rows = await selectGroups(call.tx).where('g.id', 'in', ids).execute()
      const views = ids.map((id) => view(rows.find((group) => group.id === id)!))
      return bulk ? { security_groups: views } : { security_group: views[0] }
    },
  }),
  row({
    route: 'PUT /v2.0/security-groups/:id',
    policy: 'update_security_group',
    target: 'loaded',
    body: Update,
    reply: 200,
    summary: 'Change a security group',
    run: async (call) => {
      const group = await load(call, call.params.id)
      call.must('update_security_group', ownerTarget(group.project_id))
      await updateGroup(call.tx, group.id, inputOf(call.body.security_group), wantedRevision(call))
      return { security_group: view(await load(call, group.id)) }
    },
  }),
  row({
    route: 'DELETE /v2.0/security-groups/:id',
    policy: 'delete_security_group',
    target: 'loaded',
    reply: 204,
    summary: 'Delete a security group that no port is in',
    run: async (call) => {
      const group = await load(call, call.params.id)
      call.must('delete_security_group', ownerTarget(group.project_id))
      await deleteGroup(call.tx, group.id, isAdmin(call), wantedRevision(call))
    },
  }),
]
