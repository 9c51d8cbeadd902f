import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Type as t } from 'typebox'
import { checkRows } from './coverage.ts'
import { envelopes } from './envelope.ts'
import { type AnyRow, row, type Service } from './table.ts'

const service = (rows: AnyRow[], policies: Record<string, string> = { show: '@' }): Service => ({
  type: 'toy',
  prefixes: ['/toy'],
  envelope: envelopes.errors,
  rows,
  policies,
})
const run = () => undefined

test('a good table has no complaints', () => {
  const body = t.Unknown()
  const rows = [
    row({ route: 'GET /a/:id', policy: 'show', reply: 200, run }),
    row({ route: 'POST /a/:id/action#x', policy: 'show', body, reply: 200, run }),
    row({ route: 'POST /a/:id/action#y', policy: 'show', body, reply: 200, run }),
  ]
  const versioned = {
    ...service([
      row({ route: 'GET /', policy: 'show', until: '2.3', reply: 200, run }),
      row({ route: 'GET /', policy: 'show', since: '2.4', reply: 200, run }),
    ]),
    prefixes: ['/b'],
    microversion: { header: 'toy', min: '2.1', max: '2.9' },
  }
  assert.deepEqual(checkRows([service(rows), versioned]), [])
})

test('each mistake is named', () => {
  const complaint = (rows: AnyRow[], policies?: Record<string, string>) => checkRows([service(rows, policies)]).join('\n')
  const show = row({ route: 'GET /a/:id', policy: 'show', reply: 200, run })
  assert.match(complaint([row({ route: 'GET /', policy: 'hidden', reply: 200, run })]), /hidden, which has no default/)
  assert.match(complaint([show, show]), /is there twice/)
  assert.match(
    complaint([
      show,
      row({ route: 'GET /a/:name/b', policy: 'show', reply: 200, run }),
      row({ route: 'GET /a/:name', policy: 'show', reply: 200, run }),
    ]),
    /names its params otherwise/,
  )
  assert.match(complaint([row({ route: 'GET /', since: '2.1', policy: 'show', reply: 200, run })]), /no microversions/)
  assert.match(complaint([row({ route: 'PUT /', input: 'stream', policy: 'show', reply: 200, run })]), /hold a transaction open/)
  assert.match(complaint([row({ route: 'POST /a#x', policy: 'show', reply: 200, run })]), /without a body schema/)
  assert.match(complaint([], { a: 'rule:b' }), /rule:b, which is not defined/)
  assert.match(complaint([], { a: 'role:x and' }), /can't be parsed/)
  assert.match(checkRows([service([]), service([])]).join(), /belongs to toy already/)
})
