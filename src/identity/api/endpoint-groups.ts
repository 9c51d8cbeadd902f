// Endpoint groups (OS-EP-FILTER): every endpoint that a group's filters fit is in it, and projects are given groups. What they are for stands
// in ./endpoint-filters.ts.
import { Type as t } from 'typebox'
import { json, type Tx } from '../../database/connect.ts'
import { badRequest, notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { identityChanged, newId } from '../control/changed.ts'
import { endpointFits } from '../control/endpoint-filters.ts'
import { expecting } from '../control/faults.ts'
import { endpointView } from './endpoints.ts'
import { name, sameId, taken, text, wrapped } from './fields.ts'
import { findProject, orGone } from './find.ts'
import { base, collection, limitOf, matching, selfLink } from './list.ts'
import { projectView } from './projects.ts'

const filters = t.Object(
  {
    interface: t.Optional(t.Union([t.Literal('admin'), t.Literal('internal'), t.Literal('public')])),
    service_id: t.Optional(t.String()),
    region_id: t.Optional(t.Union([t.String(), t.Null()])),
  },
  { additionalProperties: true },
)

const peek = (tx: Tx, id: string) => tx.selectFrom('identity.endpoint_group').selectAll().where('id', '=', id).executeTakeFirst()
type GroupRow = NonNullable<Awaited<ReturnType<typeof peek>>>

/** @throws Fault 404 */
async function findGroup(tx: Tx, id: string): Promise<GroupRow> {
  const group = await peek(tx, id)
  if (!group) throw notFound(`Could not find Endpoint Group: ${id}.`)
  return group
}

const view = (call: Pick<Call, 'url'>, { id, name, description, filters }: GroupRow) => ({
  id,
  name,
  description,
  filters,
  links: { self: `${base(call)}/OS-EP-FILTER/endpoint_groups/${id}` },
})

const filterable = ['service_id', 'region_id', 'interface']

/** @throws Fault 400 for a filter that names no attribute by which endpoints can be told apart */
function checkFilters(given: object): void {
  if (Object.keys(given).some((key) => !filterable.includes(key))) throw expecting(filterable.join(' or '), 'endpoint_group')
}

const groups = [
  row({
    route: 'GET /OS-EP-FILTER/endpoint_groups',
    policy: 'identity:list_endpoint_groups',
    reply: 200,
    summary: 'List endpoint groups',
    async run(call) {
      const rows = await call.tx
        .selectFrom('identity.endpoint_group as g')
        .selectAll()
        .where(matching(call.query, { name: 'text' }, 'g'))
        .orderBy('id')
        .limit(limitOf(call.query))
        .execute()
      return collection(call, 'endpoint_groups', rows, (group) => view(call, group))
    },
  }),
  row({
    route: 'POST /OS-EP-FILTER/endpoint_groups',
    policy: 'identity:create_endpoint_group',
    body: wrapped('endpoint_group', t.Object({ name: name(), description: text, filters }, { additionalProperties: false })),
    reply: 201,
    summary: 'Create an endpoint group',
    async run(call) {
      const { name, description = null, filters } = call.body.endpoint_group
      if (Object.keys(filters).length === 0) throw badRequest('filters field is required and cannot be empty')
      checkFilters(filters)
      const group = await call.tx
        .insertInto('identity.endpoint_group')
        .values({ id: newId(), name, description, filters: json(filters) })
        .returningAll()
        .executeTakeFirstOrThrow()
      return { endpoint_group: view(call, group) }
    },
  }),
  row({
    route: 'GET /OS-EP-FILTER/endpoint_groups/:endpoint_group_id',
    policy: 'identity:get_endpoint_group',
    reply: 200,
    summary: 'Show an endpoint group',
    async run(call) {
      return { endpoint_group: view(call, await findGroup(call.tx, call.params.endpoint_group_id)) }
    },
  }),
  row({
    route: 'PATCH /OS-EP-FILTER/endpoint_groups/:endpoint_group_id',
    policy: 'identity:update_endpoint_group',
    body: wrapped(
      'endpoint_group',
      t.Partial(t.Object({ id: t.String(), name: name(), description: text, filters }), { minProperties: 1, additionalProperties: false }),
    ),
    reply: 200,
    summary: 'Change an endpoint group',
    async run(call) {
      const { body, tx } = call
      const old = await findGroup(tx, call.params.endpoint_group_id)
      sameId(body.endpoint_group, old.id)
      const { name = old.name, description = old.description, filters } = body.endpoint_group
      if (filters) checkFilters(filters)
      const group = await tx
        .updateTable('identity.endpoint_group')
        .set({ name, description })
        .$if(filters !== undefined, (q) => q.set({ filters: json(filters!) }))
        .where('id', '=', old.id)
        .returningAll()
        .executeTakeFirstOrThrow(orGone('Endpoint Group', old.id))
      await identityChanged(tx)
      return { endpoint_group: view(call, group) }
    },
  }),
  row({
    route: 'DELETE /OS-EP-FILTER/endpoint_groups/:endpoint_group_id',
    policy: 'identity:delete_endpoint_group',
    reply: 204,
    summary: 'Delete an endpoint group',
    async run({ tx, params }) {
      const { id } = await findGroup(tx, params.endpoint_group_id)
      await tx.deleteFrom('identity.endpoint_group').where('id', '=', id).execute()
      await identityChanged(tx)
    },
  }),
  row({
    route: 'GET /OS-EP-FILTER/endpoint_groups/:endpoint_group_id/endpoints',
    policy: 'identity:list_endpoints_associated_with_endpoint_group',
    reply: 200,
    summary: 'List the endpoints of an endpoint group',
    async run(call) {
      const { id } = await findGroup(call.tx, call.params.endpoint_group_id)
      const rows = await call.tx
        .selectFrom('identity.endpoint as e')
        .innerJoin('identity.endpoint_group as g', (on) => on.on(endpointFits))
        .selectAll('e')
        .where('g.id', '=', id)
        .orderBy('e.id')
        .execute()
      return collection(call, 'endpoints', rows, (endpoint) => endpointView(call, endpoint))
    },
  }),
  row({
    route: 'GET /OS-EP-FILTER/endpoint_groups/:endpoint_group_id/projects',
    policy: 'identity:list_projects_associated_with_endpoint_group',
    reply: 200,
    summary: 'List the projects that have an endpoint group',
    async run(call) {
      const rows = await call.tx
        .selectFrom('identity.project as p')
        .innerJoin('identity.project_endpoint_group as has', 'has.project_id', 'p.id')
        .selectAll('p')
        .where('has.endpoint_group_id', '=', call.params.endpoint_group_id)
        .orderBy('p.id')
        .execute()
      return collection(call, 'projects', rows, (project) => projectView(call, project))
    },
  }),
]

/** Both things of a path. @throws Fault 404 */
async function findPair(tx: Tx, { project_id, endpoint_group_id }: Record<string, string>) {
  const project = await findProject(tx, project_id ?? '')
  const group = await findGroup(tx, endpoint_group_id ?? '')
  return { project_id: project.id, endpoint_group_id: group.id }
}

/** @throws Fault 404 also if the project does not have the group */
async function findGroupOfProject(tx: Tx, params: Record<string, string>) {
  const pair = await findPair(tx, params)
  const known = await tx
    .selectFrom('identity.project_endpoint_group')
    .selectAll()
    .where((eb) => eb.and(pair))
    .executeTakeFirst()
  if (!known) throw notFound('Endpoint Group Project Association not found')
  return pair
}

const groupsOfProjects = [
  row({
    route: 'GET /OS-EP-FILTER/projects/:project_id/endpoint_groups',
    policy: 'identity:list_endpoint_groups_for_project',
    reply: 200,
    summary: 'List the endpoint groups of a project',
    async run(call) {
      const { id } = await findProject(call.tx, call.params.project_id)
      const rows = await call.tx
        .selectFrom('identity.endpoint_group as g')
        .innerJoin('identity.project_endpoint_group as has', 'has.endpoint_group_id', 'g.id')
        .selectAll('g')
        .where('has.project_id', '=', id)
        .orderBy('g.id')
        .execute()
      return collection(call, 'endpoint_groups', rows, (group) => view(call, group))
    },
  }),
  row({
    route: 'GET /OS-EP-FILTER/endpoint_groups/:endpoint_group_id/projects/:project_id',
    policy: 'identity:get_endpoint_group_in_project',
    reply: 200,
    summary: 'Show that a project has an endpoint group',
    async run(call) {
      const pair = await findGroupOfProject(call.tx, call.params)
      const links = selfLink(call, 'OS-EP-FILTER', 'endpoint_groups', pair.endpoint_group_id, 'projects', pair.project_id)
      return { project_endpoint_group: { ...pair, links } }
    },
  }),
  row({
    route: 'PUT /OS-EP-FILTER/endpoint_groups/:endpoint_group_id/projects/:project_id',
    policy: 'identity:add_endpoint_group_to_project',
    reply: 204,
    summary: 'Give an endpoint group to a project',
    async run({ tx, params }) {
      const pair = await findPair(tx, params)
      await tx
        .insertInto('identity.project_endpoint_group')
        .values(pair)
        .execute()
        .catch(taken('project_endpoint_group', `Duplicate entry found with ID ${pair.endpoint_group_id}`))
      await identityChanged(tx)
    },
  }),
  row({
    route: 'DELETE /OS-EP-FILTER/endpoint_groups/:endpoint_group_id/projects/:project_id',
    policy: 'identity:remove_endpoint_group_from_project',
    reply: 204,
    summary: 'Take an endpoint group from a project',
    async run({ tx, params }) {
      const pair = await findGroupOfProject(tx, params)
      await tx
        .deleteFrom('identity.project_endpoint_group')
        .where((eb) => eb.and(pair))
        .execute()
      await identityChanged(tx)
    },
  }),
]

export const endpointGroups = [...groups, ...groupsOfProjects]
