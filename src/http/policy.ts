/**
 * Who may do what, in oslo.policy's rule language: defaults come from each service's table of rules, an operator's policy file
 * overrides them. Every check is parsed once, into closures; what is broken denies, and what is unknown is what the rule `default` says.
 */
import { readFileSync, statSync, unwatchFile, watchFile } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { parse as parseYaml } from 'yaml'
import { compile, credentials, type Deny, type Grant, type Target, Undecidable } from './check.ts'
import { type Check, parse } from './check-string.ts'
import type { Who } from './who.ts'

export type { Target } from './check.ts'

/** A service's rules and their default check strings, by OpenStack's own names. */
export type PolicyDefaults = Record<string, string>

/** What a token may be for; one without any scope counts as one for a project, as in oslo.policy. */
export type Scope = 'project' | 'domain' | 'system'

/**
 * Which tokens a service's rules are for, all of them or each, whatever they say of roles (oslo.policy's scope_types: part of the program,
 * not of the operator's file).
 */
export type Scopes = readonly Scope[] | ((rule: string) => readonly Scope[])

/** What of a service policy wants to know. */
export interface Governed {
  type: string
  policies: PolicyDefaults
  /** Without it, every rule is for every token. */
  scopes?: Scopes
}

/** The rules of one service. */
export interface Policy {
  has(rule: string): boolean
  /** Whether the rule is for tokens such as this one at all; `allows` asks it, too. */
  fits(rule: string, who: Who): boolean
  allows(rule: string, who: Who, target: Target): boolean
  /** Says which part of the rule failed, as the end of a sentence ("it needs role:admin …"); '' if it allows. */
  explain(rule: string, who: Who, target: Target): string
}

export interface PolicyEnforcer {
  /** The rules of the service of this type; the object stays the same when the file is read again. */
  of(service: string): Policy
  /** Stops watching the file. */
  close(): void
}

export interface PolicyOptions {
  /**
   * A YAML or JSON file whose entries override every service that knows the rule (helper rules go to all), or a folder with
   * `<service type>.yaml` (or .json) for each service. A path that does not exist yet is watched, too.
   */
  path?: string
  log?: Pick<Logger, 'info' | 'warn' | 'error'>
  /** How often to look for a change, in milliseconds (default 5,000). */
  interval?: number
}

interface Compiled {
  grant: Grant
  deny: Deny
}

/**
 * Makes the enforcer of all services.
 * @throws Error if the policy file can't be read as YAML at the start; later, a broken file keeps the rules that hold and is logged
 */
export function openPolicy(services: Governed[], options: PolicyOptions = {}): PolicyEnforcer {
  const defaults = new Map<string, PolicyDefaults>()
  for (const { type, policies } of services) defaults.set(type, { ...defaults.get(type), ...policies })
  const tables = new Map<string, Map<string, Compiled>>()

  const load = () => {
    const fresh = new Map<string, Map<string, Compiled>>()
    for (const [type, own] of defaults)
      fresh.set(type, compileAll({ ...own, ...overrides(options.path, type, own, defaults) }, type, options))
    for (const [type, table] of fresh) tables.set(type, table)
  }
  load()

  const watched = options.path === undefined ? [] : filesOf(options.path, [...defaults.keys()])
  const reload = () => {
    try {
      load()
      options.log?.info({ path: options.path }, 'policy read again')
    } catch (error) {
      options.log?.error({ path: options.path, err: error }, 'policy file is broken: the rules from before still hold')
    }
  }
  for (const file of watched) watchFile(file, { interval: options.interval ?? 5_000, persistent: false }, reload)

  const policies = new Map<string, Policy>()
  return {
    of(service) {
      let policy = policies.get(service)
      if (!policy) {
        policy = policyOf(service, tables, services.find(({ type, scopes }) => type === service && scopes)?.scopes)
        policies.set(service, policy)
      }
      return policy
    },
    close() {
      for (const file of watched) unwatchFile(file, reload)
    },
  }
}

const everyScope: Scopes = ['project', 'domain', 'system']
const scopeOf = (who: Who): Scope => (who.system ? 'system' : who.domain ? 'domain' : 'project')

function policyOf(service: string, tables: Map<string, Map<string, Compiled>>, scopes = everyScope): Policy {
  const scopesOf = (rule: string) => (typeof scopes === 'function' ? scopes(rule) : scopes)
  const fits = (rule: string, who: Who) => scopesOf(rule).includes(scopeOf(who))
  return {
    has: (rule) => tables.get(service)?.has(rule) ?? false,
    fits,
    allows(rule, who, target) {
      const compiled = tables.get(service)?.get(rule)
      return (
        compiled !== undefined &&
        fits(rule, who) &&
        decided(
          () => compiled.grant(credentials(who), target),
          () => false,
        )
      )
    },
    explain(rule, who, target) {
      const compiled = tables.get(service)?.get(rule)
      if (!compiled) return 'no such rule is known'
      if (!fits(rule, who)) return `it needs a token of ${scopesOf(rule).map(describe).join(' or of ')}, not of ${describe(scopeOf(who))}`
      return decided(
        () => compiled.deny(credentials(who), target),
        (why) => `the rule can't be decided: ${why}`,
      )
    },
  }
}

