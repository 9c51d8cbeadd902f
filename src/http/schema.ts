/**
 * Microversions as marks on the schema: a field says since when it exists, and the schema for one request's version is cut
 * from the one definition, so that a reader sees a resource's whole history in one place.
 */
import type { TSchema } from 'typebox'

/** TypeBox keeps `~kind` and `~optional` as hidden properties; a plain spread would lose them, and with them "optional". */
const mark = <T extends TSchema>(schema: T, marks: Record<string, string>): T =>
  Object.defineProperties({}, { ...Object.getOwnPropertyDescriptors(schema), ...Object.getOwnPropertyDescriptors(marks) }) as T

/** The field exists from this microversion on: `since('2.10', t.Optional(t.String()))`. */
export const since = <T extends TSchema>(version: string, schema: T): T => mark(schema, { 'x-since': version })

/** The field exists up to and including this microversion. */
export const until = <T extends TSchema>(version: string, schema: T): T => mark(schema, { 'x-until': version })

/** What `changed` makes: data until `at` cuts it for one version. */
export interface Changed<A = unknown, B = unknown> {
  'x-changed': string
  before: A
  after: B
}

/**
 * A value that is another from a microversion on: `changed('2.2', 200, 201)`. Works for schemas, `required`, status codes.
 * Its type is that of the values, for the mark never outlives `at`. More than one change nests: `changed('2.9', changed('2.2', a, b), c)`.
 */
export const changed = <A, B>(version: string, before: A, after: B): A | B =>
  ({ 'x-changed': version, before, after }) satisfies Changed<A, B> as unknown as A | B

/** '2.90' as a number that compares: 2_000_090. The empty version (a service without microversions) is the newest. */
export const versionNumber = (version: string): number => {
  if (version === '') return Number.MAX_SAFE_INTEGER
  const dot = version.indexOf('.')
  return dot < 0 ? Number(version) * 1_000_000 : Number(version.slice(0, dot)) * 1_000_000 + Number(version.slice(dot + 1))
}

/** Whether something with these bounds (both inclusive) exists at the version. */
export const lives = (bounds: { since?: string; until?: string }, version: string): boolean =>
  (bounds.since === undefined || versionNumber(version) >= versionNumber(bounds.since)) &&
  (bounds.until === undefined || versionNumber(version) <= versionNumber(bounds.until))

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const fieldLives = (schema: unknown, version: string) =>
  !isObject(schema) || lives({ since: schema['x-since'] as string | undefined, until: schema['x-until'] as string | undefined }, version)

/** Cuts a schema (or any value made with `changed`) for one version. The marks of the fields that remain are dropped too. */
export function at<T>(value: T, version: string): T {
  return cut(value, version) as T
}

function cut(value: unknown, version: string): unknown {
  if (Array.isArray(value)) return value.map((item) => cut(item, version))
  if (!isObject(value)) return value
  const point = value['x-changed']
  if (typeof point === 'string') return cut(versionNumber(version) < versionNumber(point) ? value.before : value.after, version)
  const fields = isObject(value.properties) ? value.properties : undefined
  const out: Record<string, unknown> = {}
  for (const [key, part] of Object.entries(value)) {
    if (key === 'x-since' || key === 'x-until') continue
    if (key === 'properties' && fields) out.properties = cutFields(fields, version)
    else if (key === 'required' && fields) {
      out.required = (cut(part, version) as string[]).filter((name) => fieldLives(fields[name], version))
    } else if ((key === 'anyOf' || key === 'oneOf') && Array.isArray(part)) {
      out[key] = part.filter((choice) => fieldLives(choice, version)).map((choice) => cut(choice, version))
    } else if (key === 'const' || key === 'default' || key === 'enum') out[key] = isMarked(part) ? cut(part, version) : part
    else out[key] = cut(part, version)
  }
  return out
}

const isMarked = (value: unknown) => isObject(value) && 'x-changed' in value

const cutFields = (fields: Record<string, unknown>, version: string) =>
  Object.fromEntries(
    Object.entries(fields)
      .filter(([, field]) => fieldLives(field, version))
      .map(([name, field]) => [name, cut(field, version)]),
  )
