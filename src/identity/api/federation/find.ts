// The objects of federation that paths name, and Keystone's words where there is none.
import type { Tx } from '../../../database/connect.ts'
import { badRequest, notFound } from '../../../http/fault.ts'

/** All identity providers with their remote ids; add conditions on `i`. */
export const readProviders = (tx: Tx) =>
  tx
    .selectFrom('identity.identity_provider as i')
    .selectAll('i')
    .select((eb) =>
      eb
        .selectFrom('identity.identity_provider_remote_id as r')
        .select((inner) => inner.fn.coalesce(inner.fn.agg<string[]>('array_agg', ['r.remote_id']), inner.val<string[]>([])).as('ids'))
        .whereRef('r.identity_provider_id', '=', 'i.id')
        .as('remote_ids'),
    )
export type ProviderRow = Awaited<ReturnType<ReturnType<typeof readProviders>['executeTakeFirstOrThrow']>>

/** @throws Fault 404 */
export async function findProvider(tx: Tx, id: string): Promise<ProviderRow> {
  const provider = await readProviders(tx).where('i.id', '=', id).executeTakeFirst()
  if (!provider) throw notFound(`Could not find Identity Provider: ${id}.`)
  return provider
}

const peekProtocol = (tx: Tx, providerId: string, id: string) =>
  tx
    .selectFrom('identity.federation_protocol')
    .selectAll()
    .where('identity_provider_id', '=', providerId)
    .where('id', '=', id)
    .executeTakeFirst()
export type ProtocolRow = NonNullable<Awaited<ReturnType<typeof peekProtocol>>>

/** @throws Fault 404 */
export async function findProtocol(tx: Tx, providerId: string, id: string): Promise<ProtocolRow> {
  const protocol = await peekProtocol(tx, providerId, id)
  if (!protocol) throw notFound(`Could not find federated protocol ${id} for Identity Provider: ${providerId}.`)
  return protocol
}

const peekMapping = (tx: Tx, id: string) => tx.selectFrom('identity.mapping').selectAll().where('id', '=', id).executeTakeFirst()
export type MappingRow = NonNullable<Awaited<ReturnType<typeof peekMapping>>>

/** @throws Fault 404 */
export async function findMapping(tx: Tx, id: string): Promise<MappingRow> {
  const mapping = await peekMapping(tx, id)
  if (!mapping) throw notFound(`Could not find Mapping: ${id}.`)
  return mapping
}

/** Ids here are names that the operator chooses, in the path of what creates them. @throws Fault 400 */
export function checkId(id: string): string {
  if (id.length > 64) throw badRequest(`Invalid input for the id in the path: '${id.slice(0, 80)}' is longer than 64 characters.`)
  return id
}
