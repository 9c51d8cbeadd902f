// Nova's proxy of security groups (until 2.35), for clients of the first hour: Neutron's groups and rules in Nova's words. Only what
// comes in is shown, and what Neutron calls a conflict is a bad request here (nova/api/openstack/compute/security_groups.py).
import { type Selectable, type SelectQueryBuilder, sql } from 'kysely'
import { Type as t } from 'typebox'
import type { DB, NetworkSecurityGroup } from '../../database/types.ts'
import { badRequest, Fault, forbidden, notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { createGroup, createRules, defaultGroup, deleteGroup, deleteRule, updateGroup } from '../../network/control/security-groups.ts'
import { projectOf } from './target.ts'

const rule = (name: string) => `os_compute_api:os-security-groups:${name}`
const until = '2.35'

const Name = t.String({ minLength: 1, maxLength: 255, pattern: '\\S' })
const Description = t.Union([t.String({ maxLength: 255 }), t.Null()])
const Port = t.Optional(t.Union([t.Integer(), t.String({ maxLength: 16 }), t.Null()]))
const Group = t.Object({ security_group: t.Object({ name: Name, description: t.Optional(Description) }) })
const Rule = t.Object({
  security_group_rule: t.Object({
    parent_group_id: t.String({ maxLength: 255 }),
    ip_protocol: t.Optional(t.Union([t.String({ maxLength: 40 }), t.Null()])),
    from_port: Port,
    to_port: Port,
    cidr: t.Optional(t.Union([t.String({ maxLength: 255 }), t.Null()])),
    group_id: t.Optional(t.Union([t.String({ maxLength: 255 }), t.Null()])),
  }),
})

interface Ingress {
  id: string
  protocol: string | null
  port_range_min: number | null
  port_range_max: number | null
  remote_ip_prefix: string | null
  remote_group_id: string | null
  remote: { name: string; project_id: string } | null
}

type AnyCall = Pick<Call, 'tx' | 'who' | 'may'>

const selectGroups = ({ tx }: AnyCall) =>
  tx
    .selectFrom('network.security_group as g')
    .selectAll('g')
    .select(
      sql<Ingress[]>`(
      select coalesce(jsonb_agg(to_jsonb(r) || jsonb_build_object('remote', to_jsonb(o)) order by r.created_at, r.id), '[]')
      from network.security_group_rule r left join network.security_group o on o.id = r.remote_group_id
      where r.security_group_id = g.id and r.direction = 'ingress'
    )`.as('rules'),
    )

type GroupRow = Selectable<NetworkSecurityGroup> & { rules: Ingress[] }

/** Of a protocol without ports all are meant, which Nova writes as 1 to 65535, and as -1 where there are no ports. */
function portsOf({ protocol, port_range_min, port_range_max }: Ingress): { from_port: number | null; to_port: number | null } {
  if (!protocol || port_range_min !== null || port_range_max !== null) return { from_port: port_range_min, to_port: port_range_max }
  return ['tcp', 'udp'].includes(protocol) ? { from_port: 1, to_port: 65_535 } : { from_port: -1, to_port: -1 }
}

const viewRule = (groupId: string, one: Ingress) => ({
  id: one.id,
  parent_group_id: groupId,
  ip_protocol: one.protocol,
  ...portsOf(one),
  group: one.remote ? { name: one.remote.name, tenant_id: one.remote.project_id } : {},
  ip_range: one.remote_group_id ? {} : { cidr: one.remote_ip_prefix ?? '0.0.0.0/0' },
})

const view = ({ id, name, description, project_id, rules }: GroupRow) => ({
  id,
  name,
  description,
  tenant_id: project_id,
  rules: rules.map((one) => viewRule(id, one)),
})

const isAdmin = (call: AnyCall) => call.may('context_is_admin')

const mine = <O>(call: AnyCall, query: SelectQueryBuilder<DB & { g: DB['network.security_group'] }, 'g', O>) =>
  isAdmin(call) ? query : query.where('g.project_id', '=', projectOf(call))

const noGroup = (id: string) => notFound(`Security group ${id} not found.`)

const isUuid = (id: string) => /^[\da-f]{8}-?([\da-f]{4}-?){3}[\da-f]{12}$/i.test(id)

async function load(call: AnyCall, id: string): Promise<GroupRow> {
  if (!isUuid(id)) throw badRequest('Security group id should be uuid')
  const group = await mine(call, selectGroups(call).where('g.id', '=', id)).executeTakeFirst()
  if (!group) throw noGroup(id)
  return group
}

/** What Neutron refuses, as Nova says it: over quota is forbidden, any other conflict a bad request. */
async function asNova<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof Fault) || error.status !== 409) throw error
    throw error.type === 'OverQuota' ? forbidden(error.message) : badRequest(error.message)
  }
}

