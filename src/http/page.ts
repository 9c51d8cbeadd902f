/**
 * Lists by pages: reads limit, marker and sort order in the dialects of nova, neutron and glance, runs ONE query that starts behind
 * the marker (keyset, so the thousandth page costs what the first does), and writes the links to the next page.
 */
import { type Expression, type SelectQueryBuilder, sql } from 'kysely'
import { badRequest } from './fault.ts'
import type { RawQuery } from './table.ts'

export interface Sort {
  key: string
  direction: 'asc' | 'desc'
}

export interface Page {
  /** Infinity for all there are. */
  limit: number
  marker?: string
  sort: Sort[]
  /** The page before the marker (neutron's `page_reverse`). */
  reverse: boolean
}

export interface Listing {
  /** The unique, never null column that a marker names: 'compute.server.id'. It ends every sort order. */
  id: string
  /** What may be sorted by: the API's name → the column; `nullable` where it can be null. */
  columns: Record<string, string | { ref: string; nullable: true }>
  /** The order where none is asked for. */
  sort: Sort[]
  /** Largest page; 1,000 by default, neutron's dialect has none by default. */
  maxLimit?: number
}

type Asked = RawQuery | Record<string, unknown>
const MAX_LIMIT = 1000

/** Nova's and cinder's dialect: `limit marker sort_key sort_dir`, the latter two repeated. @throws Fault 400 */
export function novaPage(query: Asked, listing: Listing): Page {
  const keys = texts(query.sort_key)
  const directions = texts(query.sort_dir)
  if (directions.length > Math.max(keys.length, 1)) throw badRequest('Sort direction size exceeds sort key size')
  const sort = keys.map((key, i) => sortBy(key, directions[i] ?? directions[0] ?? 'desc', listing))
  return page(limited(query.limit, listing.maxLimit ?? MAX_LIMIT), query.marker, sort, listing)
}

/** Neutron's dialect: `limit marker page_reverse sort_key[] sort_dir[]`; a limit of 0 means no limit. @throws Fault 400 */
export function neutronPage(query: Asked, listing: Listing): Page {
  const keys = texts(query.sort_key)
  const directions = texts(query.sort_dir)
  if (directions.length > 0 && keys.length !== directions.length) throw badRequest('The number of sort_keys and sort_dirs must be same')
  const sort = keys.map((key, i) => sortBy(key, directions[i] ?? 'asc', listing))
  const max = listing.maxLimit ?? Number.POSITIVE_INFINITY
  const read = page(limited(query.limit, max) || max, query.marker, sort, listing)
  return { ...read, reverse: ['true', '1'].includes(String(texts(query.page_reverse)[0]).toLowerCase()) }
}

/** Glance's dialect: `sort=name:asc,created_at:desc`, or sort_key and sort_dir; an empty marker is none that could be found. @throws Fault 400 */
export function glancePage(query: Asked, listing: Listing): Page {
  if (texts(query.marker)[0] === '') throw noMarker('')
  const [joined] = texts(query.sort)
  if (joined === undefined) {
    const [keys, directions] = [texts(query.sort_key).length, texts(query.sort_dir).length]
    if (directions > 1 && directions !== keys) throw badRequest('Number of sort dirs does not match the number of sort keys')
    return novaPage(query, listing)
  }
  if (query.sort_key !== undefined || query.sort_dir !== undefined) throw badRequest('Old and new sorting syntax cannot be combined')
  const sort = joined.split(',').map((part) => {
    const [key = '', direction = 'desc'] = part.trim().split(':')
    return sortBy(key, direction, listing)
  })
  return page(limited(query.limit, listing.maxLimit ?? MAX_LIMIT), query.marker, sort, listing)
}

function page(limit: number, marker: unknown, sort: Sort[], listing: Listing): Page {
  const [after] = texts(marker)
  return {
    limit,
    sort: sort.length > 0 ? sort : listing.sort,
    reverse: false,
    ...(after !== undefined && after !== '' && { marker: after }),
  }
}

