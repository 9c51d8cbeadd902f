// The imitated cloud's memory: one project with a network, flavors and an image; servers that take a second or so to become ACTIVE. It exists for
// developing and testing the page without a cloud; the shapes are those of the OpenStack APIs that the page uses.
import { randomUUID } from 'node:crypto'
import { EventEmitter } from 'node:events'

export type Row = Record<string, unknown> & { id: string }
export type ServerRow = Row & {
  name: string
  status: string
  tenant_id: string
  vcpus: number
  ram: number
  'OS-EXT-STS:task_state': string | null
  'OS-EXT-STS:vm_state': string
  addresses: Record<string, unknown[]>
}
export type Step = { event: string; start_time: string; finish_time: string | null; result: string | null; host?: string; details?: string }
export type ActionRow = {
  server: string
  action: string
  request_id: string
  start_time: string
  updated_at: string
  user_id: string
  project_id: string
  message: string | null
  events: Step[]
}

export type Cloud = ReturnType<typeof createCloud>

const now = () => new Date().toISOString()
export const requestId = () => `req-${randomUUID()}`

export function createCloud(options: { delay?: number } = {}) {
  const delay = options.delay ?? 400
  const events = new EventEmitter()
  events.setMaxListeners(0)
  const demo = { id: randomUUID().replaceAll('-', ''), name: 'demo' }
  const admin = { id: randomUUID().replaceAll('-', ''), name: 'admin' }
  const users = [
    { id: 'user-demo', name: 'demo', password: 'demo-password', projects: [demo], roles: ['member', 'reader'] },
    { id: 'user-admin', name: 'admin', password: 'admin-password', projects: [admin, demo], roles: ['admin', 'member', 'reader'] },
  ]
  const image: Row = {
    id: randomUUID(),
    name: 'wisp-guest',
    status: 'active',
    visibility: 'public',
    owner: admin.id,
    size: 22_413_312,
    virtual_size: 1_073_741_824,
    disk_format: 'qcow2',
    container_format: 'bare',
    min_disk: 1,
    min_ram: 64,
    checksum: '0cc175b9c0f1b6a831c399e269772661',
    os_hash_algo: 'sha512',
    os_hash_value: '1f40fc92da241694750979ee6cf582f2d5d7d28e18335de05abc54d0560e0f53'.repeat(2),
    protected: true,
    tags: [],
    created_at: now(),
    updated_at: now(),
    os_distro: 'debian',
  }
  const network: Row = {
    id: randomUUID(),
    name: 'private',
    status: 'ACTIVE',
    admin_state_up: true,
    shared: false,
    mtu: 1450,
    project_id: demo.id,
    subnets: [],
    'router:external': false,
  }
  const subnet: Row = {
    id: randomUUID(),
    name: 'private-subnet',
    network_id: network.id,
    cidr: '10.0.0.0/24',
    ip_version: 4,
    gateway_ip: '10.0.0.1',
    enable_dhcp: true,
    dns_nameservers: [],
    allocation_pools: [{ start: '10.0.0.2', end: '10.0.0.254' }],
  }
  const rule = (group: string, direction: string, ethertype: string, remote: string | null): Row => ({
    id: randomUUID(),
    security_group_id: group,
    direction,
    ethertype,
    protocol: null,
    port_range_min: null,
    port_range_max: null,
    remote_ip_prefix: null,
    remote_group_id: remote,
    description: '',
  })
  const group = { id: randomUUID(), name: 'default', description: 'Default security group', project_id: demo.id }
  const flavor = (id: string, name: string, vcpus: number, ram: number, disk: number): Row => ({ id, name, vcpus, ram, disk })
  const cloud = {
    delay,
    events,
    users,
    projects: [admin, demo],
    tokens: new Map<string, { user: (typeof users)[number]; project: { id: string; name: string } | undefined; expires: string }>(),
    servers: new Map<string, ServerRow>(),
    actions: [] as ActionRow[],
    images: new Map<string, Row>([[image.id, image]]),
    tasks: [] as Row[],
    flavors: [
      flavor('1', 'm1.nano', 1, 128, 1),
      flavor('2', 'm1.tiny', 1, 512, 5),
      flavor('3', 'm1.small', 1, 2048, 20),
      flavor('4', 'm1.medium', 2, 4096, 40),
      flavor('5', 'm1.large', 4, 8192, 80),
    ],
    keyPairs: new Map<string, { name: string; fingerprint: string; public_key: string; type: string }>(),
    networks: new Map<string, Row>([[network.id, network]]),
    subnets: new Map<string, Row>([[subnet.id, subnet]]),
    ports: new Map<string, Row>(),
    groups: new Map<string, Row>([[group.id, group]]),
    rules: new Map<string, Row>(
      [
        rule(group.id, 'egress', 'IPv4', null),
        rule(group.id, 'egress', 'IPv6', null),
        rule(group.id, 'ingress', 'IPv4', group.id),
        rule(group.id, 'ingress', 'IPv6', group.id),
      ].map((row) => [row.id, row]),
    ),
    logs: new Map<string, string>(),
    consoles: new Set<string>(),
    timers: new Set<ReturnType<typeof setTimeout>>(),
    lastAddress: 9,
    changed(kind: string, id: string) {
      events.emit('changed', { kind, id })
    },
    /** Does something a little later; `stopCloud` forgets what has not happened by then. */
    later(milliseconds: number, run: () => void) {
      const timer = setTimeout(() => {
        cloud.timers.delete(timer)
        run()
      }, milliseconds)
      cloud.timers.add(timer)
    },
  }
  return cloud
}

