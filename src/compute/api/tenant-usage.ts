// os-simple-tenant-usage: how long projects had which servers, for bills and the overview page.
import { sql } from 'kysely'
import { Type as t } from 'typebox'
import { badRequest } from '../../http/fault.ts'
import { type Call, changed, row, since } from '../../http/table.ts'

type AnyCall = Pick<Call, 'tx'>

const UsageQuery = t.Object(
  {
    start: t.Optional(t.String()),
    end: t.Optional(t.String()),
    detailed: t.Optional(t.String()),
    limit: t.Optional(since('2.40', t.String())),
    marker: t.Optional(since('2.40', t.String())),
  },
  { additionalProperties: changed('2.75', true, false) },
)

function period({ start, end }: { start?: string; end?: string }): { from: Date; to: Date } {
  const read = (text: string | undefined, otherwise: Date) => {
    if (text === undefined) return otherwise
    const date = new Date(/[zZ]$/.test(text) ? text : `${text.replace(' ', 'T')}Z`)
    if (Number.isNaN(date.getTime())) throw badRequest('Datetime is in invalid format')
    return date
  }
  const now = new Date()
  const from = read(start, new Date(now.getTime() - 28 * 86_400_000))
  const to = read(end, now)
  if (from > to) throw badRequest('Invalid start time. The start time cannot occur after the end time.')
  return { from, to }
}

interface UsageRow {
  project_id: string
  servers: {
    id: string
    name: string
    flavor: { name: string; memory_mb: number; vcpus: number; root_gb: number; ephemeral_gb: number }
    state: string
    started_at: string
    hours: number
  }[]
}

/** Of the servers that exist; those that were deleted are no longer counted. */
async function usage(call: AnyCall, from: Date, to: Date, project: string | null) {
  const { rows } = await sql<UsageRow>`
    select project_id, jsonb_agg(jsonb_build_object('id', id, 'name', name, 'flavor', flavor, 'state', vm_state, 'started_at', created_at,
      'hours', greatest(0, extract(epoch from least(now(), ${to}::timestamptz) - greatest(created_at, ${from}::timestamptz))) / 3600) order by created_at) as servers
    from compute.server where created_at < ${to} and (${project}::text is null or project_id = ${project})
    group by project_id order by project_id`.execute(call.tx)
  return rows.map(({ project_id, servers }) => {
    const total = (of: (server: UsageRow['servers'][number]) => number) => servers.reduce((sum, server) => sum + of(server), 0)
    return {
      tenant_id: project_id,
      start: from.toISOString().replace('Z', ''),
      stop: to.toISOString().replace('Z', ''),
      total_hours: total(({ hours }) => hours),
      total_vcpus_usage: total(({ hours, flavor }) => hours * flavor.vcpus),
      total_memory_mb_usage: total(({ hours, flavor }) => hours * flavor.memory_mb),
      total_local_gb_usage: total(({ hours, flavor }) => hours * (flavor.root_gb + flavor.ephemeral_gb)),
      server_usages: servers.map(({ id, name, flavor, state, started_at, hours }) => ({
        instance_id: id,
        name,
        tenant_id: project_id,
        flavor: flavor.name,
        state,
        hours,
        vcpus: flavor.vcpus,
        memory_mb: flavor.memory_mb,
        local_gb: flavor.root_gb + flavor.ephemeral_gb,
        started_at: new Date(started_at).toISOString().replace('Z', ''),
        ended_at: null,
        uptime: Math.max(0, Math.floor((Date.now() - new Date(started_at).getTime()) / 1000)),
      })),
    }
  })
}

export const tenantUsage = [
  row({
    route: 'GET /os-simple-tenant-usage',
    policy: 'os_compute_api:os-simple-tenant-usage:list',
    query: UsageQuery,
    reply: 200,
    run: async (call) => {
      const { from, to } = period(call.query)
      const all = await usage(call, from, to, null)
      return { tenant_usages: call.query.detailed === '1' ? all : all.map(({ server_usages: _servers, ...one }) => one) }
    },
  }),
  row({
    route: 'GET /os-simple-tenant-usage/:id',
    policy: 'os_compute_api:os-simple-tenant-usage:show',
    target: ({ params }) => ({ project_id: params.id }),
    query: UsageQuery,
    reply: 200,
    run: async (call) => {
      const { from, to } = period(call.query)
      return { tenant_usage: (await usage(call, from, to, call.params.id))[0] ?? {} }
    },
  }),
]
