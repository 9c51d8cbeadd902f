import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Type as t } from 'typebox'
import { validator } from './validate.ts'

const check = validator(
  'body',
  t.Object(
    {
      name: t.Optional(t.String({ minLength: 1, maxLength: 5, pattern: '^[a-z]*$' })),
      size: t.Optional(t.Integer({ minimum: 1 })),
      kind: t.Optional(t.Union([t.Literal('a'), t.Literal('b')])),
      address: t.Optional(t.Union([t.String({ format: 'ipv4' }), t.Null()])),
      on: t.Optional(t.Union([t.Boolean(), t.Null()])),
      user_data: t.Optional(t.String({ maxLength: 3 })),
      auth: t.Optional(t.Object({ password: t.String({ minLength: 9 }) })),
    },
    { additionalProperties: false },
  ),
)
const text = (value: unknown) => check(value, '')?.text

test("problems are told in jsonschema's words", () => {
  assert.equal(check({ name: 'abc' }, ''), undefined)
  assert.equal(text({ name: '' }), "'' is too short")
  assert.equal(text({ name: 'abcdef' }), "'abcdef' is too long")
  assert.equal(text({ name: 'A' }), "'A' does not match '^[a-z]*$'")
  assert.equal(text({ name: 5 }), "5 is not of type 'string'")
  assert.equal(text({ size: 0 }), '0 is less than the minimum of 1')
  assert.equal(text({ size: '1' }), "'1' is not of type 'integer'", 'a body is never converted')
  assert.equal(text({ kind: 'c' }), "'c' is not one of ['a', 'b']")
  assert.equal(text({ address: 'x' }), "'x' is not a 'ipv4'")
  assert.equal(text({ on: 'x' }), "'x' is not of type 'boolean', 'null'")
  assert.equal(text(undefined), "None is not of type 'object'")
  assert.equal(text({ color: 1 }), "Additional properties are not allowed ('color' was unexpected)")
  assert.equal(text({ auth: {} }), "'password' is a required property")
})

test('secrets are masked, wherever they are, and long values cut', () => {
  assert.deepEqual(check({ auth: { password: 'hunter2' } }, ''), {
    kind: 'body',
    path: ['auth', 'password'],
    keyword: 'minLength',
    text: '*** is too short',
    value: '***',
  })
  assert.equal(check({ user_data: 'IyEvYmlu' }, '')?.value, '***')
  assert.ok(text({ name: 'x'.repeat(10_000) })!.length < 200)
})

test('queries are converted in place', () => {
  const query: Record<string, unknown> = { limit: '10', all: 'true', tag: 'x' }
  const read = validator('query', t.Object({ limit: t.Integer(), all: t.Boolean(), tag: t.Array(t.String()) }))
  assert.equal(read(query, ''), undefined)
  assert.deepEqual(query, { limit: 10, all: true, tag: ['x'] })
  assert.equal(read({ limit: 'ten', all: 'true', tag: [] }, '')?.path[0], 'limit')
})
