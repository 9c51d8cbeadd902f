import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noteWrong, refuseFlood } from './attempts.ts'

test('many wrong passwords for one user from one address have to wait, from elsewhere not', () => {
  for (let i = 0; i < 30; i++) {
    refuseFlood('192.0.2.1', 'ann', 0)
    noteWrong('192.0.2.1', 'ann', 0)
  }
  assert.throws(() => refuseFlood('192.0.2.1', 'ann', 0), { status: 429, headers: { 'retry-after': '2' } })
  refuseFlood('192.0.2.2', 'ann', 0)
  refuseFlood('192.0.2.1', 'bob', 0)
  refuseFlood('192.0.2.1', 'ann', 2_000)
})

test('many wrong passwords from one address have to wait, whoever is meant', () => {
  for (let i = 0; i < 300; i++) noteWrong('192.0.2.3', `user${i}`, 0)
  assert.throws(() => refuseFlood('192.0.2.3', 'another', 0), { status: 429 })
  refuseFlood('192.0.2.3', 'another', 1_000)
})
