import assert from 'node:assert/strict'
import { test } from 'node:test'
import { said } from './denied.ts'

test('what is denied to someone who is not root names root as the remedy', () => {
  const denied = Object.assign(new Error('kill EPERM'), { code: 'EPERM' })
  assert.equal(said(denied, ['down', '--servers'], false), '"wisp down" wants root here (kill EPERM). Try: sudo ./wisp down --servers')
  assert.equal(said(denied, ['down'], true), 'kill EPERM')
  assert.equal(said(new Error('no such server'), ['ssh', 'x'], false), 'no such server')
  assert.equal(said('thrown', ['ssh'], false), 'thrown')
})
