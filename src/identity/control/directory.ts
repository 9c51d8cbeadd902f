// Domains whose users and groups come from an LDAP directory. What is seen there is written into our own tables, where grants, tokens and
// lists find it as they find everyone else; so a directory that is away stops its own users from signing in, and nobody else.
// Who is no longer in the directory counts as disabled, and keeps all roles for the day of coming back.
import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { forbidden, unauthorized } from '../../http/fault.ts'
import { identityChanged } from './changed.ts'
import { wholeConfig } from './domain-config.ts'
import { type Directory, openDirectory, type Person } from './ldap.ts'
import type { Named } from './prove-password.ts'
import type { SealingKeys } from './sealed.ts'
import { voidTokens } from './users.ts'

export interface DirectoryDeps {
  db: Database
  /** What the data directory's secret.key holds. */
  key: SealingKeys
}

export interface OutsideDomain {
  id: string
  name: string
}

type Kind = 'user' | 'group'

/** As Keystone makes it (keystone/identity/id_generators/sha256.py): 64 hex digits. */
export const publicId = (domainId: string, kind: Kind, localId: string) =>
  createHash('sha256').update(domainId).update(kind).update(localId).digest('hex')

const outside = sql<boolean>`exists (
  select from identity.domain_config c where c.domain_id = d.id and c."group" = 'identity' and c."option" = 'driver' and c.value = '"ldap"')`

/** The domain, if its users come from a directory. */
export async function outsideDomain(tx: Tx, domain: { id?: string; name?: string }): Promise<OutsideDomain | undefined> {
  return await tx
    .selectFrom('identity.project as d')
    .select(['d.id', 'd.name'])
    .where('d.is_domain', '=', true)
    .where(domain.id !== undefined ? 'd.id' : 'd.name', '=', domain.id ?? domain.name ?? '')
    .where(outside)
    .executeTakeFirst()
}

/** The domain of a user or a group, if these come from a directory. */
async function outsideDomainOf(tx: Tx, kind: Kind, id: string): Promise<(OutsideDomain & { local_id: string }) | undefined> {
  return await tx
    .selectFrom('identity.id_mapping as m')
    .innerJoin('identity.project as d', 'd.id', 'm.domain_id')
    .select(['d.id', 'd.name', 'm.local_id'])
    .where('m.public_id', '=', id)
    .where('m.entity_type', '=', kind)
    .where(outside)
    .executeTakeFirst()
}

/** @throws Fault 403 for a change of what is read from a directory */
export async function refuseOutside(tx: Tx, kind: Kind, id: string): Promise<void> {
  const domain = await outsideDomainOf(tx, kind, id)
  if (domain) throw readOnly(domain)
}

/** @throws Fault 403 if users and groups cannot be made in this domain */
export async function refuseInOutside(tx: Tx, domainId: string): Promise<void> {
  const domain = await outsideDomain(tx, { id: domainId })
  if (domain) throw readOnly(domain)
}

const readOnly = ({ name }: OutsideDomain) =>
  forbidden(`Users and groups of the domain ${name} come from its LDAP directory and can only be changed there.`)

/**
 * The user, if the directory of their domain takes the password; undefined if the domain has no directory.
 * @throws Fault 401, or 503 if the directory cannot be asked
 */
export async function proveOutside(
  deps: DirectoryDeps,
  user: Named & { password: string },
): Promise<{ id: string; since: number } | undefined> {
  const { read } = deps.db
  const known = user.id === undefined ? undefined : await outsideDomainOf(read, 'user', user.id)
  const domain = known ?? (user.id === undefined ? await outsideDomain(read, user.domain ?? {}) : undefined)
  if (!domain) return undefined
  return await withDirectory(deps, domain, async (directory) => {
    const found = await directory.people(known ? { localId: known.local_id } : { name: user.name ?? '' })
    // Also for a stranger the directory is asked to let somebody in, so that both take the same time.
    const right = await directory.accepts(found[0]?.dn ?? 'cn=nobody', user.password).catch((error: unknown) => {
      if (found.length === 0) return false
      throw error
    })
    if (found.length !== 1 || !right) throw unauthorized()
    const [person] = found
    const id = publicId(domain.id, 'user', person!.localId)
    // This connection is the person's now, who may not be allowed to look around.
    const teams = await withDirectory(deps, domain, (again) => again.teams(person))
    await deps.db.write(async (tx) => {
      const changed = [await writePeople(tx, domain.id, [person!]), await writeTeams(tx, domain.id, teams)]
      const pairs = teams.map(({ localId }) => ({ group: publicId(domain.id, 'group', localId), user: id }))
      changed.push(await writeMembers(tx, domain.id, pairs, id))
      if (changed.includes(true)) await identityChanged(tx)
    })
    const row = await read
      .selectFrom('identity.user as u')
      .innerJoin('identity.project as d', 'd.id', 'u.domain_id')
      .select(['u.enabled', 'd.enabled as domain_enabled', 'u.tokens_valid_from'])
      .where('u.id', '=', id)
      .executeTakeFirst()
    if (!row?.enabled || !row.domain_enabled) throw unauthorized()
    return { id, since: row.tokens_valid_from.getTime() }
  })
}

