// The mapping engine: from what an identity provider says of somebody to who that is here. Pure, and as Keystone's with one difference:
// values stay lists from end to end, so that nothing that a provider sends is ever taken for a list, a placeholder or JSON of ours.
import { unauthorized } from '../../../http/fault.ts'
import {
  checkSentProjects,
  conditionOf,
  type Local,
  type MappedDomain,
  type Mapping,
  type Project,
  patternOf,
  type Requirement,
} from './mapping-schema.ts'

/** What a provider says: each attribute with its values. */
export type Assertion = Record<string, string[]>

export interface MappedUser {
  type: 'ephemeral' | 'local'
  id?: string
  name?: string
  email?: string
  domain?: MappedDomain
}

export interface Mapped {
  user: MappedUser
  group_ids: string[]
  group_names: { name: string; domain: MappedDomain }[]
  projects: Project[]
}

/** Values of the requirements that pass values on, in order: what {0}, {1}, … stand for. */
type DirectMaps = string[][]

/**
 * Applies every rule whose requirements are all met, in order: the first user counts, groups are collected, the last projects count.
 * @throws Fault 401 that says why nobody can be made of it
 */
export function applyMapping({ rules, schema_version }: Mapping, assertion: Assertion): Mapped {
  const found = rules.flatMap(({ local, remote }) => {
    const maps = meets(remote, assertion)
    return maps === null ? [] : local.map((one) => fillLocal(one, maps))
  })
  const last = found.at(-1)
  if (!last) {
    throw unauthorized(
      'Could not map any federated user properties to identity values. Check the rules of the mapping against what the identity provider sends.',
    )
  }
  const domainCounts = schema_version !== '1.0'
  const user: MappedUser = { type: 'ephemeral', ...found.find((one) => one.user)?.user }
  const domain = user.domain ?? (domainCounts ? last.domain : undefined)
  const withProjects = found.findLast((one) => one.projects)
  return {
    user: { ...user, ...(domain && { domain }) },
    group_ids: [...new Set(found.flatMap((one) => one.groupIds))],
    group_names: found.flatMap((one) => one.groupNames),
    projects: (withProjects?.projects ?? []).map((project) =>
      domainCounts && !project.domain && withProjects?.domain ? { ...project, domain: withProjects.domain } : project,
    ),
  }
}

/** The values for {0}, {1}, … or null if the rule does not apply. */
function meets(requirements: Requirement[], assertion: Assertion): DirectMaps | null {
  const maps: DirectMaps = []
  for (const requirement of requirements) {
    const values = Object.hasOwn(assertion, requirement.type) ? [...new Set(assertion[requirement.type])] : []
    if (values.length === 0) return null
    const condition = conditionOf(requirement)
    if (!condition) {
      maps.push(values)
      continue
    }
    const fits = matcher(condition.values, requirement.regex ?? false)
    if (condition.name === 'any_one_of' && !values.some(fits)) return null
    if (condition.name === 'not_any_of' && values.some(fits)) return null
    if (condition.name === 'whitelist') maps.push(values.filter(fits))
    if (condition.name === 'blacklist') maps.push(values.filter((value) => !fits(value)))
  }
  return maps
}

function matcher(wanted: unknown[], regex: boolean): (value: string) => boolean {
  if (!regex) return (value) => wanted.includes(value)
  const patterns = wanted.map((pattern) => patternOf(String(pattern)))
  return (value) => patterns.some((pattern) => pattern?.test(value))
}

interface Filled {
  user?: MappedUser
  domain?: MappedDomain
  groupIds: string[]
  groupNames: Mapped['group_names']
  projects?: Project[]
}

function fillLocal(local: Local, maps: DirectMaps): Filled {
  const domain = local.domain && fillDomain(local.domain, maps)
  const groupIds = local.group_ids === undefined ? [] : listed(local.group_ids, maps)
  const groupNames = local.groups === undefined ? [] : groupsOf(listed(local.groups, maps), domain)
  if (local.group) {
    if ('id' in local.group) groupIds.push(...fill(local.group.id, maps))
    else {
      const home = fillDomain(local.group.domain, maps)
      groupNames.push(...fill(local.group.name, maps).map((name) => ({ name, domain: home })))
    }
  }
  const projects = [...(local.projects ?? []).map((project) => fillProject(project, maps)), ...sentProjects(local.projects_json, maps)]
  return {
    groupIds,
    groupNames,
    ...(domain && { domain }),
    ...(local.user && { user: fillUser(local.user, maps) }),
    ...((local.projects || local.projects_json !== undefined) && { projects }),
  }
}

