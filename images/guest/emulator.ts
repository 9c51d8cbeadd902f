// A guest under QEMU's own emulation, for the image's test: its serial line as text to wait for and type at, and its QMP monitor to plug and press buttons.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { stripVTControlCharacters } from 'node:util'

export type Guest = {
  /** All that the serial line has said, without carriage returns and escape sequences. */
  log: () => string
  /** Resolves with the match once the serial line has said it since `from` (an offset into log()); rejects at the deadline or when the guest ends. */
  said: (pattern: RegExp, from?: number) => Promise<RegExpMatchArray>
  /** Types a command at the shell on the serial line; gives what it printed. Commands print their own end mark. */
  run: (command: string) => Promise<string>
  type: (text: string) => void
  /** A QMP command; gives its `return`, rejects with its error's text. */
  monitor: (execute: string, parameters?: Record<string, unknown>) => Promise<unknown>
  /** Resolves when QEMU has ended, with its exit status. */
  ended: Promise<number | null>
  kill: () => Promise<void>
}

/** Starts a guest with 128 MB on machine `pc` from the disk image (written to). `extra` are QEMU's arguments for what else it has. Deadline in ms for every wait. */
export function startGuest(folder: string, disk: string, extra: string[], deadline: number): Guest {
  const socket = join(folder, 'monitor')
  const emulator: ChildProcess = spawn(
    'qemu-system-x86_64',
    [
      ...['-machine', 'pc,accel=tcg', '-m', '128', '-smp', '1,maxcpus=2', '-nodefaults', '-display', 'none'],
      ...['-serial', 'stdio', '-qmp', `unix:${socket},server=on,wait=off`],
      ...['-object', 'rng-random,id=random,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=random'],
      ...['-blockdev', `driver=qcow2,node-name=disk,file.driver=file,file.filename=${disk}`],
      ...['-device', 'virtio-blk-pci,drive=disk,bootindex=0'],
      ...extra,
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  let raw = ''
  let log = ''
  let over = false
  const waiting = new Set<() => void>()
  const news = () => {
    for (const look of waiting) look()
  }
  emulator.stdout?.setEncoding('utf8').on('data', (text: string) => {
    raw += text
    log = stripVTControlCharacters(raw).replaceAll('\r', '')
    news()
  })
  const ended = once(emulator, 'close').then(([status]) => {
    over = true
    news()
    return status as number | null
  })

  const said = (pattern: RegExp, from = 0) =>
    new Promise<RegExpMatchArray>((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer)
        waiting.delete(look)
      }
      const give = (up: string) => {
        stop()
        reject(new Error(`the guest ${up} before it said ${pattern}. Its console:\n${log}`))
      }
      const look = () => {
        const match = log.slice(from).match(pattern)
        if (match) {
          stop()
          resolve(match)
        } else if (over) give('ended')
      }
      const timer = setTimeout(() => give(`took more than ${deadline} ms`), deadline)
      waiting.add(look)
      look()
    })

  const type = (text: string) => {
    emulator.stdin?.write(text)
  }
  let commands = 0
  const run = async (command: string) => {
    const from = log.length
    const mark = `end-${++commands}`
    // quoted apart, so that the echo of what is typed is not taken for the mark
    type(`echo begin'-'${commands}; ${command}; echo end'-'${commands}\n`)
    const match = await said(new RegExp(`begin-${commands}\\n([^]*)${mark}\\n`), from)
    return match[1] ?? ''
  }

  const monitor = async (execute: string, parameters: Record<string, unknown> = {}) => {
    const line = connect(socket)
    try {
      await once(line, 'connect')
      line.write(`${JSON.stringify({ execute: 'qmp_capabilities' })}\n${JSON.stringify({ execute, arguments: parameters, id: 1 })}\n`)
      for await (const text of createInterface({ input: line })) {
        const answer = JSON.parse(text) as { id?: number; return?: unknown; error?: { desc: string } }
        if (answer.id !== 1) continue
        if (answer.error) throw new Error(`${execute}: ${answer.error.desc}`)
        return answer.return
      }
      throw new Error(`${execute}: the monitor closed the connection`)
    } finally {
      line.destroy()
    }
  }

  const killAtOnce = () => {
    if (!over) emulator.kill('SIGKILL')
  }
  process.once('exit', killAtOnce) // also when the test itself is broken off
  const kill = async () => {
    killAtOnce()
    await ended
  }
  return { log: () => log, said, run, type, monitor, ended, kill }
}
