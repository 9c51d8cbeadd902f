// A kept-alive `ip -batch` and `bridge -batch` for each network namespace: 1 ms a command where a process of its own takes
// twenty. Each command is followed by two markers, so that its output and its errors are told apart from its neighbours'.
import { type ChildProcess, spawn } from 'node:child_process'
import { CommandFailed, inNetns, type Netns } from './shell.ts'

/** A namespace's network, to be asked and told things. `ip` and `bridge` take the words after the program's name. */
export interface Netlink {
  readonly netns: Netns
  /** Runs `ip -details -json …`; resolves with the parsed answer, [] if the command prints nothing. Rejects with CommandFailed. */
  ip(argv: string[], signal?: AbortSignal): Promise<Record<string, unknown>[]>
  /** Runs `bridge -details -json …`. */
  bridge(argv: string[], signal?: AbortSignal): Promise<Record<string, unknown>[]>
  /** Ends the processes (a namespace lives on while a process is in it). The next command starts new ones. */
  close(): void
}

/**
 * Commands that always print one line of their own, which no command of ours prints. (Few may be given twice to one `ip`:
 * `maddress show dev lo` then says that dev is a duplicate, and ends.)
 */
const END_OF_OUTPUT = {
  ip: { command: 'netconf show dev lo', answer: /^\[\{"family":"inet","interface":"lo",/ },
  bridge: { command: 'mdb show dev lo', answer: /^\[\{"mdb":/ },
}

/** No such object exists, so this always fails, and says so on standard error with the line's number. */
const END_OF_ERRORS = 'wisp-end-of-command'

const IDLE_MS = 30_000
const COMMAND_TIMEOUT_MS = 15_000

/** Opens a namespace's network; nothing runs until the first command, and processes end after 30 s without one. */
export function openNetlink(netns: Netns = null): Netlink {
  const ip = batch('ip', netns)
  const bridge = batch('bridge', netns)
  return {
    netns,
    ip: ip.command,
    bridge: bridge.command,
    close() {
      ip.close()
      bridge.close()
    },
  }
}

interface Command {
  line: string
  argv: string[]
  resolve(answer: Record<string, unknown>[]): void
  reject(error: unknown): void
  /** It runs as the first of a new process. */
  fresh: boolean
}

function batch(program: 'ip' | 'bridge', netns: Netns) {
  const argv = inNetns(netns, [program, '-force', '-details', '-json', '-batch', '-'])
  const end = END_OF_OUTPUT[program]
  const queue: Command[] = []
  let child: ChildProcess | undefined
  let running: Command | undefined
  let lineNumber = 0
  let output = ''
  let errors = ''
  let timer: NodeJS.Timeout | undefined

  function start(): ChildProcess {
    const fresh = spawn(argv[0]!, argv.slice(1), { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } })
    lineNumber = 0
    fresh.stdout!.setEncoding('utf8').on('data', (text: string) => {
      if (fresh !== child) return
      output += text
      settle()
    })
    fresh.stderr!.setEncoding('utf8').on('data', (text: string) => {
      if (fresh !== child) return
      errors += text
      settle()
    })
    fresh.stdin!.on('error', () => {})
    const gone = (why: string) => {
      if (fresh !== child) return
      child = undefined
      const said = errors.trim()
      finish((command) => retryOr(command, said, why))
    }
    fresh.on('error', (error) => gone(error.message))
    // Wrong usage ends the program at once, even with -force: then the answer to this command is its last words.
    fresh.on('close', (code, killedBy) => gone(`${program} ended with ${killedBy ?? code}`))
    return fresh
  }

  function failure(command: Command, why: string, stderr: string): CommandFailed {
    const where = netns ? ` in namespace ${netns}` : ''
    return new CommandFailed({ argv: [program, ...command.argv], exitCode: 1, stderr, doing: `change the network${where}`, why })
  }

  /**
   * `ip` remembers which index belongs to a name, also when another program has since removed or replaced that interface.
   * So a refusal is believed only from a fresh one, which looks names up again, unless it is about a name that was looked
   * up just now and not found. Nothing was done, so doing it again is safe.
   */
  function retryOr(command: Command, said: string, why: string) {
    const final = /^(Device ".*" does not exist\.|Cannot find device ".*"|RTNETLINK answers: File exists)$/m
    if (command.fresh || final.test(said)) command.reject(failure(command, why, said))
    else retry(command)
  }

  function retry(command: Command) {
    discard()
    queue.unshift(command)
  }

  function discard() {
    const old = child
    child = undefined
    old?.stdin?.end()
  }

  function settle() {
    if (!running) return
    const lines = output.split('\n')
    const ended = lines.findIndex((line) => end.answer.test(line))
    const failed = errors.indexOf(`Command failed -:${lineNumber}\n`)
    if (ended === -1 || ended === lines.length - 1 || failed === -1) return
    const printed = lines.slice(0, ended).filter((line) => line.trim() !== '')
    const mine = `Command failed -:${lineNumber - 2}\n`
    const failedHere = errors.includes(mine)
    const said = errors.slice(0, errors.indexOf(mine)).trim()
    finish((command) => {
      if (failedHere) return retryOr(command, said, 'the kernel or the program refused')
      try {
        // What was filtered out is printed as an empty item; so is, by `show dev`, an index that is gone.
        const items = printed.flatMap((line) => JSON.parse(line) as Record<string, unknown>[]).filter((item) => !isEmpty(item))
        const [, verb, dev] = command.argv
        if (!command.fresh && verb === 'show' && dev === 'dev' && items.length === 0) retry(command)
        else command.resolve(items)
      } catch (error) {
        command.reject(failure(command, `its answer is not JSON (${error})`, printed.join(' ').slice(0, 300)))
      }
    })
  }

  function finish(settleCommand: (command: Command) => void) {
    clearTimeout(timer)
    const command = running
    running = undefined
    output = ''
    errors = ''
    if (command) settleCommand(command)
    next()
  }

  function next() {
    if (running) return
    running = queue.shift()
    if (!running) {
      hold(false)
      timer = setTimeout(close, IDLE_MS)
      timer.unref()
      return
    }
    clearTimeout(timer)
    running.fresh = child === undefined
    child ??= start()
    hold(true)
    lineNumber += 3
    timer = setTimeout(() => {
      const slow = running!
      const process = child
      const said = errors
      child = undefined
      process?.kill('SIGKILL')
      finish(() => slow.reject(failure(slow, `no answer within ${COMMAND_TIMEOUT_MS} ms`, said)))
    }, COMMAND_TIMEOUT_MS)
    child.stdin!.write(`${running.line}\n${end.command}\n${END_OF_ERRORS}\n`)
  }

  /** Only a command under way keeps Wisp's own process from ending; an idle child doesn't. */
  function hold(busy: boolean) {
    if (!child) return
    const verb = busy ? 'ref' : 'unref'
    child[verb]()
    for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as unknown as { ref(): void; unref(): void })[verb]()
  }

  function close() {
    clearTimeout(timer)
    discard()
    const command = running
    running = undefined
    output = ''
    errors = ''
    command?.reject(failure(command, 'the connection to it was closed', ''))
    for (const waiting of queue.splice(0)) waiting.reject(failure(waiting, 'the connection to it was closed', ''))
  }

  async function command(words: string[], signal?: AbortSignal): Promise<Record<string, unknown>[]> {
    signal?.throwIfAborted()
    const line = words.map(quote).join(' ')
    return new Promise((resolve, reject) => {
      const mine: Command = { line, argv: words, resolve, reject, fresh: false }
      signal?.addEventListener(
        'abort',
        () => {
          const at = queue.indexOf(mine)
          if (at !== -1) queue.splice(at, 1)
          // A command already given to the kernel runs its course; only its answer is no longer waited for.
          reject(signal.reason)
        },
        { once: true },
      )
      queue.push(mine)
      next()
    })
  }

  return { command, close }
}

function isEmpty(item: Record<string, unknown>): boolean {
  return Object.keys(item).every((key) => key === 'addr_info')
}

/** A word as `-batch` reads it. It has quotes but no escapes, and cuts a line at # even inside quotes. */
export function quote(word: string): string {
  if (/^[A-Za-z0-9_.:/@%+,=*-]+$/.test(word)) return word
  const control = [...word].some((character) => character < ' ' || character === '\x7f')
  if (control || word.includes('#') || word.includes("'")) throw new Error(`'${word}' can't be given to ip -batch`)
  return `'${word}'`
}
