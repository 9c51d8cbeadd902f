// How an image is changed: a list of operations on its properties, in the form of JSON patch (v2.1) or of the draft before it (v2.0).
// Pure: reads the operations and says what the image would be, so that every case is tested without a database.
import { badRequest, conflict, forbidden } from '../../http/fault.ts'
import type { ImageRow } from './find.ts'
import { refuseLocations } from './locations.ts'
import { isSettable, noOwner, refuseName, refuseTooMany, refuseValue, type Settable, uniqueTags } from './properties.ts'

export interface Change {
  op: 'add' | 'remove' | 'replace'
  name: string
  value?: unknown
  /** Of a location: an index, or '-' for the end. */
  position?: string
  /** In v2.0 `add` refuses what is there already. */
  strict: boolean
}

const operations = ['add', 'remove', 'replace'] as const
const available = operations.join(', ')

/** @param v20 whether the body is of application/openstack-images-v2.0-json-patch @param withLocations whether they may be changed @throws Fault 400, 403 */
export function readPatch(body: unknown, v20: boolean, withLocations = false): Change[] {
  if (body === undefined) throw badRequest('Body expected in request.')
  if (!Array.isArray(body)) throw badRequest('Request body must be a JSON array of operation objects.')
  return body.map((raw: unknown) => {
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw badRequest('Operations must be JSON objects.')
    const { op, path } = (v20 ? old : current)(raw as Record<string, unknown>)
    const names = pointer(path)
    const name = names[0] ?? ''
    const depth = name === 'locations' && op !== 'replace' ? 2 : 1
    if (names.length !== depth) throw badRequest(`Invalid JSON pointer for this resource: '/${names.join('/')}'`)
    const located = withLocations && name === 'locations'
    if (!located) refuseName(name, false)
    const change: Change = { op, name, strict: v20, ...(located && { position: names[1] ?? '' }) }
    if (op === 'remove') return change
    if (!Object.hasOwn(raw, 'value')) throw badRequest(`Operation "${op}" requires a member named "value".`)
    const { value } = raw as { value: unknown }
    if (located) refuseLocations(op === 'add' ? [value] : value)
    else refuseValue(name, value)
    return { ...change, value }
  })
}

/** {"op": "add", "path": "/name", "value": …} */
function current(raw: Record<string, unknown>): { op: Change['op']; path: unknown } {
  const op = operations.find((word) => word === raw.op)
  if (raw.op === undefined || raw.op === null) {
    throw badRequest(`Unable to find \`op\` in JSON Schema change. It must be one of the following: ${available}.`)
  }
  if (!op) throw badRequest(`Invalid operation: \`${String(raw.op).slice(0, 40)}\`. It must be one of the following: ${available}.`)
  if (raw.path === undefined) throw badRequest("Unable to find 'path' in JSON Schema change")
  return { op, path: raw.path }
}

/** {"add": "/name", "value": …} */
function old(raw: Record<string, unknown>): { op: Change['op']; path: unknown } {
  const [op, ...more] = operations.filter((word) => Object.hasOwn(raw, word))
  if (!op || more.length > 0) {
    throw badRequest(`Operation objects must contain ${op ? 'only' : 'exactly'} one member named "add", "remove", or "replace".`)
  }
  return { op, path: raw[op] }
}

/** The limited form of RFC 6901 that Glance takes. */
function pointer(path: unknown): string[] {
  if (typeof path !== 'string' || !path.startsWith('/'))
    throw badRequest(`Pointer \`${String(path).slice(0, 100)}\` does not start with "/".`)
  const shown = path.slice(0, 100)
  if (/\/\s*\//.test(path.slice(1)) || path.startsWith('//')) throw badRequest(`Pointer \`${shown}\` contains adjacent "/".`)
  if (path.endsWith('/')) throw badRequest(`Pointer \`${shown}\` end with "/".`)
  if (/~(?![01])/.test(path)) throw badRequest(`Pointer \`${shown}\` contains "~" not part of a recognized escape sequence.`)
  return path
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~').trim())
}

/** The columns of an image that clients change. */
export type Changed = Pick<ImageRow, Settable> & { properties: Record<string, string> }

/** What the image becomes. @param admin may give it to another project @throws Fault 403, 409, 413 */
export function applyPatch(image: ImageRow, changes: Change[], admin: boolean): Changed {
  const properties = { ...(image.properties as Record<string, string>) }
  const columns: Record<string, unknown> = {}
  for (const { op, name, value, strict } of changes) {
    if (isSettable(name)) {
      if (op === 'remove') throw forbidden(`Property ${name} may not be removed.`)
      if (op === 'add' && strict) throw conflict(`Property ${name} already present.`)
      columns[name] = settableValue(image, name, value, admin)
      continue
    }
    const there = Object.hasOwn(properties, name)
    if (op !== 'add' && !there) throw conflict(`Property ${name} does not exist.`)
    if (op === 'add' && strict && there) throw conflict(`Property ${name} already present.`)
    if (op === 'remove' || value === null) delete properties[name]
    else properties[name] = value as string
  }
  const { name, visibility, disk_format, container_format, min_disk, min_ram, os_hidden, tags, owner } = image
  const changed = {
    name,
    visibility,
    disk_format,
    container_format,
    min_disk,
    min_ram,
    protected: image.protected,
    os_hidden,
    tags,
    owner,
    ...columns,
    properties,
  }
  refuseTooMany('tags', changed.tags.length)
  if (changes.some(({ name, op }) => op !== 'remove' && !isSettable(name))) refuseTooMany('properties', Object.keys(properties).length)
  return changed
}

function settableValue(image: ImageRow, name: Settable, value: unknown, admin: boolean): unknown {
  if (name === 'owner') {
    if (!admin) throw forbidden("Owner can't be updated by non admin.")
    if (!value) throw badRequest(noOwner)
  }
  if ((name === 'disk_format' || name === 'container_format') && image.status !== 'queued') {
    throw forbidden(`Attribute ${name} can be only replaced for a queued image.`)
  }
  return name === 'tags' ? uniqueTags(value as string[]) : value
}
