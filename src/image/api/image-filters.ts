// What a list of images is narrowed by (glance/db/sqlalchemy/api.py): exact values, `in:`, comparisons of times, ranges of numbers, tags,
// and any property that an image has.
import { type RawBuilder, sql } from 'kysely'
import { badRequest } from '../../http/fault.ts'
import type { RawQuery } from '../../http/table.ts'
import type { Viewer } from '../control/visible.ts'
import { visibilities } from './properties.ts'

const paging = new Set(['limit', 'marker', 'sort', 'sort_key', 'sort_dir', 'member_status', 'tag', 'visibility'])
const withOperator = new Set(['name', 'id', 'status', 'container_format', 'disk_format'])
const numbers = new Set(['size', 'virtual_size', 'min_disk', 'min_ram'])
const texts = new Set(['owner', 'checksum', 'os_hash_algo', 'os_hash_value'])
const comparisons: Record<string, RawBuilder<unknown>> = {
  gt: sql`>`,
  gte: sql`>=`,
  lt: sql`<`,
  lte: sql`<=`,
  neq: sql`<>`,
  eq: sql`=`,
}

const last = (value: string | string[]): string => (Array.isArray(value) ? (value.at(-1) ?? '') : value)
const column = (name: string) => sql.ref(`i.${name}`)

/** What the caller may find in a list: like what may be shown, but shared images only once the project has accepted them (or as asked). */
export function listed({ project, admin }: Viewer, query: RawQuery): RawBuilder<boolean> {
  const status = last(query.member_status ?? 'accepted')
  if (!['pending', 'accepted', 'rejected', 'all'].includes(status)) throw badRequest(`Invalid status: ${status.slice(0, 40)}`)
  if (admin) return sql<boolean>`i.status <> 'killed'`
  return sql<boolean>`(i.status <> 'killed' and (i.visibility in ('public', 'community') or (i.owner = ${project} and ${project} <> '')
    or (i.visibility = 'shared' and exists (
      select from image.member m where m.image_id = i.id and m.member_id = ${project} and (${status} = 'all' or m.status = ${status})))))`
}

/** The filters of a query. @throws Fault 400 for a value that a filter can't have */
export function filtered({ project }: Viewer, query: RawQuery): RawBuilder<boolean> {
  const all = [visibility(project, query.visibility), flag('os_hidden', last(query.os_hidden ?? 'false'))]
  const tags = [query.tag ?? []].flat().map((tag) => tag.trim())
  if (tags.length > 0) all.push(sql<boolean>`i.tags @> ${tags}::text[]`)
  if (query['changes-since'] !== undefined) throw badRequest('The "changes-since" filter is no longer available on v2.')
  for (const [name, value] of Object.entries(query)) {
    if (!paging.has(name) && name !== 'os_hidden') all.push(filter(name, last(value)))
  }
  return sql<boolean>`(${sql.join(all, sql` and `)})`
}

/** Community images of others are listed only on demand. */
function visibility(project: string, asked: string | string[] | undefined): RawBuilder<boolean> {
  const wanted = asked === undefined ? '' : last(asked)
  if (wanted === '') return sql<boolean>`(i.visibility <> 'community' or i.owner = ${project})`
  if (wanted === 'all') return sql<boolean>`true`
  if (!(visibilities as readonly string[]).includes(wanted)) throw badRequest(`Invalid visibility value: ${wanted.slice(0, 40)}`)
  return sql<boolean>`i.visibility = ${wanted}`
}

function filter(name: string, value: string): RawBuilder<boolean> {
  if (name === 'protected') return flag(name, value)
  if (name === 'created_at' || name === 'updated_at') return time(name, value)
  if (withOperator.has(name)) return oneOf(name, value)
  if (texts.has(name)) return sql<boolean>`${column(name)} = ${value}`
  if (numbers.has(name)) return sql<boolean>`${column(name)} = ${number(value)}`
  const [, bounded = '', bound = ''] = /^(.*)_(min|max)$/.exec(name) ?? []
  if (numbers.has(bounded)) return sql<boolean>`${column(bounded)} ${bound === 'min' ? sql`>=` : sql`<=`} ${number(value)}`
  return sql<boolean>`i.properties ->> ${name} = ${value}`
}

function flag(name: string, value: string): RawBuilder<boolean> {
  const word = name === 'os_hidden' ? value.toLowerCase() : value
  if (word !== 'true' && word !== 'false') {
    throw badRequest(`Invalid value '${value.slice(0, 40)}' for '${name}' filter. Valid values are 'true' or 'false'.`)
  }
  return sql<boolean>`${column(name)} = ${word === 'true'}`
}

function number(value: string): number {
  const read = Number(value)
  if (!/^\s*[+-]?\d+\s*$/.test(value) || !Number.isSafeInteger(read))
    throw badRequest('Unable to filter on a range with a non-numeric value.')
  return read
}

const isoTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/

/** `gt:2026-01-01T00:00:00Z`; a time without an operator has to be equal. Without a zone it is UTC; compared as shown, in whole seconds. */
function time(name: string, value: string): RawBuilder<boolean> {
  const bare = isoTime.test(value)
  const operator = bare ? 'eq' : value.slice(0, Math.max(value.indexOf(':'), 0))
  const written = bare ? value : value.slice(value.indexOf(':') + 1)
  const compare = Object.hasOwn(comparisons, operator) ? comparisons[operator] : undefined
  if (!isoTime.test(written)) throw badRequest(`Bad "${name}" query filter format. Use ISO 8601 DateTime notation.`)
  if (!compare) throw badRequest('Unable to filter on a unknown operator.')
  const zoned = /(Z|[+-]\d\d:?\d\d)$/.test(written) ? written : `${written.includes('T') ? written : `${written}T00:00:00`}Z`
  const moment = new Date(zoned)
  if (Number.isNaN(moment.getTime())) throw badRequest(`Bad "${name}" query filter format. Use ISO 8601 DateTime notation.`)
  return sql<boolean>`date_trunc('second', ${column(name)}) ${compare} ${moment}`
}

/** `in:a,"b,c"` or a plain value; any other operator is refused. */
function oneOf(name: string, value: string): RawBuilder<boolean> {
  const colon = value.indexOf(':')
  const operator = colon < 0 ? 'eq' : value.slice(0, colon)
  const rest = colon < 0 ? value : value.slice(colon + 1)
  if (operator === 'eq') return sql<boolean>`${column(name)} = ${rest}`
  if (operator !== 'in') throw badRequest(`Unable to filter by unknown operator '${operator.slice(0, 40)}'.`)
  return sql<boolean>`${column(name)} = any(${splitQuoted(rest)}::text[])`
}

/** Commas part the values, except inside double quotes. */
export function splitQuoted(text: string): string[] {
  const values: string[] = []
  const part = /\s*(?:"((?:[^"\\]|\\.)*)"|([^",]*))\s*(,|$)/y
  while (true) {
    const at = part.lastIndex
    const found = part.exec(text)
    if (!found) throw badRequest(`Invalid filter value ${text.slice(at, at + 40)}. A value in quotation marks starts and ends at a comma.`)
    values.push(found[1]?.replaceAll(/\\(.)/g, '$1') ?? found[2] ?? '')
    if (found[3] === '') return values
  }
}
