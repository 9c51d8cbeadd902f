// `wisp status` and `wisp config`: what runs, and with which settings.
import type { Config } from '../config.ts'
import { effective } from '../config.ts'
import { embeddedPid } from '../database/embedded.ts'
import { answers, isOnlyHost, localUrl } from './cloud.ts'
import { programPids, supervisorPid } from './supervisor.ts'

/** Exit status 0 when all that should run does, 3 otherwise (as systemctl's). */
export async function status(config: Config): Promise<number> {
  const onlyHost = isOnlyHost(config)
  const row = (name: string, pids: (number | undefined)[]) => ({ name, pids: pids.filter((pid) => pid !== undefined) })
  const rows = [row('supervisor', [supervisorPid(config.home)])]
  if (!onlyHost && !config.databaseUrl) rows.push(row('postgres', [embeddedPid(config.home)]))
  if (!onlyHost) rows.push(row('controller', programPids(config.home, 'controller')))
  rows.push(row('host', programPids(config.home, 'host')))
  for (const { name, pids } of rows) console.log(`${name.padEnd(12)}${pids.length > 0 ? `runs, pid ${pids.join(', ')}` : 'does not run'}`)
  const api = onlyHost || (await answers(config))
  if (!onlyHost) console.log(`${'API'.padEnd(12)}${api ? 'answers' : 'does not answer'} at ${localUrl(config)}`)
  return api && rows.every(({ pids }) => pids.length > 0) ? 0 : 3
}

export function showConfig(): void {
  const rows = effective()
  const width = Math.max(...rows.map(({ env, value }) => env.length + value.length + 1))
  for (const { env, value, from, meaning } of rows) console.log(`${`${env}=${value}`.padEnd(width)}  ${`(${from})`.padEnd(14)} ${meaning}`)
}
