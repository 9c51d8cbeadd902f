// The attribute `federated` of users: under which names identity providers know them. Who comes in by a provider as one of these is that user.
import { type RawBuilder, sql } from 'kysely'
import { type Static, Type as t } from 'typebox'
import type { Tx } from '../../../database/connect.ts'
import { badRequest } from '../../../http/fault.ts'
import type { RawQuery } from '../../../http/table.ts'
import { taken } from '../fields.ts'
import { asked } from '../list.ts'

/** keystone/identity/schema.py */
export const federated = t.Array(
  t.Object({
    idp_id: t.String(),
    protocols: t.Array(t.Object({ protocol_id: t.String(), unique_id: t.String() }), { minItems: 1 }),
  }),
)
type Federated = Static<typeof federated>

/** Makes or replaces a user's links; as in Keystone, none given means none changed. @throws Fault 400 for an unknown way in, 409 for a name that is another's */
export async function linkUser(tx: Tx, userId: string, links: Federated | undefined): Promise<void> {
  if (!links || links.length === 0) return
  const { rows } = await sql<{ idp_id: string; protocol_id: string; provider: string | null; protocol: string | null }>`
    select g.idp_id, g.protocol_id, i.id as provider, p.id as protocol
    from jsonb_to_recordset(${JSON.stringify(namesIn(links))}) as g(idp_id text, protocol_id text)
    left join identity.identity_provider i on i.id = g.idp_id
    left join identity.federation_protocol p on p.identity_provider_id = i.id and p.id = g.protocol_id`.execute(tx)
  for (const { idp_id, protocol_id, provider, protocol } of rows) {
    if (provider === null) throw badRequest(`Could not find Identity Provider: ${idp_id}`)
    if (protocol === null) throw badRequest(`Could not find federated protocol ${protocol_id} for Identity Provider: ${idp_id}.`)
  }
  await tx.deleteFrom('identity.federated_user').where('user_id', '=', userId).execute()
  await tx
    .insertInto('identity.federated_user')
    .values(
      namesIn(links).map(({ idp_id, protocol_id, unique_id }) => ({
        ...{ identity_provider_id: idp_id, protocol_id, unique_id },
        user_id: userId,
      })),
    )
    .execute()
    .catch(taken('federated_user', 'Duplicate entry'))
}

const namesIn = (links: Federated) => links.flatMap(({ idp_id, protocols }) => protocols.map((protocol) => ({ idp_id, ...protocol })))

/** For an answer about one user: nothing, if no provider knows them. */
export async function linksOf(tx: Tx, userId: string): Promise<{ federated?: Federated }> {
  const rows = await tx
    .selectFrom('identity.federated_user')
    .select(['identity_provider_id as idp_id', 'protocol_id', 'unique_id'])
    .where('user_id', '=', userId)
    .orderBy('identity_provider_id')
    .orderBy('protocol_id')
    .orderBy('unique_id')
    .execute()
  if (rows.length === 0) return {}
  return {
    federated: [...Map.groupBy(rows, ({ idp_id }) => idp_id)].map(([idp_id, protocols]) => ({
      idp_id,
      protocols: protocols.map(({ protocol_id, unique_id }) => ({ protocol_id, unique_id })),
    })),
  }
}

/** The condition of `?idp_id=…&protocol_id=…&unique_id=…` on the alias `u`: one link that fits all of them. */
export function linked(query: RawQuery): RawBuilder<boolean> {
  const columns = { idp_id: 'identity_provider_id', protocol_id: 'protocol_id', unique_id: 'unique_id' }
  const given = Object.entries(columns).flatMap(([name, column]) => {
    const value = asked(query, name)
    return value === undefined ? [] : [sql`${sql.ref(`f.${column}`)} = ${value}`]
  })
  if (given.length === 0) return sql`true`
  return sql`exists (select from identity.federated_user f where f.user_id = u.id and ${sql.join(given, sql` and `)})`
}
