import assert from 'node:assert/strict'
import { test } from 'node:test'
import { plainLines } from './terminal-text.ts'

test('colours, cursor movements and titles are left out, brackets of the kernel stay', () => {
  const output = '\u001b[2J\u001b[01;01H[    0.000000] Linux\r\n\u001b]0;title\u0007\u001b[32mOK\u001b[0m started\r\n'
  assert.deepEqual(plainLines(output), ['[    0.000000] Linux', 'OK started'])
})

test('what a carriage return overwrote is left out, tabs stay', () => {
  assert.deepEqual(plainLines('10%\r50%\r100%\n\ta\u0007b'), ['100%', '\tab'])
})

test('nothing printed is no line', () => {
  assert.deepEqual(plainLines(''), [])
})
