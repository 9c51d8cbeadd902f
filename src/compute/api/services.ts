// os-services and os-availability-zone: which compute services there are, and an operator's switches on them. Both dialects of writing:
// by host and binary before 2.53, by id since.
import { sql } from 'kysely'
import { type TSchema, Type as t } from 'typebox'
import { badRequest, conflict, notFound } from '../../http/fault.ts'
import { type Call, changed, lives, row } from '../../http/table.ts'
import { defaultZone } from '../control/facts.ts'
import { type ComputeHost, computeHosts, numberOf } from '../control/hosts.ts'

type AnyCall = Pick<Call, 'tx' | 'version'>
const at = (call: AnyCall, version: string) => lives({ since: version }, call.version)
const binary = 'nova-compute'
const stamp = (date: Date | null) => (date ? date.toISOString().replace(/\.(\d+)Z$/, '.$1000') : null)

const view = (call: AnyCall, host: ComputeHost) => ({
  id: at(call, '2.53') ? host.service_id : numberOf(host.service_id),
  binary,
  host: host.name,
  zone: defaultZone,
  status: host.disabled ? 'disabled' : 'enabled',
  state: host.up ? 'up' : 'down',
  updated_at: stamp(host.seen_at),
  disabled_reason: host.disabled_reason,
  ...(at(call, '2.11') && { forced_down: host.forced_down }),
})

const Which = { host: t.String({ minLength: 1, maxLength: 255 }), binary: t.String({ minLength: 1, maxLength: 255 }) }
const Reason = t.String({ minLength: 1, maxLength: 255 })
const Bool = t.Union([t.Boolean(), t.String({ pattern: '^([Tt]rue|[Ff]alse|1|0|on|off|yes|no)$' })])
const isYes = (value: boolean | string) => /^(true|1|on|yes)$/i.test(String(value))

interface Switches {
  disabled?: boolean
  disabled_reason?: string | null
  forced_down?: boolean
}

async function change(
  call: AnyCall,
  which: { name?: string; service?: string },
  switches: Switches,
  missing: string,
): Promise<ComputeHost> {
  const changedRow = await call.tx
    .updateTable('compute.service')
    .set({ ...switches, updated_at: sql<Date>`now()` })
    .where((e) =>
      e.and({ ...(which.name !== undefined && { host: which.name }), ...(which.service !== undefined && { id: which.service }) }),
    )
    .returning('id')
    .executeTakeFirst()
  const [host] = changedRow ? await computeHosts(call.tx, { service: changedRow.id }) : []
  if (!host) throw notFound(missing)
  return host
}

const old = <Body extends TSchema>(
  path: string,
  since: string | undefined,
  body: Body,
  read: (asked: never) => { switches: Switches; answer: Record<string, unknown> },
) =>
  row({
    route: `PUT /os-services/${path}`,
    ...(since !== undefined && { since }),
    until: '2.52',
    policy: 'os_compute_api:os-services:update',
    body,
    reply: 200,
    run: async (call) => {
      const asked = call.body as { host: string; binary: string }
      const { switches, answer } = read(asked as never)
      if (asked.binary !== binary) throw notFound(`Could not find binary ${asked.binary} on host ${asked.host}.`)
      await change(call, { name: asked.host }, switches, `Could not find binary ${asked.binary} on host ${asked.host}.`)
      return { service: { host: asked.host, binary: asked.binary, ...answer } }
    },
  })

const Update = t.Object(
  {
    status: t.Optional(t.Union([t.Literal('enabled'), t.Literal('disabled')])),
    disabled_reason: t.Optional(Reason),
    forced_down: t.Optional(Bool),
  },
  { additionalProperties: false },
)

async function hostOf(call: Pick<Call, 'tx' | 'version' | 'params'>): Promise<ComputeHost> {
  const { id } = call.params
  const found = (await computeHosts(call.tx)).find(({ service_id }) => String(at(call, '2.53') ? service_id : numberOf(service_id)) === id)
  if (!found) throw notFound(`Service ${id} not found.`)
  return found
}

