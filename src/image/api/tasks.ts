// Tasks: imports as those who may see them do. The old way to begin one (POST /v2/tasks) is kept for administrators, as Glance has it;
// tasks are never deleted by hand, they go two days after their end.
import { randomUUID } from 'node:crypto'
import { Type as t } from 'typebox'
import { json } from '../../database/connect.ts'
import type { JsonObject } from '../../database/types.ts'
import { badRequest, Fault, notFound } from '../../http/fault.ts'
import { glanceLinks, listPage, novaPage } from '../../http/page.ts'
import { row } from '../../http/table.ts'
import type { SealingKeys } from '../../identity/control/sealed.ts'
import { beginImport, type TaskRow } from '../control/import-task.ts'
import { checkUrl, shown } from '../control/reach.ts'
import type { Stores } from '../control/stores.ts'
import { seeImage } from './find.ts'
import { type ImportConfig, sealed } from './import.ts'
import { isSettable, refuseName, refuseValue } from './properties.ts'
import { isoTime } from './view.ts'

const listing = {
  id: 't.id',
  columns: {
    id: 't.id',
    type: 't.type',
    status: 't.status',
    owner: 't.owner',
    expires_at: { ref: 't.expires_at', nullable: true },
    created_at: 't.created_at',
    updated_at: 't.updated_at',
  },
  sort: [{ key: 'created_at', direction: 'desc' }],
} satisfies Parameters<typeof listPage>[2]

const statuses = ['pending', 'processing', 'success', 'failure']

/** What a list shows of a task. */
const stub = (task: TaskRow) => ({
  id: task.id,
  type: task.type,
  status: task.status,
  owner: task.owner,
  created_at: isoTime(task.created_at),
  updated_at: isoTime(task.updated_at),
  self: `/v2/tasks/${task.id}`,
  schema: '/v2/schemas/task',
  ...(task.expires_at && { expires_at: isoTime(task.expires_at) }),
})

export const taskView = (task: TaskRow) => ({
  ...stub(task),
  input: task.input,
  message: task.message,
  result: task.result,
  ...(task.image_id !== null && { image_id: task.image_id }),
  request_id: task.request_id,
  user_id: task.user_id,
})

const taskBody = t.Object({
  type: t.String(),
  input: t.Object({}, { additionalProperties: t.Unknown() }),
})

export const tasks = (config: ImportConfig, key: SealingKeys, stores: Stores) => [
  row({
    route: 'GET /v2/images/:image_id/tasks',
    policy: 'get_image',
    target: 'loaded',
    reply: 200,
    summary: 'List the imports of an image, running and ended',
    async run(call) {
      const image = await seeImage(call, call.params.image_id)
      const rows = await call.tx
        .selectFrom('image.task')
        .selectAll()
        .where('image_id', '=', image.id)
        .orderBy('created_at')
        .orderBy('id')
        .execute()
      return { tasks: rows.map(taskView) }
    },
  }),
  row({
    route: 'GET /v2/tasks',
    policy: 'tasks_api_access',
    reply: 200,
    summary: 'List tasks',
    async run({ query, tx, url }) {
      const page = novaPage(query, listing)
      const all = tx.selectFrom('image.task as t').selectAll()
      let wanted = all
      if (query.status !== undefined) {
        if (!statuses.includes(String(query.status))) throw badRequest(`Invalid status value: ${String(query.status).slice(0, 40)}`)
        wanted = wanted.where('t.status', '=', String(query.status))
      }
      if (query.type !== undefined) {
        if (query.type !== 'import') throw badRequest(`Invalid type value: ${String(query.type).slice(0, 40)}`)
        wanted = wanted.where('t.type', '=', query.type)
      }
      const { rows, more } = await listPage(wanted, page, listing, all)
      return { tasks: rows.map(stub), schema: '/v2/schemas/tasks', ...glanceLinks('/v2/tasks', url, more, rows.at(-1)?.id) }
    },
  }),
  row({
    route: 'POST /v2/tasks',
    policy: 'tasks_api_access',
    body: taskBody,
    reply: 201,
    summary: 'Create an image from the web (deprecated: create the image, then import it by web-download)',
    async run({ body, header, requestId, tx, url, who }) {
      if (body.type !== 'import') throw badRequest(`The type of a new task is import, not '${body.type.slice(0, 40)}'.`)
      const { import_from, import_from_format, image_properties = {} } = body.input as Record<string, unknown>
      if (typeof import_from_format !== 'string') throw badRequest("Input does not contain 'import_from_format' field")
      if (typeof image_properties !== 'object' || image_properties === null)
        throw badRequest("Input does not contain 'image_properties' field")
      const from = checkUrl({ allow: config.importAllow, deny: config.importDeny }, import_from)
      const owner = who.project?.id
      if (!owner) throw badRequest('An image belongs to a project: use a token of a project.')
      const columns: Record<string, unknown> = { disk_format: import_from_format, container_format: 'bare' }
      const properties: Record<string, string> = {}
      refuseValue('disk_format', import_from_format)
      for (const [name, value] of Object.entries(image_properties)) {
        refuseName(name, false)
        refuseValue(name, value)
        if (isSettable(name)) columns[name] = value
        else if (value !== null) properties[name] = String(value)
      }
      const image = await tx
        .insertInto('image.image')
        .values({ ...columns, id: randomUUID(), owner, properties: json(properties) })
        .returning(['id', 'owner', 'properties'])
        .executeTakeFirstOrThrow()
      const task = await beginImport(tx, image, {
        type: 'import',
        owner,
        user_id: who.user.id,
        request_id: requestId,
        image_id: image.id,
        method: 'web-download',
        input: { ...body.input, import_from: shown(import_from) } as JsonObject,
        stores: [stores.default.id],
        every: true,
        file: null,
        secret: await sealed(tx, key, { url: from.href }),
        inject: {},
      })
      header('location', `${url.origin}/image/v2/tasks/${task.id}`)
      return taskView(task)
    },
  }),
  row({
    route: 'GET /v2/tasks/:task_id',
    policy: 'tasks_api_access',
    reply: 200,
    summary: 'Show a task',
    async run({ params, tx }) {
      const task = await tx.selectFrom('image.task').selectAll().where('id', '=', params.task_id).executeTakeFirst()
      if (!task) throw notFound(`No task found with ID ${params.task_id}`)
      return taskView(task)
    },
  }),
  row({
    route: 'DELETE /v2/tasks/:task_id',
    policy: 'tasks_api_access',
    reply: 405,
    summary: 'Refused: tasks go by themselves',
    run() {
      throw new Fault(
        405,
        'This operation is currently not permitted on Glance Tasks. They are auto deleted after reaching the time based on their expires_at property.',
        { headers: { allow: 'GET' } },
      )
    },
  }),
]
