// The objects that paths name. Whoever is not allowed to see one mostly gets the policy's 403 before anyone says whether it exists,
// because rows ask policy with what was found, and an absent object belongs to no domain. Where Keystone says 404 first, so do we.
import type { Tx } from '../../database/connect.ts'
import { notFound } from '../../http/fault.ts'
import type { ProjectRow } from '../control/projects.ts'

export const peekUser = (tx: Tx, id: string) => tx.selectFrom('identity.user').selectAll().where('id', '=', id).executeTakeFirst()
export const peekGroup = (tx: Tx, id: string) => tx.selectFrom('identity.group').selectAll().where('id', '=', id).executeTakeFirst()
export const peekRole = (tx: Tx, id: string) => tx.selectFrom('identity.role').selectAll().where('id', '=', id).executeTakeFirst()
export const peekProject = (tx: Tx, id: string) => tx.selectFrom('identity.project').selectAll().where('id', '=', id).executeTakeFirst()
export const peekDomain = (tx: Tx, id: string) =>
  tx.selectFrom('identity.project').selectAll().where('id', '=', id).where('is_domain', '=', true).executeTakeFirst()

export type UserRow = NonNullable<Awaited<ReturnType<typeof peekUser>>>
export type GroupRow = NonNullable<Awaited<ReturnType<typeof peekGroup>>>
export type RoleRow = NonNullable<Awaited<ReturnType<typeof peekRole>>>
export type { ProjectRow }

const missing = (kind: string, id: string) => notFound(`Could not find ${kind}: ${id}.`)

/** The object, or Keystone's 404. */
export function found<T>(object: T | undefined, kind: string, id: string): T {
  if (object === undefined) throw missing(kind, id)
  return object
}

/** The same for a change: between looking and changing, someone else may have deleted the object. */
export const orGone = (kind: string, id: string) => () => missing(kind, id)

export const findUser = async (tx: Tx, id: string) => found(await peekUser(tx, id), 'user', id)
export const findGroup = async (tx: Tx, id: string) => found(await peekGroup(tx, id), 'group', id)
export const findRole = async (tx: Tx, id: string) => found(await peekRole(tx, id), 'role', id)
export const findProject = async (tx: Tx, id: string) => found(await peekProject(tx, id), 'project', id)
export const findDomain = async (tx: Tx, id: string) => found(await peekDomain(tx, id), 'domain', id)

type Table = 'user' | 'group' | 'role' | 'project' | 'region' | 'service' | 'endpoint' | 'credential' | 'policy'

/** Holds the row until the end of the transaction, for changes that put what a body names over what was there; whether it exists, who reads it says. */
export async function lock(tx: Tx, table: Table, id: string): Promise<void> {
  await tx.selectFrom(`identity.${table}`).select('id').where('id', '=', id).forNoKeyUpdate().execute()
}

/** `lives` after a change: one more where it was enabled and no longer is, which voids its tokens for good. */
export const livesOf = ({ enabled, lives }: ProjectRow, stays: boolean): number => (enabled && !stays ? lives + 1 : lives)

/** Keeps an object from being deleted until the end of the transaction, for what is written about it elsewhere. @throws Fault 404 if it is gone */
export async function keep(tx: Tx, kind: 'user' | 'group' | 'project' | 'domain', id: string): Promise<void> {
  const table = kind === 'domain' ? 'project' : kind
  found(await tx.selectFrom(`identity.${table}`).select('id').where('id', '=', id).forKeyShare().executeTakeFirst(), kind, id)
}
