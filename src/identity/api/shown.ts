// Lists of a thousand objects, quickly: of most rows PostgreSQL says only which version they have, because their JSON was made for an
// earlier list. A change, whoever makes it, makes another version of the row; so what is shown is never older than the database.
import { type RawBuilder, sql } from 'kysely'
import type { Call, RawQuery } from '../../http/table.ts'
import { base, limitOf, nextPage } from './list.ts'

/** An object as lists show it, but for its link, which differs by the address under which a client came. */
export interface Shown {
  id: string
  /** `{…` without the closing brace. */
  json: string
}

/**
 * Text that begins with the row's id and is another one after each change of the row (PostgreSQL's xmin and ctid), and when one of
 * `others` changes: whatever else the view is made of.
 */
export const versionOf = (alias: string, ...others: RawBuilder<unknown>[]): RawBuilder<string> => {
  const of = (column: string) => sql`${sql.ref(alias)}.${sql.id(column)}`
  return sql<string>`concat_ws(' ', ${sql.join([of('id'), of('xmin'), of('ctid'), ...others])})`
}

const idIn = (version: string) => version.slice(0, version.indexOf(' '))

/** So many objects are remembered for sure, of each kind; twice as many at most. */
const remembered = 10_000

/** Remembers what objects of one kind look like, by their version. `view` = the object without links. */
export function remembering<Row extends { id: string; version: string }>(view: (row: Row) => object) {
  let young = new Map<string, Shown>()
  let old = new Map<string, Shown>()
  const keep = (version: string, shown: Shown) => {
    if (young.size >= remembered) {
      old = young
      young = new Map()
    }
    young.set(version, shown)
    return shown
  }
  const known = (version: string): Shown | undefined => {
    const found = young.get(version)
    if (found) return found
    const older = old.get(version)
    return older && keep(version, older)
  }

  /** The objects of these versions, in this order. `read` gives the rows of those that are not known; one that is gone meanwhile is left out. */
  return async (versions: string[], read: (ids: string[]) => Promise<Row[]>): Promise<Shown[]> => {
    const shown = versions.map(known)
    const missing = versions.filter((_, index) => shown[index] === undefined).map(idIn)
    if (missing.length === 0) return shown as Shown[]
    const fresh = new Map(
      (await read(missing)).map((row) => [row.id, keep(row.version, { id: row.id, json: JSON.stringify(view(row)).slice(0, -1) })]),
    )
    return versions.flatMap((version, index) => shown[index] ?? fresh.get(idIn(version)) ?? [])
  }
}

/** The answer of a list as JSON text, like `collection`: at most `?limit=` of `versions`, each with its link. */
export async function shownCollection<Row extends { id: string; version: string }>(
  call: Pick<Call, 'url' | 'header'> & { query: RawQuery },
  name: string,
  versions: string[],
  show: ReturnType<typeof remembering<Row>>,
  read: (ids: string[]) => Promise<Row[]>,
): Promise<string> {
  const page = versions.slice(0, limitOf(call.query) - 1)
  const shown = await show(page, read)
  const last = page.at(-1)
  const links = {
    self: call.url.origin + call.url.path + call.url.search,
    previous: null,
    next: versions.length > page.length && last !== undefined ? nextPage(call, idIn(last)) : null,
  }
  const self = JSON.stringify(`${base(call)}/${name}/`).slice(0, -1)
  const all = shown.map(({ id, json }) => `${json},"links":{"self":${self}${encodeURIComponent(id)}"}}`)
  call.header('content-type', 'application/json')
  return `{"links":${JSON.stringify(links)},"${name}":[${all.join()}]}`
}
