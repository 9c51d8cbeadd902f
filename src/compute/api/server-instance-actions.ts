// os-instance-actions: what was done to a server, by whom, and how each step went. Readable after the server is gone, too (2.21).

import type { Selectable } from 'kysely'
import { Type as t } from 'typebox'
import type { ComputeServerAction } from '../../database/types.ts'
import { badRequest, notFound } from '../../http/fault.ts'
import { type Listing, listPage, novaLinks, novaPage } from '../../http/page.ts'
import { type Call, changed, lives, row, since } from '../../http/table.ts'
import { hostIdOf } from './server-view.ts'
import { noServer } from './target.ts'

type AnyCall = Pick<Call, 'tx' | 'who' | 'may' | 'must' | 'version' | 'params'>

const stamp = (date: Date | null) => (date ? date.toISOString().replace(/\.(\d+)Z$/, '.$1000') : null)

const listing: Listing = {
  id: 'compute.server_action.id',
  columns: { started_at: 'compute.server_action.started_at', updated_at: 'compute.server_action.updated_at' },
  sort: [{ key: 'started_at', direction: 'desc' }],
}

const ListQuery = t.Object(
  {
    limit: t.Optional(since('2.58', t.String())),
    marker: t.Optional(since('2.58', t.String())),
    'changes-since': t.Optional(since('2.58', t.String())),
    'changes-before': t.Optional(since('2.66', t.String())),
  },
  { additionalProperties: changed('2.58', true, false) },
)

const view = (call: AnyCall, action: Selectable<ComputeServerAction>) => ({
  action: action.action,
  instance_uuid: action.server_id,
  request_id: action.request_id,
  user_id: action.user_id,
  project_id: action.project_id,
  start_time: stamp(action.started_at),
  message: action.message,
  ...(lives({ since: '2.58' }, call.version) && { updated_at: stamp(action.updated_at) }),
})

/** The project whose server this is or was. @throws Fault 403, 404 */
async function projectOfServer(call: AnyCall, id: string, rule: string): Promise<string> {
  const server = await call.tx.selectFrom('compute.server').select(['project_id', 'user_id']).where('id', '=', id).executeTakeFirst()
  const past =
    server ??
    (lives({ since: '2.21' }, call.version)
      ? await call.tx.selectFrom('compute.server_action').select(['project_id', 'user_id']).where('server_id', '=', id).executeTakeFirst()
      : undefined)
  if (!past || (past.project_id !== call.who.project?.id && !call.may('context_is_admin'))) throw noServer(id)
  call.must(rule, { project_id: past.project_id, user_id: past.user_id })
  return past.project_id
}

function timeOf(name: string, text: string): Date {
  const date = new Date(/[zZ]|[+-]\d\d:?\d\d$/.test(text) ? text : `${text}Z`)
  if (Number.isNaN(date.getTime()))
    throw badRequest(`Invalid input for query parameters ${name}. Value: ${text.slice(0, 40)}. '${text.slice(0, 40)}' is not a 'date-time'`)
  return date
}

export const serverInstanceActions = [
  row({
    route: 'GET /servers/:id/os-instance-actions',
    policy: 'os_compute_api:os-instance-actions:list',
    target: 'loaded',
    query: ListQuery,
    reply: 200,
    run: async (call) => {
      await projectOfServer(call, call.params.id, 'os_compute_api:os-instance-actions:list')
      const all = call.tx.selectFrom('compute.server_action').selectAll('compute.server_action').where('server_id', '=', call.params.id)
      const { marker, ...query } = call.query
      const marked = marker === undefined ? undefined : await all.where('request_id', '=', marker).executeTakeFirst()
      if (marker !== undefined && !marked) throw badRequest(`marker [${marker.slice(0, 60)}] not found`)
      let chosen = all
      if (query['changes-since'] !== undefined) chosen = chosen.where('updated_at', '>=', timeOf('changes-since', query['changes-since']))
      if (query['changes-before'] !== undefined)
        chosen = chosen.where('updated_at', '<=', timeOf('changes-before', query['changes-before']))
      const page = novaPage({ limit: query.limit, ...(marked && { marker: String(marked.id) }) }, listing)
      const { rows, more } = await listPage(chosen, page, listing, all)
      return {
        instanceActions: rows.map((action) => view(call, action)),
        ...(lives({ since: '2.58' }, call.version) && novaLinks('links', call.url, more, rows.at(-1)?.request_id)),
      }
    },
  }),
  row({
    route: 'GET /servers/:id/os-instance-actions/:request',
    policy: 'os_compute_api:os-instance-actions:show',
    target: 'loaded',
    reply: 200,
    run: async (call) => {
      const { id, request } = call.params
      const project_id = await projectOfServer(call, id, 'os_compute_api:os-instance-actions:show')
      const action = await call.tx
        .selectFrom('compute.server_action')
        .selectAll()
        .where('server_id', '=', id)
        .where('request_id', '=', request)
        .orderBy('id', 'desc')
        .executeTakeFirst()
      if (!action) throw notFound(`Action for request_id ${request} on instance ${id} not found`)
      const admin = call.may('os_compute_api:os-instance-actions:events', { project_id })
      if (!admin && !lives({ since: '2.51' }, call.version)) return { instanceAction: view(call, action) }
      const events = await call.tx.selectFrom('compute.server_event').selectAll().where('action_id', '=', action.id).orderBy('id').execute()
      const details = call.may('os_compute_api:os-instance-actions:events:details', { project_id })
      return {
        instanceAction: {
          ...view(call, action),
          events: events.map((event) => ({
            event: event.event,
            start_time: stamp(event.started_at),
            finish_time: stamp(event.finished_at),
            result: event.result,
            ...(admin && { traceback: null }),
            ...(admin && lives({ since: '2.50' }, call.version) && { host: event.host }),
            ...(lives({ since: '2.62' }, call.version) && { hostId: hostIdOf(project_id, event.host) }),
            ...(lives({ since: '2.84' }, call.version) && { details: details || event.result === 'Error' ? event.details : null }),
          })),
        },
      }
    },
  }),
]
