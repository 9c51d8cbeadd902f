// Endpoint filters (OS-EP-FILTER): which endpoints the catalog of a project shows, where it shall not show them all. Endpoints are given to a
// project one by one, or as a group (./endpoint-groups.ts).
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { notFound } from '../../http/fault.ts'
import { row } from '../../http/table.ts'
import { identityChanged } from '../control/changed.ts'
import { endpointFits } from '../control/endpoint-filters.ts'
import { endpointView, findEndpoint } from './endpoints.ts'
import { taken } from './fields.ts'
import { findProject } from './find.ts'
import { collection } from './list.ts'
import { projectView } from './projects.ts'

/** @throws Fault 404 if the project does not have the endpoint */
async function findEndpointOfProject(tx: Tx, { project_id = '', endpoint_id = '' }: Record<string, string>) {
  const pair = { project_id, endpoint_id }
  const known = await tx
    .selectFrom('identity.project_endpoint')
    .selectAll()
    .where((eb) => eb.and(pair))
    .executeTakeFirst()
  if (!known) throw notFound(`Endpoint ${endpoint_id} not found in project ${project_id}`)
  return pair
}

export const endpointFilters = [
  row({
    route: 'GET /OS-EP-FILTER/projects/:project_id/endpoints',
    policy: 'identity:list_endpoints_for_project',
    reply: 200,
    summary: 'List the endpoints of a project, those of its groups included',
    async run(call) {
      const { id } = await findProject(call.tx, call.params.project_id)
      const rows = await call.tx
        .selectFrom('identity.endpoint as e')
        .selectAll()
        .where(
          sql<boolean>`exists (select from identity.project_endpoint has where has.project_id = ${id} and has.endpoint_id = e.id)
            or exists (select from identity.project_endpoint_group has join identity.endpoint_group g on g.id = has.endpoint_group_id
                       where has.project_id = ${id} and ${endpointFits})`,
        )
        .orderBy('id')
        .execute()
      return collection(call, 'endpoints', rows, (endpoint) => endpointView(call, endpoint))
    },
  }),
  row({
    route: 'GET /OS-EP-FILTER/endpoints/:endpoint_id/projects',
    policy: 'identity:list_projects_for_endpoint',
    reply: 200,
    summary: 'List the projects that have an endpoint',
    async run(call) {
      const { id } = await findEndpoint(call.tx, call.params.endpoint_id)
      const rows = await call.tx
        .selectFrom('identity.project as p')
        .innerJoin('identity.project_endpoint as has', 'has.project_id', 'p.id')
        .selectAll('p')
        .where('has.endpoint_id', '=', id)
        .orderBy('p.id')
        .execute()
      return collection(call, 'projects', rows, (project) => projectView(call, project))
    },
  }),
  row({
    route: 'PUT /OS-EP-FILTER/projects/:project_id/endpoints/:endpoint_id',
    policy: 'identity:add_endpoint_to_project',
    reply: 204,
    summary: 'Give an endpoint to a project',
    async run({ tx, params }) {
      const { id: endpoint_id } = await findEndpoint(tx, params.endpoint_id)
      const { id: project_id } = await findProject(tx, params.project_id)
      await tx
        .insertInto('identity.project_endpoint')
        .values({ project_id, endpoint_id })
        .execute()
        .catch(taken('project_endpoint', `Duplicate entry found with ID ${endpoint_id}`))
      await identityChanged(tx)
    },
  }),
  row({
    route: 'GET /OS-EP-FILTER/projects/:project_id/endpoints/:endpoint_id',
    policy: 'identity:check_endpoint_in_project',
    reply: 204,
    summary: 'Check whether a project has an endpoint',
    async run({ tx, params }) {
      await findEndpoint(tx, params.endpoint_id)
      await findProject(tx, params.project_id)
      await findEndpointOfProject(tx, params)
    },
  }),
  row({
    route: 'DELETE /OS-EP-FILTER/projects/:project_id/endpoints/:endpoint_id',
    policy: 'identity:remove_endpoint_from_project',
    reply: 204,
    summary: 'Take an endpoint from a project',
    async run({ tx, params }) {
      const pair = await findEndpointOfProject(tx, params)
      await tx
        .deleteFrom('identity.project_endpoint')
        .where((eb) => eb.and(pair))
        .execute()
      await identityChanged(tx)
    },
  }),
]
