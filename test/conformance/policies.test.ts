// Rules under OpenStack's names, with OpenStack's defaults: policies.tsv says what Keystone's and Glance's are (name, default, the tokens that
// it is for; read from their programs in July 2026). Ours may be worded otherwise, but must mean the same for any caller and object.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Check, parse, print } from '../../src/http/check-string.ts'
import type { Scope, Scopes } from '../../src/http/policy.ts'
import { readPolicies } from './policies.ts'
import { allServices } from './services.ts'

const services = allServices()
const reference = readPolicies()
const types = [...new Set(reference.map(({ service }) => service))]
const ours = (type: string) => services.find((service) => service.type === type)!

const owner = 'the user of the path is the owner: a credential of someone else is not found under it'
/** What is meant otherwise, and why. */
const deviations: Record<string, string> = {
  'identity:ec2_create_credential': owner,
  'identity:ec2_delete_credential': owner,
  'identity:ec2_get_credential': owner,
}
/** Rules of no use to us. */
const absent: Record<string, string> = {
  'identity:list_projects_for_user': 'of no operation any more: GET /users/{id}/projects asks list_user_projects',
  'identity:list_domains_for_user': 'of no operation at all',
}
/** Where the reference names the same thing by two names. */
const synonyms: [RegExp, string][] = [
  [/%\(target\.user\.id\)s/g, '%(user_id)s'],
  [/token\.domain\.id:/g, 'domain_id:'],
]

test('every rule of the reference has its name, and no other is there', () => {
  for (const type of types) {
    const names = reference.filter(({ service }) => service === type).map(({ rule }) => rule)
    const known = Object.keys(ours(type).policies)
    assert.deepEqual(
      names.filter((name) => !known.includes(name) && !(name in absent)),
      [],
      `rules of ${type} that are missing`,
    )
    assert.deepEqual(
      known.filter((name) => !names.includes(name)),
      [],
      `rules of ${type} that are unknown elsewhere`,
    )
  }
})

test('every default means what the reference means', () => {
  const wrong: string[] = []
  for (const { service, rule, check } of reference) {
    const own = ours(service).policies
    if (own[rule] === undefined) continue
    const theirs = Object.fromEntries(reference.filter((one) => one.service === service).map((one) => [one.rule, one.check]))
    const difference = compare(resolve(parse(check), theirs), resolve(parse(own[rule]), own))
    if (difference !== undefined && !(rule in deviations))
      wrong.push(`${service} ${rule}: ${difference}\n  reference: ${check}\n  ours: ${own[rule]}`)
  }
  assert.deepEqual(wrong, [])
})

test('every rule is for the same tokens', () => {
  const every: Scope[] = ['project', 'domain', 'system']
  const wrong = reference.flatMap(({ service, rule, scopes }) => {
    // Those of identity that other rules refer to are asked by themselves nowhere.
    if (ours(service).policies[rule] === undefined || (service === 'identity' && !rule.includes(':'))) return []
    const own = scopesOf(ours(service).scopes, rule) ?? every
    return every
      .filter((scope) => own.includes(scope) !== (scopes.length === 0 || scopes.includes(scope)))
      .map((scope) => `${rule}: ${scope}`)
  })
  assert.deepEqual(wrong, [])
})

const scopesOf = (scopes: Scopes | undefined, rule: string) => (typeof scopes === 'function' ? scopes(rule) : scopes)

/** Without references to other rules. */
function resolve(check: Check, rules: Record<string, string>): Check {
  if (check.kind === 'and' || check.kind === 'or') return { kind: check.kind, of: check.of.map((part) => resolve(part, rules)) }
  if (check.kind === 'not') return { kind: 'not', of: resolve(check.of, rules) }
  if (check.kind === 'check' && check.left === 'rule') return resolve(parse(rules[check.right] ?? '!'), rules)
  return check
}

const textOf = (check: Check) => synonyms.reduce((text, [pattern, name]) => text.replaceAll(pattern, name), print(check))

function partsOf(check: Check): string[] {
  if (check.kind === 'and' || check.kind === 'or') return check.of.flatMap(partsOf)
  if (check.kind === 'not') return partsOf(check.of)
  return check.kind === 'check' ? [textOf(check)] : []
}

function holds(check: Check, facts: Map<string, boolean>): boolean {
  if (check.kind === 'and') return check.of.every((part) => holds(part, facts))
  if (check.kind === 'or') return check.of.some((part) => holds(part, facts))
  if (check.kind === 'not') return !holds(check.of, facts)
  return check.kind === 'check' ? facts.get(textOf(check))! : check.kind === 'true'
}

/** Tries all that can be true of the parts of both; says where they differ. */
function compare(one: Check, other: Check): string | undefined {
  const parts = [...new Set([...partsOf(one), ...partsOf(other)])]
  assert.ok(parts.length <= 20, parts.join(', '))
  for (let bits = 0; bits < 2 ** parts.length; bits++) {
    const facts = new Map(parts.map((part, i) => [part, Boolean((bits >> i) & 1)]))
    if (possible(facts) && holds(one, facts) !== holds(other, facts))
      return `${holds(one, facts) ? 'denied' : 'allowed'} only here if ${parts.filter((part) => facts.get(part)).join(', ') || 'nothing holds'}`
  }
}

/** There is no token that stands above all (`is_admin:1`), and what has no domain or project equals none. */
const possible = (facts: Map<string, boolean>) =>
  !facts.get('is_admin:1') &&
  [...facts].every(
    ([part, true_]) =>
      !true_ ||
      !part.startsWith('None:') ||
      ![...facts].some(([other, too]) => too && other !== part && other.endsWith(part.slice('None'.length))),
  )