export function stopCloud(cloud: Cloud): void {
  for (const timer of cloud.timers) clearTimeout(timer)
}

function record(cloud: Cloud, server: ServerRow, action: string, user: string): ActionRow {
  const row: ActionRow = {
    server: server.id,
    action,
    request_id: requestId(),
    start_time: now(),
    updated_at: now(),
    user_id: user,
    project_id: server.tenant_id,
    message: null,
    events: [],
  }
  cloud.actions.unshift(row)
  return row
}

function begin(action: ActionRow, event: string): Step {
  const step: Step = { event, start_time: now(), finish_time: null, result: null, host: 'host-1' }
  action.events.push(step)
  return step
}

function end(step: Step, result = 'Success'): void {
  step.finish_time = now()
  step.result = result
}

const bootLog = (
  name: string,
  address: string,
) => `\u001b[2J\u001b[01;01H[    0.000000] Linux version 6.1.0 (debian-kernel@lists.debian.org)
[    0.004000] Command line: console=ttyS0 quiet
[    0.412000] virtio_net virtio0 eth0: carrier up
[    1.020000] EXT4-fs (vda1): mounted filesystem with ordered data mode
wisp-guest: eth0 got ${address}/24 from 10.0.0.1 by DHCP
wisp-guest: metadata: hostname ${name}
wisp-guest: ready after 3.1 s

${name} login: `

export function launch(cloud: Cloud, server: ServerRow, user: string, network: Row | undefined, groups: string[]): void {
  const action = record(cloud, server, 'create', user)
  const schedule = begin(action, 'compute_schedule_instances')
  cloud.servers.set(server.id, server)
  cloud.changed('server', server.id)
  cloud.later(cloud.delay, () => {
    if (server.ram > 4096) {
      const message = 'No valid host was found: host-1 was rejected by RamFilter (wanted 8192 MB, 5120 MB free)'
      end(schedule, 'Error')
      schedule.details = message
      action.message = 'Error'
      Object.assign(server, { status: 'ERROR', 'OS-EXT-STS:vm_state': 'error', 'OS-EXT-STS:task_state': null })
      server.fault = { code: 500, message, created: now() }
      cloud.changed('server', server.id)
      return
    }
    end(schedule)
    const build = begin(action, 'compute__do_build_and_run_instance')
    server['OS-EXT-STS:task_state'] = 'spawning'
    cloud.lastAddress += 1
    const address = `10.0.0.${cloud.lastAddress}`
    if (network !== undefined) {
      const port: Row = {
        id: randomUUID(),
        name: '',
        network_id: network.id,
        status: 'ACTIVE',
        mac_address: `fa:16:3e:00:00:${cloud.lastAddress.toString(16).padStart(2, '0')}`,
        device_id: server.id,
        device_owner: 'compute:nova',
        fixed_ips: [{ subnet_id: [...cloud.subnets.values()].find((row) => row.network_id === network.id)?.id, ip_address: address }],
        security_groups: groups,
        admin_state_up: true,
        project_id: server.tenant_id,
      }
      cloud.ports.set(port.id, port)
      server.addresses = {
        [String(network.name)]: [{ addr: address, version: 4, 'OS-EXT-IPS:type': 'fixed', 'OS-EXT-IPS-MAC:mac_addr': port.mac_address }],
      }
      cloud.changed('port', port.id)
    }
    cloud.changed('server', server.id)
    cloud.later(cloud.delay * 2, () => {
      end(build)
      Object.assign(server, {
        status: 'ACTIVE',
        'OS-EXT-STS:vm_state': 'active',
        'OS-EXT-STS:task_state': null,
        'OS-EXT-STS:power_state': 1,
      })
      server['OS-SRV-USG:launched_at'] = now()
      cloud.logs.set(server.id, bootLog(server.name, address))
      cloud.changed('server', server.id)
    })
  })
}

const verbs = {
  start: { task: 'powering-on', status: 'ACTIVE', vm: 'active', event: 'compute_start_instance' },
  stop: { task: 'powering-off', status: 'SHUTOFF', vm: 'stopped', event: 'compute_stop_instance' },
  reboot: { task: 'rebooting', status: 'ACTIVE', vm: 'active', event: 'compute_reboot_instance' },
} as const

export function act(cloud: Cloud, server: ServerRow, verb: keyof typeof verbs, user: string): void {
  const { task, status, vm, event } = verbs[verb]
  const action = record(cloud, server, verb, user)
  const step = begin(action, event)
  server['OS-EXT-STS:task_state'] = task
  if (verb === 'reboot') server.status = 'REBOOT'
  cloud.changed('server', server.id)
  cloud.later(cloud.delay * 2, () => {
    end(step)
    Object.assign(server, { status, 'OS-EXT-STS:vm_state': vm, 'OS-EXT-STS:task_state': null })
    cloud.changed('server', server.id)
  })
}

export function remove(cloud: Cloud, server: ServerRow, user: string): void {
  begin(record(cloud, server, 'delete', user), 'compute_terminate_instance')
  server['OS-EXT-STS:task_state'] = 'deleting'
  cloud.changed('server', server.id)
  cloud.later(cloud.delay, () => {
    cloud.servers.delete(server.id)
    for (const port of [...cloud.ports.values()].filter(({ device_id }) => device_id === server.id)) cloud.ports.delete(port.id)
    cloud.changed('server', server.id)
  })
}
