// Files are written past the page cache where that is possible: what arrives on the disk must not depend on it.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { writeFile } from './write-file.ts'

const MiB = 1024 * 1024

describe('a file that is written in blocks', () => {
  let folder: string
  before(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-write-'))
  })
  after(() => fs.rmSync(folder, { recursive: true, force: true }))

  /** Memory that begins at a page, or one byte after it: no disk takes that directly. */
  const memoryAt = (from: number) => Buffer.from(new WebAssembly.Memory({ initial: 17, maximum: 17, shared: true }).buffer, from, MiB)
  /** As uploads come: the same memory again and again, whole blocks and then a part of one. */
  async function* blocks(content: Buffer, memory: Buffer) {
    for (let at = 0; at < content.length; at += MiB) yield memory.subarray(0, content.copy(memory, 0, at, at + MiB))
  }

  for (const [memory, from] of [
    ['memory that begins at a page', 0],
    ['memory that begins anywhere', 1],
  ] as const)
    for (const size of [0, 1, 4096, MiB, 3 * MiB + 4096, 3 * MiB + 4097])
      it(`has all ${size} bytes, out of ${memory}`, async () => {
        const content = randomBytes(size)
        const file = path.join(folder, `${size}-${from}`)
        await writeFile(file, blocks(content, memoryAt(from)))
        assert.ok(content.equals(fs.readFileSync(file)))
      })

  it('is never written over another', async () => {
    const file = path.join(folder, 'there')
    fs.writeFileSync(file, 'before')
    await assert.rejects(writeFile(file, blocks(randomBytes(MiB), memoryAt(0))), { code: 'EEXIST' })
    assert.equal(fs.readFileSync(file, 'utf8'), 'before')
  })
})
