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
  /** A rule that is one word and no check ("'role:admin'", 'and', ')'): it can't be decided. */
  | { kind: 'word'; word: string }

type Token = '(' | ')' | 'and' | 'or' | 'not' | { check: string; quoted: boolean }

/**
 * Reads a check string, or the legacy form: a list (or) of lists (and) of checks. A word that is no check (`admin`) denies by itself, and
 * the rest of the rule holds; `hear` is told of it.
 * @throws Error that names what was expected where; such a rule denies as a whole
 */
export function parse(rule: unknown, hear: (problem: string) => void = () => {}): Check {
  if (Array.isArray(rule)) return parseList(rule, hear)
  if (rule === null || rule === undefined || rule === '') return { kind: 'true' }
  if (typeof rule !== 'string') throw new Error(`A rule is a string or a list, not ${typeof rule}`)
  const tokens = tokenize(rule)
  if (tokens.length === 0) throw new Error('A rule of nothing but white space says nothing; an empty one allows everyone')
  const [only] = tokens
  if (tokens.length === 1 && (typeof only === 'string' || only!.quoted)) {
    hear(`Expected a check, found ${name(only)}`)
    return { kind: 'word', word: rule.trim() }
  }
  const reader = { tokens, next: 0, rule, hear }
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
    case 'check': {
      const text = `${check.left}:${check.right}`
      return isQuoted(text) ? `(${text})` : text
    }
    case 'word':
      return check.word
    default:
      return check.of.map(inner).join(` ${check.kind} `)
  }
}

const inner = (check: Check) => (check.kind === 'and' || check.kind === 'or' ? `(${print(check)})` : print(check))

// An empty list allows everyone; a list that holds only empty lists no one.
function parseList(rules: unknown[], hear: (problem: string) => void): Check {
  if (rules.length === 0) return { kind: 'true' }
  const choices: Check[] = []
  for (const item of rules) {
    if (item === '' || item === null) continue
    const checks = Array.isArray(item) ? item : [item]
    if (checks.length === 0) continue
    const all = checks.map((check): Check => {
      if (typeof check !== 'string') throw new Error('A list of rules holds check strings or lists of them')
      return parseCheck(check, hear)
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
    else if (clean !== '') tokens.push({ check: clean, quoted: isQuoted(opened) })
    for (let i = clean.length; i < opened.length; i++) tokens.push(')')
  }
  return tokens
}

// A word in quotes is a string, which is no check; with a parenthesis behind it is a check that happens to begin and end with a quote.
const isQuoted = (word: string) => /^(['"]).*\1$/su.test(word)

interface Reader {
  tokens: Token[]
  next: number
  rule: string
  hear: (problem: string) => void
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
  if (typeof token === 'object' && !token.quoted) return parseCheck(token.check, reader.hear)
  throw new Error(`Expected a check, found ${name(token)} in '${reader.rule}'`)
}

function parseCheck(text: string, hear: (problem: string) => void): Check {
  if (text === '@') return { kind: 'true' }
  if (text === '!') return { kind: 'false' }
  const colon = text.indexOf(':')
  if (colon < 0) {
    hear(`'${text}' is no check: it needs the form kind:match, '@' or '!'`)
    return { kind: 'false' }
  }
  return { kind: 'check', left: text.slice(0, colon), right: text.slice(colon + 1) }
}

const name = (token: Token | undefined) => (token === undefined ? 'the end' : typeof token === 'object' ? `'${token.check}'` : `'${token}'`)
