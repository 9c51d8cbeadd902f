import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { lock } from './lock.ts'

let folder: string
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-lock-'))
})
after(() => fs.rmSync(folder, { recursive: true }))

test('one has the lock at a time; the next gets it when it is released', async () => {
  const file = path.join(folder, 'a')
  const first = await lock(file)
  assert.ok(first)
  assert.equal(await lock(file, { wait: false }), undefined)
  const second = lock(file)
  await first.release()
  await (await second)?.release()
})

test('the lock of a process that is killed is free', async () => {
  const file = path.join(folder, 'b')
  const code = `import { lock } from ${JSON.stringify(path.join(import.meta.dirname, 'lock.ts'))}; await lock(${JSON.stringify(file)}); console.log('held'); setInterval(() => {}, 1000)`
  const other = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(other.stdout, 'data')
  assert.equal(await lock(file, { wait: false }), undefined)
  other.kill('SIGKILL')
  await (await lock(file))?.release()
})

test('a lock that cannot be taken says why', async () => {
  await assert.rejects(lock(path.join(folder, 'no/such/file')), /could not be taken: .*No such file/)
})

test('whoever asks for a lock lives to hear the answer, also when its streams end before the process does', (context) => {
  const own = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-lock-'))
  context.after(() => fs.rmSync(own, { recursive: true }))
  fs.writeFileSync(path.join(own, 'flock'), '#!/bin/sh\nexec <&- >&- 2>&-\nsleep 0.3\nexit 75\n', { mode: 0o755 })
  fs.writeFileSync(
    path.join(own, 'asks.ts'),
    `import { lock } from ${JSON.stringify(path.join(import.meta.dirname, 'lock.ts'))}\nconsole.log(await lock('x', { wait: false }))\n`,
  )
  const env = { ...process.env, PATH: `${own}:${process.env.PATH}` }
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(own, 'asks.ts')], { encoding: 'utf8', env })
  assert.deepEqual([status, stdout], [0, 'undefined\n'], stderr)
})