const texts = (value: unknown): string[] => (value === undefined ? [] : [value].flat().map(String))

function limited(value: unknown, max: number): number {
  const [text] = texts(value)
  if (text === undefined) return max
  if (!/^\d{1,15}$/.test(text))
    throw badRequest(`Invalid input for query parameters limit. Value: ${text.slice(0, 40)}. It must be a number, 0 or more`)
  return Math.min(Number(text), max)
}

function sortBy(key: string, direction: string, listing: Listing): Sort {
  if (!Object.hasOwn(listing.columns, key))
    throw badRequest(`Sort key '${key.slice(0, 60)}' is not one of ${Object.keys(listing.columns).join(', ')}`)
  const lower = direction.toLowerCase()
  if (lower !== 'asc' && lower !== 'desc') throw badRequest(`Unknown sort direction '${direction.slice(0, 20)}', must be one of asc, desc`)
  return { key, direction: lower }
}

/**
 * The rows of one page, in order, and whether more come behind them.
 * @param query everything that may be listed, filtered, without order or limit
 * @param visible where the marker is looked up: the same without the filters, so that an object which a filter has dropped since still marks its place
 * @throws Fault 400 if the marker names nothing visible
 */
export async function listPage<DB, TB extends keyof DB, O>(
  query: SelectQueryBuilder<DB, TB, O>,
  { limit, marker, sort, reverse }: Page,
  listing: Listing,
  visible: SelectQueryBuilder<DB, TB, unknown> = query as SelectQueryBuilder<DB, TB, unknown>,
): Promise<{ rows: O[]; more: boolean }> {
  const order = orderOf(sort, listing, reverse)
  let select = query
  for (const { ref, direction } of order) select = select.orderBy(sql.ref(ref), direction)
  if (Number.isFinite(limit)) select = select.limit(limit + 1)
  if (marker !== undefined) select = select.where(behind(order, visible, listing.id, marker))

  const rows = await (limit === 0 && marker === undefined ? [] : select.execute())
  if (marker !== undefined && rows.length === 0) await mustExist(visible, listing.id, marker)
  const more = rows.length > limit
  const shown = more ? rows.slice(0, limit) : rows
  return { rows: reverse ? shown.reverse() : shown, more }
}

interface Order {
  ref: string
  nullable: boolean
  direction: 'asc' | 'desc'
}

function orderOf(sort: Sort[], listing: Listing, reverse: boolean): Order[] {
  const order = sort.map(({ key, direction }): Order => {
    const column = listing.columns[key]
    if (column === undefined) throw new Error(`The default order names '${key}', which is no column of the listing`)
    return typeof column === 'string' ? { ref: column, nullable: false, direction } : { ...column, direction }
  })
  if (!order.some(({ ref }) => ref === listing.id))
    order.push({ ref: listing.id, nullable: false, direction: sort.at(-1)?.direction ?? 'asc' })
  return reverse ? order.map((column) => ({ ...column, direction: column.direction === 'asc' ? 'desc' : 'asc' })) : order
}

/** True of rows that come after the marker's own in this order. */
function behind<DB, TB extends keyof DB>(order: Order[], visible: SelectQueryBuilder<DB, TB, unknown>, id: string, marker: string) {
  const one = atMarker(visible, id, marker)
  const of = (refs: string[]) => one.select(refs.map((ref, i) => sql.ref(ref).as(`m${i}`)))
  const refs = order.map(({ ref }) => ref)
  if (order.every(({ direction, nullable }) => !nullable && direction === order[0]!.direction)) {
    const columns = sql.join(refs.map((ref) => sql.ref(ref)))
    return order[0]!.direction === 'asc' ? sql<boolean>`(${columns}) > ${of(refs)}` : sql<boolean>`(${columns}) < ${of(refs)}`
  }
  // Mixed directions, or nulls (PostgreSQL puts them last in asc, first in desc): a later column decides only where all before are equal.
  const choices = order.map((last, i) => {
    const equal = order.slice(0, i).map(({ ref }) => sql<boolean>`${sql.ref(ref)} is not distinct from ${of([ref])}`)
    return sql<boolean>`(${sql.join([...equal, after(last, of([last.ref]))], sql` and `)})`
  })
  return sql<boolean>`(exists ${of([id])} and (${sql.join(choices, sql` or `)}))`
}

