// Runs programs for the end-to-end tests, and waits for what comes true by itself.
import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** Seconds within which anything must have happened under emulation, on a busy machine. */
export const patience = Number(process.env.WISP_E2E_TIMEOUT ?? 300)

export interface Output {
  stdout: string
  stderr: string
  status: number
}

/** Runs a program to its end; its words are arguments, never a shell's. */
export async function run(argv: string[], env: NodeJS.ProcessEnv = process.env, seconds = 60): Promise<Output> {
  const child = spawn(argv[0]!, argv.slice(1), { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: seconds * 1000, killSignal: 'SIGKILL' })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null]
  if (signal) throw new Error(`${argv.join(' ')} was ended by ${signal} (it may take ${seconds} s at most)\n${stdout}\n${stderr}`)
  return { stdout, stderr, status: status! }
}

/** The same, for one that must end with 0. */
export async function succeed(argv: string[], env: NodeJS.ProcessEnv = process.env, seconds = 60): Promise<Output> {
  const output = await run(argv, env, seconds)
  if (output.status !== 0) throw new Error(`${argv.join(' ')} ended with ${output.status}\n${output.stdout}\n${output.stderr}`)
  return output
}

/** Waits until an answer is something, and gives it. */
export async function until<T>(
  what: () => Promise<T> | T,
  name: string,
  seconds = patience,
): Promise<Exclude<T, false | null | undefined | 0 | ''>> {
  const end = performance.now() + seconds * 1000
  for (;;) {
    const value = await what()
    if (value) return value as Exclude<T, false | null | undefined | 0 | ''>
    if (performance.now() > end) throw new Error(`after ${seconds} s it is still not so that ${name}`)
    await new Promise((go) => setTimeout(go, 250))
  }
}
