// Policy against the reference's own engine, oslo.policy: for any rules, callers and targets both must say the same. Where oslo.policy breaks
// off with an exception (a 500 in OpenStack), ours says no. Only one thing is meant otherwise, so it isn't asked: a caller and an object that
// lack the same thing don't match here.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { openPolicy, type Target } from '../../src/http/policy.ts'
import type { Who } from '../../src/http/who.ts'
import { type Oslo, plain, type Question, startOslo, type Verdict } from './oslo.ts'

interface Asked {
  rules: Record<string, unknown>
  questions: Question[]
}

const runs = process.env.WISP_FULL === '1' ? 20_000 : 1_500
let oslo: Oslo

before(() => {
  oslo = startOslo()
})
after(() => oslo.end())

const ids = fc.constantFrom('a', 'b', 'True')
const roles = ['reader', 'member', 'Manager', 'admin', 'a']
const domain = fc.record({ id: ids, name: ids }, { noNullPrototype: true })
const caller: fc.Arbitrary<Who> = fc
  .record(
    {
      user: fc.record({ id: ids, name: ids, domain }, { noNullPrototype: true }),
      scope: fc.constantFrom('project', 'domain', 'system', 'none'),
      id: ids,
      domain,
      roles: fc.subarray(roles),
    },
    { noNullPrototype: true },
  )
  .map(({ user, scope, id, domain, roles }) => ({
    user,
    project: scope === 'project' ? { id, name: id, domain } : null,
    domain: scope === 'domain' ? domain : null,
    system: scope === 'system',
    roles,
    auditIds: ['a', 'b'],
    methods: ['password'],
    issuedAt: new Date(0),
    expiresAt: new Date(1),
  }))

const leaf = fc.oneof(ids, fc.boolean(), fc.constantFrom(0, 5, -1), fc.constantFrom([], ['a'], ['a', 'b']))
const names = ['project_id', 'user_id', 'domain_id', 'name', 'a']
const within = (inner: fc.Arbitrary<unknown>) => fc.dictionary(fc.constantFrom(...names), inner, { maxKeys: 4, noNullPrototype: true })
const target = fc
  .tuple(
    within(leaf),
    fc.option(
      fc.dictionary(fc.constantFrom('user', 'role', 'project', 'domain_id'), fc.oneof(leaf, within(leaf)), { noNullPrototype: true }),
      {
        nil: undefined,
      },
    ),
  )
  .map(([own, target]): Target => ({ ...own, nothing: null, ...(target && { target }) }))

const ruleNames = ['one', 'two', 'three', 'default']
const left = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      'user_id',
      'project_id',
      'domain_id',
      'system_scope',
      'system',
      'token.project.domain.id',
      'token.domain.id',
      'token.user.id',
    ),
  },
  // Literals, lists, what isn't there, what has no parts, and what Python can't read.
  {
    weight: 3,
    arbitrary: fc.constantFrom("'a'", '"b"', "''", 'None', 'True', '5', '-1', '+5', '1.5', 'roles', 'token.roles', 'token.audit_ids'),
  },
  { weight: 1, arbitrary: fc.constantFrom('nothing', 'a.b.c', 'user-id', 'user_id.x', 'token.user.id.x', 'token.roles.x', 'roles.x') },
  { weight: 1, arbitrary: fc.constantFrom('', "'a", 'user.', '.id', 'a..b', '5a', 'not', 'class', 'token.is', '!', '@', '007', "'a'b") },
)
const key = fc.oneof(
  fc.constantFrom(...names),
  fc.constantFrom('target.user.name', 'target.role.domain_id', 'target.project.a', 'target.user', 'no'),
)
const right = fc.oneof(
  { weight: 4, arbitrary: key.map((key) => `%(${key})s`) },
  { weight: 2, arbitrary: fc.oneof(ids, fc.constantFrom('None', 'all', '5', '-1', '1.5', '', 'a:b', "'a'", '[]')) },
  { weight: 1, arbitrary: fc.tuple(key, key).map(([one, two]) => `%(${one})s%(${two})s`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('100%%', '%%(a)s', 'a%(a)s', '%', 'a%', '%d', '%(a', '%(a)', '%(no)s%', '%%(no)s%s', '%(target.no)s'),
  },
)
const check = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...roles, 'READER', '%(name)s', '%(a)s', '%(no)s', '%', '').map((role) => `role:${role}`) },
  { weight: 3, arbitrary: fc.constantFrom(...ruleNames, 'none').map((rule) => `rule:${rule}`) },
  { weight: 6, arbitrary: fc.tuple(left, right).map(([left, right]) => `${left}:${right}`) },
  { weight: 1, arbitrary: fc.constantFrom('@', '!', 'None:%(nothing)s', "'None':%(nothing)s", 'True:%(nothing)s', "'':%(nothing)s") },
)

