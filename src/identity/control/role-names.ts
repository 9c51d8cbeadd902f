// Roles as requests name them, and all that they imply.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { notFound } from '../../http/fault.ts'

export interface NamedRole {
  id: string
  name: string
  domain_id: string | null
  description: string | null
  options: unknown
}

const columns = ['id', 'name', 'domain_id', 'description', 'options'] as const

/** By id, or by the name of a role that belongs to no domain. @throws Fault 404 */
export async function rolesNamed(tx: Tx, wanted: { id?: string | undefined; name?: string | undefined }[]): Promise<NamedRole[]> {
  const rows = await tx
    .selectFrom('identity.role')
    .select(columns)
    .where((eb) =>
      eb.or([
        eb('id', '=', sql<string>`any(${wanted.flatMap(({ id }) => id ?? [])})`),
        eb.and([
          eb('name', '=', sql<string>`any(${wanted.flatMap(({ id, name }) => (id === undefined && name) || [])})`),
          eb('domain_id', 'is', null),
        ]),
      ]),
    )
    .execute()
  const found = wanted.map(({ id, name }) => {
    const role = rows.find((row) => (id === undefined ? row.name === name && row.domain_id === null : row.id === id))
    if (!role) throw notFound(`Could not find role: ${id ?? name}.`)
    return role
  })
  return [...new Set(found)]
}

/** These and all that they imply, by id. */
export async function withImplied(tx: Tx, roleIds: string[]): Promise<NamedRole[]> {
  const { rows } = await sql<NamedRole>`
    with recursive all_of(role_id) as (
      select unnest(${roleIds}::text[])
      union
      select i.implied_role_id from identity.implied_role i join all_of on all_of.role_id = i.prior_role_id
    )
    select id, name, domain_id, description, options from identity.role where id in (select role_id from all_of) order by name, id`.execute(
    tx,
  )
  return rows
}