/** Nova's -1 means any. */
const port = (value: string | number | null | undefined) => (value === undefined || String(value) === '-1' ? null : value)

export const securityGroups = [
  row({
    route: 'GET /os-security-groups',
    policy: rule('get'),
    until,
    query: t.Object({
      all_tenants: t.Optional(t.String()),
      limit: t.Optional(t.String({ pattern: '^\\d{1,9}$' })),
      offset: t.Optional(t.String({ pattern: '^\\d{1,9}$' })),
    }),
    reply: 200,
    run: async (call) => {
      const project = projectOf(call)
      await defaultGroup(call.tx, project)
      const everyone = call.query.all_tenants !== undefined && isAdmin(call)
      const groups = await selectGroups(call)
        .$if(!everyone, (query) => query.where('g.project_id', '=', project))
        .orderBy('g.created_at')
        .orderBy('g.id')
        .limit(Math.min(Number(call.query.limit ?? 1000), 1000))
        .offset(Number(call.query.offset ?? 0))
        .execute()
      return { security_groups: groups.map(view) }
    },
  }),
  row({
    route: 'GET /os-security-groups/:id',
    policy: rule('show'),
    until,
    reply: 200,
    run: async (call) => ({ security_group: view(await load(call, call.params.id)) }),
  }),
  row({
    route: 'POST /os-security-groups',
    policy: rule('create'),
    until,
    body: Group,
    reply: 200,
    run: async (call) => {
      const { name, description } = call.body.security_group
      const id = await asNova(createGroup(call.tx, projectOf(call), { name, description: description ?? '', stateful: true }))
      return { security_group: view(await load(call, id)) }
    },
  }),
  row({
    route: 'PUT /os-security-groups/:id',
    policy: rule('update'),
    until,
    body: Group,
    reply: 200,
    run: async (call) => {
      const { name, description } = call.body.security_group
      const { id } = await load(call, call.params.id)
      await asNova(updateGroup(call.tx, id, { name, ...(description != null && { description }) }))
      return { security_group: view(await load(call, id)) }
    },
  }),
  row({
    route: 'DELETE /os-security-groups/:id',
    policy: rule('delete'),
    until,
    reply: 202,
    run: async (call) => {
      const { id } = await load(call, call.params.id)
      await asNova(deleteGroup(call.tx, id, isAdmin(call)))
    },
  }),
  row({
    route: 'POST /os-security-group-rules',
    policy: rule('rule:create'),
    until,
    body: Rule,
    reply: 200,
    run: async (call) => {
      const asked = call.body.security_group_rule
      const group = await load(call, asked.parent_group_id)
      const cidr = asked.cidr || (asked.group_id ? null : '0.0.0.0/0')
      const ids = await asNova(
        createRules(
          call.tx,
          group.id,
          [
            {
              direction: 'ingress',
              ethertype: cidr?.includes(':') ? 'IPv6' : 'IPv4',
              protocol: asked.ip_protocol?.toLowerCase() ?? null,
              port_range_min: port(asked.from_port),
              port_range_max: port(asked.to_port),
              remote_ip_prefix: cidr,
              remote_group_id: asked.group_id ?? null,
            },
          ],
          ({ project_id }) => isAdmin(call) || project_id === group.project_id,
        ),
      )
      const { rules } = await load(call, group.id)
      return { security_group_rule: viewRule(group.id, rules.find(({ id }) => id === ids[0])!) }
    },
  }),
  row({
    route: 'DELETE /os-security-group-rules/:id',
    policy: rule('rule:delete'),
    until,
    reply: 202,
    run: async (call) => {
      const { id } = call.params
      const found = await call.tx
        .selectFrom('network.security_group_rule')
        .select(['id', 'security_group_id', 'project_id', 'remote_group_id'])
        .where('id', '=', id)
        .executeTakeFirst()
      if (!found || (found.project_id !== projectOf(call) && !isAdmin(call))) throw notFound(`Security group rule ${id} not found.`)
      await deleteRule(call.tx, found)
    },
  }),
]
