import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'

function folder(context: TestContext): string {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-main-'))
  context.after(() => fs.rmSync(home, { recursive: true }))
  return home
}

const wisp = (home: string, ...words: string[]) =>
  spawnSync(process.execPath, [path.join(import.meta.dirname, 'main.ts'), ...words], {
    encoding: 'utf8',
    timeout: 60_000,
    env: { PATH: process.env.PATH, WISP_HOME: home },
  })

test('help tells a command from what it does', (context) => {
  const { stdout, status } = wisp(folder(context), 'help')
  assert.equal(status, 0)
  assert.match(stdout, /rotate-keys \[--secret-key\] \[--revoke-tokens\] seal/)
})

test('a word that a command does not know is refused', (context) => {
  const home = folder(context)
  for (const command of ['status', 'doctor', 'host']) {
    const { stderr, status } = wisp(home, command, '--nosuch')
    assert.deepEqual([status, /takes nothing more, not --nosuch/.test(stderr)], [2, true], `${command}: ${stderr}`)
  }
})

test('a second host of the same home is refused', async (context) => {
  const home = folder(context)
  const first = spawn(process.execPath, ['--eval', 'setInterval(() => {}, 1e6); console.log("runs")', '--', `--supervised=${home}:host`])
  context.after(() => first.kill())
  await new Promise((runs) => first.stdout.once('data', runs))
  const { stderr, status } = wisp(home, 'host')
  assert.deepEqual([status, stderr.includes(`runs already, pid ${first.pid}`)], [1, true], stderr)
})
