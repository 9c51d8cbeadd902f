import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { it, type TestContext } from 'node:test'
import { imageApi } from './testing.ts'

const MiB = 1 << 20
const root = process.getuid?.() === 0

/** A folder on a disk of this size. */
function smallDisk(context: TestContext, bytes: number): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-small-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=755`, 'tmpfs', folder])
  context.after(() => {
    execFileSync('umount', [folder])
    fs.rmdirSync(folder)
  })
  return folder
}

it('an upload that fills the disk is refused, leaves nothing behind, and fits once there is room', {
  skip: !root && 'only root may mount',
}, async (context) => {
  const folder = smallDisk(context, 8 * MiB)
  const { api, create, put } = await imageApi(context, 1, {}, { stores: [{ id: 'small', kind: 'file', folder }] })
  const files = () => fs.readdirSync(folder, { recursive: true })
  const first = await create()
  assert.equal((await put(first, randomBytes(5 * MiB))).status, 204)
  const kept = files()

  const second = await create()
  const refused = await put(second, randomBytes(6 * MiB))
  assert.equal(refused.status, 413)
  assert.match(refused.message, /media is full.*Delete images or make room/)
  const { status, size, checksum } = (await api('GET', `/images/${second}`)).body
  assert.deepEqual([status, size, checksum], ['queued', null, null])
  assert.deepEqual(files(), kept)

  // Without an announced size the disk fills up under way.
  const chunked = await api('PUT', `/images/${second}/file`, {
    payload: randomBytes(6 * MiB),
    headers: { 'content-type': 'application/octet-stream', 'transfer-encoding': 'chunked' },
  })
  assert.equal(chunked.status, 413)
  assert.deepEqual(files(), kept)
  assert.equal((await put(second, randomBytes(2 * MiB))).status, 204)
  assert.equal((await api('GET', `/images/${second}`)).body.status, 'active')
})
