import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import type { Machine } from '../../agent/machine.ts'
import type { Observation } from '../../wire/documents.ts'
import { imageForDisk } from './cache.ts'
import { imageRealiser } from './prefetch.ts'
import { cachedImages } from './remembered.ts'

const none = spawnSync('qemu-img', ['--version']).error !== undefined
const bits = Buffer.alloc(4096, 'disk')
const document = (id: string) => ({
  v: 1 as const,
  id,
  disk_format: 'raw',
  size: bits.length,
  hash: createHash('sha512').update(bits).digest('hex'),
})

/** A host with a controller that serves `bits` under every id. `restart` = the agent's process was killed and another one begins. */
function host(context: TestContext) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-prefetch-'))
  context.after(() => fs.rmSync(home, { recursive: true }))
  const used = new Set<string>()
  const reports: Observation[] = []
  let downloads = 0
  const begin = () => {
    const machine = {
      config: { home },
      log: { info() {}, warn() {} },
      wanted: () => new Map(),
      async report(observations: Observation[]) {
        reports.push(...observations)
      },
      async fetch() {
        downloads++
        return { status: 200, body: Readable.from([bits]), headers: {} }
      },
    } as unknown as Machine
    return { machine, realiser: imageRealiser(machine, async () => used) }
  }
  const folder = path.join(home, 'images-cache')
  const files = () => (fs.existsSync(folder) ? fs.readdirSync(folder) : [])
  return { ...begin(), restart: begin, files, folder, used, reports, downloads: () => downloads }
}

describe('an image that control wants on a host', { skip: none && 'qemu-img is not installed' }, () => {
  it('is fetched once, said to be there, and let go of when it is not wanted any more', async (context) => {
    const { realiser, files, downloads } = host(context)
    const outcome = await realiser.ensure(document('a'), 1)
    assert.equal(outcome.state, 'ready')
    assert.deepEqual([outcome.image?.size, outcome.image?.hits, outcome.image?.used_at], [bits.length, 0, null])
    await realiser.ensure(document('a'), 1)
    assert.equal(downloads(), 1)
    await realiser.remove('a')
    assert.deepEqual(files(), [])
    await realiser.remove('a')
  })

  it('shares its file with images of the same bits, and the last one takes it along', async (context) => {
    const { machine, realiser, files, downloads } = host(context)
    await Promise.all([realiser.ensure(document('a'), 1), realiser.ensure(document('b'), 1)])
    assert.equal(downloads(), 1)
    assert.deepEqual(Object.keys(await cachedImages(machine)).sort(), ['a', 'b'])
    await realiser.remove('a')
    assert.equal(files().length, 1)
    assert.deepEqual(Object.keys(await cachedImages(machine)), ['b'])
    await realiser.remove('b')
    assert.deepEqual(files(), [])
  })

  it('stays as a file while a disk stands on it, also over a restart of the agent, and goes with the last disk', async (context) => {
    const { realiser, files, folder, used, restart } = host(context)
    await realiser.ensure(document('a'), 1)
    used.add(path.join('/another/path/of', path.basename(folder), files()[0]!))
    await realiser.remove('a')
    assert.equal(files().length, 1)
    const again = restart()
    assert.deepEqual(await cachedImages(again.machine), {}, 'it is no longer said to be in the cache')
    used.clear()
    await again.realiser.remove('a')
    assert.deepEqual(files(), [])
  })

  it('is found again by an agent whose forerunner was killed, whatever that one had come to', async (context) => {
    const { realiser, files, folder, restart, downloads } = host(context)
    await realiser.ensure(document('a'), 1)
    // Killed between the file and the memory of it: the file is not fetched again.
    fs.rmSync(`${folder}.json`)
    const second = restart()
    assert.equal((await second.realiser.ensure(document('a'), 1)).image?.size, bits.length)
    assert.equal(downloads(), 1)
    // Killed in the middle of a download: what is half there does not count.
    const [file] = files()
    fs.renameSync(path.join(folder, file!), path.join(folder, `${file}.part`))
    fs.truncateSync(path.join(folder, `${file}.part`), 1000)
    const third = restart()
    assert.equal((await third.realiser.ensure(document('a'), 1)).image?.size, bits.length)
    assert.deepEqual([downloads(), files()], [2, [file]])
    // Killed between the removal and the memory of it.
    fs.rmSync(path.join(folder, file!))
    assert.deepEqual(await cachedImages(restart().machine), {})
  })

  it('is not removed from under a disk that is just being made', async (context) => {
    const { machine, realiser, files } = host(context)
    const image = await imageForDisk(machine, document('a'))
    await realiser.remove('a')
    assert.equal(files().length, 1)
    image.made()
    await realiser.remove('a')
    assert.deepEqual(files(), [])
  })

  it('counts the disks that are made of it, and control hears of that under the generation of its document', async (context) => {
    const { machine, realiser, reports, restart } = host(context)
    await realiser.ensure(document('a'), 7)
    for (let i = 0; i < 3; i++) (await imageForDisk(machine, document('a'))).made()
    ;(await imageForDisk(machine, document('came with a server'))).made()
    const last = (id: string) => reports.findLast((report) => report.id === id)
    const told = () => last('a')?.image?.hits === 3 && last('came with a server')?.image?.hits === 1
    for (let i = 0; i < 1200 && !told(); i++) await new Promise((go) => setTimeout(go, 50))
    const [a, other] = [last('a'), last('came with a server')]
    assert.deepEqual([a?.id, a?.generation, a?.state, a?.image?.hits], ['a', 7, 'ready', 3])
    assert.ok(a?.image?.used_at)
    assert.deepEqual([other?.id, other?.generation, other?.image?.hits], ['came with a server', 0, 1])
    const after = await cachedImages(restart().machine)
    assert.deepEqual([after.a?.hits, after['came with a server']?.hits], [3, 1])
  })
})
