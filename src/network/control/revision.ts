// Revision numbers: each change that clients can see raises the object's, and a client may make its change conditional on one.
import { sql } from 'kysely'
import { revisionMismatch } from './faults.ts'

/** What every update of a row with standard attributes sets beside its own columns. */
export const changedRevision = { revision: sql<number>`revision + 1`, updated_at: sql<Date>`now()` }

/** @param wanted from `If-Match: revision_number=…`; undefined = any. @throws Fault 412 */
export function matchRevision(current: number, wanted: number | undefined): void {
  if (wanted !== undefined && wanted !== current) throw revisionMismatch(wanted)
}
