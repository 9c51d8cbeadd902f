// Projects that a mapping gives: made where they are missing, with the roles that it names.
import type { Tx } from '../../../database/connect.ts'
import { forbidden, notFound, unauthorized } from '../../../http/fault.ts'
import { newId } from '../changed.ts'
import type { MappedDomain, Project } from './mapping-schema.ts'

/** The id of a domain that a mapping names. @throws Fault 401 if there is none */
export async function domainOf(tx: Tx, domain: MappedDomain | undefined, otherwise: string): Promise<string> {
  if (!domain || (domain.id === undefined && domain.name === undefined)) return otherwise
  const found = await tx
    .selectFrom('identity.project')
    .select('id')
    .where('is_domain', '=', true)
    .where(domain.id !== undefined ? 'id' : 'name', '=', domain.id ?? domain.name!)
    .executeTakeFirst()
  if (!found) throw unauthorized(`The mapping names the domain '${domain.id ?? domain.name}', which does not exist.`)
  return found.id
}

interface Given {
  userId: string
  userDomainId: string
  provider: { id: string; domain_id: string }
  /** Schema 3.0: what the provider does not name any more is taken away. */
  exactly: boolean
}

/** True if anything was written. @throws Fault 401, 403, 404 for names that can't be given */
export async function giveProjects(tx: Tx, projects: Project[], given: Given): Promise<boolean> {
  if (projects.length === 0 && !given.exactly) return false
  const roles = await rolesOf(tx, projects, given)
  let changed = false
  const wanted: { target_id: string; role_id: string }[] = []
  for (const { name, roles: named, domain } of projects) {
    const project = await projectOf(tx, name, await domainOf(tx, domain, given.provider.domain_id))
    changed ||= project.fresh
    wanted.push(...named.map((role) => ({ target_id: project.id, role_id: roles.get(role.name)! })))
  }
  const held = await tx
    .selectFrom('identity.assignment')
    .select(['target_id', 'role_id'])
    .where('actor_type', '=', 'user')
    .where('actor_id', '=', given.userId)
    .where('target_type', '=', 'project')
    .where('inherited', '=', false)
    .execute()
  const same = (a: (typeof wanted)[0]) => (b: typeof a) => a.target_id === b.target_id && a.role_id === b.role_id
  const missing = wanted.filter((one) => !held.some(same(one)))
  if (missing.length > 0) {
    await tx
      .insertInto('identity.assignment')
      .values(missing.map((one) => ({ ...one, actor_type: 'user', actor_id: given.userId, target_type: 'project' })))
      .onConflict((c) => c.doNothing())
      .execute()
  }
  const surplus = given.exactly ? held.filter((one) => !wanted.some(same(one))) : []
  for (const { target_id, role_id } of surplus) {
    await tx
      .deleteFrom('identity.assignment')
      .where('actor_type', '=', 'user')
      .where('actor_id', '=', given.userId)
      .where('target_type', '=', 'project')
      .where('target_id', '=', target_id)
      .where('role_id', '=', role_id)
      .where('inherited', '=', false)
      .execute()
  }
  return changed || missing.length > 0 || surplus.length > 0
}

/** Ids by name: global roles, and those of the user's domain. */
async function rolesOf(tx: Tx, projects: Project[], { userDomainId, provider }: Given): Promise<Map<string, string>> {
  const names = [...new Set(projects.flatMap(({ roles }) => roles.map(({ name }) => name)))]
  if (names.length === 0) return new Map()
  const rows = await tx.selectFrom('identity.role').select(['id', 'name', 'domain_id']).where('name', 'in', names).execute()
  return new Map(
    names.map((name) => {
      const known = rows.filter((role) => role.name === name)
      const role = known.find(({ domain_id }) => domain_id === null) ?? known.find(({ domain_id }) => domain_id === userDomainId)
      if (role) return [name, role.id]
      if (known.length === 0) throw notFound(`Could not find role: ${name}.`)
      throw forbidden(`Domain specific role ${name} is not within the domain associated with the identity provider: ${provider.id}.`)
    }),
  )
}

async function projectOf(tx: Tx, name: string, domainId: string): Promise<{ id: string; fresh: boolean }> {
  if (name.trim() === '' || name.length > 64)
    throw unauthorized(`The mapping makes the project name '${name.slice(0, 80)}'; 1 to 64 characters are allowed.`)
  const find = () =>
    tx
      .selectFrom('identity.project')
      .select('id')
      .where('domain_id', '=', domainId)
      .where('name', '=', name)
      .where('is_domain', '=', false)
      .executeTakeFirst()
  const known = await find()
  if (known) return { id: known.id, fresh: false }
  const made = await tx
    .insertInto('identity.project')
    .values({ id: newId(), name, domain_id: domainId, parent_id: domainId })
    .onConflict((c) => c.doNothing())
    .returning('id')
    .executeTakeFirst()
  return { id: (made ?? (await find()))!.id, fresh: made !== undefined }
}
