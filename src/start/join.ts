// `wisp join-token` on a controller, then `wisp join URL TOKEN` on the machine that shall be a host.
import fs from 'node:fs'
import { parseArgs } from 'node:util'
import { join, machineId } from '../agent/join.ts'
import type { Config } from '../config.ts'
import { databaseOf, isOnlyHost, localUrl } from './cloud.ts'
import { hostFile, secretKeyFile } from './files.ts'

export async function joinToken(config: Config, words: string[]): Promise<void> {
  parseArgs({ args: words, options: {} })
  if (isOnlyHost(config)) throw new Error('This machine is only a host: tokens are made where the controllers are')
  const [{ connect }, { makeJoinToken }] = await Promise.all([import('../database/connect.ts'), import('../wire/join.ts')])
  const db = connect(databaseOf(config), { name: 'wisp join-token', connections: 2 })
  try {
    const token = await db.write((tx) => makeJoinToken(tx))
    console.log(`Good for one machine, for an hour. There, as root:\n  wisp join ${localUrl(config)} ${token}`)
    if (config.listen === '127.0.0.1')
      console.log(
        'Other machines cannot reach this controller yet: it listens on 127.0.0.1 only. Set WISP_LISTEN (and a certificate), then "wisp down" and "wisp up".',
      )
  } finally {
    await db.close()
  }
}

export async function joinCloud(config: Config, words: string[]): Promise<void> {
  const [url, token, more] = words
  if (!url || !token || more || !URL.canParse(url))
    throw new Error('wisp join wants the URL of a controller and a token: wisp join https://controller:5000 TOKEN')
  refuseOwnCloud(config)
  const { cloud } = await join(config, [url.replace(/\/+$/, '')], token)
  console.log(`${config.hostName} (machine ${machineId()}) has joined cloud ${cloud}. "wisp up" starts it.`)
}

/** A home with a controller would be taken for that of a lone host from then on, and "wisp up" would start no controller any more. */
function refuseOwnCloud(config: Config): void {
  if (isOnlyHost(config) || !(fs.existsSync(secretKeyFile(config.home)) || fs.existsSync(hostFile(config.home)))) return
  throw new Error(
    `There is a cloud in ${config.home} already, and this machine's host joined it by itself. To make this machine a host of another cloud, name another WISP_HOME`,
  )
}
