// Endpoints: at which address a service is reached, for whom (public, internal, admin) and in which region.
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { identityChanged, newId } from '../control/changed.ts'
import { enabled, extraOf, nullable, partial, sameId, wrapped } from './fields.ts'
import { lock, orGone } from './find.ts'
import { collection, limitOf, matching, selfLink } from './list.ts'
import { findRegion } from './regions.ts'
import { findService } from './services.ts'

const region = t.Optional(nullable(t.String({ maxLength: 255 })))
const properties = {
  service_id: t.String(),
  interface: t.Union([t.Literal('admin'), t.Literal('internal'), t.Literal('public')]),
  url: t.String({ maxLength: 225, pattern: '^[a-zA-Z0-9+.-]+:.+|^\\$\\(public_url\\)s' }),
  region_id: region,
  region,
  enabled,
}
const known = Object.keys(properties)

const peek = (tx: Tx, id: string) => tx.selectFrom('identity.endpoint').selectAll().where('id', '=', id).executeTakeFirst()
export type EndpointRow = NonNullable<Awaited<ReturnType<typeof peek>>>

/** @throws Fault 404 */
export async function findEndpoint(tx: Tx, id: string): Promise<EndpointRow> {
  const endpoint = await peek(tx, id)
  if (!endpoint) throw notFound(`Could not find endpoint: ${id}.`)
  return endpoint
}

export const endpointView = (call: Pick<Call, 'url'>, endpoint: EndpointRow) => ({
  ...(endpoint.extra as object),
  id: endpoint.id,
  service_id: endpoint.service_id,
  interface: endpoint.interface,
  url: endpoint.url,
  region_id: endpoint.region_id,
  region: endpoint.region_id,
  enabled: endpoint.enabled,
  links: selfLink(call, 'endpoints', endpoint.id),
})

const names = new Set(['public_url', 'project_id', 'tenant_id', 'user_id'])

/** @throws Fault 400 for a placeholder that the catalog could not fill */
function checkUrl(url: string | undefined): void {
  for (const [, name] of url?.matchAll(/[$%]\(([^)]*)\)/g) ?? []) {
    if (!names.has(name!)) throw badRequest(`Cannot create an endpoint with an invalid URL: ${url}.`)
  }
}

interface Wanted {
  service_id?: string | undefined
  region_id?: string | null | undefined
  region?: string | null | undefined
}

/** Service and region that exist. The old name `region` makes the region, if need be; what else is missing is the request's fault (400). */
async function placeOf(
  tx: Tx,
  { service_id, region_id, region }: Wanted,
  old?: EndpointRow,
): Promise<{ service_id: string; region_id: string | null }> {
  if (service_id !== undefined) await findService(tx, service_id).catch(asBadRequest)
  if (typeof region_id === 'string') await findRegion(tx, region_id).catch(asBadRequest)
  else if (typeof region === 'string')
    await tx
      .insertInto('identity.region')
      .values({ id: region })
      .onConflict((c) => c.doNothing())
      .execute()
  const wanted = region_id ?? region ?? (region_id === null || region === null ? null : undefined)
  return { service_id: service_id ?? old!.service_id, region_id: wanted === undefined ? (old?.region_id ?? null) : wanted }
}

const asBadRequest = (error: Error): never => {
  throw badRequest(error.message)
}

export const endpoints = [
  row({
    route: 'GET /endpoints',
    policy: 'identity:list_endpoints',
    reply: 200,
    summary: 'List endpoints',
    async run(call) {
      const rows = await call.tx
        .selectFrom('identity.endpoint as e')
        .selectAll()
        .where(matching(call.query, { interface: 'text', service_id: 'text', region_id: 'text' }, 'e'))
        .orderBy('id')
        .limit(limitOf(call.query))
        .execute()
      return collection(call, 'endpoints', rows, (endpoint) => endpointView(call, endpoint))
    },
  }),
  row({
    route: 'POST /endpoints',
    policy: 'identity:create_endpoint',
    body: wrapped('endpoint', t.Object(properties, { additionalProperties: true })),
    reply: 201,
    summary: 'Create an endpoint',
    async run(call) {
      const { body, tx } = call
      const { url, enabled = true, interface: face } = body.endpoint
      checkUrl(url)
      const endpoint = await tx
        .insertInto('identity.endpoint')
        .values({ id: newId(), url, enabled, interface: face, ...(await placeOf(tx, body.endpoint)), extra: extraOf(body.endpoint, known) })
        .returningAll()
        .executeTakeFirstOrThrow()
      await identityChanged(tx)
      return { endpoint: endpointView(call, endpoint) }
    },
  }),
  row({
    route: 'GET /endpoints/:endpoint_id',
    policy: 'identity:get_endpoint',
    reply: 200,
    summary: 'Show an endpoint',
    async run(call) {
      return { endpoint: endpointView(call, await findEndpoint(call.tx, call.params.endpoint_id)) }
    },
  }),
  row({
    route: 'PATCH /endpoints/:endpoint_id',
    policy: 'identity:update_endpoint',
    body: wrapped('endpoint', partial(properties)),
    reply: 200,
    summary: 'Change an endpoint',
    async run(call) {
      const { body, tx } = call
      await lock(tx, 'endpoint', call.params.endpoint_id)
      const old = await findEndpoint(tx, call.params.endpoint_id)
      sameId(body.endpoint, old.id)
      const { url = old.url, enabled = old.enabled, interface: face = old.interface } = body.endpoint
      checkUrl(url)
      const endpoint = await tx
        .updateTable('identity.endpoint')
        .set({ url, enabled, interface: face, ...(await placeOf(tx, body.endpoint, old)), extra: extraOf(body.endpoint, known, old.extra) })
        .where('id', '=', old.id)
        .returningAll()
        .executeTakeFirstOrThrow(orGone('endpoint', old.id))
      await identityChanged(tx)
      return { endpoint: endpointView(call, endpoint) }
    },
  }),
  row({
    route: 'DELETE /endpoints/:endpoint_id',
    policy: 'identity:delete_endpoint',
    reply: 204,
    summary: 'Delete an endpoint',
    async run({ tx, params }) {
      const { id } = await findEndpoint(tx, params.endpoint_id)
      await tx.deleteFrom('identity.endpoint').where('id', '=', id).execute()
      await identityChanged(tx)
    },
  }),
]
