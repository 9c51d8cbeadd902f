import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { it, type TestContext } from 'node:test'
import { fileStore } from '../store/file.ts'
import { receive } from './receive.ts'

const MiB = 1024 * 1024
const declared = { disk_format: 'raw', container_format: 'bare' }
const wanted = { declared, limit: 100 * MiB, algorithm: 'sha512' }
const hash = (algorithm: string, data: Buffer) => createHash(algorithm).update(data).digest('hex')

function folder(context: TestContext): string {
  const name = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-receive-'))
  context.after(() => fs.rmSync(name, { recursive: true }))
  return name
}
const store = (name: string) => fileStore({ id: 'file', description: '', weight: 0, folder: name })

/** As a socket gives it: pieces of any length. */
function pieces(data: Buffer, length: number): Readable {
  return Readable.from(
    (function* () {
      for (let at = 0; at < data.length; at += length) yield data.subarray(at, at + length)
    })(),
  )
}

for (const [size, piece] of [
  [0, 1],
  [1, 1],
  [65_536, 1000],
  [MiB, 65_536],
  [MiB + 1, 65_536],
  [11 * MiB + 4095, 65_535],
  [9 * MiB, 5 * MiB],
] as const) {
  it(`${size} bytes in pieces of ${piece} reach the disk as they came`, async (context) => {
    const name = folder(context)
    const data = randomBytes(size)
    const bits = await receive(store(name), 'one', pieces(data, piece), { ...wanted, expected: size })
    assert.deepEqual(bits, {
      size,
      virtual_size: size,
      checksum: hash('md5', data),
      os_hash_algo: 'sha512',
      os_hash_value: hash('sha512', data),
    })
    assert.ok(fs.readFileSync(path.join(name, 'one.data')).equals(data))
    assert.deepEqual(fs.readdirSync(name), ['one.data'])
  })
}

it('uploads at once share the threads and keep apart', async (context) => {
  const name = folder(context)
  const all = Array.from({ length: 6 }, () => randomBytes(3 * MiB + 7))
  const bits = await Promise.all(
    all.map((data, n) => receive(store(name), `${n}`, pieces(data, 65_536), { ...wanted, algorithm: 'sha256' })),
  )
  assert.deepEqual(
    bits.map(({ os_hash_value }) => os_hash_value),
    all.map((data) => hash('sha256', data)),
  )
  for (const [n, data] of all.entries()) assert.ok(fs.readFileSync(path.join(name, `${n}.data`)).equals(data))
})

it('nothing is left of what is refused', async (context) => {
  const name = folder(context)
  const data = () => pieces(randomBytes(3 * MiB), 65_536)
  await assert.rejects(receive(store(name), 'a', data(), { ...wanted, limit: 2 * MiB }), { status: 413 })
  await assert.rejects(receive(store(name), 'b', data(), { ...wanted, expected: 4 * MiB }), { status: 400, message: /announced/ })
  await assert.rejects(receive(store(name), 'c', data(), { ...wanted, declared: { ...declared, disk_format: 'qcow2' } }), { status: 400 })
  const broken = Readable.from(
    (function* () {
      yield randomBytes(2 * MiB)
      throw new Error('the wire is cut')
    })(),
  )
  await assert.rejects(receive(store(name), 'd', broken, wanted), /the wire is cut/)
  assert.deepEqual(fs.readdirSync(name), [])
})