const sentence = fc.letrec<{ it: string }>((tie) => ({
  it: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    check,
    fc.tuple(fc.constantFrom('not ', 'not not ', 'NOT '), tie('it')).map((parts) => parts.join('')),
    fc.array(tie('it'), { minLength: 2, maxLength: 4 }).map((parts) => parts.join(' and ')),
    fc.array(tie('it'), { minLength: 2, maxLength: 4 }).map((parts) => parts.join(' or ')),
    fc.array(tie('it'), { minLength: 2, maxLength: 3 }).map((parts) => parts.join('  Or\n')),
    tie('it').map((it) => `(${it})`),
    tie('it').map((it) => `( ${it} )`),
  ),
})).it
const word = fc.oneof(check, fc.constantFrom('and', 'or', 'not', '(', ')', '((', 'admin', "'a:b'", '"role:a"', '()', "('a':'a')", ''))
const rule = fc.oneof(
  { weight: 8, arbitrary: sentence },
  { weight: 3, arbitrary: fc.array(word, { maxLength: 7 }).map((words) => words.join(' ')) },
  { weight: 1, arbitrary: fc.array(fc.oneof(word, fc.array(word, { maxLength: 3 })), { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.constantFrom('', ' ', null) },
)
const asked: fc.Arbitrary<Asked> = fc.record(
  {
    rules: fc.dictionary(fc.constantFrom(...ruleNames), rule, { minKeys: 1, maxKeys: 4, noNullPrototype: true }),
    questions: fc.array(fc.record({ rule: fc.constantFrom(...ruleNames), who: caller, target }, { noNullPrototype: true }), {
      minLength: 4,
      maxLength: 12,
    }),
  },
  { noNullPrototype: true },
)

test('any rules mean here what they mean to oslo.policy', { timeout: runs * 60 + 60_000 }, async () => {
  const seen: Record<Verdict, number> = { yes: 0, no: 0, error: 0 }
  const property = fc.asyncProperty(asked, async ({ rules, questions }) => {
    // A rule that isn't there is our own mistake, not the operator's: it has no default.
    const known = questions.filter(({ rule }) => Object.hasOwn(rules, rule))
    const policy = openPolicy([{ type: 'it', policies: rules as Record<string, string> }]).of('it')
    const verdicts = await oslo.judge(rules, known)
    for (const [i, { rule, who, target }] of known.entries()) {
      seen[verdicts[i]!]++
      const allowed = policy.allows(rule, who, target)
      const told = `${rule} of ${JSON.stringify(rules)} for ${JSON.stringify(plain(who))} on ${JSON.stringify(target)}`
      assert.equal(allowed, verdicts[i] === 'yes', `oslo.policy: ${verdicts[i]}, ours: ${allowed ? 'yes' : 'no'}: ${told}`)
      assert.equal(policy.explain(rule, who, target) === '', allowed, `what is refused has a reason: ${told}`)
    }
  })
  await fc.assert(property, { numRuns: runs })
  console.log(`oslo.policy said yes ${seen.yes} times, no ${seen.no} times, and broke off ${seen.error} times`)
  assert.ok(seen.yes > runs / 2 && seen.no > runs / 2 && seen.error > 0, 'the rules are too dull to say anything')
})
