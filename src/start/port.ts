// Whether the API's address can be had: tried before anything is started, so that nobody waits for a controller that cannot listen.
import { spawnSync } from 'node:child_process'
import net from 'node:net'
import type { Config } from '../config.ts'
import { programPids } from './supervisor.ts'

/** What keeps a controller from listening, and what to do about it; undefined when nothing does, or when ours listens already. */
export async function portTrouble(config: Config): Promise<{ what: string; remedy: string } | undefined> {
  if (programPids(config.home, 'controller').length > 0) return undefined
  const code = await listening(config.listen, config.port)
  if (code === undefined) return undefined
  if (code === 'EADDRINUSE')
    return { what: `port ${config.port} is taken by ${holder(config.port)}`, remedy: 'set WISP_PORT to a free one, or stop that program' }
  return {
    what: `this machine cannot listen on ${config.listen}, port ${config.port} (${code})`,
    remedy: 'set WISP_LISTEN to an address of this machine, 0.0.0.0 or ::',
  }
}

/** Listens for a moment; the error's code, or undefined when it could. */
function listening(host: string, port: number): Promise<string | undefined> {
  return new Promise((done) => {
    const server = net.createServer()
    server.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message))
    server.listen({ host, port }, () => server.close(() => done(undefined)))
  })
}

/** ss names the program that has the port. */
function holder(port: number): string {
  const { stdout } = spawnSync('ss', ['-Hltnp', `sport = :${port}`], { encoding: 'utf8' })
  const [, name, pid] = /\("([^"]+)",pid=(\d+)/.exec(stdout ?? '') ?? []
  return name ? `${name} (pid ${pid})` : 'another program'
}
