import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { it } from 'node:test'
import type { Machine } from '../../agent/machine.ts'
import { tidyCache, type Wanted } from './cache.ts'

const wanted = new Map<string, Wanted>()

it('what nothing uses goes after a day, and what a dead agent left half-fetched at once', async (context) => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-cache-'))
  context.after(() => fs.rmSync(home, { recursive: true }))
  const folder = path.join(home, 'images-cache')
  const machine = { config: { home }, log: { info() {} }, wanted: () => wanted } as unknown as Machine
  await tidyCache(machine, new Set())
  fs.mkdirSync(folder)
  for (const name of ['used.qcow2', 'unused.qcow2', 'fresh.raw', 'broken.qcow2.part', 'broken.vmdk.qcow2.whole'])
    fs.writeFileSync(path.join(folder, name), name)
  const now = Date.now()
  const old = new Date(now - 25 * 3600_000)
  for (const name of ['used.qcow2', 'unused.qcow2']) fs.utimesSync(path.join(folder, name), old, old)
  await tidyCache(machine, new Set([path.join(folder, 'used.qcow2')]), now)
  assert.deepEqual(fs.readdirSync(folder).sort(), ['fresh.raw', 'used.qcow2'])
  await tidyCache(machine, new Set(), now + 25 * 3600_000)
  assert.deepEqual(fs.readdirSync(folder), [])
})

it('what control wants here stays, however long nothing uses it', async (context) => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-cache-'))
  context.after(() => {
    wanted.clear()
    fs.rmSync(home, { recursive: true })
  })
  const folder = path.join(home, 'images-cache')
  const machine = { config: { home }, log: { info() {} }, wanted: () => wanted } as unknown as Machine
  fs.mkdirSync(folder)
  for (const name of ['ab.raw', 'cd.vmdk.qcow2', 'ef.qcow2']) fs.writeFileSync(path.join(folder, name), name)
  wanted.set('one', { id: 'one', disk_format: 'raw', size: 6, hash: 'ab' })
  wanted.set('two', { id: 'two', disk_format: 'vmdk', size: 6, hash: 'cd' })
  await tidyCache(machine, new Set(), Date.now() + 25 * 3600_000)
  assert.deepEqual(fs.readdirSync(folder).sort(), ['ab.raw', 'cd.vmdk.qcow2'])
})
