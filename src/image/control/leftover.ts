// The markers of bits that no image names yet, or none any more: written before the bits are, gone when an image has them or they are gone.
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { poke } from '../../work/engine.ts'

/** How long a marker lives without being renewed, and how often it is, in milliseconds. */
export const patience = 6_000
export const renewal = 1_500

/** The uploads of this process: what it knows to live it never sweeps, however late a renewal may be. */
export const living = new Set<string>()

/** Names bits before they are written. */
export async function mark(tx: Tx, upload: string, store: string): Promise<void> {
  await tx.insertInto('image.leftover').values({ upload, store }).execute()
  await poke(tx, 'image-data', upload, patience)
}

/** Bits that no image names any more are removed soon, by whoever looks first. @param store where, if there is no marker that says so */
export async function abandon(tx: Tx, upload: string, store?: string): Promise<void> {
  if (store === undefined) await sql`update image.leftover set since = 'epoch' where upload = ${upload}`.execute(tx)
  else
    await sql`
      insert into image.leftover (upload, since, store) values (${upload}, 'epoch', ${store})
      on conflict (upload) do update set since = 'epoch'`.execute(tx)
  await poke(tx, 'image-data', upload)
}
