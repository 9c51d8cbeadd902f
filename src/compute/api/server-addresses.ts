// Where a server can be reached: its addresses, its interfaces, its security groups. All of it belongs to the network; compute only shows it.
import { sql } from 'kysely'
import { Type as t } from 'typebox'
import { notBuilt, notFound } from '../../http/fault.ts'
import { type Call, lives, row, since } from '../../http/table.ts'
import { addressesOf } from '../../network/control/server-ports.ts'
import { action } from './server-actions.ts'
import { addressesView } from './server-view.ts'
import { findServer, lockServer } from './target.ts'

type AnyCall = Pick<Call, 'tx' | 'who' | 'may' | 'must' | 'requestId' | 'params'>

async function portsOf(call: AnyCall, rule: string) {
  const { id } = await findServer(call, call.params.id!, rule)
  return (await addressesOf(call.tx, [id])).get(id) ?? []
}

/** `{network: [{version, addr}]}` without the extended attributes of the server's own view. */
const ipsView = (ports: Awaited<ReturnType<typeof portsOf>>) =>
  Object.fromEntries(
    Object.entries(addressesView(ports)).map(([network, list]) => [
      network,
      (list as { version: number; addr: string }[]).map(({ version, addr }) => ({ version, addr })),
    ]),
  )

async function interfacesOf(call: AnyCall & Pick<Call, 'version'>, rule: string) {
  const { id } = await findServer(call, call.params.id!, rule)
  const rows = await call.tx
    .selectFrom('network.port as p')
    .select(['p.id', 'p.network_id', 'p.mac_address', 'p.status'])
    .select(
      sql<{ ip_address: string; subnet_id: string }[]>`(
        select coalesce(jsonb_agg(jsonb_build_object('ip_address', host(f.ip), 'subnet_id', f.subnet_id) order by f.position), '[]')
        from network.fixed_ip f where f.port_id = p.id)`.as('fixed_ips'),
    )
    .where('p.device_id', '=', id)
    .orderBy('p.created_at')
    .execute()
  return rows.map((port) => ({
    port_id: port.id,
    net_id: port.network_id,
    mac_addr: port.mac_address,
    port_state: port.status,
    fixed_ips: port.fixed_ips,
    ...(lives({ since: '2.70' }, call.version) && { tag: null }),
  }))
}

const Attach = t.Object(
  {
    interfaceAttachment: t.Optional(
      t.Object(
        {
          port_id: t.Optional(t.String({ format: 'uuid' })),
          net_id: t.Optional(t.String({ format: 'uuid' })),
          fixed_ips: t.Optional(t.Array(t.Object({ ip_address: t.String() }, { additionalProperties: false }), { maxItems: 1 })),
          tag: t.Optional(since('2.49', t.String({ minLength: 1, maxLength: 60 }))),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)
const Group = t.Object({ name: t.String({ minLength: 1, maxLength: 255 }) }, { additionalProperties: true })

export const serverAddresses = [
  row({
    route: 'GET /servers/:id/ips',
    policy: 'os_compute_api:ips:index',
    target: 'loaded',
    reply: 200,
    run: async (call) => ({ addresses: ipsView(await portsOf(call, 'os_compute_api:ips:index')) }),
  }),
  row({
    route: 'GET /servers/:id/ips/:network',
    policy: 'os_compute_api:ips:show',
    target: 'loaded',
    reply: 200,
    run: async (call) => {
      const { network } = call.params
      const addresses = ipsView(await portsOf(call, 'os_compute_api:ips:show'))
      if (!Object.hasOwn(addresses, network)) throw notFound('Instance is not a member of specified network')
      return { [network]: addresses[network] }
    },
  }),
  row({
    route: 'GET /servers/:id/os-interface',
    policy: 'os_compute_api:os-attach-interfaces:list',
    target: 'loaded',
    reply: 200,
    run: async (call) => ({ interfaceAttachments: await interfacesOf(call, 'os_compute_api:os-attach-interfaces:list') }),
  }),
  row({
    route: 'GET /servers/:id/os-interface/:port',
    policy: 'os_compute_api:os-attach-interfaces:show',
    target: 'loaded',
    reply: 200,
    run: async (call) => {
      const found = (await interfacesOf(call, 'os_compute_api:os-attach-interfaces:show')).find(
        ({ port_id }) => port_id === call.params.port,
      )
      if (!found) throw notFound(`Instance ${call.params.id} does not have a port with id ${call.params.port}`)
      return { interfaceAttachment: found }
    },
  }),
  row({
    route: 'POST /servers/:id/os-interface',
    policy: 'os_compute_api:os-attach-interfaces:create',
    target: 'loaded',
    body: Attach,
    reply: 200,
    run: async (call) => {
      await lockServer(call, call.params.id, 'os_compute_api:os-attach-interfaces:create')
      throw notBuilt('Attaching interfaces to an existing server')
    },
  }),
  row({
    route: 'DELETE /servers/:id/os-interface/:port',
    policy: 'os_compute_api:os-attach-interfaces:delete',
    target: 'loaded',
    reply: 202,
    run: async (call) => {
      await lockServer(call, call.params.id, 'os_compute_api:os-attach-interfaces:delete')
      throw notBuilt('Detaching interfaces')
    },
  }),
  row({
    route: 'GET /servers/:id/os-security-groups',
    policy: 'os_compute_api:os-security-groups:list',
    target: 'loaded',
    reply: 200,
    run: async (call) => {
      const ports = await portsOf(call, 'os_compute_api:os-security-groups:list')
      const ids = [...new Set(ports.flatMap(({ security_groups }) => security_groups.map(({ id }) => id)))]
      if (ids.length === 0) return { security_groups: [] }
      const groups = await call.tx
        .selectFrom('network.security_group')
        .select(['id', 'name', 'description', 'project_id'])
        .where('id', 'in', ids)
        .execute()
      const rules = await call.tx
        .selectFrom('network.security_group_rule')
        .selectAll()
        .where('security_group_id', 'in', ids)
        .where('direction', '=', 'ingress')
        .execute()
      return {
        security_groups: groups.map(({ id, name, description, project_id }) => ({
          id,
          name,
          description,
          tenant_id: project_id,
          rules: rules
            .filter((rule) => rule.security_group_id === id)
            .map((rule) => ({
              id: rule.id,
              parent_group_id: id,
              ip_protocol: rule.protocol,
              from_port: rule.port_range_min,
              to_port: rule.port_range_max,
              ip_range: rule.remote_ip_prefix ? { cidr: rule.remote_ip_prefix } : {},
              group: rule.remote_group_id
                ? { name: groups.find((other) => other.id === rule.remote_group_id)?.name ?? rule.remote_group_id, tenant_id: project_id }
                : {},
            })),
        })),
      }
    },
  }),
  ...(['addSecurityGroup', 'removeSecurityGroup'] as const).map((name) => {
    const policy = `os_compute_api:os-security-groups:${name === 'addSecurityGroup' ? 'add' : 'remove'}`
    return row({
      route: `POST /servers/:id/action#${name}`,
      policy,
      target: 'loaded',
      body: action(name, Group),
      reply: 202,
      run: async (call) => {
        await lockServer(call, call.params.id!, policy)
        throw notBuilt('Changing the security groups of a server (its ports can be updated through the network API instead)')
      },
    })
  }),
]
