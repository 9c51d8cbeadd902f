// How Keystone's lists are asked for (`name`, `name__contains`, `enabled`, `limit`, `marker`, …) and how its answers are wrapped in links.
import { type RawBuilder, sql } from 'kysely'
import { badRequest } from '../../http/fault.ts'
import type { Call, RawQuery } from '../../http/table.ts'

type Asked = Pick<Call, 'query' | 'url'> & { query: RawQuery }

/** The last value of a query parameter. */
export const asked = (query: RawQuery, name: string): string | undefined => {
  const value = query[name]
  return Array.isArray(value) ? value.at(-1) : value
}

/** Keystone's idea of true in a query: present, and neither 0 nor false. */
export const askedFlag = (query: RawQuery, name: string): boolean => {
  const value = asked(query, name)
  return value !== undefined && !['0', 'false', 'no', 'off', 'n', 'f'].includes(value.toLowerCase())
}

const comparisons: Record<string, (column: RawBuilder<unknown>, value: string) => RawBuilder<boolean>> = {
  contains: (column, value) => sql`${column} like ${`%${literally(value)}%`}`,
  icontains: (column, value) => sql`${column} ilike ${`%${literally(value)}%`}`,
  startswith: (column, value) => sql`${column} like ${`${literally(value)}%`}`,
  istartswith: (column, value) => sql`${column} ilike ${`${literally(value)}%`}`,
  endswith: (column, value) => sql`${column} like ${`%${literally(value)}`}`,
  iendswith: (column, value) => sql`${column} ilike ${`%${literally(value)}`}`,
  iequals: (column, value) => sql`lower(${column}) = lower(${value})`,
}
const literally = (value: string) => value.replaceAll(/[\\%_]/g, '\\$&')

/**
 * The conditions of a list as one SQL expression; other parameters are ignored, as Keystone does. But nothing of what has no name is called
 * anything: clients look for a mistyped id by name next, and would take (and delete) the only one that there is.
 * @param columns for each filter whether its column (of the same name) is text or boolean
 * @param table alias of the table that the columns and `id` are in
 */
export function matching(query: RawQuery, columns: Record<string, 'text' | 'boolean'>, table: string): RawBuilder<boolean> {
  const all: RawBuilder<boolean>[] = [Object.hasOwn(columns, 'name') || asked(query, 'name') === undefined ? sql`true` : sql`false`]
  for (const [name, kind] of Object.entries(columns)) {
    const column = sql.ref(`${table}.${name}`)
    const value = asked(query, name)
    if (kind === 'boolean') {
      if (value !== undefined) all.push(sql`${column} = ${askedFlag(query, name)}`)
      continue
    }
    if (value !== undefined) all.push(value === '' ? sql`${column} is null` : sql`${column} = ${value}`)
    for (const [word, compare] of Object.entries(comparisons)) {
      const part = asked(query, `${name}__${word}`)
      if (part !== undefined) all.push(compare(column, part))
    }
  }
  const marker = asked(query, 'marker')
  if (marker !== undefined) all.push(sql`${sql.ref(`${table}.id`)} > ${marker}`)
  return sql.join(all, sql` and `)
}

/** How many rows to read: one more than asked for, to know whether there is a next page. */
export function limitOf(query: RawQuery): number {
  const limit = asked(query, 'limit')
  if (limit === undefined) return 10_000_001
  if (!/^\d{1,7}$/.test(limit)) throw badRequest(`Invalid input for field 'limit': '${limit.slice(0, 20)}' is not of type 'integer'`)
  return Number(limit) + 1
}

/** Where this API is for this client, without a slash at the end: both /identity/v3 and /v3 are served. */
export const base = ({ url }: Pick<Call, 'url'>): string => url.origin + (url.path.startsWith('/v3') ? '/v3' : '/identity/v3')

export const selfLink = (call: Pick<Call, 'url'>, ...path: string[]) => ({ self: [base(call), ...path.map(encodeURIComponent)].join('/') })

/** Where the page behind this object is. */
export function nextPage({ url }: Pick<Call, 'url'>, marker: string): string {
  const query = new URLSearchParams(url.search)
  query.set('marker', marker)
  return `${url.origin}${url.path}?${query}`
}

/** `{links, <name>: […]}`; with `?limit=` the rows after the limit are cut off and `next` says where they are. */
export function collection<T extends { id: string }>(call: Asked, name: string, rows: T[], view: (row: T) => object) {
  const limit = limitOf(call.query) - 1
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  const next = rows.length > limit && last ? nextPage(call, last.id) : null
  return { links: { self: call.url.origin + call.url.path + call.url.search, previous: null, next }, [name]: shown.map(view) }
}
