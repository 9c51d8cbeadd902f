// Disks of stores and of the staging area that fill up under way: a refusal that says which one is full, nothing half-written, and once there
// is room all goes on.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { startEngine } from '../../work/engine.ts'
import { importWork } from '../control/import-work.ts'
import { handlers } from '../control/work.ts'
import { type Answer, imageApi } from './testing.ts'

const MiB = 1 << 20
const skip = process.getuid?.() !== 0 && 'only root may mount'
const quiet = { error() {}, warn() {}, info() {}, debug() {} } as never
const octets = { 'content-type': 'application/octet-stream' }

/** Mounts a disk of this size. @returns what takes it away */
function smallDisk(folder: string, bytes: number): () => void {
  fs.mkdirSync(folder, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=755`, 'tmpfs', folder])
  return () => {
    execFileSync('umount', [folder])
    fs.rmdirSync(folder)
  }
}

/** The image service with a staging area of this size, and an engine that imports. */
async function smallStaging(context: TestContext, bytes: number, settings: NodeJS.ProcessEnv = {}) {
  let end = async () => {}
  // Before the folder goes in which it is mounted.
  context.after(() => end())
  const made = await imageApi(context, 1, settings)
  const { api, config, db, key, stores } = made
  const folder = path.join(config.home, 'staging')
  const unmount = smallDisk(folder, bytes)
  const { importAllow: allow, importDeny: deny, importPlugins: plugins } = config
  const imports = importWork({ db, config, key, stores, reach: { allow, deny }, plugins, log: quiet })
  const engine = startEngine(db, { ...handlers(stores), ...imports.handlers }, quiet, { poll: 50 })
  end = async () => {
    await engine.stop()
    await imports.stop()
    unmount()
  }
  const stage = (id: string, data: Buffer, headers: Record<string, string> = {}) =>
    api('PUT', `/images/${id}/stage`, { payload: data, headers: { ...octets, ...headers } })
  const show = async (id: string) => (await api('GET', `/images/${id}`)).body
  /** The task of an import, once it has ended. */
  const imported = async (id: string): Promise<Answer> => {
    const begun = await api('POST', `/images/${id}/import`, { payload: { method: { name: 'glance-direct' } } })
    assert.equal(begun.status, 202, begun.message)
    for (;;) {
      const task = ((await api('GET', `/images/${id}/tasks`)).body.tasks as Answer[]).at(-1)!
      if (task.status === 'success' || task.status === 'failure') return task
      await sleep(20)
    }
  }
  const files = () => fs.readdirSync(folder)
  /** What nobody wants is removed soon. */
  const empties = async () => {
    while (files().length > 0) await sleep(20)
  }
  return { ...made, stage, show, imported, files, empties }
}

describe('a full disk', { skip, timeout: 180_000 }, () => {
  it('of a store: the upload is refused, leaves nothing behind, and fits once there is room', async (context) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-small-'))
    context.after(smallDisk(folder, 8 * MiB))
    const { api, create, put } = await imageApi(context, 1, {}, { stores: [{ id: 'small', kind: 'file', folder }] })
    const files = () => fs.readdirSync(folder, { recursive: true })
    const first = await create()
    assert.equal((await put(first, randomBytes(5 * MiB))).status, 204)
    const kept = files()

    const second = await create()
    const refused = await put(second, randomBytes(6 * MiB))
    assert.equal(refused.status, 413)
    assert.match(refused.message, /media is full.*in the image store small.*Delete images or make room/)
    const { status, size, checksum } = (await api('GET', `/images/${second}`)).body
    assert.deepEqual([status, size, checksum], ['queued', null, null])
    assert.deepEqual(files(), kept)

    // Without an announced size the disk fills up under way.
    const chunked = await api('PUT', `/images/${second}/file`, {
      payload: randomBytes(6 * MiB),
      headers: { ...octets, 'transfer-encoding': 'chunked' },
    })
    assert.equal(chunked.status, 413)
    assert.deepEqual(files(), kept)
    assert.equal((await put(second, randomBytes(2 * MiB))).status, 204)
    assert.equal((await api('GET', `/images/${second}`)).body.status, 'active')
  })

  it('of the staging area: the data is refused, its room is free again at once, and the image can be staged anew', async (context) => {
    const { api, create, stage, show, imported, files, empties } = await smallStaging(context, 6 * MiB)
    const id = await create()
    for (const headers of [{}, { 'transfer-encoding': 'chunked' }] as Record<string, string>[]) {
      const refused = await stage(id, randomBytes(8 * MiB), headers)
      assert.equal(refused.status, 413)
      assert.match(refused.message, /media is full.*the staging area/)
      assert.deepEqual([(await show(id)).status, (await show(id)).size], ['queued', null])
      assert.deepEqual(files(), [])
    }
    const data = randomBytes(5 * MiB)
    assert.equal((await stage(id, data)).status, 204)
    assert.equal((await imported(id)).status, 'success')
    assert.deepEqual([(await show(id)).status, (await show(id)).size], ['active', data.length])
    await empties()

    // Of an upload in pieces what has come stays, and it goes on there once there is room.
    const other = await create()
    const big = randomBytes(8 * MiB)
    const blocking = await create()
    assert.equal((await stage(blocking, randomBytes(3 * MiB))).status, 204)
    const piece = (from: number) => stage(other, big.subarray(from), { 'content-range': `bytes ${from}-${big.length - 1}/${big.length}` })
    const full = await piece(0)
    assert.deepEqual([full.status, /the staging area/.test(full.message)], [413, true])
    const { size, complete } = (await api('GET', `/images/${other}/stage`)).body
    assert.ok(Number(size) > 0 && Number(size) <= 3 * MiB && complete === false)
    assert.equal((await api('DELETE', `/images/${blocking}`)).status, 204)
    assert.equal((await api('DELETE', `/images/${other}`)).status, 204)
    await empties()
  })

  it('of the staging area while an image is unpacked or converted: the import ends and says so', async (context) => {
    const settings = { WISP_IMPORT_PLUGINS: 'decompress, convert:raw' }
    const { create, stage, show, imported, empties } = await smallStaging(context, 6 * MiB, settings)
    const raw = path.join(os.tmpdir(), `wisp-raw-${process.pid}`)
    context.after(() => [raw, `${raw}.qcow2`].forEach((name) => void fs.rmSync(name, { force: true })))
    fs.writeFileSync(raw, randomBytes(4 * MiB))
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, `${raw}.qcow2`])
    const cases: [string, Buffer][] = [
      ['raw', gzipSync(Buffer.alloc(20 * MiB, 'x'))],
      ['qcow2', fs.readFileSync(`${raw}.qcow2`)],
    ]
    for (const [disk_format, data] of cases) {
      const id = await create({ disk_format })
      const staged = await stage(id, data)
      assert.equal(staged.status, 204, staged.message)
      const { status, message } = await imported(id)
      assert.deepEqual([status, /media is full.*the staging area/.test(String(message))], ['failure', true], `${disk_format}: ${message}`)
      assert.equal((await show(id)).status, 'queued')
      await empties()
    }
  })
})
