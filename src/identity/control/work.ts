// What identity has to do by itself: a new token key every week, so that no key seals forever; and to end what has a time to end.
import type { Database, Tx } from '../../database/connect.ts'
import type { Handler } from '../../work/engine.ts'
import { pokeAll } from '../../work/engine.ts'
import { outsideDomain, readDomain } from './directory.ts'
import { sweepFederation } from './federation/sweep.ts'
import { type LimitModel, setLimitModel } from './limits.ts'
import { rotateTokenKeys } from './token-keys.ts'

const week = 7 * 24 * 3_600_000
const fiveMinutes = 300_000

/** Handlers of the engine; `identity` has the keys 'token-key' and 'memberships', `directory` the ids of domains. */
export const handlers = (db: Database, sealingKey: Buffer): Record<string, Handler> => ({
  async identity(tx, key) {
    if (key === 'memberships') return await sweepFederation(tx)
    const newest = await tx.selectFrom('identity.token_key').select('created_at').orderBy('created_at', 'desc').limit(1).executeTakeFirst()
    const age = newest ? Date.now() - newest.created_at.getTime() : week
    if (age < week) return week - age
    await rotateTokenKeys(tx, sealingKey)
    return week
  },
  /** Who was taken out of a domain's directory shall not stay in for longer than this; a directory that is away changes nothing. */
  async directory(tx, domainId) {
    const domain = await outsideDomain(tx, { id: domainId })
    if (!domain) return null
    await readDomain({ db, key: sealingKey }, domain).catch(() => {})
    return fiveMinutes
  },
})

/** Puts the keys into the queue and says where all controllers look how limits are enforced; to be called once at start. */
export async function bootstrap(tx: Tx, limitModel: LimitModel): Promise<void> {
  await setLimitModel(tx, limitModel)
  await pokeAll(tx, 'identity', ['token-key', 'memberships'])
}
