import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { probe } from './kvm.ts'

const installed = (program: string) => (process.env.PATH ?? '').split(':').some((folder) => fs.existsSync(path.join(folder, program)))

test('a guest of one sector runs under emulation and says so', async () => {
  assert.equal((await probe('tcg', 30_000)).works, true)
})

test('so does one of ARM, where its QEMU is', {
  skip: !installed('qemu-system-aarch64') && 'qemu-system-arm is not installed',
}, async () => {
  assert.deepEqual(await probe('tcg', 30_000, 'arm64'), { works: true, why: 'a test guest booted' })
})

test('a guest that gets no time does not work, and the reason names the limit', async () => {
  const { works, why } = await probe('tcg', 1)
  assert.equal(works, false)
  assert.match(why, /1 ms/)
})
