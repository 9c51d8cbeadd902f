import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { it } from 'node:test'
import type { Machine } from '../../agent/machine.ts'
import { backingFiles } from './disks.ts'

const none = spawnSync('qemu-img', ['--version']).error !== undefined

it('finds what disks stand on in the disks themselves', { skip: none && 'qemu-img is not installed' }, async (context) => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-disks-'))
  context.after(() => fs.rmSync(home, { recursive: true }))
  const machine = { config: { home } } as unknown as Machine
  assert.deepEqual(await backingFiles(machine), new Set())
  const base = path.join(home, 'images-cache', 'base.raw')
  fs.mkdirSync(path.dirname(base))
  fs.writeFileSync(base, Buffer.alloc(4096))
  for (const [server, name] of [
    ['a', 'disk'],
    ['b', 'disk.part'],
  ] as const) {
    fs.mkdirSync(path.join(home, 'servers', server), { recursive: true })
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', path.join(home, 'servers', server, name), '1M'])
  }
  fs.writeFileSync(path.join(home, 'servers', 'a', 'disk.swap'), Buffer.alloc(10))
  assert.deepEqual(await backingFiles(machine), new Set([base]))
})
