// Who sees what: one's own, what is shared, and for administrators everything. What one does not see is a 404.
import { type RawBuilder, sql } from 'kysely'
import type { Call, Target } from '../../http/table.ts'

/** Whether the caller is an administrator in the sense of policy's `context_is_admin`. */
export const isAdmin = (call: Pick<Call, 'may'>): boolean => call.may('context_is_admin', {})

/** The caller's project; '' (which owns nothing) for a token of none. */
export const ownProject = ({ who }: Pick<Call, 'who'>): string => who.project?.id ?? ''

/** A condition on the network of this alias. */
export function networkVisible(call: Pick<Call, 'may' | 'who'>, n = 'n'): RawBuilder<boolean> {
  if (isAdmin(call)) return sql<boolean>`true`
  const own = ownProject(call)
  return sql<boolean>`(${sql.ref(`${n}.project_id`)} = ${own} or ${sql.ref(`${n}.shared`)} or ${sql.ref(`${n}.external`)})`
}

/** On a port or subnet of alias `p`, with its network as `n`: one's own, or in one's own network. */
export function ownedOrInOwn(call: Pick<Call, 'may' | 'who'>, p: string, n = 'n'): RawBuilder<boolean> {
  if (isAdmin(call)) return sql<boolean>`true`
  const own = ownProject(call)
  return sql<boolean>`(${sql.ref(`${p}.project_id`)} = ${own} or ${sql.ref(`${n}.project_id`)} = ${own})`
}

export function owned(call: Pick<Call, 'may' | 'who'>, alias: string): RawBuilder<boolean> {
  return isAdmin(call) ? sql<boolean>`true` : sql<boolean>`${sql.ref(`${alias}.project_id`)} = ${ownProject(call)}`
}

/** What policy asks of a network, and of what lies in one. */
export const networkTarget = (network: { project_id: string; shared: boolean; external: boolean }): Target => ({
  'network:project_id': network.project_id,
  'network:tenant_id': network.project_id,
  'ext_parent:project_id': network.project_id,
  shared: network.shared,
  'router:external': network.external,
})
