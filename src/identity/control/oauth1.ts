// OAuth1: programs (consumers) that a user has let in, with some roles in one project. What is kept of them, and signing in with what they sign.
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { notFound, unauthorized } from '../../http/fault.ts'
import { expecting } from './faults.ts'
import { checkParams, readParams, type SignedRequest, signatureFits } from './oauth1-signature.ts'
import { type SealingKeys, sealIn, unsealWith } from './sealed.ts'
import type { Proof } from './sign-in.ts'

type Kind = 'consumer' | 'request_token' | 'access_token'

export const nameOfSecret = (kind: Kind, id: string): string => `oauth ${kind} ${id}`

/** A secret as its row keeps it. */
export const sealSecret = (tx: Tx, key: SealingKeys, kind: Kind, id: string, secret: string): Promise<Buffer> =>
  sealIn(tx, key, nameOfSecret(kind, id), Buffer.from(secret))

export const secretOf = (key: SealingKeys, kind: Kind, { id, secret }: { id: string; secret: Buffer }): string =>
  unsealWith(key, nameOfSecret(kind, id), secret).toString()

export const peekConsumer = (tx: Tx, id: string) =>
  tx.selectFrom('identity.oauth_consumer').selectAll().where('id', '=', id).executeTakeFirst()

/**
 * The user who has let the program in, by the access token with whose secret it signed the request.
 * @throws Fault 400 for what is missing, 404 for a token that is not there, 401 for all else
 */
export async function byOauth1(db: Database, key: SealingKeys, request: SignedRequest | undefined): Promise<Proof> {
  const params = readParams(request?.authorization)
  const { oauth_token: id, oauth_consumer_key: consumerId } = params
  if (!id) throw expecting('oauth_token', 'request')
  const token = await db.read
    .selectFrom('identity.oauth_access_token as t')
    .innerJoin('identity.oauth_consumer as c', 'c.id', 't.consumer_id')
    .innerJoin('identity.user as u', 'u.id', 't.authorizing_user_id')
    .select(['t.id', 't.secret', 't.consumer_id', 't.expires_at', 'c.secret as consumer_secret', 'u.id as user', 'u.tokens_valid_from'])
    .where('t.id', '=', id)
    .executeTakeFirst()
  if (!token) throw notFound('Access token not found')
  checkParams(params)
  const consumerSecret = secretOf(key, 'consumer', { id: token.consumer_id, secret: token.consumer_secret })
  const fits = request !== undefined && signatureFits(request, params, consumerSecret, secretOf(key, 'access_token', token))
  if (consumerId !== token.consumer_id || !fits) throw unauthorized('Could not validate the access token')
  if (token.expires_at.getTime() <= Date.now()) throw unauthorized('Access token is expired')
  return { user: token.user, since: token.tokens_valid_from.getTime(), methods: [], delegation: { kind: 'oauth1', id } }
}

/** Forgets the tokens that have ended; those who come with one a little later still hear that it has expired. */
export async function forgetOauthTokens(tx: Tx): Promise<void> {
  await sql`delete from identity.oauth_request_token where expires_at < now() - interval '1 day'`.execute(tx)
  await sql`delete from identity.oauth_access_token where expires_at < now() - interval '1 day'`.execute(tx)
}
