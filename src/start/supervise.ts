// `wisp supervise`: the supervisor as a program, as `wisp up` starts it. Not for people: they say up and down.
import type { Config } from '../config.ts'
import { supervised } from './cloud.ts'
import { supervise as run } from './supervisor.ts'

export async function supervise(config: Config): Promise<void> {
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())
  process.on('SIGHUP', () => {}) // the terminal that said `up` went away
  await run(supervised(config), stop.signal)
}
