// Where a program's log goes: to its standard output, a few lines at a time. What cannot be written, because the disk is full, is lost and
// counted; nothing may end for want of room for its log.
import fs from 'node:fs'

const pause = 100
const enough = 4096
/** More than this is not kept for an output that does not take it. */
const most = 1 << 20

const open = new Set<() => void>()
process.on('exit', () => {
  for (const flush of open) flush()
})

/** A destination for pino. `write` takes some of the bytes and says how many, or throws. */
export function lines(write = (bytes: Buffer): number => fs.writeSync(1, bytes)): { write(line: string): void; flush(): void } {
  let waiting: Buffer[] = []
  let size = 0
  let lost = 0

  const flush = () => {
    if (size === 0) return
    let rest = Buffer.concat(waiting)
    waiting = []
    size = 0
    try {
      if (lost > 0)
        write(Buffer.from(`${JSON.stringify({ level: 40, time: Date.now(), msg: `${lost} lines of this log could not be written` })}\n`))
      lost = 0
      while (rest.length > 0) rest = rest.subarray(write(rest))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN' && rest.length < most) {
        waiting = [rest]
        size = rest.length
      } else lost += rest.toString().split('\n').length - 1
    }
  }

  setInterval(flush, pause).unref()
  open.add(flush)
  return {
    write(line) {
      const bytes = Buffer.from(line)
      waiting.push(bytes)
      size += bytes.length
      if (size >= enough) flush()
    },
    flush,
  }
}
