// The way in: which command is which file. Each is loaded only when it is asked for, so that `wisp help` is quick and a host never loads
// a controller's code.
import fs from 'node:fs'
import module from 'node:module'
import path from 'node:path'
import { type Config, loadConfig } from './config.ts'
import { said } from './denied.ts'

/** A number that it answers is the exit status. */
type Run = (config: Config, words: string[]) => unknown

interface Command {
  /** What follows the name. */
  usage: string
  /** One line for `wisp help`; without it the command is not for people. */
  summary?: string
  load: () => Promise<Run>
}

const commands: Record<string, Command> = {
  up: {
    usage: '[--foreground]',
    summary: 'start the cloud; say where it is and how to log in',
    load: async () => (await import('./start/up.ts')).up,
  },
  down: {
    usage: '[--servers]',
    summary: 'stop Wisp; servers run on, unless --servers',
    load: async () => (await import('./start/down.ts')).down,
  },
  status: { usage: '', summary: 'what runs', load: async () => (await import('./start/status.ts')).status },
  doctor: {
    usage: '',
    summary: 'what this machine can do, what is wrong, and how to mend it',
    load: async () => (await import('./start/doctor.ts')).doctor,
  },
  config: {
    usage: '',
    summary: 'every setting, its value and where it comes from',
    load: async () => (await import('./start/status.ts')).showConfig,
  },
  ssh: {
    usage: 'SERVER [COMMAND]',
    summary: "log in to a server through its network's namespace",
    load: async () => (await import('./cli/ssh.ts')).ssh,
  },
  policy: {
    usage: 'list|explain',
    summary: 'the policy rules in force, and what they say to a user',
    load: async () => (await import('./cli/policy.ts')).policy,
  },
  'rotate-keys': {
    usage: '[--secret-key] [--revoke-tokens]',
    summary: "seal tokens and users' credentials with new keys at once",
    load: async () => (await import('./start/rotate-keys.ts')).rotateKeysNow,
  },
  'join-token': {
    usage: '',
    summary: 'make a one-time token with which another machine joins as a host',
    load: async () => (await import('./start/join.ts')).joinToken,
  },
  join: {
    usage: 'URL TOKEN',
    summary: 'make this machine a host of the cloud at URL',
    load: async () => (await import('./start/join.ts')).joinCloud,
  },
  install: { usage: '', summary: 'run the cloud as a service of systemd', load: async () => (await import('./start/install.ts')).install },
  export: { usage: 'FILE', summary: 'write the whole database to one file', load: async () => (await import('./start/carry.ts')).exportTo },
  import: {
    usage: 'FILE',
    summary: 'fill an empty database from such a file',
    load: async () => (await import('./start/carry.ts')).importFrom,
  },
  destroy: { usage: '--yes', summary: 'remove every trace of the cloud', load: async () => (await import('./start/down.ts')).destroy },
  controller: {
    usage: '',
    summary: 'run a controller (what "up" and systemd keep alive)',
    load: async () => (await import('./controller.ts')).runController,
  },
  host: { usage: '', summary: "run this machine's host (likewise)", load: async () => (await import('./agent/main.ts')).runHost },
  supervise: { usage: '', load: async () => (await import('./start/supervise.ts')).supervise },
}

function help(): void {
  const rows = Object.entries({
    ...commands,
    test: { usage: '', summary: 'install what the tests need and run them all' },
    version: { usage: '', summary: 'which Wisp this is' },
  })
  console.log('Wisp: a cloud on this machine. Usage: wisp COMMAND\n')
  for (const [name, { usage, summary }] of rows) if (summary) console.log(`  ${`${name} ${usage}`.padEnd(26)} ${summary}`)
  console.log(
    '\nSettings come from the environment or from wisp.conf in the data directory (WISP_HOME, default /var/lib/wisp): see "wisp config".',
  )
}

function version(): string {
  return JSON.parse(fs.readFileSync(path.join(import.meta.dirname, '../package.json'), 'utf8')).version
}

async function main(name = 'help', ...rest: string[]): Promise<number> {
  // The supervisor marks the programs that it starts, to find them again.
  const words = rest.filter((word) => !word.startsWith('--supervised='))
  if (['help', '--help', '-h'].includes(name) || words.includes('--help')) {
    help()
    return 0
  }
  if (name === 'version' || name === '--version') {
    console.log(version())
    return 0
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command) {
    console.error(`wisp: there is no command "${name}". "wisp help" lists them.`)
    return 2
  }
  if (command.usage === '' && words.length > 0) {
    console.error(`wisp: "wisp ${name}" takes nothing more, not ${words.join(' ')}. "wisp help" lists what there is.`)
    return 2
  }
  const run = await command.load().catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new Error(`"wisp ${name}" is not there in this checkout: ${error.message}`)
  })
  const status = await run(loadConfig(), words)
  return typeof status === 'number' ? status : 0
}

// Node keeps what it made of our TypeScript: measured, a start takes a third of the time and a process 20 MB less, for the stripper is not
// even loaded. The launcher sets the same folder; programs that we start inherit it. Those that run on write theirs after a while.
process.env.NODE_COMPILE_CACHE ??= path.join(import.meta.dirname, '../node_modules/.cache/wisp')
module.enableCompileCache(process.env.NODE_COMPILE_CACHE)
setTimeout(module.flushCompileCache, 5000).unref()

try {
  process.exitCode = await main(...process.argv.slice(2))
} catch (error) {
  console.error(`wisp: ${said(error, process.argv.slice(2), process.getuid?.() === 0)}`)
  if (process.env.WISP_LOG_LEVEL === 'debug') console.error(error)
  process.exitCode = 1
}
// Whatever still holds the event loop (a closing connection, a timer) has no say in when a command is over.
process.exit()
