// The imitated APIs: method and path to an answer, in the shapes and with the envelopes of the real ones.
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { act, type Cloud, launch, type Row, remove, requestId, type ServerRow } from './cloud.ts'

export type Call = {
  cloud: Cloud
  who: { user: Cloud['users'][number]; project: { id: string; name: string } }
  params: string[]
  query: URLSearchParams
  body: Record<string, unknown>
  microversion: string
  origin: string
}
export type Answer = { status: number; body?: unknown; headers?: Record<string, string> }

const ok = (body: unknown, status = 200): Answer => ({ status, body })
const nova = (status: number, name: string, message: string): Answer => ok({ [name]: { code: status, message } }, status)
const neutron = (status: number, type: string, message: string): Answer => ok({ NeutronError: { type, message, detail: '' } }, status)
const now = () => new Date().toISOString()

const serversOf = ({ cloud, who, query }: Call) =>
  [...cloud.servers.values()].filter(
    ({ tenant_id }) => (query.get('all_tenants') === '1' && who.user.roles.includes('admin')) || tenant_id === who.project.id,
  )

function listServers(call: Call): Answer {
  const { query } = call
  const name = query.get('name')
  const status = query.get('status')
  const column = { display_name: 'name', created_at: 'created', vm_state: 'OS-EXT-STS:vm_state' }[query.get('sort_key') ?? ''] ?? 'created'
  const sign = query.get('sort_dir') === 'asc' ? 1 : -1
  const rows = serversOf(call)
    .filter((row) => (name === null || new RegExp(name).test(row.name)) && (status === null || row.status === status))
    .sort((a, b) => sign * (String(a[column]).localeCompare(String(b[column])) || a.id.localeCompare(b.id)))
  const marker = query.get('marker')
  const start = marker === null ? 0 : rows.findIndex(({ id }) => id === marker) + 1
  return ok({ servers: rows.slice(start, start + Number(query.get('limit') ?? 1000)) })
}

function createServer(call: Call): Answer {
  const { cloud, who, body } = call
  const wanted = body.server as Record<string, unknown>
  const flavor = cloud.flavors.find(({ id }) => id === wanted.flavorRef)
  if (flavor === undefined) return nova(400, 'badRequest', `Flavor ${wanted.flavorRef} could not be found.`)
  const count = Number(wanted.max_count ?? 1)
  if (serversOf(call).length + count > 10)
    return nova(
      403,
      'forbidden',
      `Quota exceeded for instances: Requested ${count}, but already used ${serversOf(call).length} of 10 instances`,
    )
  const networks = wanted.networks
  const network = Array.isArray(networks) ? cloud.networks.get((networks[0] as { uuid: string }).uuid) : undefined
  const groups = ((wanted.security_groups ?? []) as { name: string }[]).map((group) => group.name)
  const names = Array.from({ length: count }, (_, index) => (count === 1 ? String(wanted.name) : `${wanted.name}-${index + 1}`))
  const ids = names.map((name) => {
    const server: ServerRow = {
      id: randomUUID(),
      name,
      status: 'BUILD',
      created: now(),
      updated: now(),
      tenant_id: who.project.id,
      user_id: who.user.id,
      metadata: {},
      addresses: {},
      image: { id: wanted.imageRef },
      flavor: {
        original_name: flavor.name,
        vcpus: flavor.vcpus,
        ram: flavor.ram,
        disk: flavor.disk,
        ephemeral: 0,
        swap: 0,
        extra_specs: {},
      },
      vcpus: Number(flavor.vcpus),
      ram: Number(flavor.ram),
      key_name: wanted.key_name ?? null,
      security_groups: groups.map((id) => ({ name: String(cloud.groups.get(id)?.name ?? id) })),
      config_drive: wanted.config_drive === true ? 'True' : '',
      locked: false,
      'OS-EXT-STS:task_state': 'scheduling',
      'OS-EXT-STS:vm_state': 'building',
      'OS-EXT-STS:power_state': 0,
      'OS-EXT-AZ:availability_zone': 'nova',
      'OS-EXT-SRV-ATTR:hypervisor_hostname': 'host-1',
    }
    launch(cloud, server, who.user.id, network, groups)
    return server.id
  })
  return ok({ server: { id: ids[0], adminPass: 'x' } }, 202)
}

function findServer(call: Call): ServerRow | undefined {
  return [...call.cloud.servers.values()].find(({ id }) => id === call.params[0])
}