function after({ ref, nullable, direction }: Order, marked: Expression<unknown>) {
  const column = sql.ref(ref)
  if (!nullable) return direction === 'asc' ? sql<boolean>`${column} > ${marked}` : sql<boolean>`${column} < ${marked}`
  return direction === 'asc'
    ? sql<boolean>`(${column} > ${marked} or (${column} is null and ${marked} is not null))`
    : sql<boolean>`(${column} < ${marked} or (${column} is not null and ${marked} is null))`
}

const atMarker = <DB, TB extends keyof DB>(visible: SelectQueryBuilder<DB, TB, unknown>, id: string, marker: string) =>
  visible
    .clearSelect()
    .clearOrderBy()
    .where(sql<boolean>`${sql.ref(id)} = ${marker}`)

async function mustExist<DB, TB extends keyof DB>(visible: SelectQueryBuilder<DB, TB, unknown>, id: string, marker: string): Promise<void> {
  const found = await atMarker(visible, id, marker).select(sql.ref(id).as('id')).limit(1).execute()
  if (found.length === 0) throw noMarker(marker)
}

const noMarker = (marker: string) => badRequest(`marker [${marker.slice(0, 60)}] not found`)

interface Address {
  origin: string
  path: string
  search: string
}

function withMarker({ search }: Address, marker: string | undefined, more: Record<string, string> = {}): string {
  const params = new URLSearchParams(search)
  for (const name of ['marker', ...Object.keys(more)]) params.delete(name)
  if (marker !== undefined) params.set('marker', marker)
  for (const [name, value] of Object.entries(more)) params.set(name, value)
  return params.size > 0 ? `?${params}` : ''
}

type Links = Record<string, { rel: string; href: string }[]>

/** `{servers_links: [{rel: 'next', href}]}`, or nothing on the last page. @param last the id of the last object of the page */
export const novaLinks = (name: string, url: Address, more: boolean, last: string | undefined): Links =>
  more && last !== undefined ? { [`${name}_links`]: [{ rel: 'next', href: url.origin + url.path + withMarker(url, last) }] } : {}

/** `{networks_links: […]}` with next and previous, only where the client asked for pages. */
export function neutronLinks(
  name: string,
  url: Address,
  { limit, marker, reverse }: Page,
  more: boolean,
  first: string | undefined,
  last: string | undefined,
): Links {
  if (!Number.isFinite(limit)) return {}
  const to = (rel: string, at: string, extra: Record<string, string>) => ({ rel, href: url.origin + url.path + withMarker(url, at, extra) })
  const bare: Address = { ...url, search: withoutReverse(url.search) }
  const links: { rel: string; href: string }[] = []
  if ((reverse ? marker !== undefined : more) && last !== undefined)
    links.push({ rel: 'next', href: url.origin + url.path + withMarker(bare, last) })
  if ((reverse ? more : marker !== undefined) && first !== undefined) links.push(to('previous', first, { page_reverse: 'True' }))
  return links.length > 0 ? { [`${name}_links`]: links } : {}
}

function withoutReverse(search: string): string {
  const params = new URLSearchParams(search)
  params.delete('page_reverse')
  return params.size > 0 ? `?${params}` : ''
}

/** `{first, next?}` relative to the image endpoint, as glance writes them. @param path '/v2/images' */
export const glanceLinks = (path: string, url: Address, more: boolean, last: string | undefined): { first: string; next?: string } => ({
  first: path + withMarker(url, undefined),
  ...(more && last !== undefined && { next: path + withMarker(url, last) }),
})
