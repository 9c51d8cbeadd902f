// `wisp rotate-keys`: new keys for tokens and for users' credentials at once, when an old one may have been seen; by themselves they change
// every week and every quarter. Nobody is logged out, because the old keys of tokens stay to open what they sealed, unless --revoke-tokens asks
// for an end of them: then whoever has read them can make no token any more.
import { parseArgs } from 'node:util'
import type { Config } from '../config.ts'
import { databaseOf, isOnlyHost } from './cloud.ts'
import { sealingKeys } from './files.ts'

export async function rotateKeysNow(config: Config, words: string[]): Promise<void> {
  const flag = { type: 'boolean', default: false } as const
  const { values } = parseArgs({ args: words, options: { 'secret-key': flag, copied: flag, 'revoke-tokens': flag } })
  const revoke = values['revoke-tokens']
  if (values.copied && !values['secret-key']) throw new Error('--copied says something of --secret-key: give both')
  if (isOnlyHost(config)) throw new Error('This machine is only a host: keys are kept where the controllers are')
  const [{ connect }, { rotateKeys }, { replaceTokenKeys }, { replaceSecretKey }] = await Promise.all([
    import('../database/connect.ts'),
    import('../identity/control/work.ts'),
    import('../identity/control/token-keys.ts'),
    import('./secret-key.ts'),
  ])
  const db = connect(databaseOf(config), { name: 'wisp rotate-keys', connections: 2 })
  try {
    if (values['secret-key']) {
      console.log(await replaceSecretKey(config, db, { copied: values.copied, revoke }))
      return
    }
    const keys = sealingKeys(config.home)
    const count = await db.write(async (tx) => {
      const sealed = await rotateKeys(tx, keys)
      if (revoke) await replaceTokenKeys(tx, keys)
      return sealed
    })
    const also = revoke ? ' All tokens from before are void: everybody has to sign in again.' : ''
    console.log(`New keys seal tokens and credentials from now on; credentials sealed anew: ${count}.${also}`)
  } finally {
    await db.close()
  }
}
