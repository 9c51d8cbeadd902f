import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Check, parse, print } from './check-string.ts'

const check = (left: string, right: string): Check => ({ kind: 'check', left, right })
const [a, b, c] = [check('role', 'a'), check('role', 'b'), check('role', 'c')]

test('precedence is not, and, or, as in oslo.policy', () => {
  assert.deepEqual(parse('role:a or role:b and role:c'), { kind: 'or', of: [a, { kind: 'and', of: [b, c] }] })
  assert.deepEqual(parse('role:a and role:b or role:c'), { kind: 'or', of: [{ kind: 'and', of: [a, b] }, c] })
  assert.deepEqual(parse('not role:a and role:b'), { kind: 'and', of: [{ kind: 'not', of: a }, b] })
  assert.deepEqual(parse('not not role:a'), { kind: 'not', of: { kind: 'not', of: a } })
  assert.deepEqual(parse('(role:a OR role:b) AND role:c'), { kind: 'and', of: [{ kind: 'or', of: [a, b] }, c] })
  assert.deepEqual(parse('((role:a))'), a)
})

test('single checks', () => {
  assert.deepEqual(parse(''), { kind: 'true' })
  assert.deepEqual(parse(null), { kind: 'true' })
  assert.deepEqual(parse('@'), { kind: 'true' })
  assert.deepEqual(parse('!'), { kind: 'false' })
  assert.deepEqual(parse('(project_id:%(project_id)s)'), check('project_id', '%(project_id)s'))
  assert.deepEqual(parse("'public':%(visibility)s"), check("'public'", '%(visibility)s'))
  assert.deepEqual(parse('field:networks:router:external=True'), check('field', 'networks:router:external=True'))
})

test('the legacy form: a list (or) of lists (and)', () => {
  assert.deepEqual(parse([]), { kind: 'true' })
  assert.deepEqual(parse([[]]), { kind: 'false' })
  assert.deepEqual(parse([['role:a', 'role:b'], 'role:c']), { kind: 'or', of: [{ kind: 'and', of: [a, b] }, c] })
  assert.throws(() => parse([[1]]), /check strings/)
})

test('what is no rule is refused with what was found', () => {
  for (const broken of [
    'role:a and',
    'and role:a',
    'role:a role:b',
    '(role:a',
    'role:a)',
    "'role:a' or role:a",
    'not role:a not',
    '()',
    ' ',
    5,
    {},
  ]) {
    assert.throws(() => parse(broken), Error, String(broken))
  }
})

test('a word that is no check denies by itself and is reported; the rest of the rule holds, as in oslo.policy', () => {
  const heard: string[] = []
  const hear = (problem: string) => void heard.push(problem)
  assert.deepEqual(parse('admin or role:a', hear), { kind: 'or', of: [{ kind: 'false' }, a] })
  assert.deepEqual(parse([['admin'], '', ['role:a']], hear), { kind: 'or', of: [{ kind: 'false' }, a] })
  assert.deepEqual(parse("('a':'b')", hear), check("'a'", "'b'"))
  assert.deepEqual(parse("'a:b'"), { kind: 'word', word: "'a:b'" })
  assert.deepEqual(parse(' AND'), { kind: 'word', word: 'AND' })
  assert.deepEqual(heard, Array(2).fill("'admin' is no check: it needs the form kind:match, '@' or '!'"))
})

test('what is printed is read again as the same tree', () => {
  const word = fc.stringMatching(/^[a-z_.]{1,8}$/).filter((text) => !['and', 'or', 'not'].includes(text))
  const single: fc.Arbitrary<Check> = fc.oneof(
    fc.constant<Check>({ kind: 'true' }),
    fc.constant<Check>({ kind: 'false' }),
    fc.tuple(word, word).map(([left, right]) => check(left, right)),
    fc.tuple(word, word).map(([left, right]) => check(left, `%(${right})s`)),
  )
  const { tree } = fc.letrec<{ tree: Check }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      single,
      tie('tree').map((of): Check => ({ kind: 'not', of })),
      fc.record(
        { kind: fc.constantFrom('and' as const, 'or' as const), of: fc.array(tie('tree'), { minLength: 2, maxLength: 4 }) },
        { noNullPrototype: true },
      ),
    ),
  }))
  fc.assert(fc.property(tree, (check) => assert.deepEqual(parse(print(check)), check)))
})

test('any text is read or refused, never anything else', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(fc.constantFrom('(', ')', ' ', 'and', 'or', 'not', 'a:b', '@')).map((parts) => parts.join(' ')),
      ),
      (text) => {
        let tree: Check
        try {
          tree = parse(text)
        } catch (error) {
          assert.ok(error instanceof Error && !(error instanceof TypeError) && !(error instanceof RangeError))
          return
        }
        assert.deepEqual(parse(print(tree)), tree)
      },
    ),
  )
})
