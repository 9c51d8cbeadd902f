// Neutron's lists: filters by any attribute, tags, fields, sorting and pages, in one query for each resource.
import { type SelectQueryBuilder, sql } from 'kysely'
import { badRequest } from '../../http/fault.ts'
import { type FilterType, filterBy, pickFields } from '../../http/filter.ts'
import { listPage, neutronLinks, neutronPage } from '../../http/page.ts'
import type { Call, RawQuery } from '../../http/table.ts'

export interface Column {
  ref: string
  type?: FilterType
  nullable?: true
  /** Cannot be sorted by. */
  unsorted?: true
}

export interface Resource {
  /** The collection's name in answers: 'networks'. */
  name: string
  id: string
  /** The API's name → the column; for filters and for sorting. */
  columns: Record<string, Column>
  /** The column of tags, where the resource has them. */
  tags?: string
  /** Further names of the query, which the row reads itself. */
  also?: string[]
}

const paging = new Set(['limit', 'marker', 'page_reverse', 'sort_key', 'sort_dir', 'fields'])
const tagFilters = ['tags', 'tags-any', 'not-tags', 'not-tags-any'] as const

/** @throws Fault 400 for a filter that the resource does not have */
export function checkFilters(query: RawQuery, { columns, tags, also = [] }: Resource): void {
  const allowed = (name: string) =>
    paging.has(name) ||
    Object.hasOwn(columns, name) ||
    also.includes(name) ||
    (tags !== undefined && tagFilters.some((filter) => filter === name))
  const strange = Object.keys(query).filter((name) => !allowed(name))
  if (strange.length > 0) {
    throw badRequest(`[${strange.map((name) => `'${name.slice(0, 60)}'`).join(', ')}] is invalid attribute for filtering`, {
      type: 'HTTPBadRequest',
    })
  }
}

/**
 * Answers a list: filters `select` by the query, takes a page, shows each row by `view`.
 * @param select all that the caller may see, with the columns that `view` wants
 */
export async function list<DB, TB extends keyof DB, O extends { id: string }>(
  { query, url }: Pick<Call<unknown, RawQuery>, 'query' | 'url'>,
  select: SelectQueryBuilder<DB, TB, O>,
  resource: Resource,
  view: (row: O) => object,
  filter: (select: SelectQueryBuilder<DB, TB, O>) => SelectQueryBuilder<DB, TB, O> = (same) => same,
): Promise<Record<string, unknown>> {
  checkFilters(query, resource)
  const { columns, id, name, tags } = resource
  const sortable = Object.entries(columns).filter(([, column]) => !column.unsorted)
  const listing = {
    id,
    columns: Object.fromEntries(sortable.map(([key, { ref, nullable }]) => [key, nullable ? { ref, nullable } : ref])),
    sort: [{ key: 'id', direction: 'asc' as const }],
  }
  const filters = Object.fromEntries(Object.entries(columns).map(([key, { ref, type = 'text' }]) => [key, { ref, type }]))
  let wanted = filterBy(filter(select), query, filters)
  if (tags !== undefined)
    for (const kind of tagFilters) if (query[kind] !== undefined) wanted = wanted.where(byTags(tags, kind, query[kind]))
  const page = neutronPage(query, listing)
  const { rows, more } = await listPage(wanted, page, listing, select as SelectQueryBuilder<DB, TB, unknown>)
  return {
    [name]: rows.map((row) => pickFields(view(row), query.fields)),
    ...neutronLinks(name, url, page, more, rows[0]?.id, rows.at(-1)?.id),
  }
}

function byTags(column: string, kind: (typeof tagFilters)[number], value: string | string[]) {
  const tags = [value].flat().flatMap((text) => text.split(','))
  const operator = kind.endsWith('-any') ? sql`&&` : sql`@>`
  const holds = sql<boolean>`${sql.ref(column)} ${operator} ${tags}::text[]`
  return kind.startsWith('not-') ? sql<boolean>`not (${holds})` : holds
}
