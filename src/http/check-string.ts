/**
 * oslo.policy's rule language: check strings such as `role:admin or (role:member and project_id:%(project_id)s)` as a tree.
 * Grammar and precedence (not, and, or) follow oslo_policy/_parser.py, so that an operator's policy.yaml means the same here.
 */

export type Check =
  | { kind: 'true' }
  | { kind: 'false' }
  | { kind: 'and'; of: Check[] }
  | { kind: 'or'; of: Check[] }
  | { kind: 'not'; of: Check }
  | { kind: 'check'; left: string; right: string }

type Token = '(' | ')' | 'and' | 'or' | 'not' | { check: string }

/**
 * Reads a check string, or the legacy form: a list (or) of lists (and) of checks.
 * @throws Error that names what was expected where
 */
export function parse(rule: unknown): Check {
  if (Array.isArray(rule)) return parseList(rule)
  if (rule === null || rule === undefined) return { kind: 'true' }
  if (typeof rule !== 'string') throw new Error(`A rule is a string or a list, not ${typeof rule}`)
  const tokens = tokenize(rule)
  if (tokens.length === 0) return { kind: 'true' }
  const reader = { tokens, next: 0, rule }
  const check = readOr(reader)
  if (reader.next < tokens.length) throw new Error(`Unexpected ${name(tokens[reader.next])} in '${rule}'`)
  return check
}

/** Writes the tree so that `parse` reads the same tree again. */
export function print(check: Check): string {
  switch (check.kind) {
    case 'true':
      return '@'
    case 'false':
      return '!'
    case 'not':
      return `not ${inner(check.of)}`
    case 'check':
      return `${check.left}:${check.right}`
    default:
      return check.of.map(inner).join(` ${check.kind} `)
  }
}

const inner = (check: Check) => (check.kind === 'and' || check.kind === 'or' ? `(${print(check)})` : print(check))

// An empty list allows everyone; a list that holds only empty lists no one.
function parseList(rules: unknown[]): Check {
  if (rules.length === 0) return { kind: 'true' }
  const choices: Check[] = []
  for (const item of rules) {
    const checks = Array.isArray(item) ? item : [item]
    if (checks.length === 0) continue
    const all = checks.map((check): Check => {
      if (typeof check !== 'string') throw new Error('A list of rules holds check strings or lists of them')
      return parseCheck(check)
    })
    choices.push(all.length === 1 ? all[0]! : { kind: 'and', of: all })
  }
  if (choices.length === 0) return { kind: 'false' }
  return choices.length === 1 ? choices[0]! : { kind: 'or', of: choices }
}

// Words are split at white space; parentheses count only at a word's ends, so that `%(project_id)s` stays whole.
function tokenize(rule: string): Token[] {
  const tokens: Token[] = []
  for (const word of rule.split(/\s+/)) {
    if (word === '') continue
    const opened = word.replace(/^\(+/, '')
    for (let i = opened.length; i < word.length; i++) tokens.push('(')
    const clean = opened.replace(/\)+$/, '')
    const lower = clean.toLowerCase()
    if (lower === 'and' || lower === 'or' || lower === 'not') tokens.push(lower)
    else if (clean !== '') tokens.push({ check: clean })
    for (let i = clean.length; i < opened.length; i++) tokens.push(')')
  }
  return tokens
}

interface Reader {
  tokens: Token[]
  next: number
  rule: string
}

function readOr(reader: Reader): Check {
  const of = [readAnd(reader)]
  while (reader.tokens[reader.next] === 'or') {
    reader.next++
    of.push(readAnd(reader))
  }
  return of.length === 1 ? of[0]! : { kind: 'or', of }
}

function readAnd(reader: Reader): Check {
  const of = [readOne(reader)]
  while (reader.tokens[reader.next] === 'and') {
    reader.next++
    of.push(readOne(reader))
  }
  return of.length === 1 ? of[0]! : { kind: 'and', of }
}

function readOne(reader: Reader): Check {
  const token = reader.tokens[reader.next++]
  if (token === 'not') return { kind: 'not', of: readOne(reader) }
  if (token === '(') {
    const check = readOr(reader)
    if (reader.tokens[reader.next++] !== ')') throw new Error(`A parenthesis is not closed in '${reader.rule}'`)
    return check
  }
  if (typeof token === 'object') return parseCheck(token.check)
  throw new Error(`Expected a check, found ${name(token)} in '${reader.rule}'`)
}

function parseCheck(text: string): Check {
  if (text === '@') return { kind: 'true' }
  if (text === '!') return { kind: 'false' }
  const colon = text.indexOf(':')
  const quoted = text.length > 1 && (text.startsWith("'") || text.startsWith('"')) && text.endsWith(text[0]!)
  if (colon < 0 || quoted) throw new Error(`'${text}' is no check: it needs the form kind:match, '@' or '!'`)
  return { kind: 'check', left: text.slice(0, colon), right: text.slice(colon + 1) }
}

const name = (token: Token | undefined) => (token === undefined ? 'the end' : typeof token === 'object' ? `'${token.check}'` : `'${token}'`)
