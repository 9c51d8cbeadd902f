// POST /servers: what Nova accepts at each microversion, read into what `createServers` wants.
import { randomInt } from 'node:crypto'
import { type Static, Type as t } from 'typebox'
import { badRequest, notBuilt } from '../../http/fault.ts'
import { type Call, changed, lives, row, since, until } from '../../http/table.ts'
import { normalIp } from '../../network/control/address.ts'
import type { WantedNic } from '../../network/control/server-ports.ts'
import { createServers, type NewServers } from '../control/create.ts'
import { defaultZone } from '../control/facts.ts'
import { links } from './server-view.ts'
import { projectOf } from './target.ts'

// No spaces around it, nothing that cannot be printed.
export const Name = t.String({ minLength: 1, maxLength: 255, pattern: '^(?!\\s)[^\\p{Cc}]*(?<!\\s)$' })
export const Metadata = t.Record(t.String({ pattern: '^[a-zA-Z0-9\\-_:. ]{1,255}$' }), t.String({ maxLength: 255 }), {
  additionalProperties: false,
})
export const Tag = t.String({ minLength: 1, maxLength: 60, pattern: '^[^,/]*$' })
export const Description = t.Union([t.Null(), t.String({ maxLength: 255 })])
export const Hostname = t.String({ minLength: 2, maxLength: 63, pattern: '^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$' })
export const DiskConfig = t.Union([t.Literal('AUTO'), t.Literal('MANUAL')])
const Uuid = t.String({ format: 'uuid' })
const Bool = t.Union([t.Boolean(), t.String({ pattern: '^([Tt]rue|TRUE|[Ff]alse|FALSE|1|0|on|ON|off|OFF|yes|YES|no|NO|y|n|t|f)$' })])
const Count = t.Union([t.Integer({ minimum: 1 }), t.String({ pattern: '^[1-9][0-9]{0,5}$' })])
const Zone = t.Union([t.Null(), t.String({ minLength: 1, maxLength: 255 })])

const Nic = t.Object(
  {
    uuid: t.Optional(Uuid),
    port: t.Optional(t.Union([t.Null(), Uuid])),
    fixed_ip: t.Optional(t.Union([t.String({ format: 'ipv4' }), t.String({ format: 'ipv6' })])),
    tag: t.Optional(since('2.32', Tag)),
  },
  { additionalProperties: false },
)
const Nics = t.Array(Nic)

const Device = t.Object(
  {
    uuid: t.Optional(t.String()),
    source_type: t.Optional(t.String()),
    destination_type: t.Optional(t.String()),
    boot_index: t.Optional(t.Union([t.Integer(), t.String(), t.Null()])),
    volume_size: t.Optional(t.Union([t.Integer({ minimum: 1 }), t.String({ pattern: '^[0-9]+$' })])),
    delete_on_termination: t.Optional(Bool),
  },
  { additionalProperties: true },
)

const Hints = t.Object({ group: t.Optional(t.String({ maxLength: 255 })) }, { additionalProperties: true })

