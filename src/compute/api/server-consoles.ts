// What one sees of a running server: its console's output, tickets for its consoles, the host's diagnostics.
import { type TSchema, Type as t } from 'typebox'
import type { Database, Tx } from '../../database/connect.ts'
import { badRequest, conflict, Fault, notBuilt, notFound, unavailable } from '../../http/fault.ts'
import { type Call, lives, type Route, row, since } from '../../http/table.ts'
import { type Answer, ask } from '../../wire/ask.ts'
import type { Question } from '../../wire/documents.ts'
import { makeTicket, type Protocol } from '../control/console.ts'
import { action } from './server-actions.ts'
import { findServer } from './target.ts'

type AnyCall = Pick<Call, 'tx' | 'who' | 'may' | 'must' | 'requestId' | 'params' | 'url'>
const notReady = (id: string) => conflict(`Instance ${id} is not ready`)

async function hostOf(tx: Tx, { id, host }: { id: string; host: string | null }): Promise<string> {
  const found = host === null ? undefined : await tx.selectFrom('wire.host').select('id').where('name', '=', host).executeTakeFirst()
  if (!found) throw notReady(id)
  return found.id
}

/** @throws Fault 404 where the host has no such server (yet), 503 where it doesn't answer */
async function answerOf(db: Database, hostId: string, question: Question): Promise<unknown> {
  const { status, body }: Answer = await ask(db, hostId, question)
  if (status < 300) return body
  const message = (body as { message?: string } | null)?.message ?? `The host answered with ${status}.`
  if (status === 404) throw notFound(message)
  if (status === 504) throw unavailable('The host of this server did not answer in time; it may be down. Try again in a moment.', 5)
  throw new Fault(status >= 400 && status < 600 ? status : 500, message)
}

/** A ticket, as the address of the dashboard's page that uses it; for the serial port, of the WebSocket itself, as programs expect from Nova. */
async function consoleUrl(call: AnyCall, protocol: Protocol, type: string): Promise<string> {
  const server = await findServer(call, call.params.id!, 'os_compute_api:os-remote-consoles')
  if (server.host === null || server.launched_at === null) throw notReady(server.id)
  const token = await makeTicket(call.tx, server.id, protocol, type)
  if (protocol === 'serial') return `${call.url.origin.replace(/^http/, 'ws')}/console/v1/serial?${new URLSearchParams({ token })}`
  return `${call.url.origin}/dashboard/console?${new URLSearchParams({ token, protocol, server: server.id })}`
}

const oldConsole = (name: string, protocol: Protocol | null, types: string[], until: string) =>
  row({
    route: `POST /servers/:id/action#${name}` as Route,
    policy: 'os_compute_api:os-remote-consoles',
    target: 'loaded',
    until,
    body: action(name, t.Object({ type: t.Union(types.map((type) => t.Literal(type))) as TSchema }, { additionalProperties: false })),
    reply: 200,
    run: async (call) => {
      const { type } = (call.body as Record<string, { type: string }>)[name]!
      if (protocol === null) {
        await findServer(call, call.params.id!, 'os_compute_api:os-remote-consoles')
        throw badRequest(`Guest does not have a console available: consoles of type ${type} are not offered here; ask for novnc.`)
      }
      return { console: { type, url: await consoleUrl(call, protocol, type) } }
    },
  })

const types: Record<string, string[]> = {
  vnc: ['novnc', 'xvpvnc'],
  serial: ['serial'],
  spice: ['spice-html5'],
  rdp: ['rdp-html5'],
  mks: ['webmks'],
}

