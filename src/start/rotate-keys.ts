// `wisp rotate-keys`: new keys for tokens and for users' credentials at once, when an old one may have been seen; by themselves they change
// every week and every quarter. Nobody is logged out: tokens that the old keys sealed are good until they expire.
import { parseArgs } from 'node:util'
import type { Config } from '../config.ts'
import { databaseOf, isOnlyHost } from './cloud.ts'
import { sealingKey } from './files.ts'

export async function rotateKeysNow(config: Config, words: string[]): Promise<void> {
  parseArgs({ args: words, options: {} })
  if (isOnlyHost(config)) throw new Error('This machine is only a host: keys are kept where the controllers are')
  const [{ connect }, { rotateKeys }] = await Promise.all([import('../database/connect.ts'), import('../identity/control/work.ts')])
  const db = connect(databaseOf(config), { name: 'wisp rotate-keys', connections: 2 })
  try {
    const count = await db.write((tx) => rotateKeys(tx, sealingKey(config.home)))
    console.log(`New keys seal tokens and credentials from now on; credentials sealed anew: ${count}.`)
  } finally {
    await db.close()
  }
}