const Create = t.Object(
  {
    server: t.Object(
      {
        name: Name,
        flavorRef: t.Union([t.String({ minLength: 1, maxLength: 255 }), t.Integer()]),
        imageRef: t.Optional(t.String({ maxLength: 512 })),
        networks: t.Optional(changed('2.37', Nics, t.Union([Nics, t.Literal('auto'), t.Literal('none')]))),
        security_groups: t.Optional(
          t.Array(t.Object({ name: t.Optional(t.String({ minLength: 1, maxLength: 255 })) }, { additionalProperties: true })),
        ),
        key_name: t.Optional(t.String({ minLength: 1, maxLength: 255 })),
        user_data: t.Optional(t.String({ format: 'byte', maxLength: 65_535 })),
        config_drive: t.Optional(Bool),
        metadata: t.Optional(Metadata),
        availability_zone: t.Optional(Zone),
        accessIPv4: t.Optional(t.Union([t.String({ format: 'ipv4' }), t.Literal('')])),
        accessIPv6: t.Optional(t.Union([t.String({ format: 'ipv6' }), t.Literal('')])),
        adminPass: t.Optional(t.String({ maxLength: 255 })),
        min_count: t.Optional(Count),
        max_count: t.Optional(Count),
        return_reservation_id: t.Optional(Bool),
        'OS-DCF:diskConfig': t.Optional(DiskConfig),
        block_device_mapping: t.Optional(t.Array(t.Unknown())),
        block_device_mapping_v2: t.Optional(t.Array(Device)),
        personality: t.Optional(until('2.56', t.Array(t.Unknown()))),
        'os:scheduler_hints': t.Optional(Hints),
        'OS-SCH-HNT:scheduler_hints': t.Optional(Hints),
        description: t.Optional(since('2.19', Description)),
        tags: t.Optional(since('2.52', t.Array(Tag, { maxItems: 50 }))),
        trusted_image_certificates: t.Optional(since('2.63', t.Union([t.Null(), t.Array(t.String({ minLength: 1 }))]))),
        host: t.Optional(since('2.74', t.String({ minLength: 1, maxLength: 255 }))),
        hypervisor_hostname: t.Optional(since('2.74', t.String({ minLength: 1, maxLength: 255 }))),
        hostname: t.Optional(since('2.90', Hostname)),
      },
      { additionalProperties: false, required: changed('2.37', ['name', 'flavorRef'], ['name', 'flavorRef', 'networks']) },
    ),
    'os:scheduler_hints': t.Optional(Hints),
    'OS-SCH-HNT:scheduler_hints': t.Optional(Hints),
  },
  { additionalProperties: false },
)
type Body = Static<typeof Create>
type Asked = Body['server']

export const yes = (value: boolean | string | undefined) =>
  value === true || (typeof value === 'string' && /^(true|1|on|yes|y|t)$/i.test(value))
const lastPart = (ref: string) => ref.slice(ref.lastIndexOf('/') + 1)

/** The image to boot from; a local disk made of the same image says the same in other words. */
function imageOf({ imageRef = '', block_device_mapping, block_device_mapping_v2 }: Asked): string {
  if (block_device_mapping?.length) throw notBuilt('Booting from a volume (block_device_mapping)')
  const id = lastPart(imageRef)
  const [device, ...others] = block_device_mapping_v2 ?? []
  if (device) {
    const local = device.source_type === 'image' && device.destination_type === 'local' && Number(device.boot_index) === 0
    if (!local || others.length > 0 || (id !== '' && device.uuid !== id))
      throw notBuilt('Volumes, and further disks, at creation (block_device_mapping_v2)')
    return device.uuid ?? ''
  }
  if (id === '')
    throw badRequest(
      'Invalid imageRef provided. A server boots from an image; booting from a volume is not available in this version of Wisp.',
    )
  if (!/^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(id)) throw badRequest('Invalid imageRef provided.')
  return id
}

function networksOf({ networks }: Asked): NewServers['networks'] {
  if (!Array.isArray(networks)) return networks
  if (networks.length === 0) return undefined
  return networks.map(({ uuid, port, fixed_ip, tag }): WantedNic => {
    if (port && fixed_ip)
      throw badRequest(`Specified Fixed IP '${fixed_ip}' cannot be used with port '${port}': the two cannot be specified together.`)
    if (!port && !uuid) throw badRequest("Bad networks format: missing 'uuid' or 'port'.")
    return { ...(port ? { port_id: port } : { network_id: uuid! }), ...(fixed_ip && { fixed_ip }), ...(tag && { tag }) }
  })
}

