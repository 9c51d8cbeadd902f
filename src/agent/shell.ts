// Starting other programs: the one door through which Wisp runs a command on the machine. Always an argv, never a
// shell string, so nothing that a user typed can become a command.
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'

/** A namespace's name as `ip netns` knows it; null is the namespace that Wisp itself runs in. */
export type Netns = string | null

export interface RunOptions {
  /** Written to the program's standard input, which is then closed. */
  input?: string | Uint8Array
  /** After this many milliseconds the program is killed and the call fails. 0 = no limit. */
  timeoutMs?: number
  /** Added to Wisp's own environment. */
  env?: Record<string, string>
  /** Run inside this network namespace. */
  netns?: Netns
  /** Strings that must never appear in an error: passwords, tokens, CHAP secrets. */
  secrets?: string[]
  /** What this is for, as a person would say it: `load the rules of port 42ab`. Opens the error's message. */
  doing?: string
  signal?: AbortSignal
  cwd?: string
}

export interface RunResult {
  stdout: string
  stderr: string
}

const STDERR_TAIL = 2000
const OUTPUT_LIMIT = 64 * 1024 * 1024

/** A command that could not start, exited non-zero, took too long or was aborted. Secrets are masked everywhere in it. */
export class CommandFailed extends Error {
  readonly argv: string[]
  /** Exit code, or null if the program did not start or was killed. */
  readonly exitCode: number | null
  /** The end of standard error, at most 2,000 characters. */
  readonly stderr: string
  readonly doing: string

  constructor(failure: { argv: string[]; exitCode: number | null; stderr: string; doing: string; why: string; cause?: unknown }) {
    const tail = failure.stderr.trim()
    super(`Could not ${failure.doing}: ${failure.why}${tail ? `: ${tail}` : ''} (command: ${failure.argv.join(' ')})`, {
      cause: failure.cause,
    })
    this.name = 'CommandFailed'
    this.argv = failure.argv
    this.exitCode = failure.exitCode
    this.stderr = tail
    this.doing = failure.doing
  }
}

/** Where `ip netns` keeps a namespace's handle. */
export function netnsPath(name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name)) throw new Error(`'${name}' is not a name for a network namespace`)
  return `/run/netns/${name}`
}

/** The same argv, run inside a network namespace (nsenter leaves the mount namespace alone, unlike `ip netns exec`). */
export function inNetns(netns: Netns | undefined, argv: string[]): string[] {
  return netns ? ['nsenter', `--net=${netnsPath(netns)}`, '--', ...argv] : argv
}

/** Replaces every secret in a text, longest first so that a secret inside another leaves no rest. */
export function mask(text: string, secrets: string[] = []): string {
  return [...secrets]
    .filter((secret) => secret !== '')
    .sort((a, b) => b.length - a.length)
    .reduce((masked, secret) => masked.replaceAll(secret, '***'), text)
}

/**
 * Runs a program to its end. Resolves with what it wrote when it exits 0, rejects with CommandFailed otherwise.
 * An aborted signal kills the program; the error's cause is the signal's reason.
 */
export async function run(argv: string[], options: RunOptions = {}): Promise<RunResult> {
  const output = await runBinary(argv, options)
  return { stdout: output.stdout.toString('utf8'), stderr: output.stderr }
}

/** Like run, for programs that write bytes. At most 64 MiB of output. */
export function runBinary(argv: string[], options: RunOptions = {}): Promise<{ stdout: Buffer; stderr: string }> {
  const { input, timeoutMs = 30_000, env, netns, secrets, signal, cwd } = options
  const full = inNetns(netns, argv)
  const doing = options.doing ?? `run ${argv[0]}`
  const shown = argv.map((word) => mask(word, secrets))
  return new Promise((resolve, reject) => {
    let stderr = ''
    let ended = false
    let killed: { why: string; cause?: unknown } | undefined
    const fail = (why: string, exitCode: number | null, cause?: unknown) =>
      reject(new CommandFailed({ argv: shown, exitCode, stderr: mask(stderr, secrets).slice(-STDERR_TAIL), doing, why, cause }))
    if (signal?.aborted) return fail('it was aborted before it began', null, signal.reason)

    const child = spawn(full[0]!, full.slice(1), {
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', ...env },
      cwd,
    })
    const kill = (why: string, cause?: unknown) => {
      killed ??= { why, cause }
      child.kill('SIGKILL')
    }
    const onAbort = () => kill('it was aborted', signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    const timer = timeoutMs > 0 ? setTimeout(() => kill(`it took longer than ${timeoutMs} ms`), timeoutMs) : undefined

    const chunks: Buffer[] = []
    let size = 0
    child.stdout!.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > OUTPUT_LIMIT) kill('it wrote more than 64 MiB')
      else chunks.push(chunk)
    })
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      // The tail is what is reported; keeping twice as much leaves room for a secret that straddles the cut.
      stderr = (stderr + text).slice(-STDERR_TAIL * 2)
    })
    const finish = (settle: () => void) => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      settle()
    }
    child.on('error', (error: NodeJS.ErrnoException) =>
      finish(() => fail(error.code === 'ENOENT' ? `${full[0]} is not installed` : error.message, null, error)),
    )
    child.on('close', (code, killedBy) =>
      finish(() => {
        if (killed) fail(killed.why, null, killed.cause)
        else if (code === 0) resolve({ stdout: Buffer.concat(chunks), stderr })
        else fail(killedBy ? `it was killed by ${killedBy}` : `it exited with ${code}`, code)
      }),
    )
    // A program that exits without reading all its input breaks the pipe; its exit code tells the story.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}

export interface DaemonOptions {
  /** Standard output and error are appended to this file; without it they are thrown away. */
  logFile?: string
  env?: Record<string, string>
  netns?: Netns
  cwd?: string
}

/**
 * Starts a program that shall outlive Wisp: its own session, no pipe to us, not awaited. Resolves with its pid once it
 * has started; whether it does its work is for the caller to see (its socket, its pid file).
 */
export function spawnDaemon(argv: string[], options: DaemonOptions = {}): Promise<{ pid: number; child: ChildProcess }> {
  const full = inNetns(options.netns, argv)
  const log = options.logFile === undefined ? undefined : openSync(options.logFile, 'a', 0o640)
  return new Promise((resolve, reject) => {
    const child = spawn(full[0]!, full.slice(1), {
      detached: true,
      stdio: ['ignore', log ?? 'ignore', log ?? 'ignore'],
      env: { ...process.env, ...options.env },
      cwd: options.cwd,
    })
    if (log !== undefined) closeSync(log)
    child.once('error', (error) =>
      reject(new CommandFailed({ argv, exitCode: null, stderr: '', doing: `start ${argv[0]}`, why: error.message, cause: error })),
    )
    child.once('spawn', () => {
      child.unref()
      resolve({ pid: child.pid!, child })
    })
  })
}
