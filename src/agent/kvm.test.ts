import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { kvmWorks, probe } from './kvm.ts'

const installed = (program: string) => (process.env.PATH ?? '').split(':').some((folder) => fs.existsSync(path.join(folder, program)))

test('a guest of one sector runs under emulation and says so', async () => {
  assert.equal((await probe('tcg', 30_000)).works, true)
})

test('so does one of ARM, where its QEMU is', {
  skip: !installed('qemu-system-aarch64') && 'qemu-system-arm is not installed',
}, async () => {
  const { works, why } = await probe('tcg', 30_000, 'arm64')
  assert.deepEqual([works, why], [true, 'a test guest booted'])
})

test('a guest that gets no time does not work, and the reason names the limit', async () => {
  const { works, why } = await probe('tcg', 1)
  assert.equal(works, false)
  assert.match(why, /1 ms/)
})

/** A folder for the front of PATH with this in place of QEMU. */
function insteadOfQemu(context: TestContext, script: string): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-qemu-'))
  context.after(() => fs.rmSync(folder, { recursive: true }))
  for (const name of ['qemu-system-x86_64', 'qemu-system-aarch64']) fs.writeFileSync(path.join(folder, name), script, { mode: 0o755 })
  return folder
}

test('a guest that hangs dies with the program that tries it, even when that one is killed', async (context) => {
  const folder = insteadOfQemu(context, '#!/bin/sh\necho $$ > "$0.pid"\nexec sleep 300\n')
  const child = spawn(
    process.execPath,
    ['-e', `import('${path.join(import.meta.dirname, 'kvm.ts')}').then(({ probe }) => probe('kvm', 60_000))`],
    {
      env: { ...process.env, PATH: `${folder}:${process.env.PATH}` },
    },
  )
  const pids = () => fs.readdirSync(folder).filter((name) => name.endsWith('.pid'))
  const waitUntil = async (what: () => boolean, name: string) => {
    for (const end = performance.now() + 20_000; !what(); await sleep(50)) assert.ok(performance.now() < end, name)
  }
  await waitUntil(() => pids().some((name) => fs.statSync(path.join(folder, name)).size > 0), 'the guest runs')
  const pid = fs.readFileSync(path.join(folder, pids()[0]!), 'utf8').trim()
  assert.ok(fs.existsSync(`/proc/${pid}`))
  child.kill('SIGKILL')
  await waitUntil(
    () => !fs.existsSync(`/proc/${pid}`) || /^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8')),
    'the guest has ended',
  )
})

test('a KVM that takes many times as long as emulation does not work, unless the machine stood still for that moment', async () => {
  const trying = (took: { kvm: number[]; tcg: number }) =>
    kvmWorks(async (accelerator) => ({ works: true, why: 'a test guest booted', ms: accelerator === 'kvm' ? took.kvm.shift()! : took.tcg }))
  assert.deepEqual(await trying({ kvm: [2000, 1900], tcg: 120 }), {
    works: false,
    why: 'a test guest took 2000 ms to boot, and emulated 120 ms',
  })
  for (const took of [
    { kvm: [100], tcg: 2000 },
    { kvm: [480], tcg: 120 },
    { kvm: [2000, 110], tcg: 120 },
  ])
    assert.equal((await trying(took)).works, true)
})

test('how long the test guest ran is told', async (context) => {
  const path = process.env.PATH
  context.after(() => {
    process.env.PATH = path
  })
  const done = process.arch === 'x64' ? 85 : 0
  process.env.PATH = `${insteadOfQemu(context, `#!/bin/sh\nsleep 0.2\nexit ${done}\n`)}:${path}`
  const trial = await probe('tcg', 60_000)
  assert.equal(trial.works, true)
  assert.ok(trial.ms >= 200)
})