/** `zone`, or `zone:host` for administrators. */
function placementOf(call: Call, { availability_zone, host, hypervisor_hostname }: Asked): { zone: string | null; host: string | null } {
  const [zone = '', forced = '', node = '', ...more] = (availability_zone ?? '').split(':')
  if (more.length > 0) throw badRequest('Unable to parse availability_zone: it has the form zone, zone:host or zone:host:node.')
  if (zone !== '' && zone !== defaultZone) throw badRequest('The requested availability zone is not available')
  if (forced || node) {
    call.must('os_compute_api:servers:create:forced_host')
    if (host || hypervisor_hostname) throw badRequest('A host is given both in availability_zone and in host or hypervisor_hostname.')
  }
  if (host || hypervisor_hostname) call.must('compute:servers:create:requested_destination')
  return { zone: zone || null, host: forced || node || host || hypervisor_hostname || null }
}

function countsOf({ min_count, max_count }: Asked): { least: number; most: number } {
  const least = Number(min_count ?? 1)
  const most = Number(max_count ?? least)
  if (least > most) throw badRequest('min_count must be <= max_count')
  if (most > 1000) throw badRequest(`${max_count === undefined ? 'min_count' : 'max_count'} must be at most 1000`)
  return { least, most }
}

function read(call: Call, body: Body): NewServers {
  const asked = body.server
  const { zone, host } = placementOf(call, asked)
  const hints =
    body['os:scheduler_hints'] ??
    body['OS-SCH-HNT:scheduler_hints'] ??
    asked['os:scheduler_hints'] ??
    asked['OS-SCH-HNT:scheduler_hints'] ??
    {}
  if (hints.group !== undefined) throw notBuilt('Placing servers by server groups')
  if (asked.personality?.length) throw notBuilt('Injecting files (personality)')
  if (asked.trusted_image_certificates?.length) throw notBuilt('Trusted image certificates')
  return {
    name: asked.name,
    ...(asked.hostname !== undefined && { hostname: asked.hostname }),
    // Before 2.19 the description was the name.
    description: lives({ since: '2.19' }, call.version) ? (asked.description ?? null) : asked.name,
    flavor: lastPart(String(asked.flavorRef)),
    image: imageOf(asked),
    ...countsOf(asked),
    networks: networksOf(asked),
    security_groups: [...new Set((asked.security_groups ?? []).flatMap(({ name }) => name ?? []))],
    ...(asked.key_name !== undefined && { key_name: asked.key_name }),
    user_data: asked.user_data ?? null,
    config_drive: yes(asked.config_drive),
    metadata: (asked.metadata ?? {}) as Record<string, string>,
    tags: [...new Set(asked.tags ?? [])],
    access_ip_v4: asked.accessIPv4 ?? '',
    access_ip_v6: normalIp(asked.accessIPv6 ?? '') ?? '',
    availability_zone: zone,
    requested_host: host,
    scheduler_hints: hints,
  }
}

const letters = 'abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789'
/** Twelve letters that are not mistaken for each other. */
const password = () => Array.from({ length: 12 }, () => letters[randomInt(letters.length)]).join('')

export const serverCreate = [
  row({
    route: 'POST /servers',
    policy: 'os_compute_api:servers:create',
    body: Create,
    reply: 202,
    summary: 'Create one or more servers',
    run: async (call) => {
      const { server: asked } = call.body
      const projectId = projectOf(call)
      const { ids, reservation_id } = await createServers(
        call.tx,
        call.who,
        projectId,
        call.requestId,
        read(call as unknown as Call, call.body),
      )
      if (yes(asked.return_reservation_id)) return { reservation_id }
      const [id] = ids
      call.header('location', `${call.url.origin}/compute/v2.1/servers/${id}`)
      return {
        server: {
          id,
          links: links(call, `servers/${id}`),
          'OS-DCF:diskConfig': asked['OS-DCF:diskConfig'] ?? 'MANUAL',
          security_groups: (asked.security_groups?.length ? asked.security_groups : [{ name: 'default' }]).map(({ name }) => ({ name })),
          adminPass: asked.adminPass ?? password(),
        },
      }
    },
  }),
]
