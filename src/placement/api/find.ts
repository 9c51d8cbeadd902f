// The provider that a path names, and what the answers of all resources have in common.
import type { Selectable } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type { PlacementInventory, PlacementProvider } from '../../database/types.ts'
import { conflict, notFound } from '../../http/fault.ts'
import { versionNumber } from '../../http/schema.ts'
import type { Call } from '../../http/table.ts'

export type ProviderRow = Selectable<PlacementProvider>
export type InventoryRow = Selectable<PlacementInventory>

export const atLeast = ({ version }: Pick<Call, 'version'>, since: string): boolean => versionNumber(version) >= versionNumber(since)

/** What clients may do with an answer: keep nothing. Told since 1.15. */
export function fresh(call: Pick<Call, 'version' | 'header'>): void {
  if (!atLeast(call, '1.15')) return
  call.header('cache-control', 'no-cache')
  call.header('last-modified', new Date().toUTCString())
}

/** An object's address as a path; `location` headers put the origin before it. */
export const address = (...parts: string[]): string => ['/placement', ...parts.map(encodeURIComponent)].join('/')

/** @throws Fault 404 */
export async function findProvider(tx: Tx, id: string): Promise<ProviderRow> {
  const provider = await tx.selectFrom('placement.provider').selectAll().where('id', '=', id).executeTakeFirst()
  return found(provider, id)
}

/** The provider with its inventories, all locked, in the order in which claims lock them: inventories first. @throws Fault 404 */
export async function lockProvider(tx: Tx, id: string): Promise<{ provider: ProviderRow; inventories: InventoryRow[] }> {
  const inventories = await tx
    .selectFrom('placement.inventory')
    .selectAll()
    .where('provider_id', '=', id)
    .orderBy('resource_class')
    .forUpdate()
    .execute()
  const provider = await tx.selectFrom('placement.provider').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
  return { provider: found(provider, id), inventories }
}

function found(provider: ProviderRow | undefined, id: string): ProviderRow {
  if (!provider) throw notFound(`No resource provider with uuid ${id} found`, { type: 'placement.resource_provider.not_found' })
  return provider
}

/** Raises the generation of a locked provider; returns the new one. */
export async function raise(tx: Tx, { id, generation }: ProviderRow): Promise<number> {
  await tx
    .updateTable('placement.provider')
    .set({ generation: generation + 1 })
    .where('id', '=', id)
    .execute()
  return generation + 1
}

/** @throws Fault 409 if the caller saw another generation */
export function mustBeAt({ generation }: ProviderRow, seen: number): void {
  if (seen === generation) return
  throw conflict("Resource provider's generation already changed. Please update the generation and try again.", {
    type: 'placement.concurrent_update',
  })
}
