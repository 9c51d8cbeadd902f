import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'

const main = path.join(import.meta.dirname, '../main.ts')

test('"wisp up" refuses a machine whose kernel or tools lack something, naming all of it, before it makes a database', {
  skip: process.getuid?.() !== 0 && 'wants root',
}, (context) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-kernel-'))
  context.after(() => fs.rmSync(folder, { recursive: true }))
  fs.chmodSync(folder, 0o711)
  const bin = path.join(folder, 'bin')
  fs.mkdirSync(bin)
  const broken = (name: string, says: string) =>
    fs.writeFileSync(path.join(bin, name), `#!/bin/sh\necho '${says}' >&2\nexit 1\n`, { mode: 0o755 })
  broken('ipset', 'Kernel error received: set type not supported')
  broken('nft', 'Error: Could not process rule: Operation not supported')
  const home = path.join(folder, 'home')
  const { stderr, status } = spawnSync(process.execPath, [main, 'up'], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}`, WISP_HOME: home, WISP_DASHBOARD: 'off' },
  })
  assert.equal(status, 1)
  assert.match(stderr, /^wisp: This machine cannot carry servers yet\. It lacks:\n/)
  assert.match(stderr, /IP sets: Kernel error received: set type not supported\n +→ .*modprobe ip_set_hash_net/)
  assert.match(stderr, /nftables on bridges: Error: Could not process rule: Operation not supported\n +→ .*modprobe nf_tables/)
  assert.doesNotMatch(stderr, /network namespaces|veth/)
  assert.equal(fs.existsSync(path.join(home, 'postgres')), false)
})
