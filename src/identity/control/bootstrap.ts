// What a cloud has before anyone can log in. Runs at every start and changes nothing that is already there, so an operator's changes
// stay; what a newer version adds (a service, an endpoint) appears.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { json } from '../../database/connect.ts'
import { identityChanged, newId } from './changed.ts'
import { hashPassword } from './passwords.ts'
import type { SealingKeys } from './sealed.ts'
import { ensureTokenKey } from './token-keys.ts'
import { setPassword } from './users.ts'

export interface Bootstrap {
  adminPassword: string
  /** Without it there is no user and no project `demo`. */
  demoPassword?: string
  region: string
  /** The 32 bytes of secret.key; a token key is made with it. */
  sealingKey: SealingKeys
}

export interface Bootstrapped {
  adminProjectId: string
  adminUserId: string
  demoProjectId: string | null
  demoUserId: string | null
}

const domainId = 'default'

/** Type, name, description, path under the cloud's address. */
const services = [
  ['identity', 'keystone', 'Identity', '/identity'],
  ['image', 'glance', 'Images', '/image'],
  ['compute', 'nova', 'Servers', '/compute/v2.1'],
  ['placement', 'placement', 'Placement', '/placement'],
  ['volumev3', 'cinderv3', 'Volumes', '/volume/v3/$(project_id)s'],
  ['block-storage', 'cinder', 'Volumes', '/volume/v3/$(project_id)s'],
  ['network', 'neutron', 'Networks', '/network'],
] as const

/** Each implies the next. */
const personas = ['admin', 'manager', 'member', 'reader']

export async function bootstrapIdentity(tx: Tx, { adminPassword, demoPassword, region, sealingKey }: Bootstrap): Promise<Bootstrapped> {
  // One controller at a time; the others find everything done.
  await ensureTokenKey(tx, sealingKey)
  let changed = false
  const note = (result: { numInsertedOrUpdatedRows?: bigint }) => {
    if (result.numInsertedOrUpdatedRows) changed = true
  }

  note(
    await tx
      .insertInto('identity.project')
      .values({ id: domainId, name: 'Default', is_domain: true, description: 'The default domain' })
      .onConflict((c) => c.doNothing())
      .executeTakeFirst(),
  )

  const roles = new Map<string, string>()
  for (const name of [...personas, 'service']) {
    const values = { id: newId(), name, options: json({ immutable: true }) }
    note(
      await tx
        .insertInto('identity.role')
        .values(values)
        .onConflict((c) => c.doNothing())
        .executeTakeFirst(),
    )
    const row = await tx
      .selectFrom('identity.role')
      .select('id')
      .where('name', '=', name)
      .where('domain_id', 'is', null)
      .executeTakeFirstOrThrow()
    roles.set(name, row.id)
  }
  for (const [i, prior] of personas.slice(0, -1).entries()) {
    const values = { prior_role_id: roles.get(prior)!, implied_role_id: roles.get(personas[i + 1]!)! }
    note(
      await tx
        .insertInto('identity.implied_role')
        .values(values)
        .onConflict((c) => c.doNothing())
        .executeTakeFirst(),
    )
  }

  const project = async (name: string, description: string) => {
    const known = await tx
      .selectFrom('identity.project')
      .select('id')
      .where('domain_id', '=', domainId)
      .where('name', '=', name)
      .executeTakeFirst()
    if (known) return known.id
    const id = newId()
    note(
      await tx
        .insertInto('identity.project')
        .values({ id, name, domain_id: domainId, parent_id: domainId, description })
        .executeTakeFirst(),
    )
    return id
  }
  const user = async (name: string, password: string, projectId: string) => {
    const known = await tx
      .selectFrom('identity.user')
      .select('id')
      .where('domain_id', '=', domainId)
      .where('name', '=', name)
      .executeTakeFirst()
    if (known) return { id: known.id, fresh: false }
    const id = newId()
    note(await tx.insertInto('identity.user').values({ id, name, domain_id: domainId, default_project_id: projectId }).executeTakeFirst())
    await setPassword(tx, id, await hashPassword(password))
    return { id, fresh: true }
  }
  const assign = async (userId: string, role: string, target_type: 'project' | 'domain' | 'system', target_id: string) => {
    const values = { actor_type: 'user', actor_id: userId, target_type, target_id, role_id: roles.get(role)! }
    note(
      await tx
        .insertInto('identity.assignment')
        .values(values)
        .onConflict((c) => c.doNothing())
        .executeTakeFirst(),
    )
  }

  const adminProjectId = await project('admin', 'The project of the administrators')
  const admin = await user('admin', adminPassword, adminProjectId)
  if (admin.fresh) {
    await assign(admin.id, 'admin', 'project', adminProjectId)
    await assign(admin.id, 'admin', 'domain', domainId)
    await assign(admin.id, 'admin', 'system', 'all')
  }
  let demoProjectId: string | null = null
  let demoUserId: string | null = null
  if (demoPassword !== undefined) {
    demoProjectId = await project('demo', 'A project to begin with')
    const demo = await user('demo', demoPassword, demoProjectId)
    demoUserId = demo.id
    if (demo.fresh) {
      await assign(demo.id, 'member', 'project', demoProjectId)
      await assign(admin.id, 'admin', 'project', demoProjectId)
    }
  }

  note(
    await tx
      .insertInto('identity.region')
      .values({ id: region })
      .onConflict((c) => c.doNothing())
      .executeTakeFirst(),
  )
  for (const [type, name, description, path] of services) {
    const known = await tx.selectFrom('identity.service').select('id').where('type', '=', type).executeTakeFirst()
    if (known) continue
    const id = newId()
    note(await tx.insertInto('identity.service').values({ id, type, name, description }).executeTakeFirst())
    const endpoints = ['public', 'internal', 'admin'].map((face) => ({
      id: newId(),
      service_id: id,
      region_id: region,
      interface: face,
      url: `$(public_url)s${path}`,
    }))
    await tx.insertInto('identity.endpoint').values(endpoints).execute()
  }

  if (changed) await identityChanged(tx)
  return { adminProjectId, adminUserId: admin.id, demoProjectId, demoUserId }
}

/** Gives a user of the default domain a new password, for an operator who has lost it. False if there is no such user. */
export async function resetPassword(tx: Tx, name: string, password: string): Promise<boolean> {
  const hash = await hashPassword(password)
  const row = await tx
    .updateTable('identity.user')
    .set({ enabled: true, tokens_valid_from: sql<Date>`date_trunc('milliseconds', clock_timestamp())` })
    .where('domain_id', '=', domainId)
    .where('name', '=', name)
    .returning('id')
    .executeTakeFirst()
  if (!row) return false
  await setPassword(tx, row.id, hash)
  await identityChanged(tx)
  return true
}
