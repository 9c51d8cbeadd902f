// What belongs to a flavor: extra specs (words for the scheduler and the hypervisor) and, for private ones, the projects that may use it.
import { Type as t } from 'typebox'
import { badRequest, conflict, notFound } from '../../http/fault.ts'
import { type Call, row } from '../../http/table.ts'
import { findFlavor, setExtraSpecs } from './flavors.ts'

type AnyCall = Pick<Call, 'tx' | 'who' | 'may' | 'version' | 'url' | 'params'>

const Specs = t.Record(t.String({ pattern: '^[a-zA-Z0-9\\-_:. ]{1,255}$' }), t.Union([t.String({ maxLength: 255 }), t.Number()]), {
  additionalProperties: false,
})
const Access = (name: 'addTenantAccess' | 'removeTenantAccess') =>
  t.Object(
    { [name]: t.Object({ tenant: t.String({ minLength: 1, maxLength: 255 }) }, { additionalProperties: false }) },
    { additionalProperties: false },
  )

const noSpec = (id: string, key: string) => notFound(`Flavor ${id} has no extra specs with key ${key}.`)
const texts = (specs: object) => Object.fromEntries(Object.entries(specs).map(([key, value]) => [key, String(value)]))
const specsOf = async (call: AnyCall) => (await findFlavor(call, call.params.id!)).extra_specs as Record<string, string>

/** The same for a change: of two that are made at once both stay. */
async function specsToChange(call: AnyCall) {
  await call.tx.selectFrom('compute.flavor').select('id').where('id', '=', call.params.id!).forNoKeyUpdate().execute()
  return specsOf(call)
}

async function accessOf(call: AnyCall, id: string) {
  const rows = await call.tx.selectFrom('compute.flavor_access').selectAll().where('flavor_id', '=', id).orderBy('project_id').execute()
  return { flavor_access: rows.map(({ flavor_id, project_id }) => ({ flavor_id, tenant_id: project_id })) }
}

export const flavorExtras = [
  row({
    route: 'GET /flavors/:id/os-extra_specs',
    policy: 'os_compute_api:os-flavor-extra-specs:index',
    reply: 200,
    run: async (call) => ({ extra_specs: await specsOf(call) }),
  }),
  row({
    route: 'POST /flavors/:id/os-extra_specs',
    policy: 'os_compute_api:os-flavor-extra-specs:create',
    body: t.Object({ extra_specs: Specs }, { additionalProperties: false }),
    reply: 200,
    run: async (call) => {
      const added = texts(call.body.extra_specs)
      await setExtraSpecs(call.tx, call.params.id, { ...(await specsToChange(call)), ...added })
      return { extra_specs: added }
    },
  }),
  row({
    route: 'GET /flavors/:id/os-extra_specs/:key',
    policy: 'os_compute_api:os-flavor-extra-specs:show',
    reply: 200,
    run: async (call) => {
      const { id, key } = call.params
      const specs = await specsOf(call)
      if (!Object.hasOwn(specs, key)) throw noSpec(id, key)
      return { [key]: specs[key] }
    },
  }),
  row({
    route: 'PUT /flavors/:id/os-extra_specs/:key',
    policy: 'os_compute_api:os-flavor-extra-specs:update',
    body: Specs,
    reply: 200,
    run: async (call) => {
      const { id, key } = call.params
      const changed = texts(call.body as object)
      if (Object.keys(changed).length !== 1 || !Object.hasOwn(changed, key)) throw badRequest('Request body and URI mismatch')
      await setExtraSpecs(call.tx, id, { ...(await specsToChange(call)), ...changed })
      return changed
    },
  }),
  row({
    route: 'DELETE /flavors/:id/os-extra_specs/:key',
    policy: 'os_compute_api:os-flavor-extra-specs:delete',
    reply: 200,
    run: async (call) => {
      const { id, key } = call.params
      const specs = await specsToChange(call)
      if (!Object.hasOwn(specs, key)) throw noSpec(id, key)
      const { [key]: _gone, ...others } = specs
      await setExtraSpecs(call.tx, id, others)
    },
  }),
  row({
    route: 'GET /flavors/:id/os-flavor-access',
    policy: 'os_compute_api:os-flavor-access',
    reply: 200,
    run: async (call) => {
      const flavor = await findFlavor(call, call.params.id)
      if (flavor.is_public) throw notFound('Access list not available for public flavors.')
      return accessOf(call, flavor.id)
    },
  }),
  row({
    route: 'POST /flavors/:id/action#addTenantAccess',
    policy: 'os_compute_api:os-flavor-access:add_tenant_access',
    body: Access('addTenantAccess'),
    reply: 200,
    run: async (call) => {
      const { tenant } = (call.body as { addTenantAccess: { tenant: string } }).addTenantAccess
      const flavor = await findFlavor(call, call.params.id)
      if (flavor.is_public) throw conflict('Can not add access to a public flavor.')
      const added = await call.tx
        .insertInto('compute.flavor_access')
        .values({ flavor_id: flavor.id, project_id: tenant })
        .onConflict((on) => on.doNothing())
        .returning('flavor_id')
        .executeTakeFirst()
      if (!added) throw conflict(`Flavor access already exists for flavor ${flavor.id} and project ${tenant} combination.`)
      return accessOf(call, flavor.id)
    },
  }),
  row({
    route: 'POST /flavors/:id/action#removeTenantAccess',
    policy: 'os_compute_api:os-flavor-access:remove_tenant_access',
    body: Access('removeTenantAccess'),
    reply: 200,
    run: async (call) => {
      const { tenant } = (call.body as { removeTenantAccess: { tenant: string } }).removeTenantAccess
      const flavor = await findFlavor(call, call.params.id)
      if (flavor.is_public) throw conflict('Can not remove access from a public flavor.')
      const gone = await call.tx
        .deleteFrom('compute.flavor_access')
        .where('flavor_id', '=', flavor.id)
        .where('project_id', '=', tenant)
        .returning('flavor_id')
        .executeTakeFirst()
      if (!gone) throw notFound(`Flavor access not found for ${flavor.id} / ${tenant} combination.`)
      return accessOf(call, flavor.id)
    },
  }),
]
