import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LiveEvent, parseEvents, staleKeys } from './live.ts'

test('events are cut out of the stream wherever it breaks', () => {
  const first = parseEvents(': welcome\n\ndata: {"kind":"server","id":"a"}\n\ndata: {"ki')
  assert.deepEqual(first.events, [{ kind: 'server', id: 'a' }])
  const second = parseEvents(`${first.rest}nd":"image","id":"b"}\r\n\r\n`)
  assert.deepEqual(second.events, [{ kind: 'image', id: 'b' }])
  assert.equal(second.rest, '')
})

test('a line that is no JSON is skipped, not fatal', () => {
  assert.deepEqual(parseEvents('data: nonsense\ndata: {"kind":"port","id":"c"}\n').events, [{ kind: 'port', id: 'c' }])
})

test('an event makes the answers stale that its object is part of; an unknown kind makes none', () => {
  assert.deepEqual(staleKeys({ kind: 'server', id: 'a' }), [
    ['server', 'list'],
    ['server', 'one', 'a'],
    ['server', 'actions', 'a'],
    ['limits'],
  ])
  assert.deepEqual(staleKeys({ kind: 'comet', id: 'a' } as unknown as LiveEvent), [])
})
