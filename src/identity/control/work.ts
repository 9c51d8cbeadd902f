// What identity has to do by itself: a new token key every week and a new credential key every quarter, so that no key seals forever; and to
// end what has a time to end.
import type { Database, Tx } from '../../database/connect.ts'
import type { Handler } from '../../work/engine.ts'
import { pokeAll } from '../../work/engine.ts'
import { rotateCredentialKeys } from './credentials.ts'
import { outsideDomain, readDomain } from './directory.ts'
import { sweepFederation } from './federation/sweep.ts'
import { type LimitModel, setLimitModel } from './limits.ts'
import { forgetOauthTokens } from './oauth1.ts'
import type { SealingKeys } from './sealed.ts'
import { rotateTokenKeys } from './token-keys.ts'

const week = 7 * 24 * 3_600_000
const fiveMinutes = 300_000

/** How long each kind of key serves, in ms, and what makes the next. */
const rotations = {
  'token-key': { table: 'identity.token_key', serves: week, rotate: rotateTokenKeys },
  'credential-key': { table: 'identity.credential_key', serves: 13 * week, rotate: rotateCredentialKeys },
} as const

/** Handlers of the engine; `identity` has a key for each of these, and 'memberships'; `directory` the ids of domains. */
export const handlers = (db: Database, sealingKey: SealingKeys): Record<string, Handler> => ({
  async identity(tx, kind) {
    if (kind === 'memberships') {
      await forgetOauthTokens(tx)
      return await sweepFederation(tx)
    }
    const { table, serves, rotate } = rotations[kind as keyof typeof rotations]
    const newest = await tx.selectFrom(table).select('created_at').orderBy('created_at', 'desc').limit(1).executeTakeFirst()
    const age = newest ? Date.now() - newest.created_at.getTime() : serves
    if (age < serves) return serves - age
    await rotate(tx, sealingKey)
    return serves
  },
  /** Who was taken out of a domain's directory shall not stay in for longer than this; a directory that is away changes nothing. */
  async directory(tx, domainId) {
    const domain = await outsideDomain(tx, { id: domainId })
    if (!domain) return null
    await readDomain({ db, key: sealingKey }, domain).catch(() => {})
    return fiveMinutes
  },
})

/** New keys now, whatever the age of those that serve. Answers how many credentials were sealed anew. */
export async function rotateKeys(tx: Tx, sealingKey: SealingKeys): Promise<number> {
  await rotateTokenKeys(tx, sealingKey)
  return await rotateCredentialKeys(tx, sealingKey)
}

/** Puts the keys into the queue and says where all controllers look how limits are enforced; to be called once at start. */
export async function bootstrap(tx: Tx, limitModel: LimitModel): Promise<void> {
  await setLimitModel(tx, limitModel)
  await pokeAll(tx, 'identity', [...Object.keys(rotations), 'memberships'])
}
