import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { it } from 'node:test'
import type { Machine } from '../../agent/machine.ts'
import { Final } from '../../agent/realise.ts'
import { serverDocument } from '../../wire/testing.ts'
import { backingFiles, ensureDisks, folderOf } from './disks.ts'

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

it('puts no empty disk in the place of one that was lost', async (context) => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-disks-'))
  context.after(() => fs.rmSync(home, { recursive: true }))
  const machine = { config: { home }, fetch: () => assert.fail('the image is not asked for') } as unknown as Machine
  const server = serverDocument({ ephemeral_gb: 1 })
  const ensure = () => ensureDisks(machine, server, true, (_, work) => work())
  const isFinal = (what: RegExp) => (error: unknown) => error instanceof Final && what.test(error.message)
  await assert.rejects(ensure(), isFinal(/root disk is gone/))
  fs.writeFileSync(path.join(folderOf(machine, server.id), 'disk'), '')
  await assert.rejects(ensure(), isFinal(/ephemeral disk is gone/))
  assert.deepEqual(fs.readdirSync(folderOf(machine, server.id)), ['disk'])
})
