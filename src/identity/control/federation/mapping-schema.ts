// What a mapping may look like, as keystone/federation/utils.py has it: version 1.0; 2.0, where projects may name their domain and a rule's
// domain counts for all; 3.0, where projects may come as JSON from the provider and are kept in step with it.
import { type Static, type TSchema, Type as t } from 'typebox'
import { envelopes } from '../../../http/envelope.ts'
import { badRequest } from '../../../http/fault.ts'
import { type Validator, validator } from '../../../http/validate.ts'

const closed = { additionalProperties: false }
const text = t.Optional(t.String())
const domain = t.Object({ id: text, name: text }, closed)
const roles = t.Array(t.Object({ name: t.String() }, closed))
const projects = t.Array(t.Object({ name: t.String(), roles, domain: t.Optional(domain) }, closed))
const projectsOf1 = t.Array(t.Object({ name: t.String(), roles }, closed))

const local = t.Object(
  {
    user: t.Optional(
      t.Object(
        {
          id: text,
          name: text,
          email: text,
          domain: t.Optional(domain),
          type: t.Optional(t.Union([t.Literal('ephemeral'), t.Literal('local')])),
        },
        closed,
      ),
    ),
    group: t.Optional(t.Union([t.Object({ id: t.String() }, closed), t.Object({ name: t.String(), domain }, closed)])),
    groups: text,
    group_ids: text,
    domain: t.Optional(domain),
    projects: t.Optional(projects),
    projects_json: text,
  },
  closed,
)
const condition = <K extends string>(name: K) =>
  t.Object({ type: t.String(), [name]: t.Array(t.Unknown()), regex: t.Optional(t.Boolean()) }, closed)
const remote = t.Union([
  t.Object({ type: t.String() }, closed),
  ...['any_one_of', 'not_any_of', 'blacklist', 'whitelist'].map((name) => condition(name)),
])

const mappingOf = (item: TSchema) =>
  t.Object(
    {
      rules: t.Array(t.Object({ local: t.Array(item), remote: t.Array(remote, { minItems: 1 }) }, closed), { minItems: 1 }),
      schema_version: text,
    },
    closed,
  )
const { projects_json, ...second } = local.properties
const checks: Record<string, Validator> = {
  '1.0': validator('body', mappingOf(t.Object({ ...second, projects: t.Optional(projectsOf1) }, closed))),
  '2.0': validator('body', mappingOf(t.Object(second, closed))),
  '3.0': validator('body', mappingOf(t.Object({ ...second, projects_json }, closed))),
}
const checkProjects = validator('body', projects)

export type Local = Static<typeof local>
export type Project = Static<typeof projects>[number]
export type MappedDomain = Static<typeof domain>
export interface Requirement {
  type: string
  any_one_of?: unknown[]
  not_any_of?: unknown[]
  blacklist?: unknown[]
  whitelist?: unknown[]
  regex?: boolean
}
export interface Rule {
  local: Local[]
  remote: Requirement[]
}
export interface Mapping {
  rules: Rule[]
  schema_version: string
}

/** The mapping with its version. @throws Fault 400 that names the field */
export function checkMapping(given: object): Mapping {
  const version = ('schema_version' in given && given.schema_version) || '1.0'
  const check = typeof version === 'string' && Object.hasOwn(checks, version) ? checks[version] : undefined
  if (!check) throw badRequest(`Invalid input for field 'schema_version': it must be one of ${Object.keys(checks).join(', ')}.`)
  const invalid = check(given, '')
  if (invalid) throw envelopes.identity.invalid(invalid)
  const mapping = { ...given, schema_version: version } as Mapping
  for (const [i, { remote }] of mapping.rules.entries()) {
    for (const requirement of remote) {
      if (!requirement.regex) continue
      for (const pattern of conditionOf(requirement)?.values ?? []) {
        if (patternOf(String(pattern)) === null) {
          throw badRequest(`Invalid input for field 'rules/${i}/remote': '${pattern}' is not a valid regular expression.`)
        }
      }
    }
  }
  return mapping
}

/** Projects that a provider sent as JSON (schema 3.0). @throws Fault 400 */
export function checkSentProjects(sent: unknown): Project[] {
  const invalid = checkProjects(sent, '')
  if (invalid) throw envelopes.identity.invalid(invalid)
  return sent as Project[]
}

export type ConditionName = 'any_one_of' | 'not_any_of' | 'blacklist' | 'whitelist'

/** The one condition that a requirement has beside its type. */
export function conditionOf(requirement: Requirement): { name: ConditionName; values: unknown[] } | undefined {
  for (const name of ['any_one_of', 'not_any_of', 'blacklist', 'whitelist'] as const) {
    const values = requirement[name]
    if (values) return { name, values }
  }
  return undefined
}

/** Keystone's are Python's: flags at the beginning and named groups are spelt otherwise there. Null for what is no expression. */
export function patternOf(pattern: string): RegExp | null {
  const [, flags = '', rest = ''] = /^(?:\(\?([aimsux]+)\))?([\s\S]*)$/.exec(pattern)!
  try {
    return new RegExp(
      rest.replaceAll('(?P<', '(?<').replaceAll(/\(\?P=(\w+)\)/g, '\\k<$1>'),
      [...flags].filter((flag) => 'ims'.includes(flag)).join(''),
    )
  } catch {
    return null
  }
}
