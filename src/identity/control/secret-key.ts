// How the key in the data directory's secret.key is replaced by the next one: all that it seals is sealed anew in one transaction. Who seals
// meanwhile waits for its end, because sealing reads in the database which key it is (sealed.ts).
import { sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import { rotateCredentialKeys } from './credentials.ts'
import { nameOfOption } from './domain-config.ts'
import { nameOfConnection } from './federation/connections.ts'
import { nameOfSamlKey } from './federation/saml-key.ts'
import { nameOfSecret } from './oauth1.ts'
import { fingerprint, type SealingKeys, seal, sealingFact, unsealWith } from './sealed.ts'
import { nameOfTokenKey, rotateTokenKeys } from './token-keys.ts'

/** A column that secret.key seals. */
export interface SealedColumn {
  table: string
  column: string
  /** The columns that name a row, and the name to which it is sealed. */
  ids: string[]
  name: (...ids: string[]) => string
}

/** Those of identity, but for credentials and their keys, which are made anew. */
export const sealedColumns: SealedColumn[] = [
  { table: 'identity.token_key', column: 'sealed', ids: ['id'], name: nameOfTokenKey },
  { table: 'identity.oauth_consumer', column: 'secret', ids: ['id'], name: (id) => nameOfSecret('consumer', id) },
  { table: 'identity.oauth_request_token', column: 'secret', ids: ['id'], name: (id) => nameOfSecret('request_token', id) },
  { table: 'identity.oauth_access_token', column: 'secret', ids: ['id'], name: (id) => nameOfSecret('access_token', id) },
  { table: 'identity.domain_config', column: 'sealed', ids: ['domain_id', 'group', 'option'], name: nameOfOption },
  {
    table: 'identity.federation_connection',
    column: 'secret',
    ids: ['identity_provider_id', 'protocol_id'],
    name: (provider, protocol) => nameOfConnection({ provider, protocol }),
  },
  { table: 'identity.federation_note', column: 'sealed', ids: ['id'], name: (id) => id },
  { table: 'identity.saml_key', column: 'sealed', ids: [], name: () => nameOfSamlKey },
]

/** Whether this is the key that seals, as long as this transaction lasts. */
export async function isInUse(tx: Tx, key: Buffer): Promise<boolean> {
  const { rows } = await sql<{ value: string }>`select value from wisp.fact where name = ${sealingFact} for update`.execute(tx)
  return rows[0]?.value === fingerprint(key)
}

/**
 * From commit on `next` seals, and all that was sealed is sealed with it; tokens and credentials get new keys on the way, because who has
 * seen the last key may have read those.
 * @param keys both of them
 * @param columns all that secret.key seals, in all rooms
 * @returns how many values were sealed anew
 */
export async function takeIntoUse(tx: Tx, keys: SealingKeys, next: Buffer, columns: SealedColumn[]): Promise<number> {
  await tx
    .updateTable('wisp.fact')
    .set({ value: json(fingerprint(next)) })
    .where('name', '=', sealingFact)
    .execute()
  let count = await rotateCredentialKeys(tx, keys)
  for (const { table, column, ids, name } of columns) {
    const { rows } = await sql<{ row: string; ids: string[]; sealed: Buffer }>`
      select ctid::text as row, array[${sql.join(ids.map((id) => sql.ref(id)))}]::text[] as ids, ${sql.ref(column)} as sealed
      from ${sql.table(table)} where ${sql.ref(column)} is not null for update`.execute(tx)
    const fresh = rows.map((row) => {
      const called = name(...row.ids)
      return seal(next, called, unsealWith(keys, called, row.sealed))
    })
    await sql`
      update ${sql.table(table)} t set ${sql.ref(column)} = fresh.sealed
      from unnest(${rows.map(({ row }) => row)}::tid[], ${fresh}::bytea[]) as fresh(row, sealed) where t.ctid = fresh.row`.execute(tx)
    count += rows.length
  }
  await rotateTokenKeys(tx, keys)
  return count
}