export const services = [
  row({
    route: 'GET /os-services',
    policy: 'os_compute_api:os-services:list',
    query: t.Object(
      { host: t.Optional(t.String()), binary: t.Optional(t.String()) },
      { additionalProperties: changed('2.75', true, false) },
    ),
    reply: 200,
    run: async (call) => {
      const hosts = await computeHosts(call.tx, { name: call.query.host })
      const wanted = call.query.binary === undefined || call.query.binary === binary
      return { services: wanted ? hosts.map((host) => view(call, host)) : [] }
    },
  }),
  old('enable', undefined, t.Object(Which, { additionalProperties: false }), () => ({
    switches: { disabled: false, disabled_reason: null },
    answer: { status: 'enabled' },
  })),
  old('disable', undefined, t.Object(Which, { additionalProperties: false }), () => ({
    switches: { disabled: true, disabled_reason: null },
    answer: { status: 'disabled' },
  })),
  old(
    'disable-log-reason',
    undefined,
    t.Object({ ...Which, disabled_reason: Reason }, { additionalProperties: false }),
    ({ disabled_reason }: { disabled_reason: string }) => ({
      switches: { disabled: true, disabled_reason },
      answer: { status: 'disabled', disabled_reason },
    }),
  ),
  old(
    'force-down',
    '2.11',
    t.Object({ ...Which, forced_down: t.Optional(Bool) }, { additionalProperties: false }),
    ({ forced_down = true }: { forced_down?: boolean | string }) => ({
      switches: { forced_down: isYes(forced_down) },
      answer: { forced_down: isYes(forced_down) },
    }),
  ),
  row({
    route: 'PUT /os-services/:id',
    since: '2.53',
    policy: 'os_compute_api:os-services:update',
    body: Update,
    reply: 200,
    run: async (call) => {
      const { status, disabled_reason, forced_down } = call.body
      if (status === undefined && forced_down === undefined && disabled_reason === undefined)
        throw badRequest("No updates were requested. Fields 'status' or 'forced_down' should be specified.")
      if (disabled_reason !== undefined && status !== 'disabled')
        throw badRequest("Specifying 'disabled_reason' requires that status is set to 'disabled'.")
      const switches: Switches = {
        ...(status !== undefined && { disabled: status === 'disabled', disabled_reason: disabled_reason ?? null }),
        ...(forced_down !== undefined && { forced_down: isYes(forced_down) }),
      }
      return { service: view(call, await change(call, { service: call.params.id }, switches, `Service ${call.params.id} not found.`)) }
    },
  }),
  row({
    route: 'DELETE /os-services/:id',
    policy: 'os_compute_api:os-services:delete',
    reply: 204,
    run: async (call) => {
      const host = await hostOf(call)
      if (host.running_vms > 0)
        throw conflict(`Unable to delete compute service that is hosting instances. Migrate or delete the instances first.`)
      await call.tx.deleteFrom('compute.service').where('id', '=', host.service_id).execute()
    },
  }),
]

const zone = (hosts: Record<string, unknown> | null) => ({ zoneName: defaultZone, zoneState: { available: true }, hosts })

export const availabilityZones = [
  row({
    route: 'GET /os-availability-zone',
    policy: 'os_compute_api:os-availability-zone:list',
    reply: 200,
    run: () => ({ availabilityZoneInfo: [zone(null)] }),
  }),
  row({
    route: 'GET /os-availability-zone/detail',
    policy: 'os_compute_api:os-availability-zone:detail',
    reply: 200,
    run: async (call) => {
      const hosts = await computeHosts(call.tx)
      const each = hosts.map((host) => [
        host.name,
        { [binary]: { available: host.up, active: !host.disabled, updated_at: stamp(host.seen_at) } },
      ])
      return { availabilityZoneInfo: [zone(Object.fromEntries(each))] }
    },
  }),
]
