// Builds the dashboard's files from its sources, once for each state of them.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const repository = path.join(import.meta.dirname, '../..')
const folder = path.join(repository, 'dashboard')
const built = path.join(folder, 'dist')

/** Builds dashboard/dist unless it was built from the very same sources. It appears whole or not at all. */
export async function buildDashboard(progress: (step: string) => void): Promise<void> {
  const stamp = path.join(built, 'built-from')
  const sources = fingerprint()
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === sources) return
  progress('building the dashboard')
  const fresh = fs.mkdtempSync(`${built}-`)
  const old = `${fresh}-old`
  try {
    const vite = path.join(repository, 'node_modules/vite/bin/vite.js')
    await run(process.execPath, [vite, 'build', '--outDir', fresh, '--emptyOutDir', '--logLevel', 'error'], {
      cwd: folder,
      maxBuffer: 16 << 20,
    })
    fs.writeFileSync(path.join(fresh, 'built-from'), sources)
    fs.chmodSync(fresh, 0o755)
    // A controller of another cloud may be serving the files that were built before.
    if (fs.existsSync(built)) fs.renameSync(built, old)
    fs.renameSync(fresh, built)
  } finally {
    for (const folder of [fresh, old]) fs.rmSync(folder, { recursive: true, force: true })
  }
}

/** A hash of everything that goes into the build. */
function fingerprint(): string {
  const hash = createHash('sha256')
  const files = ['index.html', 'vite.config.ts', 'package.json', '../package-lock.json', ...list('src'), ...list('public')]
  for (const file of files)
    hash
      .update(file)
      .update('\0')
      .update(fs.readFileSync(path.join(folder, file)))
  return hash.digest('hex')
}

const list = (name: string): string[] =>
  fs
    .readdirSync(path.join(folder, name), { recursive: true, encoding: 'utf8' })
    .map((file) => path.join(name, file))
    .filter((file) => fs.statSync(path.join(folder, file)).isFile())
    .sort()
