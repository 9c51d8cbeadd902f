import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { CommandFailed, inNetns, mask, run, runBinary, spawnDaemon } from './shell.ts'

/** A program that every machine with these tests has. */
const node = (script: string, ...words: string[]) => [process.execPath, '-e', script, ...words]

async function failureOf(call: Promise<unknown>): Promise<CommandFailed> {
  const error = await call.then(() => assert.fail('it should fail')).catch((reason) => reason)
  assert.ok(error instanceof CommandFailed, String(error))
  return error
}

describe('run', () => {
  it('gives input, environment and words as they are', async () => {
    const script = 'process.stdin.pipe(process.stdout); console.error(process.argv[1], process.env.COLOUR)'
    const { stdout, stderr } = await run(node(script, '$(id); "x" *'), { input: 'in\n', env: { COLOUR: 'red' } })
    assert.equal(stdout, 'in\n')
    assert.equal(stderr, '$(id); "x" * red\n')
  })

  it('keeps bytes', async () => {
    const { stdout } = await runBinary(node('process.stdout.write(Buffer.from([0, 255, 128]))'))
    assert.deepEqual([...stdout], [0, 255, 128])
  })

  it('tells what failed, with the end of its errors and no secret', async () => {
    const script = 'process.stderr.write("x".repeat(9000) + "wrong password " + process.argv[1]); process.exitCode = 3'
    const error = await failureOf(run(node(script, 'hunter2'), { secrets: ['hunter2'], doing: 'log in to the target' }))
    assert.equal(error.exitCode, 3)
    assert.match(error.message, /^Could not log in to the target: it exited with 3: x+wrong password \*\*\*/)
    assert.ok(error.stderr.length <= 2000)
    assert.doesNotMatch(JSON.stringify([error.message, error.stderr, error.argv, error.stack]), /hunter2/)
  })

  it('names a program that is not installed', async () => {
    const error = await failureOf(run(['wisp-no-such-program']))
    assert.equal(error.exitCode, null)
    assert.match(error.message, /wisp-no-such-program is not installed/)
  })

  it('ends what takes too long', async () => {
    const error = await failureOf(run(node('setInterval(() => {}, 1000)'), { timeoutMs: 50 }))
    assert.match(error.message, /it took longer than 50 ms/)
  })

  it('ends what is aborted, and does not begin what already is', async () => {
    const abort = new AbortController()
    const pending = failureOf(run(node('setInterval(() => {}, 1000)'), { signal: abort.signal }))
    abort.abort(new Error('the server was deleted'))
    const error = await pending
    assert.match(error.message, /it was aborted/)
    assert.match(String(error.cause), /the server was deleted/)
    assert.match((await failureOf(run(['true'], { signal: abort.signal }))).message, /aborted before it began/)
  })

  it('survives a program that does not read its input', async () => {
    assert.equal((await run(['true'], { input: Buffer.alloc(1 << 20) })).stdout, '')
  })
})

it('masks the longer secret first', () => {
  assert.equal(mask('abcd abc', ['abc', 'abcd', '']), '*** ***')
})

it('enters a namespace by its handle, and refuses a name that is a path', () => {
  assert.deepEqual(inNetns('qdhcp-1', ['ip', 'link']), ['nsenter', '--net=/run/netns/qdhcp-1', '--', 'ip', 'link'])
  assert.deepEqual(inNetns(null, ['ip']), ['ip'])
  assert.throws(() => inNetns('../../proc/1/ns/net', ['ip']), /not a name for a network namespace/)
})

it('starts a daemon that writes to its log', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'wisp-shell-'))
  try {
    const logFile = join(folder, 'log')
    const { pid, child } = await spawnDaemon(node('console.log("up"); console.error(process.pid)'), { logFile })
    await once(child, 'exit')
    assert.equal(await readFile(logFile, 'utf8'), `up\n${pid}\n`)
    await assert.rejects(spawnDaemon(['wisp-no-such-program']), CommandFailed)
  } finally {
    await rm(folder, { recursive: true })
  }
})
