// `wisp down` stops Wisp and leaves servers running; `--servers` stops them too. `wisp destroy` removes every trace of the cloud.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { removeFolder } from '../agent/files.ts'
import { type Config, cloudTag } from '../config.ts'
import { stopEmbedded } from '../database/embedded.ts'
import { removeUnit } from './install.ts'
import { end } from './process.ts'
import { programPids, supervisorPid } from './supervisor.ts'

export async function down(config: Config, words: string[]): Promise<void> {
  const { values } = parseArgs({ args: words, options: { servers: { type: 'boolean', default: false } } })
  const ran = await stopAll(config)
  if (values.servers) {
    const { stopServers } = await import('../agent/cleanup.ts')
    await stopServers(config)
  }
  const servers = values.servers ? 'Its servers are stopped too.' : 'Its servers run on, and are adopted again by "wisp up".'
  console.log(ran ? `Wisp is down. ${servers}` : `Wisp was not running. ${values.servers ? servers : ''}`.trim())
}

export async function destroy(config: Config, words: string[]): Promise<void> {
  const { values } = parseArgs({ args: words, options: { yes: { type: 'boolean', default: false } } })
  const { home } = config
  if (!fs.existsSync(home)) {
    console.log(`There is no cloud in ${home}.`)
    return
  }
  refuseForeign(home)
  if (!values.yes)
    throw new Error(
      `This removes the cloud in ${home} for ever: its servers, images, networks and database. If you mean it: wisp destroy --yes`,
    )
  await stopAll(config)
  removeUnit(home)
  const { destroyEverything } = await import('../agent/cleanup.ts')
  await destroyEverything(config)
  await removeFolder(home)
  fs.rmSync(`/run/wisp-${cloudTag(home)}`, { recursive: true, force: true })
  // The user of the embedded database goes with the last cloud; userdel refuses while another cloud's server runs as it.
  if (spawnSync('getent', ['passwd', 'wisp-postgres']).status === 0) spawnSync('userdel', ['wisp-postgres'])
  console.log(`The cloud in ${home} is gone.`)
  if (config.databaseUrl) console.log('Your own PostgreSQL (DATABASE_URL) was not touched: drop the database there.')
}

// So that a mistyped WISP_HOME never costs anyone their files.
function refuseForeign(home: string): void {
  const ours = ['postgres', 'run', 'log', 'host.json'].some((name) => fs.existsSync(path.join(home, name)))
  const names = fs.readdirSync(home)
  const roots = ['/', '/root', '/home', '/usr', '/etc', '/var', '/var/lib', '/tmp', '/opt', '/srv']
  if (roots.includes(path.resolve(home)) || (names.length > 0 && !ours))
    throw new Error(`${home} does not look like the data directory of a Wisp: nothing was removed`)
}

// The supervisor stops everything in order; what an earlier one left behind is ended here.
async function stopAll({ home }: Config): Promise<boolean> {
  const supervisor = supervisorPid(home)
  if (supervisor) await end(supervisor, 60_000)
  const left = ['host', 'controller'].flatMap((name) => programPids(home, name))
  for (const pid of left) await end(pid, 15_000)
  await stopEmbedded(home) // also one from before DATABASE_URL was set
  return supervisor !== undefined || left.length > 0
}
