// Times that clients choose, as the ends of application credentials and trusts: kept and shown with microseconds, as Keystone does.
import { type RawBuilder, sql } from 'kysely'
import { badRequest } from '../../http/fault.ts'

/** `value` as a statement may use it, `at` in ms (without what is less). */
export interface Expiry {
  value: RawBuilder<Date>
  at: number
}

/**
 * The time that a text names; without a zone it is UTC.
 * @throws Fault 400 for what is no time, or a time that is past
 */
export function expiryOf(text: string | null | undefined): Expiry | null {
  if (text === null || text === undefined) return null
  const [, day, time, zone = 'Z'] = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:?\d\d)?$/.exec(text) ?? []
  const at = day === undefined ? Number.NaN : Date.parse(`${day}T${time}${zone}`)
  if (Number.isNaN(at)) {
    throw badRequest(
      'Timestamp not in expected format. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.',
    )
  }
  if (at < Date.now()) {
    throw badRequest(
      "The 'expires_at' must not be before now. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.",
    )
  }
  return { value: sql<Date>`${`${day}T${time}${zone}`}::timestamptz`, at }
}

/** A column as text in UTC, with microseconds; null stays null. */
export const withMicroseconds = (column: string): RawBuilder<string | null> =>
  sql<string | null>`to_char(${sql.ref(column)} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US')`
