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

/**
 * Where the reference's engine breaks off with an exception (`role:%d`, `5a:x`, a rule that leads back to itself) nothing can be said
 * about the rule, not even under `not`: whoever asks takes this for a no.
 */
export class Undecidable extends Error {}

const known = new WeakMap<Who, Credentials>()

/** The caller's credentials under oslo.policy's names; made once for each Who. */
export function credentials(who: Who): Credentials {
  let creds = known.get(who)
  if (creds) return creds
  creds = {
    user_id: who.user.id,
    user_name: who.user.name,
    user_domain_id: who.user.domain.id,
    project_id: who.project?.id ?? null,
    tenant_id: who.project?.id ?? null,
    project_name: who.project?.name ?? null,
    project_domain_id: who.project?.domain.id ?? null,
    domain_id: who.domain?.id ?? null,
    domain_name: who.domain?.name ?? null,
    system_scope: who.system ? 'all' : null,
    // What it was called before; oslo.policy knows both.
    system: who.system ? 'all' : undefined,
    is_admin_project: true,
    roles: who.roles,
    lowerRoles: new Set(who.roles.map((role) => role.toLowerCase())),
    token: {
      user: who.user,
      ...(who.project && { project: who.project }),
      ...(who.domain && { domain: who.domain }),
      roles: who.roles,
      methods: who.methods,
      audit_ids: who.auditIds,
    },
  }
  known.set(who, creds)
  return creds
}

/**
 * Makes the closures of one rule; `rules` may be filled later, `rule:x` looks there when asked. They throw Undecidable.
 * @param circular whether the rule may lead back to itself
 */
export function compile(check: Check, rules: Rules, circular = false): { grant: Grant; deny: Deny } {
  const plain = grantOf(check, rules)
  const grant = circular ? once(plain) : plain
  return { grant, deny: (creds, target) => (grant(creds, target) ? '' : why(check, rules, creds, target)) }
}

/** Caller and target stay the same while a rule is asked, so one that is asked again meanwhile would never end. */
function once(grant: Grant): Grant {
  let asked = false
  return (creds, target) => {
    if (asked) throw new Undecidable('it leads back to itself')
    asked = true
    try {
      return grant(creds, target)
    } finally {
      asked = false
    }
  }
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
    case 'word':
      return () => {
        throw new Undecidable(`${check.word} is no check`)
      }
  }
}

function grantOne(left: string, right: string, rules: Rules): Grant {
  if (left === 'rule') return (creds, target) => named(right, rules)?.grant(creds, target) ?? false
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
    if (wanted === undefined) return false
    if (!isPath(left)) throw new Undecidable(`'${left}' is neither an attribute of the caller nor a literal`)
    return matches(creds, path, wanted, right === 'None')
  }
}

/** The rule of this name, or the one named `default`, which stands in for all that are missing. */
const named = (rule: string, rules: Rules) => rules.get(rule) ?? rules.get('default')

/**
 * A caller who lacks the attribute matches the word `None` in a rule, but never an object that lacks it, too: an unscoped token must not
 * own what belongs to no project. (The reference compares the texts, and its rules have to say `and not None:…`.)
 */
function matches(value: unknown, path: string[], wanted: string, none: boolean): boolean {
  if (value === undefined) return false
  const [key, ...rest] = path
  if (key === undefined) return value === null ? none : pythonText(value) === wanted
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Undecidable(`'${key}' is asked of what has no parts`)
  const part = Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined
  return Array.isArray(part) ? part.some((item) => matches(item, rest, wanted, none)) : matches(part, rest, wanted, none)
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
  if (/^'[^'\\]*'$|^"[^"\\]*"$/u.test(left)) return left.slice(1, -1)
  if (left === 'None' || left === 'True' || left === 'False') return left
  if (/^[+-]?(0|[1-9]\d*)$/.test(left)) return String(BigInt(left.replace('+', '')))
  return /^-?(0|[1-9]\d*)\.\d*[1-9]$/.test(left) ? left : undefined
}

// What Python would not read as an expression stops the reference's engine: it tries each left side as a literal first.
const keywords = new Set(
  `and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or
  pass raise return try while with yield`.split(/\s+/),
)
const isPath = (left: string) =>
  /^[\p{L}_][\p{L}\p{N}_]*([.-][\p{L}_][\p{L}\p{N}_]*)*$/u.test(left) && !left.split(/[.-]/).some((part) => keywords.has(part))

// What stands for a list or an object: nothing in a database has a NUL in it.
const unequalled = '\0'

/**
 * `%(a.b)s` in a match becomes the target's value and `%%` a percent sign; a key that the target lacks makes the check fail. A list or an
 * object (and `%s`, the whole target) equals no text. Any other use of `%` can't be decided.
 */
function template(match: string): (target: Target) => string | undefined {
  if (!match.includes('%')) return () => match
  const parts = match.split(/%(?:\(([^()]*)\)(s?)|%)/)
  const stray = () => new Undecidable(`'${match}' has a % that stands for nothing`)
  return (target) => {
    let text = ''
    for (let i = 0; i < parts.length; i += 3) {
      const [plain, key, conversion] = [parts[i]!, parts[i + 1], parts[i + 2]]
      if (plain.replaceAll('%s', '').includes('%')) throw stray()
      text += plain.replaceAll('%s', unequalled)
      if (i + 1 >= parts.length) break
      if (key === undefined) {
        text += '%'
        continue
      }
      const value = lookUp(target, key)
      if (value === undefined) return undefined
      if (conversion !== 's') throw stray()
      text += typeof value === 'object' && value !== null ? unequalled : pythonText(value)
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
        const rule = named(check.right, rules)
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
