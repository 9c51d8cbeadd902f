// Runs the end-to-end tests one after the other, most of them on one cloud that is started once. Arguments name files; without, all.
//   node test/e2e/run.ts [first-server.test.ts …]
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { startCloud } from './cloud.ts'

const named = process.argv.slice(2).map((file) => path.resolve(file))
const all = fs.readdirSync(import.meta.dirname).filter((file) => file.endsWith('.test.ts'))
const files = named.length > 0 ? named : all.map((file) => path.join(import.meta.dirname, file))

const cloud = await startCloud({ own: true })
try {
  const words = ['--test', '--test-concurrency=1', ...files]
  const env = { ...process.env, WISP_E2E_HOME: cloud.home, WISP_E2E_PORT: String(cloud.port) }
  const child = spawn(process.execPath, words, { env, stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
  const [status] = (await once(child, 'exit')) as [number | null]
  process.exitCode = status ?? 1
} finally {
  await cloud.stop()
}
