// What all of Neutron's resources share: standard attributes, values that may be written in several ways, one object or many in a body,
// and attributes with a rule of their own.
import { Type } from 'typebox'
import { badRequest } from '../../http/fault.ts'
import type { Call, Target } from '../../http/table.ts'
import { policies } from './policies.ts'

/** Neutron takes truth in any of these forms; `flagOf` reads them. */
export const Flag = Type.Union([
  Type.Boolean(),
  Type.Integer({ minimum: 0, maximum: 1 }),
  Type.String({ pattern: '^([Tt]rue|[Ff]alse|1|0)$' }),
])
export const Name = Type.String({ maxLength: 255 })
export const Id = Type.String({ minLength: 1, maxLength: 255 })
export const Tags = Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { uniqueItems: true, maxItems: 50 })
export const Whole = Type.Union([Type.Integer(), Type.String({ pattern: '^-?\\d{1,10}$' })])

export const flagOf = (value: boolean | number | string): boolean => value === true || value === 1 || /^(true|1)$/i.test(String(value))
export const numberOf = (value: number | string): number => Number(value)

/** `then(value)` unless there is no value: so that what was not given stays not given. */
export const given = <T, U>(value: T | undefined, then: (value: T) => U): U | undefined => (value === undefined ? undefined : then(value))

/** The object without what is undefined, so that it can be spread over defaults and into an update. */
export const known = <T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> }

/** As Neutron writes times: whole seconds of UTC. */
export const timeOf = (date: Date) => `${date.toISOString().slice(0, 19)}Z`

interface Standard {
  id: string
  project_id: string
  name: string
  description: string
  tags: string[]
  revision: number
  created_at: Date
  updated_at: Date
}

export const standard = ({ id, project_id, name, description, tags, revision, created_at, updated_at }: Standard) => ({
  id,
  name,
  tenant_id: project_id,
  project_id,
  description,
  tags,
  created_at: timeOf(created_at),
  updated_at: timeOf(updated_at),
  revision_number: revision,
})

/** The objects of a body that holds one (`{network: {…}}`) or many (`{networks: […]}`). @throws Fault 400 if it holds neither or both */
export function oneOrMany<T>(one: T | undefined, many: T[] | undefined, name: string): { items: T[]; bulk: boolean } {
  if (one !== undefined && many === undefined) return { items: [one], bulk: false }
  if (many !== undefined && one === undefined) return { items: many, bulk: true }
  throw badRequest(`Unable to find '${name}' in request body`, { type: 'HTTPBadRequest' })
}

/** The project that the new object shall belong to: the caller's own where none is named. @throws Fault 400 */
export function projectOf(call: Pick<Call, 'who'>, item: { project_id?: string; tenant_id?: string }): string {
  if (item.project_id !== undefined && item.tenant_id !== undefined && item.project_id !== item.tenant_id) {
    throw badRequest("'project_id' and 'tenant_id' do not match", { type: 'HTTPBadRequest' })
  }
  const project = item.project_id ?? item.tenant_id ?? call.who.project?.id
  if (!project)
    throw badRequest(
      "Running without keystone AuthN requires that tenant_id is specified: name the 'project_id', or use a token of a project.",
      { type: 'HTTPBadRequest' },
    )
  return project
}

export const ownerTarget = (project: string): Target => ({ project_id: project, tenant_id: project })

/**
 * Asks policy about each attribute that has a rule of its own (`create_network:shared`). On create an attribute with its default value
 * counts as not given, as in Neutron.
 * @throws Fault 403
 */
export function mustSet(
  call: Pick<Call, 'must'>,
  action: string,
  item: object,
  target: Target,
  defaults: Record<string, unknown> = {},
): void {
  for (const [name, value] of Object.entries(item)) {
    if (value === undefined || !Object.hasOwn(policies, `${action}:${name}`)) continue
    if (Object.hasOwn(defaults, name) && JSON.stringify(value) === JSON.stringify(defaults[name])) continue
    call.must(`${action}:${name}`, target)
  }
}

/** The revision of `If-Match: revision_number=7`; undefined without the header. @throws Fault 400 */
export function wantedRevision({ headers }: Pick<Call, 'headers'>): number | undefined {
  const text = headers['if-match']
  if (text === undefined) return undefined
  const [, revision] = /^\s*revision_number\s*=\s*"?(\d{1,9})"?\s*$/.exec(text) ?? []
  if (revision === undefined)
    throw badRequest(`Invalid value for If-Match header: '${text.slice(0, 60)}'; it reads revision_number=7`, { type: 'HTTPBadRequest' })
  return Number(revision)
}
