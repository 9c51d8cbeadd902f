/**
 * What a parsed check asks of a caller and a target: each node of the tree becomes two closures, one that answers quickly and one
 * that says why not. The meaning of each kind follows oslo_policy/_checks.py and neutron/policy.py (`field:`).
 */
import { type Check, print } from './check-string.ts'
import type { Who } from './who.ts'

/** What a rule is checked against; nested objects are reached by dotted keys, and a flat key with dots wins over them. */
export type Target = Record<string, unknown>

/** A caller as oslo.policy names its parts. */
export type Credentials = Record<string, unknown> & { roles: string[]; lowerRoles: Set<string> }

export type Grant = (creds: Credentials, target: Target) => boolean
/** Why it is refused, or '' if it is not. */
export type Deny = (creds: Credentials, target: Target) => string
type Rules = Map<string, { grant: Grant; deny: Deny }>

const known = new WeakMap<Who, Credentials>()

/** The caller's credentials under oslo.policy's names; made once for each Who. */
export function credentials(who: Who): Credentials {
  let creds = known.get(who)
  if (creds) return creds
  creds = {
    user_id: who.user.id,
    user_name: who.user.name,
    user_domain_id: who.user.domain.id,
    project_id: who.project?.id,
    tenant_id: who.project?.id,
    project_name: who.project?.name,
    project_domain_id: who.project?.domain.id,
    domain_id: who.domain?.id,
    domain_name: who.domain?.name,
    system_scope: who.system ? 'all' : undefined,
    is_admin_project: true,
    roles: who.roles,
    lowerRoles: new Set(who.roles.map((role) => role.toLowerCase())),
    token: { user: who.user, project: who.project, domain: who.domain, roles: who.roles, methods: who.methods, audit_ids: who.auditIds },
  }
  known.set(who, creds)
  return creds
}

/** Makes the closures of one rule; `rules` may be filled later, `rule:x` looks there when asked. */
export function compile(check: Check, rules: Rules): { grant: Grant; deny: Deny } {
  const grant = grantOf(check, rules)
  return { grant, deny: (creds, target) => (grant(creds, target) ? '' : why(check, rules, creds, target)) }
}

function grantOf(check: Check, rules: Rules): Grant {
  switch (check.kind) {
    case 'true':
      return () => true
    case 'false':
      return () => false
    case 'not': {
      const of = grantOf(check.of, rules)
      return (creds, target) => !of(creds, target)
    }
    case 'and': {
      const all = check.of.map((part) => grantOf(part, rules))
      return (creds, target) => all.every((part) => part(creds, target))
    }
    case 'or': {
      const any = check.of.map((part) => grantOf(part, rules))
      return (creds, target) => any.some((part) => part(creds, target))
    }
    case 'check':
      return grantOne(check.left, check.right, rules)
  }
}

function grantOne(left: string, right: string, rules: Rules): Grant {
  if (left === 'rule') return (creds, target) => rules.get(right)?.grant(creds, target) ?? false
  if (left === 'field') return fieldCheck(right)
  const fill = template(right)
  if (left === 'role') {
    return (creds, target) => {
      const role = fill(target)
      return role !== undefined && creds.lowerRoles.has(role.toLowerCase())
    }
  }
  if (left === 'is_admin') {
    return (creds, target) => fill(target) === pythonText(rules.get('context_is_admin')?.grant(creds, target) ?? false)
  }
  const literal = literalOf(left)
  if (literal !== undefined) return (_creds, target) => fill(target) === literal
  const path = left.split('.')
  return (creds, target) => {
    const wanted = fill(target)
    return wanted !== undefined && matches(Object.hasOwn(creds, left) ? creds[left] : creds, Object.hasOwn(creds, left) ? [] : path, wanted)
  }
}

/** A caller without the attribute never matches: an unscoped token must not own what belongs to no project. */
function matches(value: unknown, path: string[], wanted: string): boolean {
  if (value === undefined || value === null) return false
  if (Array.isArray(value)) return value.some((item) => matches(item, path, wanted))
  const [key, ...rest] = path
  if (key === undefined) return pythonText(value) === wanted
  return typeof value === 'object' && Object.hasOwn(value, key) && matches((value as Record<string, unknown>)[key], rest, wanted)
}

/** `field:networks:router:external=True`: an attribute of the target against a value, or against a pattern after `~`. */
function fieldCheck(match: string): Grant {
  const colon = match.indexOf(':')
  const equals = match.indexOf('=', colon + 1)
  if (colon < 0 || equals < 0) return () => false
  const field = match.slice(colon + 1, equals)
  const value = match.slice(equals + 1)
  if (!value.startsWith('~')) return (_creds, target) => Object.hasOwn(target, field) && pythonText(target[field]) === value
  const pattern = regular(value.slice(1))
  return (_creds, target) => Object.hasOwn(target, field) && (pattern?.test(pythonText(target[field])) ?? false)
}

function regular(source: string): RegExp | undefined {
  try {
    return new RegExp(`^(?:${source})`, 'u')
  } catch {
    return undefined
  }
}

/** The value of a left side that is a Python literal ('public', "public", True, None, 5), as text. */
function literalOf(left: string): string | undefined {
  const quote = left[0]
  if ((quote === "'" || quote === '"') && left.length > 1 && left.endsWith(quote)) return left.slice(1, -1)
  if (left === 'None' || left === 'True' || left === 'False') return left
  return /^-?\d+(\.\d+)?$/.test(left) ? left : undefined
}

/** `%(a.b)s` in a match becomes the target's value; a key that the target lacks makes the check fail. */
function template(match: string): (target: Target) => string | undefined {
  const parts = match.split(/%\(([^)]*)\)s/)
  if (parts.length === 1) {
    const fixed = match.replaceAll('%%', '%')
    return () => fixed
  }
  return (target) => {
    let text = ''
    for (let i = 0; i < parts.length; i++) {
      if (i % 2 === 0) text += parts[i]!.replaceAll('%%', '%')
      else {
        const value = lookUp(target, parts[i]!)
        if (value === undefined) return undefined
        text += pythonText(value)
      }
    }
    return text
  }
}

const alias: Record<string, string> = { tenant_id: 'project_id', project_id: 'tenant_id' }

function lookUp(target: Target, key: string): unknown {
  if (Object.hasOwn(target, key)) return target[key]
  const other = alias[key]
  if (other !== undefined && Object.hasOwn(target, other)) return target[other]
  let value: unknown = target
  for (const part of key.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<string, unknown>)[part]
  }
  return value
}

const pythonText = (value: unknown) =>
  value === true ? 'True' : value === false ? 'False' : value === null || value === undefined ? 'None' : String(value)

function why(check: Check, rules: Rules, creds: Credentials, target: Target): string {
  switch (check.kind) {
    case 'and': {
      const failed = check.of.find((part) => !grantOf(part, rules)(creds, target))
      return failed ? why(failed, rules, creds, target) : ''
    }
    case 'or':
      return [...new Set(check.of.map((part) => why(part, rules, creds, target)))].join(', or ')
    case 'check': {
      if (check.left === 'rule') {
        const rule = rules.get(check.right)
        return rule ? rule.deny(creds, target) : `it needs the rule '${check.right}', which is not defined`
      }
      if (check.left === 'role') return `it needs ${print(check)} (the token has ${creds.roles.join(', ') || 'no roles'})`
      return `it needs ${print(check)}`
    }
    case 'false':
      return 'nobody is allowed to'
    default:
      return `it needs ${print(check)}`
  }
}
