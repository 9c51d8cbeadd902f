import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { lines } from './log.ts'

const refusal = (code: string) => Object.assign(new Error(code), { code })

test('lines arrive whole and in order, also where only a part is taken at once or the output is busy', () => {
  let text = ''
  let turn = 0
  const log = lines((bytes) => {
    if (turn++ % 3 === 1) throw refusal('EAGAIN')
    text += bytes.subarray(0, 7).toString()
    return Math.min(7, bytes.length)
  })
  const wanted = Array.from({ length: 50 }, (_, n) => `line ${n}\n`)
  for (const line of wanted) log.write(line)
  for (let n = 0; n < 200; n++) log.flush()
  assert.equal(text, wanted.join(''))
})

test('what a full disk does not take is counted, and said when there is room again', () => {
  let full = true
  let text = ''
  const log = lines((bytes) => {
    if (full) throw refusal('ENOSPC')
    text += bytes.toString()
    return bytes.length
  })
  for (let n = 0; n < 3; n++) {
    log.write('lost\nlost too\n')
    log.flush()
  }
  full = false
  log.write('kept\n')
  log.flush()
  log.write('kept, too\n')
  log.flush()
  assert.match(text, /^\{"level":40,"time":\d+,"msg":"6 lines of this log could not be written"\}\nkept\nkept, too\n$/)
})

test('a program whose log has no room goes on, and ends when it wants to', () => {
  const full = fs.openSync('/dev/full', 'w')
  try {
    const program = `import { lines } from ${JSON.stringify(path.join(import.meta.dirname, 'log.ts'))}
      const log = lines()
      for (let n = 0; n < 2000; n++) log.write('a line\\n'.repeat(20))
      console.error('went on')`
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', full, 'pipe'],
      encoding: 'utf8',
    })
    assert.equal(stderr.trim(), 'went on')
    assert.equal(status, 0)
  } finally {
    fs.closeSync(full)
  }
})
