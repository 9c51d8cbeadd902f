// Where the bits of images are. Identical bits are kept once in each store: images share a row of image.data, and the last one that lets
// go of it takes the bits along. Whoever shares or lets go locks that row first, so that no image is ever left without what it names.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { conflict } from '../../http/fault.ts'
import type { ImageStore } from '../store/store.ts'
import { abandon } from './leftover.ts'
import type { Bits } from './receive.ts'
import type { Stores } from './stores.ts'

/** An element of the column `locations`: bits of our own under a key of image.data, or others' at a URL. */
export type Location = {
  store: string
  data?: string
  url?: string
  metadata: Record<string, string>
}

export const locationsOf = ({ locations }: { locations: unknown }): Location[] => locations as Location[]

/**
 * Makes bits that were just written one of the store's, unless it has them already; what was written is of no use then.
 * @returns where they are, and whether that is where they were written
 */
export async function settle(tx: Tx, store: ImageStore, key: string, bits: Bits): Promise<{ location: Location; kept: boolean }> {
  const { size, os_hash_algo, os_hash_value } = bits
  // Of two that come with the same bits at once, one waits for the other.
  await sql`select pg_advisory_xact_lock(hashtextextended(${os_hash_value}, 0))`.execute(tx)
  const twins = await tx
    .selectFrom('image.data')
    .select('id')
    .where('os_hash_value', '=', os_hash_value)
    .where('os_hash_algo', '=', os_hash_algo)
    .where('store', '=', store.id)
    .where('size', '=', size)
    .orderBy('created_at')
    .forKeyShare()
    .execute()
  for (const { id } of twins) {
    // Someone may have taken them out of the store by hand.
    if ((await store.size(id)) === size) return { location: { store: store.id, data: id, metadata: {} }, kept: false }
  }
  await tx.insertInto('image.data').values({ id: key, store: store.id, size, os_hash_algo, os_hash_value }).execute()
  return { location: { store: store.id, data: key, metadata: {} }, kept: true }
}

/** Locks the bits of locations, in one order, and returns their keys. */
async function hold(tx: Tx, locations: Location[]): Promise<string[]> {
  const keys = locations.flatMap(({ data }) => data ?? [])
  if (keys.length > 0) await tx.selectFrom('image.data').select('id').where('id', 'in', keys).orderBy('id').forUpdate().execute()
  return keys
}

/** Lets go of locations that no row of image.image names any more in this transaction: bits without an image are removed soon. */
export async function release(tx: Tx, locations: Location[]): Promise<void> {
  const keys = await hold(tx, locations)
  if (keys.length === 0) return
  const freed = await tx
    .deleteFrom('image.data as d')
    .where('id', 'in', keys)
    .where(sql<boolean>`not exists (select from image.image i where i.locations @> jsonb_build_array(jsonb_build_object('data', d.id)))`)
    .returning(['id', 'store'])
    .execute()
  for (const { id, store } of freed) await abandon(tx, id, store)
}

/**
 * Refuses to let go of the last name of bits that others outside of Wisp depend on, as volumes do that were cloned from them. Who clones
 * them after this finds the sweep waiting for the clone to go.
 * @throws Fault 409; 503 if a store does not answer
 */
export async function refuseInUse(tx: Tx, stores: Stores, image: { id: string }, locations: Location[]): Promise<void> {
  for (const { data, store: id } of locations) {
    const store = stores.all.find((one) => one.id === id)
    if (data === undefined || !store?.inUse) continue
    const shared = await tx
      .selectFrom('image.image')
      .select('id')
      .where('id', '<>', image.id)
      .where(sql<boolean>`locations @> ${JSON.stringify([{ data }])}::jsonb`)
      .executeTakeFirst()
    if (!shared && (await store.inUse(data)))
      throw conflict(
        `Image ${image.id} could not be deleted because it is in use: volumes were cloned from it in the store ${id}. Delete or flatten them first.`,
      )
  }
}

/** Deletes an image, whose row the caller has locked, and lets go of its bits and of an upload under way. */
export async function deleteImage(tx: Tx, image: { id: string; upload: string | null; locations: unknown }): Promise<void> {
  // Before the image is counted out, as an upload holds the bits before its image is counted: so the two cannot wait for each other.
  await hold(tx, locationsOf(image))
  await tx.deleteFrom('image.image').where('id', '=', image.id).execute()
  if (image.upload !== null) await abandon(tx, image.upload)
  await release(tx, locationsOf(image))
}
