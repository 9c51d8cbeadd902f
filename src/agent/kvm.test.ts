import assert from 'node:assert/strict'
import { test } from 'node:test'
import { probe } from './kvm.ts'

test('a guest of one sector runs under emulation and says so', async () => {
  assert.equal((await probe('tcg', 30_000)).works, true)
})

test('a guest that gets no time does not work, and the reason names the limit', async () => {
  const { works, why } = await probe('tcg', 1)
  assert.equal(works, false)
  assert.match(why, /1 ms/)
})
