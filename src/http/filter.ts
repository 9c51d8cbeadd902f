/** Neutron's filters and fields: `name=a&name=b` keeps what has one of the values, `fields=id&fields=name` shows only these. */
import { type SelectQueryBuilder, sql } from 'kysely'
import { badRequest } from './fault.ts'

/** How a filter's text becomes a column's value. */
export type FilterType = 'text' | 'boolean' | 'integer'

/**
 * Adds a `where` for each name of the query that is a filter; all other names are left alone (they are paging's or the row's).
 * @throws Fault 400 for what is no boolean or no integer
 */
export function filterBy<DB, TB extends keyof DB, O>(
  query: SelectQueryBuilder<DB, TB, O>,
  asked: Record<string, unknown>,
  filters: Record<string, { ref: string; type: FilterType }>,
): SelectQueryBuilder<DB, TB, O> {
  let select = query
  for (const [name, { ref, type }] of Object.entries(filters)) {
    if (asked[name] === undefined) continue
    const values = [asked[name]].flat().map((value) => read(name, String(value), type))
    select = select.where(sql<boolean>`${sql.ref(ref)} in (${sql.join(values)})`)
  }
  return select
}

function read(name: string, text: string, type: FilterType): string | number | boolean {
  if (type === 'boolean') {
    if (/^(true|1|yes|on|t|y)$/i.test(text)) return true
    if (/^(false|0|no|off|f|n)$/i.test(text)) return false
    throw badRequest(`Invalid input for ${name}. Reason: '${text.slice(0, 40)}' cannot be converted to boolean.`, { type: 'InvalidInput' })
  }
  if (type !== 'integer') return text
  if (!/^-?\d{1,10}$/.test(text) || Math.abs(Number(text)) > 2_147_483_647) {
    throw badRequest(`Invalid input for ${name}. Reason: '${text.slice(0, 40)}' is not an integer.`, { type: 'InvalidInput' })
  }
  return Number(text)
}

/** The object with only the fields asked for; whole where none are. */
export function pickFields<T extends object>(object: T, fields: unknown): Partial<T> {
  if (fields === undefined) return object
  const wanted = new Set([fields].flat().flatMap((value) => String(value).split(',')))
  return Object.fromEntries(Object.entries(object).filter(([name]) => wanted.has(name))) as Partial<T>
}
