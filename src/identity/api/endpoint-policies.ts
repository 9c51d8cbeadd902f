// Which policy document is for which endpoint (OS-ENDPOINT-POLICY): the one that names the endpoint, else the one for its service in its
// region or a region above, else the one for its service. Like the documents themselves this is kept for others; nothing in Wisp reads it.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { notFound } from '../../http/fault.ts'
import { type Method, row } from '../../http/table.ts'
import { type EndpointRow, endpointView, findEndpoint } from './endpoints.ts'
import { collection } from './list.ts'
import { findPolicy, type PolicyRow, policyView } from './policy-documents.ts'
import { findRegion } from './regions.ts'
import { findService } from './services.ts'

type Params = Record<string, string>

/** The three things that a document can be for, by the path that names them. */
const kinds = [
  { path: 'endpoints/:endpoint_id', rule: 'endpoint', what: 'an endpoint' },
  { path: 'services/:service_id', rule: 'service', what: 'a service' },
  { path: 'services/:service_id/regions/:region_id', rule: 'region_and_service', what: 'a service in a region' },
] as const

/** The row's key; all that the path names exists. @throws Fault 404 */
async function associationOf(tx: Tx, { policy_id = '', endpoint_id, service_id, region_id }: Params) {
  await findPolicy(tx, policy_id)
  if (endpoint_id !== undefined) await findEndpoint(tx, endpoint_id)
  if (service_id !== undefined) await findService(tx, service_id)
  if (region_id !== undefined) await findRegion(tx, region_id)
  return { policy_id, endpoint_id: endpoint_id ?? null, service_id: service_id ?? null, region_id: region_id ?? null }
}

const same = ({ policy_id, endpoint_id, service_id, region_id }: Awaited<ReturnType<typeof associationOf>>) =>
  sql<boolean>`policy_id = ${policy_id} and endpoint_id is not distinct from ${endpoint_id}
    and service_id is not distinct from ${service_id} and region_id is not distinct from ${region_id}`

function rowsOf({ path, rule, what }: (typeof kinds)[number]) {
  const route = <M extends Method>(method: M) => `${method} /policies/:policy_id/OS-ENDPOINT-POLICY/${path}` as const
  return [
    row({
      route: route('PUT'),
      policy: `identity:create_policy_association_for_${rule}`,
      reply: 204,
      summary: `Make a policy document the one for ${what}`,
      async run({ tx, params }) {
        await tx
          .insertInto('identity.policy_association')
          .values(await associationOf(tx, params))
          .onConflict((on) => on.columns(['endpoint_id', 'service_id', 'region_id']).doUpdateSet({ policy_id: params.policy_id! }))
          .execute()
      },
    }),
    row({
      route: route('GET'),
      policy: `identity:check_policy_association_for_${rule}`,
      reply: 204,
      summary: `Check whether a policy document is for ${what}`,
      async run({ tx, params }) {
        const association = await associationOf(tx, params)
        const known = await tx.selectFrom('identity.policy_association').select('policy_id').where(same(association)).executeTakeFirst()
        if (!known) throw notFound('Could not find policy association.')
      },
    }),
    row({
      route: route('DELETE'),
      policy: `identity:delete_policy_association_for_${rule}`,
      reply: 204,
      summary: `Let a policy document no longer be for ${what}`,
      async run({ tx, params }) {
        await tx
          .deleteFrom('identity.policy_association')
          .where(same(await associationOf(tx, params)))
          .execute()
      },
    }),
  ]
}

/** The endpoint's own document comes first, then those for its region and the regions above, then its service's. @throws Fault 404 */
async function policyFor(tx: Tx, { id, service_id, region_id }: EndpointRow): Promise<PolicyRow> {
  const { rows } = await sql<PolicyRow>`
    with recursive above(id, parent_region_id, distance) as (
      select id, parent_region_id, 1 from identity.region where id = ${region_id}
      union all
      select r.id, r.parent_region_id, above.distance + 1 from identity.region r join above on r.id = above.parent_region_id
    )
    select p.* from identity.policy_association a
    join identity.policy p on p.id = a.policy_id
    left join above on above.id = a.region_id
    where a.endpoint_id = ${id} or a.service_id = ${service_id} and (a.region_id is null or above.id is not null)
    order by a.endpoint_id is null, above.distance nulls last
    limit 1`.execute(tx)
  if (!rows[0]) throw notFound(`No policy is associated with endpoint ${id}.`)
  return rows[0]
}

export const endpointPolicies = [
  ...kinds.flatMap(rowsOf),
  row({
    route: 'GET /policies/:policy_id/OS-ENDPOINT-POLICY/endpoints',
    policy: 'identity:list_endpoints_for_policy',
    reply: 200,
    summary: 'List the endpoints that a policy document is for',
    async run(call) {
      const { id } = await findPolicy(call.tx, call.params.policy_id)
      const { rows } = await sql<EndpointRow>`
        with recursive below(root, id) as (
          select id, id from identity.region where id in (select region_id from identity.policy_association where policy_id = ${id})
          union
          select below.root, r.id from identity.region r join below on r.parent_region_id = below.id
        )
        select distinct e.* from identity.policy_association a
        join identity.endpoint e on e.id = a.endpoint_id or e.service_id = a.service_id
          and (a.region_id is null or e.region_id in (select id from below where root = a.region_id))
        where a.policy_id = ${id} order by e.id`.execute(call.tx)
      return collection(call, 'endpoints', rows, (endpoint) => endpointView(call, endpoint))
    },
  }),
  row({
    route: 'GET /endpoints/:endpoint_id/OS-ENDPOINT-POLICY/policy',
    policy: 'identity:get_policy_for_endpoint',
    reply: 200,
    summary: 'Show the policy document for an endpoint',
    async run(call) {
      const endpoint = await findEndpoint(call.tx, call.params.endpoint_id)
      return { policy: policyView(call, await policyFor(call.tx, endpoint)) }
    },
  }),
  row({
    // OpenStack's reference has this address with the id of an endpoint in it.
    route: 'GET /policies/:policy_id/OS-ENDPOINT-POLICY/policy',
    policy: 'identity:get_policy_for_endpoint',
    reply: 200,
    summary: 'Show the policy document for an endpoint, which stands where the address has the id of a policy',
    async run(call) {
      const endpoint = await findEndpoint(call.tx, call.params.policy_id)
      return { policy: policyView(call, await policyFor(call.tx, endpoint)) }
    },
  }),
]
