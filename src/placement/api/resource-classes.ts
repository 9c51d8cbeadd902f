// Resource classes: what may be counted. The standard ones are fixed, those of operators begin with CUSTOM_.
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, conflict, notFound } from '../../http/fault.ts'
import { row } from '../../http/table.ts'
import { address, fresh } from './find.ts'

const custom = /^CUSTOM_[A-Z0-9_]{1,248}$/
const body = t.Object({ name: t.String({ pattern: '^CUSTOM_[A-Z0-9_]+$', maxLength: 255 }) }, { additionalProperties: false })

const classView = (name: string) => ({ name, links: [{ rel: 'self', href: address('resource_classes', name) }] })

async function findClass(tx: Tx, name: string): Promise<string> {
  const found = await tx.selectFrom('placement.resource_class').select('name').where('name', '=', name).forUpdate().executeTakeFirst()
  if (!found) throw notFound(`No such resource class ${name.slice(0, 255)}.`)
  return name
}

const refuseInUse = async (tx: Tx, name: string, doing: string) => {
  const used = await tx.selectFrom('placement.inventory').select('provider_id').where('resource_class', '=', name).executeTakeFirst()
  if (used) throw conflict(`Error in ${doing} resource class: Cannot ${doing} resource class ${name}. Class is in use in inventory.`)
}

const add = async (tx: Tx, name: string): Promise<boolean> =>
  (
    await tx
      .insertInto('placement.resource_class')
      .values({ name })
      .onConflict((on) => on.doNothing())
      .returning('name')
      .execute()
  ).length > 0

export const resourceClasses = [
  row({
    route: 'GET /resource_classes',
    policy: 'placement:resource_classes:list',
    since: '1.2',
    reply: 200,
    summary: 'List resource classes',
    async run(call) {
      const rows = await call.tx.selectFrom('placement.resource_class').select('name').orderBy('name').execute()
      fresh(call)
      return { resource_classes: rows.map(({ name }) => classView(name)) }
    },
  }),
  row({
    route: 'POST /resource_classes',
    policy: 'placement:resource_classes:create',
    since: '1.2',
    body,
    reply: 201,
    summary: 'Create a resource class',
    async run({ body, header, tx, url }) {
      if (!(await add(tx, body.name))) throw conflict(`Conflicting resource class already exists: ${body.name}`)
      header('location', url.origin + address('resource_classes', body.name))
    },
  }),
  row({
    route: 'GET /resource_classes/:name',
    policy: 'placement:resource_classes:show',
    since: '1.2',
    reply: 200,
    summary: 'Show a resource class',
    async run(call) {
      const { params, tx } = call
      const found = await tx.selectFrom('placement.resource_class').select('name').where('name', '=', params.name).executeTakeFirst()
      if (!found) throw notFound(`No such resource class ${params.name.slice(0, 255)}.`)
      fresh(call)
      return classView(found.name)
    },
  }),
  row({
    route: 'PUT /resource_classes/:name',
    policy: 'placement:resource_classes:update',
    since: '1.2',
    until: '1.6',
    body,
    reply: 200,
    summary: 'Rename a resource class',
    async run({ body, params, tx }) {
      const name = await findClass(tx, params.name)
      if (!custom.test(name)) throw badRequest(`Cannot update standard resource class ${name}`)
      if (body.name === name) return classView(name)
      await refuseInUse(tx, name, 'rename')
      if (!(await add(tx, body.name))) throw conflict(`Resource class already exists: ${body.name}`)
      await tx.deleteFrom('placement.resource_class').where('name', '=', name).execute()
      return classView(body.name)
    },
  }),
  row({
    route: 'PUT /resource_classes/:name',
    policy: 'placement:resource_classes:update',
    since: '1.7',
    reply: 201,
    summary: 'Create a resource class; 204 if it is there already',
    async run({ header, params, status, tx, url }) {
      if (!custom.test(params.name))
        throw badRequest(`JSON does not validate: '${params.name.slice(0, 100)}' does not match '^CUSTOM_[A-Z0-9_]+$'`)
      if (!(await add(tx, params.name))) status(204)
      header('location', url.origin + address('resource_classes', params.name))
    },
  }),
  row({
    route: 'DELETE /resource_classes/:name',
    policy: 'placement:resource_classes:delete',
    since: '1.2',
    reply: 204,
    summary: 'Delete a resource class that no inventory uses',
    async run({ params, tx }) {
      const name = await findClass(tx, params.name)
      if (!custom.test(name)) throw badRequest(`Error in delete resource class: Cannot delete standard resource class ${name}.`)
      await refuseInUse(tx, name, 'delete')
      await tx.deleteFrom('placement.resource_class').where('name', '=', name).execute()
    },
  }),
]
