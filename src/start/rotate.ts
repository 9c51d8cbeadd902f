// Keeps log files small: each program appends to its own file, so a full one is copied aside and emptied in place, and nobody has to
// open it anew. A line that is written between the two may be lost; a program that is killed, or kills, never is.
import fs from 'node:fs'
import path from 'node:path'

/** Rotates every `.log` in `folder` that is larger than `limit` bytes, keeping `keep` older ones as `.log.1`, `.log.2` … */
export function rotateLogs(folder: string, limit: number, keep: number): void {
  for (const name of fs.readdirSync(folder)) {
    const file = path.join(folder, name)
    if (!name.endsWith('.log') || fs.statSync(file).size <= limit) continue
    for (let n = keep - 1; n >= 1; n--) if (fs.existsSync(`${file}.${n}`)) fs.renameSync(`${file}.${n}`, `${file}.${n + 1}`)
    fs.copyFileSync(file, `${file}.1`)
    fs.truncateSync(file)
  }
}

/** The last lines of a log, for an error message. */
export function lastLines(file: string, count: number): string {
  if (!fs.existsSync(file)) return ''
  const size = fs.statSync(file).size
  const tail = Buffer.alloc(Math.min(size, 16_384))
  const handle = fs.openSync(file, 'r')
  try {
    fs.readSync(handle, tail, 0, tail.length, size - tail.length)
  } finally {
    fs.closeSync(handle)
  }
  return tail.toString().trimEnd().split('\n').slice(-count).join('\n')
}
