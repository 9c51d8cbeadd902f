import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { end } from './process.ts'
import { rotateLogs } from './rotate.ts'
import { programPids, supervisorPid } from './supervisor.ts'

let home: string
let script: string
const started: ChildProcess[] = []
beforeEach(() => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-supervisor-'))
  script = path.join(home, 'supervisor.ts')
  const toy = `require('fs').appendFileSync(${JSON.stringify(path.join(home, 'toy-starts'))}, process.pid + '\\n'); setInterval(() => {}, 1000)`
  const service = JSON.stringify(path.join(home, 'service'))
  fs.writeFileSync(
    script,
    `import fs from 'node:fs'
import { supervise } from ${JSON.stringify(path.join(import.meta.dirname, 'supervisor.ts'))}
const stop = new AbortController()
process.on('SIGTERM', () => stop.abort())
const service = { name: 'service', alive: () => fs.existsSync(${service}), start: async () => fs.writeFileSync(${service}, ''), stop: async () => fs.rmSync(${service}) }
const program = { name: 'toy', argv: [process.execPath, '-e', ${JSON.stringify(toy)}, '--'] }
process.exitCode = (await supervise({ home: ${JSON.stringify(home)}, services: [service], programs: [program] }, stop.signal)) ? 0 : 7
`,
  )
})
afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
  for (const pid of programPids(home, 'toy')) await end(pid, 0)
  fs.rmSync(home, { recursive: true })
})

function startSupervisor(): ChildProcess {
  const child = spawn(process.execPath, [script], { stdio: 'inherit' })
  started.push(child)
  return child
}
async function until<T>(look: () => T | undefined | false): Promise<T> {
  for (;;) {
    const found = look()
    if (found) return found
    await sleep(20)
  }
}
const starts = () =>
  fs.existsSync(path.join(home, 'toy-starts'))
    ? fs.readFileSync(path.join(home, 'toy-starts'), 'utf8').split('\n').slice(0, -1).map(Number)
    : []
const log = () => fs.readFileSync(path.join(home, 'log', 'supervisor.log'), 'utf8')

test('a program that dies and a service that goes away are started again, with the reason in the log', { timeout: 120_000 }, async () => {
  const supervisor = startSupervisor()
  const [first] = await until(() => starts().length === 1 && starts())
  assert.equal(supervisorPid(home), supervisor.pid)
  process.kill(first ?? 0, 'SIGKILL')
  const both = await until(() => starts().length === 2 && starts())
  assert.deepEqual(programPids(home, 'toy'), [both[1]])
  assert.match(log(), /toy: was ended by SIGKILL .*starting it again/)
  fs.rmSync(path.join(home, 'service'))
  await until(() => fs.existsSync(path.join(home, 'service')))
  assert.match(log(), /service: is gone/)

  supervisor.kill('SIGTERM')
  const [status] = await once(supervisor, 'exit')
  assert.equal(status, 0)
  assert.deepEqual(programPids(home, 'toy'), [])
  assert.equal(fs.existsSync(path.join(home, 'service')), false)
  assert.equal(supervisorPid(home), undefined)
})

test('there is one supervisor; after kill -9 the next one replaces what it left, without doubles', { timeout: 120_000 }, async () => {
  const first = startSupervisor()
  const [left] = await until(() => starts().length === 1 && starts())
  const second = startSupervisor()
  assert.deepEqual(await once(second, 'exit'), [7, null])

  first.kill('SIGKILL')
  await once(first, 'exit')
  assert.deepEqual(programPids(home, 'toy'), [left])
  assert.equal(supervisorPid(home), undefined)
  const third = startSupervisor()
  const all = await until(() => starts().length === 2 && starts())
  assert.deepEqual(programPids(home, 'toy'), [all[1]])
  assert.equal(supervisorPid(home), third.pid)
  third.kill('SIGTERM')
  await once(third, 'exit')
})

test('a supervisor whose lock was taken away leaves, when another has it', { timeout: 120_000 }, async () => {
  const first = startSupervisor()
  await until(() => starts().length === 1)
  const nameOf = (pid: string) => {
    try {
      return fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
    } catch {
      return '' // it has ended meanwhile
    }
  }
  const holders = () =>
    fs
      .readFileSync(`/proc/${first.pid}/task/${first.pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter((pid) => nameOf(pid) === 'cat')
  const [holder] = await until(() => holders().length === 1 && holders())
  process.kill(Number(holder), 'SIGKILL')
  // Nobody else wants it: the supervisor takes it again and stays.
  await until(() => holders().some((pid) => pid !== holder))
  const second = startSupervisor()
  assert.deepEqual(await once(second, 'exit'), [7, null])
  assert.equal(supervisorPid(home), first.pid)
  first.kill('SIGTERM')
  await once(first, 'exit')
})

test('logs are rotated by size, in place', () => {
  const folder = path.join(home, 'log')
  fs.mkdirSync(folder)
  const file = path.join(folder, 'a.log')
  const writer = fs.openSync(file, 'a')
  for (const word of ['one', 'two', 'three', 'four']) {
    fs.writeSync(writer, word.repeat(10))
    rotateLogs(folder, 20, 2)
  }
  fs.writeSync(writer, 'five')
  rotateLogs(folder, 20, 2)
  fs.closeSync(writer)
  assert.deepEqual(fs.readdirSync(folder).sort(), ['a.log', 'a.log.1', 'a.log.2'])
  assert.equal(fs.readFileSync(file, 'utf8'), 'five')
  assert.match(fs.readFileSync(`${file}.1`, 'utf8'), /^four/)
  assert.match(fs.readFileSync(`${file}.2`, 'utf8'), /^three/)
})
