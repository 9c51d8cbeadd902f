/** What every room's tests ask of its table: that nothing is reachable by accident and nothing shadows anything else. */
import { parse } from './check-string.ts'
import { splitRoute } from './route.ts'
import { lives } from './schema.ts'
import type { AnyRow, Service } from './table.ts'

/** Complaints about the services' tables, each a sentence; none for good ones. */
export function checkRows(services: Service[]): string[] {
  return [...services.flatMap(checkService), ...checkPrefixes(services)]
}

function checkService(service: Service): string[] {
  const complaints: string[] = []
  const say = (row: AnyRow, problem: string) => complaints.push(`${service.type}: ${row.route} ${problem}`)
  const policies = new Map(Object.entries(service.policies))
  for (const [rule, check] of policies) {
    try {
      parse(check)
    } catch (error) {
      complaints.push(`${service.type}: the rule ${rule} can't be parsed: ${error instanceof Error ? error.message : error}`)
    }
    for (const [, name] of check.matchAll(/(?<![\w:])rule:([^\s()]+)/g)) {
      if (!policies.has(name!)) complaints.push(`${service.type}: the rule ${rule} refers to rule:${name}, which is not defined`)
    }
  }
  const names = new Map<string, string>()
  const rows = service.rows.map((row) => ({ row, ...splitRoute(row.route) }))
  for (const [i, { row, method, path, action }] of rows.entries()) {
    if (row.policy !== null && !policies.has(row.policy)) say(row, `has the policy ${row.policy}, which has no default`)
    if (row.policy === null && row.target !== undefined) say(row, 'is open to anyone but names a policy target')
    if ((row.since !== undefined || row.until !== undefined) && !service.microversion)
      say(row, 'has since/until, but the service has no microversions')
    if (action && method !== 'POST') say(row, 'selects by action but is no POST')
    if (action && !row.body) say(row, 'is an action without a body schema')
    if ((method === 'GET' || method === 'HEAD') && row.body) say(row, 'has a body, which GET and HEAD never read')
    if (row.input === 'stream' && row.body) say(row, 'reads a stream, so its body schema is never checked')
    if (row.input === 'stream' && method !== 'GET' && row.transaction !== 'own')
      say(row, 'would hold a transaction open while a client uploads')
    const generic = `${method} ${path.replaceAll(/:\w+/g, ':')}`
    const named = names.get(generic)
    if (named !== undefined && named !== path) say(row, `names its params otherwise than ${method} ${named}`)
    names.set(generic, path)
    for (const other of rows.slice(0, i)) {
      if (other.method !== method || other.path !== path) continue
      if ((other.action === '') !== (action === '')) say(row, 'has a form that is selected by its action and one that is not')
      else if (other.action === action && overlap(other.row, row)) say(row, 'is there twice')
      else if (action && String(other.row.input) !== String(row.input)) say(row, 'takes another input than the other actions of its path')
    }
  }
  return [...new Set(complaints)]
}

/** Bounds are inclusive, so two windows overlap if either one's start lies in the other. */
const overlap = (a: AnyRow, b: AnyRow) =>
  lives(a, b.since ?? '0.0') || lives(b, a.since ?? '0.0') || (a.since === undefined && b.since === undefined)

function checkPrefixes(services: Service[]): string[] {
  const owners = new Map<string, string>()
  const complaints: string[] = []
  for (const { type, prefixes } of services) {
    for (const prefix of prefixes) {
      if (prefix !== '' && (!prefix.startsWith('/') || prefix.endsWith('/')))
        complaints.push(`${type}: the prefix '${prefix}' must start with / and not end with it`)
      const owner = owners.get(prefix)
      if (owner !== undefined) complaints.push(`${type}: the prefix ${prefix} belongs to ${owner} already`)
      owners.set(prefix, type)
    }
  }
  return complaints
}