const Console = t.Object(
  {
    remote_console: t.Object(
      {
        protocol: t.Union([t.Literal('vnc'), t.Literal('spice'), t.Literal('rdp'), t.Literal('serial'), since('2.8', t.Literal('mks'))]),
        type: t.Union([
          t.Literal('novnc'),
          t.Literal('xvpvnc'),
          t.Literal('spice-html5'),
          t.Literal('rdp-html5'),
          t.Literal('serial'),
          since('2.8', t.Literal('webmks')),
        ]),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
)

const Output = t.Object(
  {
    'os-getConsoleOutput': t.Object(
      { length: t.Optional(t.Union([t.Null(), t.Integer({ minimum: -1 }), t.String({ pattern: '^-?[0-9]{0,9}$' })])) },
      { additionalProperties: true },
    ),
  },
  { additionalProperties: false },
)

export const serverConsoles = [
  row({
    route: 'POST /servers/:id/action#os-getConsoleOutput',
    policy: 'os_compute_api:os-console-output',
    target: 'loaded',
    body: Output,
    // The host may take seconds to answer; no transaction waits for it.
    transaction: 'own',
    reply: 200,
    summary: "Show the end of a server's console output",
    run: async (call) => {
      const server = await findServer(call, call.params.id, 'os_compute_api:os-console-output')
      const { length } = call.body['os-getConsoleOutput']
      const lines = length === null || length === undefined || length === '' || Number(length) < 0 ? null : Number(length)
      const hostId = await hostOf(call.tx, server)
      const said = await answerOf(call.db, hostId, { what: 'console-log', server_id: server.id, lines })
      return { output: typeof said === 'string' ? said : ((said as { output?: string } | null)?.output ?? '') }
    },
  }),
  row({
    route: 'POST /servers/:id/remote-consoles',
    since: '2.6',
    policy: 'os_compute_api:os-remote-consoles',
    target: 'loaded',
    body: Console,
    reply: 200,
    summary: 'Open a console: a ticket that is good for one connection within ten minutes',
    run: async (call) => {
      const { protocol, type } = call.body.remote_console
      if (!types[protocol]?.includes(type))
        throw badRequest(`Invalid console type ${type}: the protocol ${protocol} has ${types[protocol]?.join(', ')}`)
      if (protocol !== 'vnc' && protocol !== 'serial') {
        await findServer(call, call.params.id, 'os_compute_api:os-remote-consoles')
        throw badRequest(`Guest does not have a console available: consoles of type ${type} are not offered here; ask for vnc with novnc.`)
      }
      return { remote_console: { protocol, type, url: await consoleUrl(call, protocol, type) } }
    },
  }),
  oldConsole('os-getVNCConsole', 'vnc', ['novnc', 'xvpvnc'], '2.5'),
  oldConsole('os-getSerialConsole', 'serial', ['serial'], '2.5'),
  oldConsole('os-getSPICEConsole', null, ['spice-html5'], '2.5'),
  oldConsole('os-getRDPConsole', null, ['rdp-html5'], '2.5'),
  row({
    route: 'GET /os-console-auth-tokens/:token',
    policy: 'os_compute_api:os-console-auth-tokens',
    reply: 200,
    run: () => {
      throw notBuilt('Showing where a console really is (consoles run through the controller; no proxy needs to know)')
    },
  }),
  row({
    route: 'GET /servers/:id/diagnostics',
    policy: 'os_compute_api:os-server-diagnostics',
    target: 'loaded',
    transaction: 'own',
    reply: 200,
    run: async (call) => {
      const server = await findServer(call, call.params.id, 'os_compute_api:os-server-diagnostics')
      if (server.vm_state !== 'active')
        throw conflict(`Cannot 'get_diagnostics' instance ${server.id} while it is in vm_state ${server.vm_state}`)
      const said = (await answerOf(call.db, await hostOf(call.tx, server), { what: 'diagnostics', server_id: server.id })) as Record<
        string,
        unknown
      >
      return lives({ since: '2.48' }, call.version) ? { ...standard, config_drive: server.config_drive, ...said } : said
    },
  }),
]

/** Every field of Nova's standard form, so that what a host cannot tell is there as null. */
const standard = {
  state: 'running',
  driver: 'libvirt',
  hypervisor: null,
  hypervisor_os: 'linux',
  uptime: null,
  num_cpus: 0,
  num_nics: 0,
  num_disks: 0,
  cpu_details: [],
  nic_details: [],
  disk_details: [],
  memory_details: { maximum: null, used: null },
}
