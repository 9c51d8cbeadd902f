import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Type as t } from 'typebox'
import { at, changed, lives, since, until, versionNumber } from './schema.ts'

test('a marked field stays optional, in either order of marking', () => {
  const schema = t.Object({ a: since('2.2', t.Optional(t.String())), b: t.Optional(since('2.2', t.String())), c: t.String() })
  assert.deepEqual(schema.required, ['c'])
})

test('a schema is cut for one version, and no mark is left', () => {
  const schema = t.Object(
    { a: t.String(), b: since('2.10', t.String()), c: until('2.9', t.String()) },
    { required: changed('2.92', ['a', 'b', 'c'], ['a']), default: { properties: { 'x-since': 1 } } },
  )
  const names = (version: string) => Object.keys((at(schema, version) as { properties: object }).properties)
  assert.deepEqual(names('2.9'), ['a', 'c'])
  assert.deepEqual(names('2.10'), ['a', 'b'])
  assert.deepEqual(at(schema, '2.9').required, ['a', 'c'])
  assert.deepEqual(at(schema, '2.92').required, ['a'])
  assert.ok(!JSON.stringify({ ...at(schema, ''), default: 0 }).includes('x-'))
  assert.deepEqual((at(schema, '2.9') as { default?: unknown }).default, { properties: { 'x-since': 1 } })
})

test('changed nests, and choices of a union live and die too', () => {
  const reply = changed('2.9', changed('2.2', 200, 201), 202)
  assert.deepEqual(
    ['2.1', '2.2', '2.8', '2.9', ''].map((version) => at(reply, version)),
    [200, 201, 201, 202, 202],
  )
  const kind = t.Union([t.Literal('a'), since('2.5', t.Literal('b'))])
  assert.equal((at(kind, '2.4') as { anyOf: unknown[] }).anyOf.length, 1)
  assert.equal((at(kind, '2.5') as { anyOf: unknown[] }).anyOf.length, 2)
})

test('versions compare by number, and bounds are inclusive', () => {
  assert.ok(versionNumber('2.9') < versionNumber('2.10'))
  assert.ok(versionNumber('2.99') < versionNumber('3.0'))
  assert.ok(lives({ since: '2.3', until: '2.5' }, '2.3') && lives({ since: '2.3', until: '2.5' }, '2.5'))
  assert.ok(!lives({ until: '2.5' }, '2.6'))
})
