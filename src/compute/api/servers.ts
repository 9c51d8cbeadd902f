// One server: show, update, delete. Lists, creation, actions and what belongs to a server have files of their own beside this one.
import { type CompiledQuery, type Selectable, sql } from 'kysely'
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { type Call, row, since } from '../../http/table.ts'
import { normalIp } from '../../network/control/address.ts'
import { addressesColumn, type ServerAddress } from '../../network/control/server-ports.ts'
import type { Change } from '../control/facts.ts'
import { change, remove } from '../control/wish.ts'
import { Description, DiskConfig, Hostname, Name } from './server-create.ts'
import { hostStatus } from './server-list.ts'
import { type Detail, detailView, type HostStatus, type Row, updatedView, viewed } from './server-view.ts'
import { askerOf, lockServer, noServer, seen } from './target.ts'

const Update = t.Object(
  {
    server: t.Object(
      {
        name: t.Optional(Name),
        accessIPv4: t.Optional(t.Union([t.String({ format: 'ipv4' }), t.Literal('')])),
        accessIPv6: t.Optional(t.Union([t.String({ format: 'ipv6' }), t.Literal('')])),
        'OS-DCF:diskConfig': t.Optional(DiskConfig),
        description: t.Optional(since('2.19', Description)),
        hostname: t.Optional(since('2.90', Hostname)),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
)

type Shown = Selectable<Row> & { host_status: HostStatus | null; addresses: ServerAddress[] }

const shown = (tx: Tx, id: string) =>
  tx
    .selectFrom('compute.server')
    .select(viewed.map((name) => `compute.server.${name}` as const))
    .select([hostStatus.as('host_status'), addressesColumn(sql`compute.server.id`).as('addresses')])
    .where('id', '=', id)

// Clients that wait for a server ask for it again and again: the text of that query is made once.
let showing: CompiledQuery<Shown> | undefined

/** The row of a server and what its detailed view needs besides. */
export async function readDetail(tx: Tx, id: string): Promise<{ row: Row; detail: Detail } | undefined> {
  showing ??= shown(tx, id).compile()
  const [found] = (await tx.executeQuery<Shown>({ ...showing, parameters: [id] })).rows
  return found && { row: found, detail: { addresses: found.addresses, hostStatus: found.host_status ?? '' } }
}

const deleteServer = async (call: Pick<Call, 'tx' | 'who' | 'may' | 'must' | 'requestId' | 'params'>) => {
  const facts = await lockServer(call, call.params.id!, 'os_compute_api:servers:delete')
  await remove(call.tx, facts, askerOf(call))
}

export const servers = [
  row({
    route: 'GET /servers/:id',
    policy: 'os_compute_api:servers:show',
    target: 'loaded',
    reply: 200,
    summary: 'Show a server',
    run: async (call) => {
      const found = await readDetail(call.tx, call.params.id)
      seen(call, 'os_compute_api:servers:show', call.params.id, found?.row)
      return { server: detailView(call, found!.row, found!.detail, true) }
    },
  }),
  row({
    route: 'PUT /servers/:id',
    policy: 'os_compute_api:servers:update',
    target: 'loaded',
    body: Update,
    reply: 200,
    summary: 'Update a server',
    run: async (call) => {
      const facts = await lockServer(call, call.params.id, 'os_compute_api:servers:update')
      const { name, description, hostname, accessIPv4, accessIPv6 } = call.body.server
      const changes: Change = {
        ...(name !== undefined && { name }),
        ...(description !== undefined && { description }),
        ...(hostname !== undefined && { hostname }),
        ...(accessIPv4 !== undefined && { access_ip_v4: accessIPv4 }),
        ...(accessIPv6 !== undefined && { access_ip_v6: normalIp(accessIPv6) ?? '' }),
      }
      await change(call.tx, facts, askerOf(call), changes, name !== undefined || hostname !== undefined)
      const found = await readDetail(call.tx, call.params.id)
      if (!found) throw noServer(call.params.id)
      return { server: updatedView(call, found.row, found.detail) }
    },
  }),
  row({
    route: 'DELETE /servers/:id',
    policy: 'os_compute_api:servers:delete',
    target: 'loaded',
    reply: 204,
    summary: 'Delete a server',
    run: deleteServer,
  }),
  row({
    route: 'POST /servers/:id/action#forceDelete',
    policy: 'os_compute_api:os-deferred-delete:force',
    target: 'loaded',
    body: t.Object({ forceDelete: t.Unknown() }, { additionalProperties: false }),
    reply: 202,
    summary: 'Delete a server at once',
    run: async (call) => {
      const facts = await lockServer(call, call.params.id, 'os_compute_api:os-deferred-delete:force')
      await remove(call.tx, facts, askerOf(call), 'forceDelete')
    },
  }),
]
