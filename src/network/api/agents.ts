// Agents, as Neutron's clients know them: each host counts as the three that Neutron would run there. They are derived from wire.host,
// alive as long as the host counts as up; also the availability zones, which follow from them.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { pickFields } from '../../http/filter.ts'
import { row } from '../../http/table.ts'
import { downAfter } from '../../wire/stream.ts'
import { agentNotFound, networkNotFound } from '../control/faults.ts'
import { timeOf } from './attributes.ts'
import { list, type Resource } from './list.ts'

const zone = 'nova'

const selectAgents = (tx: Tx) =>
  tx
    .selectFrom(
      sql<{
        id: string
        agent_type: string
        binary: string
        topic: string
        host: string
        alive: boolean
        tunnel_ip: string | null
        physical_networks: string[]
        created_at: Date
        seen_at: Date
        availability_zone: string | null
        admin_state_up: boolean
      }>`(
        select md5(h.id || a."binary")::uuid::text as id, a.agent_type, a."binary", a.topic, h.name as host, a.zone as availability_zone, true as admin_state_up,
          coalesce(h.seen_at > now() - ${downAfter}, false) as alive, h.hello ->> 'tunnel_ip' as tunnel_ip,
          coalesce(h.hello -> 'physical_networks', '[]') as physical_networks, h.joined_at as created_at, coalesce(h.seen_at, h.joined_at) as seen_at
        from wire.host h cross join (values
          ('Linux bridge agent', 'neutron-linuxbridge-agent', 'N/A', null), ('DHCP agent', 'neutron-dhcp-agent', 'dhcp_agent', ${zone}),
          ('Metadata agent', 'neutron-metadata-agent', 'N/A', null)) a (agent_type, "binary", topic, zone)
      )`.as('a'),
    )
    .selectAll('a')
type AgentRow = Awaited<ReturnType<ReturnType<typeof selectAgents>['executeTakeFirstOrThrow']>>

const view = (agent: AgentRow) => ({
  id: agent.id,
  agent_type: agent.agent_type,
  binary: agent.binary,
  topic: agent.topic,
  host: agent.host,
  availability_zone: agent.availability_zone,
  admin_state_up: agent.admin_state_up,
  alive: agent.alive,
  created_at: clock(agent.created_at),
  started_at: clock(agent.created_at),
  heartbeat_timestamp: clock(agent.seen_at),
  description: null,
  resources_synced: null,
  configurations:
    agent.binary === 'neutron-linuxbridge-agent'
      ? {
          tunneling_ip: agent.tunnel_ip,
          tunnel_types: agent.tunnel_ip === null ? [] : ['vxlan'],
          physical_networks: agent.physical_networks,
        }
      : {},
})

// Of agents alone Neutron writes times with a blank and no zone.
const clock = (date: Date) => timeOf(date).replace('T', ' ').replace('Z', '')

const resource: Resource = {
  name: 'agents',
  id: 'a.id',
  columns: {
    id: { ref: 'a.id' },
    agent_type: { ref: 'a.agent_type' },
    binary: { ref: 'a.binary' },
    topic: { ref: 'a.topic' },
    host: { ref: 'a.host' },
    availability_zone: { ref: 'a.availability_zone', nullable: true },
    admin_state_up: { ref: 'a.admin_state_up', type: 'boolean' },
    alive: { ref: 'a.alive', type: 'boolean' },
  },
}

export const agents = [
  row({
    route: 'GET /v2.0/agents',
    policy: 'get_agent',
    // Who may not see agents finds that there are none, as of any list of Neutron's.
    target: 'loaded',
    reply: 200,
    summary: 'List agents',
    run: (call) => (call.may('get_agent') ? list(call, selectAgents(call.tx), resource, view) : { agents: [] }),
  }),
  row({
    route: 'GET /v2.0/agents/:id',
    policy: 'get_agent',
    reply: 200,
    summary: 'Show an agent',
    run: async ({ tx, params: { id }, query }) => {
      const agent = await selectAgents(tx).where('a.id', '=', id).executeTakeFirst()
      if (!agent) throw agentNotFound(id)
      return { agent: pickFields(view(agent), query.fields) }
    },
  }),
  row({
    route: 'GET /v2.0/networks/:id/dhcp-agents',
    policy: 'get_dhcp-agents',
    reply: 200,
    summary: 'List the agents that answer DHCP in a network: those of the hosts that carry it',
    run: async ({ tx, params: { id } }) => {
      const network = await tx.selectFrom('network.network').select('id').where('id', '=', id).executeTakeFirst()
      if (!network) throw networkNotFound(id)
      const rows = await selectAgents(tx)
        .where('a.binary', '=', 'neutron-dhcp-agent')
        .where(sql<boolean>`a.host in (select host from network.port where network_id = ${id} and host <> '')`)
        .orderBy('a.host')
        .execute()
      return { agents: rows.map(view) }
    },
  }),
  row({
    route: 'GET /v2.0/availability_zones',
    policy: 'get_availability_zone',
    reply: 200,
    summary: 'List availability zones',
    run: async ({ tx }) => {
      const host = await tx.selectFrom('wire.host').select('id').limit(1).executeTakeFirst()
      return { availability_zones: host ? [{ name: zone, resource: 'network', state: 'available' }] : [] }
    },
  }),
]