const describe = (scope: Scope) => (scope === 'system' ? 'the system' : `a ${scope}`)

function decided<T>(ask: () => T, otherwise: (why: string) => T): T {
  try {
    return ask()
  } catch (error) {
    if (error instanceof Undecidable) return otherwise(error.message)
    throw error
  }
}

export interface RuleInForce {
  service: string
  rule: string
  check: string
  /** The service's own; undefined for a rule that only the policy file has. */
  default?: string
}

/** Every rule of these services with the check string that holds: the policy file's where it has one, else the default. */
export function rulesInForce(services: Governed[], path?: string): RuleInForce[] {
  const all = new Map(services.map(({ type, policies }) => [type, policies]))
  return services.flatMap(({ type, policies }) =>
    Object.entries({ ...policies, ...overrides(path, type, policies, all) }).map(([rule, check]) => ({
      service: type,
      rule,
      check: typeof check === 'string' ? check : JSON.stringify(check),
      ...(Object.hasOwn(policies, rule) && { default: policies[rule]! }),
    })),
  )
}

const extensions = ['yaml', 'json']
const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

const filesOf = (path: string, types: string[]) =>
  isFolder(path) ? types.flatMap((type) => extensions.map((extension) => join(path, `${type}.${extension}`))) : [path]

function overrides(path: string | undefined, type: string, own: PolicyDefaults, all: Map<string, PolicyDefaults>): Record<string, unknown> {
  if (path === undefined) return {}
  const folder = isFolder(path)
  const found: Record<string, unknown> = {}
  for (const file of filesOf(path, [type])) {
    if (!statSync(file, { throwIfNoEntry: false })) continue
    for (const [rule, check] of Object.entries(readRules(file))) {
      const elsewhere = !folder && !Object.hasOwn(own, rule) && [...all.values()].some((other) => Object.hasOwn(other, rule))
      if (!elsewhere) found[rule] = check
    }
  }
  return found
}

function readRules(file: string): Record<string, unknown> {
  let rules: unknown
  try {
    rules = parseYaml(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new Error(`The policy file ${file} is not valid YAML: ${error instanceof Error ? error.message : error}`)
  }
  if (rules === null || rules === undefined) return {}
  if (typeof rules !== 'object' || Array.isArray(rules)) throw new Error(`The policy file ${file} must map rule names to check strings`)
  return rules as Record<string, unknown>
}

function compileAll(rules: Record<string, unknown>, service: string, { log }: PolicyOptions): Map<string, Compiled> {
  const parsed = new Map<string, Check>()
  for (const [rule, text] of Object.entries(rules)) {
    try {
      parsed.set(
        rule,
        parse(text, (problem) => log?.warn({ service, rule, problem }, 'policy rule has a check that denies everyone')),
      )
    } catch (error) {
      log?.warn({ service, rule, problem: error instanceof Error ? error.message : error }, 'policy rule is broken and denies everyone')
      parsed.set(rule, { kind: 'false' })
    }
  }
  const round = new Set(circular(parsed))
  for (const rule of round) log?.warn({ service, rule }, 'policy rule leads back to itself and denies whoever gets there')
  const table = new Map<string, Compiled>()
  for (const [rule, check] of parsed) table.set(rule, compile(check, table, round.has(rule)))
  return table
}

/** The rules that reach themselves through `rule:` (or through `is_admin`, which stands for `rule:context_is_admin`). */
function circular(rules: Map<string, Check>): string[] {
  const bad: string[] = []
  for (const start of rules.keys()) {
    const seen = new Set<string>()
    const open = refersTo(rules.get(start)!)
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (seen.has(next)) continue
      seen.add(next)
      const check = rules.get(next) ?? rules.get('default')
      if (check) open.push(...refersTo(check))
      if (!rules.has(next)) seen.add('default')
    }
    if (seen.has(start)) bad.push(start)
  }
  return bad
}

function refersTo(check: Check): string[] {
  if (check.kind === 'and' || check.kind === 'or') return check.of.flatMap(refersTo)
  if (check.kind === 'not') return refersTo(check.of)
  if (check.kind !== 'check') return []
  if (check.left === 'rule') return [check.right]
  return check.left === 'is_admin' ? ['context_is_admin'] : []
}
