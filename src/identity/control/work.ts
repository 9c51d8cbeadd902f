// What identity has to do by itself: a new token key every week, so that no key seals forever.
import type { Tx } from '../../database/connect.ts'
import type { Handler } from '../../work/engine.ts'
import { poke } from '../../work/engine.ts'
import { type LimitModel, setLimitModel } from './limits.ts'
import { rotateTokenKeys } from './token-keys.ts'

const week = 7 * 24 * 3_600_000

/** Handlers of the engine; `identity` has one key, 'token-key'. */
export const handlers = (sealingKey: Buffer): Record<string, Handler> => ({
  async identity(tx) {
    const newest = await tx.selectFrom('identity.token_key').select('created_at').orderBy('created_at', 'desc').limit(1).executeTakeFirst()
    const age = newest ? Date.now() - newest.created_at.getTime() : week
    if (age < week) return week - age
    await rotateTokenKeys(tx, sealingKey)
    return week
  },
})

/** Puts the key into the queue and says where all controllers look how limits are enforced; to be called once at start. */
export async function bootstrap(tx: Tx, limitModel: LimitModel): Promise<void> {
  await setLimitModel(tx, limitModel)
  await poke(tx, 'identity', 'token-key')
}