/** What is read from directories is good for so many milliseconds, and whoever asks meanwhile waits for the same answer. */
const fresh = 3_000
const lastRead = new WeakMap<Database, Map<string, { at: number; reading: Promise<void> }>>()

/** Reads all users, groups and memberships of a domain anew, unless that has just been done. @throws Fault 503 */
export async function refreshDomain(deps: DirectoryDeps, domain: OutsideDomain): Promise<void> {
  const known = lastRead.get(deps.db) ?? new Map<string, { at: number; reading: Promise<void> }>()
  lastRead.set(deps.db, known)
  const last = known.get(domain.id)
  if (last && performance.now() - last.at < fresh) return await last.reading
  const reading = readDomain(deps, domain)
  known.set(domain.id, { at: performance.now(), reading })
  reading.catch(() => known.delete(domain.id))
  await reading
}

/** The same for the domain of a user or a group, where that has a directory. */
export async function refreshOf(deps: DirectoryDeps, kind: Kind, id: string): Promise<void> {
  const domain = await outsideDomainOf(deps.db.read, kind, id)
  if (domain) await refreshDomain(deps, domain)
}

export async function readDomain(deps: DirectoryDeps, domain: OutsideDomain): Promise<void> {
  const { people, teams, memberName } = await withDirectory(deps, domain, async (directory) => ({
    people: await directory.people(),
    teams: await directory.teams(),
    memberName: directory.memberName,
  }))
  const users = new Map(people.map((person) => [memberName(person), publicId(domain.id, 'user', person.localId)]))
  const pairs = teams.flatMap(({ localId, members }) =>
    [...members].flatMap((member) =>
      users.has(member) ? [{ group: publicId(domain.id, 'group', localId), user: users.get(member)! }] : [],
    ),
  )
  await deps.db.write(async (tx) => {
    const changed = [
      await writePeople(tx, domain.id, people),
      await writeTeams(tx, domain.id, teams),
      await writeMembers(tx, domain.id, pairs),
      await disableAbsent(tx, domain.id, [...users.values()]),
    ]
    if (changed.includes(true)) await identityChanged(tx)
  })
}

async function withDirectory<T>({ db, key }: DirectoryDeps, domain: OutsideDomain, work: (directory: Directory) => Promise<T>): Promise<T> {
  const { ldap = {} } = await wholeConfig(db.read, key, domain.id)
  const directory = await openDirectory(domain.name, ldap)
  try {
    return await work(directory)
  } finally {
    await directory.close()
  }
}

async function map(tx: Tx, domainId: string, kind: Kind, rows: { id: string; localId: string }[]): Promise<void> {
  await sql`
    insert into identity.id_mapping (public_id, domain_id, entity_type, local_id)
    select id, ${domainId}, ${kind}, local_id
    from unnest(${rows.map(({ id }) => id)}::text[], ${rows.map(({ localId }) => localId)}::text[]) new(id, local_id)
    on conflict do nothing`.execute(tx)
}

/** A directory may call two by one name, or have a name that was in use here before; then the local id stands behind it. */
async function withNames<T extends { localId: string; name: string }>(
  tx: Tx,
  domainId: string,
  kind: Kind,
  all: T[],
): Promise<(T & { id: string })[]> {
  const ours = await tx
    .selectFrom(`identity.${kind}`)
    .select('name')
    .where('domain_id', '=', domainId)
    .where((eb) => eb('id', 'not in', eb.selectFrom('identity.id_mapping').select('public_id').where('domain_id', '=', domainId)))
    .execute()
  const names = new Set(ours.map(({ name }) => name))
  return all.map((one) => {
    const name = names.has(one.name) ? `${one.name} (${one.localId})` : one.name
    names.add(name)
    return { ...one, name, id: publicId(domainId, kind, one.localId) }
  })
}

