// Protocols: by which way people of an identity provider come in, and the mapping that says who they are here.
import { Type as t } from 'typebox'
import type { Tx } from '../../../database/connect.ts'
import { badRequest } from '../../../http/fault.ts'
import { type Call, row } from '../../../http/table.ts'
import { identityChanged } from '../../control/changed.ts'
import { nullable, taken, wrapped } from '../fields.ts'
import { collection, selfLink } from '../list.ts'
import { checkId, findProtocol, findProvider, type ProtocolRow } from './find.ts'

const mappingId = t.String({ minLength: 1, maxLength: 64 })
const remoteId = t.String({ maxLength: 64 })

const view = (call: Pick<Call, 'url'>, protocol: ProtocolRow) => {
  const provider = ['OS-FEDERATION', 'identity_providers', protocol.identity_provider_id]
  return {
    id: protocol.id,
    mapping_id: protocol.mapping_id,
    ...(protocol.remote_id_attribute !== null && { remote_id_attribute: protocol.remote_id_attribute }),
    links: {
      ...selfLink(call, ...provider, 'protocols', protocol.id),
      identity_provider: selfLink(call, ...provider).self,
    },
  }
}

/** @throws Fault 400 in Keystone's words */
async function mustExist(tx: Tx, mapping: string): Promise<void> {
  const known = await tx.selectFrom('identity.mapping').select('id').where('id', '=', mapping).executeTakeFirst()
  if (!known) throw badRequest(`Invalid mapping id: ${mapping}`)
}

export const protocols = [
  row({
    route: 'GET /OS-FEDERATION/identity_providers/:idp_id/protocols',
    policy: 'identity:list_protocols',
    reply: 200,
    summary: 'List the protocols of an identity provider',
    async run(call) {
      const { id } = await findProvider(call.tx, call.params.idp_id)
      const rows = await call.tx
        .selectFrom('identity.federation_protocol')
        .selectAll()
        .where('identity_provider_id', '=', id)
        .orderBy('id')
        .execute()
      return collection(call, 'protocols', rows, (protocol) => ({
        ...view(call, protocol),
        idp_id: id,
        remote_id_attribute: protocol.remote_id_attribute,
      }))
    },
  }),
  row({
    route: 'PUT /OS-FEDERATION/identity_providers/:idp_id/protocols/:protocol_id',
    policy: 'identity:create_protocol',
    body: wrapped(
      'protocol',
      t.Object({ mapping_id: mappingId, remote_id_attribute: t.Optional(nullable(remoteId)) }, { additionalProperties: false }),
    ),
    reply: 201,
    summary: 'Add a protocol to an identity provider',
    async run(call) {
      const { tx, params, body } = call
      const { mapping_id, remote_id_attribute = null } = body.protocol
      const provider = await findProvider(tx, params.idp_id)
      await mustExist(tx, mapping_id)
      const protocol = await tx
        .insertInto('identity.federation_protocol')
        .values({ identity_provider_id: provider.id, id: checkId(params.protocol_id), mapping_id, remote_id_attribute })
        .returningAll()
        .executeTakeFirstOrThrow()
        .catch(taken('federation_protocol', `Duplicate entry found with ID ${params.protocol_id}`))
      await identityChanged(tx)
      return { protocol: view(call, protocol) }
    },
  }),
  row({
    route: 'GET /OS-FEDERATION/identity_providers/:idp_id/protocols/:protocol_id',
    policy: 'identity:get_protocol',
    reply: 200,
    summary: 'Show a protocol of an identity provider',
    run: async (call) => ({ protocol: view(call, await findProtocol(call.tx, call.params.idp_id, call.params.protocol_id)) }),
  }),
  row({
    route: 'PATCH /OS-FEDERATION/identity_providers/:idp_id/protocols/:protocol_id',
    policy: 'identity:update_protocol',
    body: wrapped(
      'protocol',
      t.Object({ mapping_id: mappingId, remote_id_attribute: t.Optional(remoteId) }, { additionalProperties: false }),
    ),
    reply: 200,
    summary: 'Give a protocol another mapping',
    async run(call) {
      const { tx, params, body } = call
      const old = await findProtocol(tx, params.idp_id, params.protocol_id)
      const { mapping_id, remote_id_attribute = old.remote_id_attribute } = body.protocol
      await mustExist(tx, mapping_id)
      const protocol = await tx
        .updateTable('identity.federation_protocol')
        .set({ mapping_id, remote_id_attribute })
        .where('identity_provider_id', '=', old.identity_provider_id)
        .where('id', '=', old.id)
        .returningAll()
        .executeTakeFirstOrThrow()
      await identityChanged(tx)
      return { protocol: view(call, protocol) }
    },
  }),
  row({
    route: 'DELETE /OS-FEDERATION/identity_providers/:idp_id/protocols/:protocol_id',
    policy: 'identity:delete_protocol',
    reply: 204,
    summary: 'Take a protocol away from an identity provider; tokens got by it are void',
    async run({ tx, params }) {
      const { id, identity_provider_id } = await findProtocol(tx, params.idp_id, params.protocol_id)
      await tx
        .deleteFrom('identity.federation_protocol')
        .where('identity_provider_id', '=', identity_provider_id)
        .where('id', '=', id)
        .execute()
      await identityChanged(tx)
    },
  }),
]
