// `wisp rotate-keys`: new keys for tokens and for users' credentials at once, when an old one may have been seen; by themselves they change
// every week and every quarter. Nobody is logged out: tokens that the old keys sealed are good until they expire.
import { parseArgs } from 'node:util'
import type { Config } from '../config.ts'
import { databaseOf, isOnlyHost } from './cloud.ts'
import { sealingKeys } from './files.ts'

export async function rotateKeysNow(config: Config, words: string[]): Promise<void> {
  const flag = { type: 'boolean', default: false } as const
  const { values } = parseArgs({ args: words, options: { 'secret-key': flag, copied: flag } })
  if (values.copied && !values['secret-key']) throw new Error('--copied says something of --secret-key: give both')
  if (isOnlyHost(config)) throw new Error('This machine is only a host: keys are kept where the controllers are')
  const [{ connect }, { rotateKeys }, { replaceSecretKey }] = await Promise.all([
    import('../database/connect.ts'),
    import('../identity/control/work.ts'),
    import('./secret-key.ts'),
  ])
  const db = connect(databaseOf(config), { name: 'wisp rotate-keys', connections: 2 })
  try {
    if (values['secret-key']) {
      console.log(await replaceSecretKey(config, db, values.copied))
      return
    }
    const count = await db.write((tx) => rotateKeys(tx, sealingKeys(config.home)))
    console.log(`New keys seal tokens and credentials from now on; credentials sealed anew: ${count}.`)
  } finally {
    await db.close()
  }
}