function fillUser(user: NonNullable<Local['user']>, maps: DirectMaps): MappedUser {
  const { type = 'ephemeral', domain, ...texts } = user
  const filled = Object.entries(texts).map(([field, template]) => [field, one(template, maps)])
  return {
    type,
    ...(Object.fromEntries(filled) as Record<'id' | 'name' | 'email', string>),
    ...(domain && { domain: fillDomain(domain, maps) }),
  }
}

const fillDomain = ({ id, name }: MappedDomain, maps: DirectMaps): MappedDomain => ({
  ...(id !== undefined && { id: one(id, maps) }),
  ...(name !== undefined && { name: one(name, maps) }),
})

const fillProject = ({ name, roles, domain }: Project, maps: DirectMaps): Project => ({
  name: one(name, maps),
  roles: roles.map((role) => ({ name: one(role.name, maps) })),
  ...(domain && { domain: fillDomain(domain, maps) }),
})

/** Schema 3.0: an attribute that holds the list of projects as JSON. */
function sentProjects(template: string | undefined, maps: DirectMaps): Project[] {
  if (template === undefined) return []
  const sent = fill(template, maps).flatMap((text) => parseSent(text))
  try {
    return checkSentProjects(sent)
  } catch (error) {
    throw unauthorized(`The identity provider sent projects that make no sense: ${error instanceof Error ? error.message : error}`)
  }
}

function parseSent(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw unauthorized('The identity provider sent projects that are not JSON.')
  }
}

/** Names of groups in the rule's domain; without one each must say its own: JSON:{"name": …, "domain": {…}}, as Keystone sends them. */
function groupsOf(names: string[], domain: MappedDomain | undefined): Mapped['group_names'] {
  return names.map((text) => {
    const sent = text.startsWith('JSON:') ? (parseGroup(text.slice(5)) as { name?: unknown; domain?: MappedDomain }) : { name: text }
    const home = domain ?? sent?.domain
    if (typeof sent?.name !== 'string' || !home) {
      throw unauthorized(`Invalid rule: 'groups' needs a 'domain' beside it, as the group '${text.slice(0, 100)}' does not say its own.`)
    }
    return { name: sent.name, domain: home }
  })
}

function parseGroup(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw unauthorized('The identity provider sent a group that begins with JSON: and is not JSON.')
  }
}

/** A list: of an attribute's values if the template is one placeholder; else what the rule's author wrote, as 'a;b' or "['a', 'b']". */
function listed(template: string, maps: DirectMaps): string[] {
  if (/\{\d*\}/.test(template)) return fill(template, maps)
  const inner = /^\s*\[(.*)\]\s*$/s.exec(template)?.[1]
  if (inner === undefined) return template.split(';')
  return [...inner.matchAll(/'([^']*)'|"([^"]*)"/g)].map(([, single, double]) => single ?? double ?? '')
}

/** The one value that a template makes. */
function one(template: string, maps: DirectMaps): string {
  const values = fill(template, maps)
  if (values.length !== 1) {
    throw unauthorized(
      `The mapping wants one value for '${template}', and the identity provider sent ${values.length === 0 ? 'none that the rule lets through' : 'several'}.`,
    )
  }
  return values[0]!
}

/** Python's str.format with positions only; all values if the template is nothing but a placeholder. */
function fill(template: string, maps: DirectMaps): string[] {
  let next = 0
  const valuesAt = (index: string): string[] => {
    const values = maps[index === '' ? next++ : Number(index)]
    if (!values) throw unauthorized(`The mapping refers to {${index}}, and its rule passes on only ${maps.length} attributes.`)
    return values
  }
  const alone = /^\{(\d*)\}$/.exec(template)
  if (alone) return valuesAt(alone[1]!)
  const text = template.replaceAll(/\{\{|\}\}|\{(\d*)\}/g, (whole, index: string | undefined) =>
    index === undefined ? whole[0]! : one('{0}', [valuesAt(index)]),
  )
  return [text]
}
