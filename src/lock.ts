// Locks between processes on one machine. Node has no flock(2), so a tiny child holds it for us: it ends when its standard input does,
// which the kernel sees to even when we are killed, and with it goes the lock. Nothing can be left stale.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

export interface Lock {
  release(): Promise<void>
  /** Settles when the lock was lost because someone killed its holder; never after `release`. */
  lost: Promise<void>
}

/** Takes the lock on `file` (made if absent; its folder must exist). Waits for it, or with `wait: false` answers undefined when another has it. */
export async function lock(file: string, { wait = true } = {}): Promise<Lock | undefined> {
  const words = [
    ...(wait ? [] : ['--nonblock']),
    '--conflict-exit-code',
    '75',
    '--no-fork',
    file,
    'sh',
    '-c',
    'echo held; exec cat >/dev/null',
  ]
  // A group of its own: Ctrl-C in the terminal must not release the lock before we have put things in order.
  const holder = spawn('flock', words, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  const gone = once(holder, 'exit')
  const said = text(holder.stderr)
  const held = await Promise.race([once(holder.stdout, 'data').then(() => true), gone.then(() => false)])
  if (!held) {
    const [status] = await gone
    if (status === 75) return undefined
    throw new Error(`The lock ${file} could not be taken: ${(await said).trim() || `flock ended with ${status}`}`)
  }
  // Only now: one that is waited for keeps us alive until it has said yes or no. A held lock doesn't, nor do its streams.
  holder.unref()
  for (const stream of [holder.stdin, holder.stdout, holder.stderr])
    if ('unref' in stream && typeof stream.unref === 'function') stream.unref()
  let released = false
  return {
    lost: gone.then(() => (released ? new Promise<void>(() => {}) : undefined)),
    async release() {
      released = true
      holder.ref()
      holder.stdin.end()
      await gone
    },
  }
}