/** Whether anything was not as it is now. A name that moved from one to another is taken from the first before. */
async function writePeople(tx: Tx, domainId: string, people: Person[]): Promise<boolean> {
  const rows = await withNames(tx, domainId, 'user', people)
  if (rows.length === 0) return false
  await map(tx, domainId, 'user', rows)
  const data = JSON.stringify(rows)
  const incoming = sql`jsonb_to_recordset(${data}::jsonb) n(id text, name text, email text, description text, enabled boolean, "defaultProjectId" text, extra jsonb)`
  await sql`update identity."user" u set name = u.id from ${incoming} where u.domain_id = ${domainId} and u.name = n.name and u.id <> n.id`.execute(
    tx,
  )
  const { rows: off } = await sql<{ id: string }>`
    select u.id from identity."user" u join ${incoming} on n.id = u.id where u.enabled and not n.enabled`.execute(tx)
  await voidTokens(
    tx,
    off.map(({ id }) => id),
  )
  const { numAffectedRows } = await sql`
    insert into identity."user" as u (id, domain_id, name, email, description, enabled, default_project_id, extra)
    select n.id, ${domainId}, n.name, n.email, n.description, n.enabled, n."defaultProjectId", n.extra from ${incoming}
    on conflict (id) do update set name = excluded.name, email = excluded.email, description = excluded.description,
      enabled = excluded.enabled, default_project_id = excluded.default_project_id, extra = excluded.extra
    where (u.name, u.email, u.description, u.enabled, u.default_project_id, u.extra) is distinct from
      (excluded.name, excluded.email, excluded.description, excluded.enabled, excluded.default_project_id, excluded.extra)`.execute(tx)
  return (numAffectedRows ?? 0n) > 0n
}

async function writeTeams(
  tx: Tx,
  domainId: string,
  teams: { localId: string; name: string; description: string | null }[],
): Promise<boolean> {
  const rows = await withNames(tx, domainId, 'group', teams)
  await map(tx, domainId, 'group', rows)
  const data = JSON.stringify(rows.map(({ id, name, description }) => ({ id, name, description: description ?? '' })))
  const incoming = sql`jsonb_to_recordset(${data}::jsonb) n(id text, name text, description text)`
  await sql`update identity."group" g set name = g.id from ${incoming} where g.domain_id = ${domainId} and g.name = n.name and g.id <> n.id`.execute(
    tx,
  )
  const { numAffectedRows } = await sql`
    insert into identity."group" as g (id, domain_id, name, description)
    select n.id, ${domainId}, n.name, n.description from ${incoming}
    on conflict (id) do update set name = excluded.name, description = excluded.description
    where (g.name, g.description) is distinct from (excluded.name, excluded.description)`.execute(tx)
  return (numAffectedRows ?? 0n) > 0n
}

/** All memberships in the domain's groups from the directory, or those of one user. */
async function writeMembers(tx: Tx, domainId: string, pairs: { group: string; user: string }[], only?: string): Promise<boolean> {
  const wanted = sql`unnest(${pairs.map(({ group }) => group)}::text[], ${pairs.map(({ user }) => user)}::text[])`
  const gone = await sql`
    delete from identity.group_member m using identity.id_mapping g
    where g.public_id = m.group_id and g.domain_id = ${domainId} and g.entity_type = 'group' and (${only === undefined} or m.user_id = ${only ?? ''})
      and (m.group_id, m.user_id) not in (select * from ${wanted})`.execute(tx)
  const added = await sql`insert into identity.group_member (group_id, user_id) select * from ${wanted} on conflict do nothing`.execute(tx)
  return (gone.numAffectedRows ?? 0n) + (added.numAffectedRows ?? 0n) > 0n
}

async function disableAbsent(tx: Tx, domainId: string, present: string[]): Promise<boolean> {
  const { rows } = await sql<{ id: string }>`
    update identity."user" u set enabled = false from identity.id_mapping m
    where m.public_id = u.id and m.domain_id = ${domainId} and u.enabled and u.id <> all(${present}) returning u.id`.execute(tx)
  await voidTokens(
    tx,
    rows.map(({ id }) => id),
  )
  return rows.length > 0
}
