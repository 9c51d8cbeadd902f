// Mappings: rules by which what an identity provider says of somebody becomes a user, groups and projects here.
import { Type as t } from 'typebox'
import { json } from '../../../database/connect.ts'
import type { JsonArray } from '../../../database/types.ts'
import { type Call, row } from '../../../http/table.ts'
import { identityChanged } from '../../control/changed.ts'
import { checkMapping } from '../../control/federation/mapping-schema.ts'
import { taken, wrapped } from '../fields.ts'
import { collection, limitOf, matching, selfLink } from '../list.ts'
import { checkId, findMapping, type MappingRow } from './find.ts'

// What the rules must be depends on the version, so `checkMapping` looks at them.
const body = wrapped('mapping', t.Object({}, { additionalProperties: true }))

const view = (call: Pick<Call, 'url'>, { id, rules, schema_version }: MappingRow) => ({
  id,
  rules,
  schema_version,
  links: selfLink(call, 'OS-FEDERATION', 'mappings', id),
})

const columns = (mapping: object) => {
  const { rules, schema_version } = checkMapping(mapping)
  return { rules: json(rules as unknown as JsonArray), schema_version }
}

export const mappings = [
  row({
    route: 'GET /OS-FEDERATION/mappings',
    policy: 'identity:list_mappings',
    reply: 200,
    summary: 'List mappings',
    async run(call) {
      const rows = await call.tx
        .selectFrom('identity.mapping as m')
        .selectAll()
        .where(matching(call.query, {}, 'm'))
        .orderBy('id')
        .limit(limitOf(call.query))
        .execute()
      return collection(call, 'mappings', rows, (mapping) => view(call, mapping))
    },
  }),
  row({
    route: 'PUT /OS-FEDERATION/mappings/:mapping_id',
    policy: 'identity:create_mapping',
    body,
    reply: 201,
    summary: 'Create a mapping',
    async run(call) {
      const id = checkId(call.params.mapping_id)
      const mapping = await call.tx
        .insertInto('identity.mapping')
        .values({ id, ...columns(call.body.mapping) })
        .returningAll()
        .executeTakeFirstOrThrow()
        .catch(taken('mapping', `Duplicate entry found with ID ${id}`))
      return { mapping: view(call, mapping) }
    },
  }),
  row({
    route: 'GET /OS-FEDERATION/mappings/:mapping_id',
    policy: 'identity:get_mapping',
    reply: 200,
    summary: 'Show a mapping',
    run: async (call) => ({ mapping: view(call, await findMapping(call.tx, call.params.mapping_id)) }),
  }),
  row({
    route: 'PATCH /OS-FEDERATION/mappings/:mapping_id',
    policy: 'identity:update_mapping',
    body,
    reply: 200,
    summary: 'Change the rules of a mapping',
    async run(call) {
      const old = await findMapping(call.tx, call.params.mapping_id)
      const mapping = await call.tx
        .updateTable('identity.mapping')
        .set(columns(call.body.mapping))
        .where('id', '=', old.id)
        .returningAll()
        .executeTakeFirstOrThrow()
      await identityChanged(call.tx)
      return { mapping: view(call, mapping) }
    },
  }),
  row({
    route: 'DELETE /OS-FEDERATION/mappings/:mapping_id',
    policy: 'identity:delete_mapping',
    reply: 204,
    summary: 'Delete a mapping; protocols that use it let nobody in until they get another',
    async run({ tx, params }) {
      const { id } = await findMapping(tx, params.mapping_id)
      await tx.deleteFrom('identity.mapping').where('id', '=', id).execute()
    },
  }),
]
