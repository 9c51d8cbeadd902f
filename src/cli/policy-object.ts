// What a policy rule is asked about, when it is about one object: the object's row as the APIs show it to the rules.
import { sql } from 'kysely'
import type { Tx } from '../database/connect.ts'

export interface Subject {
  /** 'server web (5f…)' */
  title: string
  target: Record<string, unknown>
}

/** Tables whose objects rules are about, and what an object is called there. */
const tables = {
  'compute.server': 'server',
  'image.image': 'image',
  'network.network': 'network',
  'network.subnet': 'subnet',
  'network.port': 'port',
  'network.security_group': 'security_group',
  'identity.project': 'project',
  'identity.user': 'user',
  'identity.group': 'group',
  'identity.role': 'role',
  'identity.credential': 'credential',
}

/** @throws Error if nothing that rules are about has this id */
export async function findSubject(tx: Tx, id: string): Promise<Subject> {
  const each = Object.entries(tables).map(
    ([table, kind]) => sql`select ${sql.lit(kind)} as kind, to_jsonb(t) as row from ${sql.table(table)} t where id = ${id}`,
  )
  const { rows } = await sql<{ kind: string; row: Record<string, unknown> }>`${sql.join(each, sql` union all `)}`.execute(tx)
  const found = rows[0]
  if (!found)
    throw new Error(
      `'${id}' is neither a project or a domain, nor the id of a server, image, network, subnet, port, security group, user, group or role`,
    )
  const { kind, row } = found
  const project = kind === 'image' ? { project_id: row.owner } : {}
  const targets = { [kind]: row, ...(row.is_domain === true && { domain: row }) }
  return {
    title: `${kind.replace('_', ' ')} ${row.name ?? ''} (${id})`.replace('  ', ' '),
    target: { ...row, ...project, target: targets },
  }
}