const noServer = (call: Call) => nova(404, 'itemNotFound', `Instance ${call.params[0]} could not be found.`)

function serverAction(call: Call): Answer {
  const server = findServer(call)
  if (server === undefined) return noServer(call)
  const verb = Object.keys(call.body)[0]
  if (verb === 'os-getConsoleOutput') return ok({ output: call.cloud.logs.get(server.id) ?? '' })
  if (server['OS-EXT-STS:task_state'] !== null)
    return nova(
      409,
      'conflictingRequest',
      `Cannot '${verb}' instance ${server.id} while it is in task_state ${server['OS-EXT-STS:task_state']}`,
    )
  act(call.cloud, server, verb === 'os-start' ? 'start' : verb === 'os-stop' ? 'stop' : 'reboot', call.who.user.id)
  return { status: 202 }
}

function createKeyPair({ cloud, body, microversion }: Call): Answer {
  const { name, public_key } = body.keypair as { name: string; public_key?: string }
  if (cloud.keyPairs.has(name)) return nova(409, 'conflictingRequest', `Key pair '${name}' already exists.`)
  if (public_key === undefined && Number(microversion.split('.')[1]) >= 92)
    return nova(400, 'badRequest', "Invalid input for field/attribute keypair. 'public_key' is a required property")
  const made = {
    name,
    type: 'ssh',
    fingerprint: 'aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99',
    public_key: public_key ?? 'ssh-ed25519 AAAA generated',
  }
  cloud.keyPairs.set(name, made)
  if (public_key !== undefined) return ok({ keypair: made }, 201)
  const { privateKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  return ok({ keypair: { ...made, private_key: privateKey } }, 201)
}

function limits(call: Call): Answer {
  const rows = serversOf(call)
  const sum = (pick: (row: ServerRow) => number) => rows.reduce((total, row) => total + pick(row), 0)
  return ok({
    limits: {
      rate: [],
      absolute: {
        maxTotalInstances: 10,
        totalInstancesUsed: rows.length,
        maxTotalCores: 20,
        totalCoresUsed: sum(({ vcpus }) => vcpus),
        maxTotalRAMSize: 51_200,
        totalRAMUsed: sum(({ ram }) => ram),
        maxTotalKeypairs: 100,
      },
    },
  })
}

/** Imports what was staged, or an address: fetches nothing, but takes its time; an address at nowhere.example can't be reached. */
function importImage({ cloud, params, body }: Call): Answer {
  const image = cloud.images.get(params[0] ?? '')
  if (image === undefined) return { status: 404, body: 'no such image' }
  const { uri = '' } = body.method as { uri?: string }
  const task: Row = { id: randomUUID(), image_id: image.id, type: 'api_image_import', status: 'processing', message: '', created_at: now() }
  cloud.tasks.unshift(task)
  image.status = 'importing'
  cloud.changed('image', image.id)
  cloud.later(cloud.delay, () => {
    const reached = !uri.includes('nowhere.example')
    Object.assign(image, reached ? { status: 'active', size: image.size ?? 1_048_576 } : { status: 'queued' })
    Object.assign(task, reached ? { status: 'success' } : { status: 'failure', message: `${uri} could not be reached` })
    cloud.changed('image', image.id)
  })
  return { status: 202 }
}

const groupView = (cloud: Cloud, group: Row) => ({
  ...group,
  security_group_rules: [...cloud.rules.values()].filter(({ security_group_id }) => security_group_id === group.id),
})

function quotas({ cloud }: Call): Answer {
  const quota = (used: number, limit: number) => ({ used, limit, reserved: 0 })
  return ok({
    quota: {
      network: quota(cloud.networks.size, 100),
      subnet: quota(cloud.subnets.size, 100),
      port: quota(cloud.ports.size, 500),
      security_group: quota(cloud.groups.size, 10),
      security_group_rule: quota(cloud.rules.size, 100),
    },
  })
}

function createRow(rows: Map<string, Row>, kind: string, name: string, defaults: Record<string, unknown>): (call: Call) => Answer {
  return ({ cloud, who, body }) => {
    const row: Row = { id: randomUUID(), project_id: who.project.id, ...defaults, ...(body[name] as Record<string, unknown>) }
    rows.set(row.id, row)
    if (kind !== '') cloud.changed(kind, row.id)
    return ok({ [name]: row }, 201)
  }
}

function deleteRow(rows: Map<string, Row>, kind: string): (call: Call) => Answer {
  return ({ cloud, params }) => {
    if (!rows.delete(params[0] ?? '')) return neutron(404, 'NotFound', `${params[0]} could not be found.`)
    if (kind !== '') cloud.changed(kind, params[0] ?? '')
    return { status: 204 }
  }
}

/** `METHOD path` with `*` for one segment, to what answers it. */
export function routesOf(cloud: Cloud): Record<string, (call: Call) => Answer> {
  const matching = (rows: Map<string, Row>, query: URLSearchParams) =>
    [...rows.values()].filter((row) => [...query].every(([name, value]) => !(name in row) || String(row[name]) === value))
  return {
    'GET /identity/v3/projects': () => ok({ projects: cloud.projects }),
    'GET /compute/v2.1/servers/detail': listServers,
    'POST /compute/v2.1/servers': createServer,
    'GET /compute/v2.1/servers/*': (call) => {
      const server = findServer(call)
      return server === undefined ? noServer(call) : ok({ server })
    },
    'DELETE /compute/v2.1/servers/*': (call) => {
      const server = findServer(call)
      if (server === undefined) return noServer(call)
      remove(cloud, server, call.who.user.id)
      return { status: 204 }
    },
    'POST /compute/v2.1/servers/*/action': serverAction,
    'POST /compute/v2.1/servers/*/remote-consoles': (call) => {
      const token = randomUUID()
      cloud.consoles.add(token)
      const { protocol, type } = call.body.remote_console as { protocol: string; type: string }
      const serial = `${call.origin.replace('http', 'ws')}/console/v1/serial?token=${token}`
      const url = protocol === 'serial' ? serial : `${call.origin}/dashboard/console?token=${token}&server=${call.params[0]}`
      return ok({ remote_console: { protocol, type, url } })
    },
    'GET /compute/v2.1/servers/*/os-instance-actions': ({ params }) =>
      ok({ instanceActions: cloud.actions.filter(({ server }) => server === params[0]).map(({ events, server, ...action }) => action) }),
    'GET /compute/v2.1/servers/*/os-instance-actions/*': ({ params }) =>
      ok({ instanceAction: cloud.actions.find(({ request_id }) => request_id === params[1]) }),
    'GET /compute/v2.1/flavors/detail': () => ok({ flavors: cloud.flavors }),
    'GET /compute/v2.1/os-keypairs': () => ok({ keypairs: [...cloud.keyPairs.values()].map((keypair) => ({ keypair })) }),
    'POST /compute/v2.1/os-keypairs': createKeyPair,
    'DELETE /compute/v2.1/os-keypairs/*': ({ params }) =>
      cloud.keyPairs.delete(decodeURIComponent(params[0] ?? '')) ? { status: 204 } : nova(404, 'itemNotFound', 'not found'),
    'GET /compute/v2.1/limits': limits,
    'GET /compute/v2.1/os-hypervisors/detail': () => {
      const all = [...cloud.servers.values()].filter(({ status }) => status !== 'ERROR')
      return ok({
        hypervisors: [
          {
            id: randomUUID(),
            hypervisor_hostname: 'host-1',
            hypervisor_type: 'QEMU',
            hypervisor_version: 7_002_000,
            host_ip: '192.0.2.11',
            state: 'up',
            status: 'enabled',
            service: { disabled_reason: null, host: 'host-1' },
            vcpus: 16,
            vcpus_used: all.reduce((total, { vcpus }) => total + vcpus, 0),
            memory_mb: 24_576,
            memory_mb_used: 512 + all.reduce((total, { ram }) => total + ram, 0),
            local_gb: 200,
            local_gb_used: all.length,
            running_vms: all.length,
          },
        ],
      })
    },
    'GET /image/v2/images': () => ok({ images: [...cloud.images.values()].reverse() }),
    'GET /image/v2/images/*': ({ params }) => {
      const image = cloud.images.get(params[0] ?? '')
      return image === undefined ? { status: 404, body: `No image found with ID ${params[0]}` } : ok(image)
    },
    'POST /image/v2/images': ({ who, body }) => {
      const image = {
        id: randomUUID(),
        status: 'queued',
        owner: who.project.id,
        size: null,
        checksum: null,
        protected: false,
        tags: [],
        created_at: now(),
        updated_at: now(),
        ...body,
      }
      cloud.images.set(image.id, image)
      cloud.changed('image', image.id)
      return ok(image, 201)
    },
    'DELETE /image/v2/images/*': deleteRow(cloud.images, 'image'),
    'GET /image/v2/info/import': () => ok({ 'import-methods': { value: ['glance-direct', 'web-download'] } }),
    'GET /image/v2/info/stores': () => ok({ stores: [{ id: 'file', default: 'true' }] }),
    'POST /image/v2/images/*/import': importImage,
    'GET /image/v2/images/*/tasks': ({ params }) => ok({ tasks: cloud.tasks.filter(({ image_id }) => image_id === params[0]) }),
    'GET /network/v2.0/networks': ({ query }) => ok({ networks: matching(cloud.networks, query) }),
    'GET /network/v2.0/networks/*': ({ params }) => {
      const network = cloud.networks.get(params[0] ?? '')
      return network === undefined ? neutron(404, 'NetworkNotFound', `Network ${params[0]} could not be found.`) : ok({ network })
    },
    'POST /network/v2.0/networks': createRow(cloud.networks, 'network', 'network', {
      status: 'ACTIVE',
      admin_state_up: true,
      shared: false,
      mtu: 1450,
      subnets: [],
    }),
    'DELETE /network/v2.0/networks/*': deleteRow(cloud.networks, 'network'),
    'GET /network/v2.0/subnets': ({ query }) => ok({ subnets: matching(cloud.subnets, query) }),
    'POST /network/v2.0/subnets': createRow(cloud.subnets, 'network', 'subnet', {
      dns_nameservers: [],
      allocation_pools: [],
      gateway_ip: null,
    }),
    'DELETE /network/v2.0/subnets/*': deleteRow(cloud.subnets, 'network'),
    'GET /network/v2.0/ports': ({ query }) => ok({ ports: matching(cloud.ports, query) }),
    'GET /network/v2.0/security-groups': ({ query }) =>
      ok({ security_groups: matching(cloud.groups, query).map((group) => groupView(cloud, group)) }),
    'GET /network/v2.0/security-groups/*': ({ params }) => {
      const group = cloud.groups.get(params[0] ?? '')
      return group === undefined ? neutron(404, 'SecurityGroupNotFound', 'not found') : ok({ security_group: groupView(cloud, group) })
    },
    'POST /network/v2.0/security-groups': createRow(cloud.groups, '', 'security_group', { description: '' }),
    'DELETE /network/v2.0/security-groups/*': deleteRow(cloud.groups, ''),
    'POST /network/v2.0/security-group-rules': createRow(cloud.rules, '', 'security_group_rule', {
      protocol: null,
      port_range_min: null,
      port_range_max: null,
      remote_ip_prefix: null,
      remote_group_id: null,
      description: '',
    }),
    'DELETE /network/v2.0/security-group-rules/*': deleteRow(cloud.rules, ''),
    'GET /network/v2.0/quotas/*/details.json': quotas,
  }
}

/** Identity's token requests, which come before there is a session. */
export function authenticate(cloud: Cloud, body: unknown): Answer {
  const auth = (body as { auth: Record<string, unknown> }).auth
  const identity = auth.identity as { methods: string[]; token?: { id: string }; password?: { user: { name: string; password: string } } }
  const given = identity.password?.user
  const user =
    given === undefined
      ? cloud.tokens.get(identity.token?.id ?? '')?.user
      : cloud.users.find(({ name, password }) => name === given.name && password === given.password)
  if (user === undefined)
    return ok({ error: { code: 401, title: 'Unauthorized', message: 'The request you have made requires authentication.' } }, 401)
  const scope = auth.scope as { project: { id: string } } | undefined
  const project = user.projects.find(({ id }) => id === scope?.project.id)
  const expires = new Date(Date.now() + 3_600_000).toISOString()
  const token = `mock-${randomUUID()}`
  cloud.tokens.set(token, { user, project, expires })
  const catalog = ['identity', 'compute', 'image', 'network', 'placement'].map((type) => ({
    type,
    endpoints: [{ interface: 'public', region: 'RegionOne', region_id: 'RegionOne', url: `http://mock/${type}` }],
  }))
  return {
    status: 201,
    headers: { 'x-subject-token': token },
    body: {
      token: {
        expires_at: expires,
        user: { id: user.id, name: user.name },
        ...(project === undefined ? {} : { project, roles: user.roles.map((name) => ({ id: name, name })), catalog }),
      },
    },
  }
}

export { requestId }
