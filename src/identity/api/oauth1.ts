// OS-OAUTH1: programs (consumers), and how one gets at a user's roles: it asks for a request token, the user authorizes that, and the
// program exchanges it for an access token, with which it signs in.
import { randomInt } from 'node:crypto'
import { Type as t } from 'typebox'
import { badRequest, forbidden, notFound, unauthorized } from '../../http/fault.ts'
import { type AnyRow, type Call, row } from '../../http/table.ts'
import { identityChanged, newId } from '../control/changed.ts'
import { hasRoles } from '../control/facts.ts'
import { expecting } from '../control/faults.ts'
import { peekConsumer, sealSecret, secretOf } from '../control/oauth1.ts'
import { checkParams, type OauthParams, readParams, type SignedRequest, signatureFits } from '../control/oauth1-signature.ts'
import { rolesNamed } from '../control/role-names.ts'
import type { SealingKeys } from '../control/sealed.ts'
import { extraOf, id, name, partial, sameId, text, wrapped } from './fields.ts'
import { findProject } from './find.ts'
import { collection, limitOf, matching, selfLink } from './list.ts'
import { timestamp } from './token-view.ts'

export interface Oauth1Deps {
  /** What the data directory's secret.key holds. */
  key: SealingKeys
  /** The cloud's address where it is not the one that the client used. */
  publicUrl: string | undefined
}

// Keystone's request_token_duration and access_token_duration, in ms.
const requestTokenLives = 8 * 3_600_000
const accessTokenLives = 24 * 3_600_000

// keystone/oauth1/schema.py
const properties = { description: text }
const kept = ['description', 'secret']
const authorizedRoles = t.Array(
  t.Object({ id: t.Optional(id), name: t.Optional(name()) }, { minProperties: 1, maxProperties: 1, additionalProperties: false }),
)

type Consumer = NonNullable<Awaited<ReturnType<typeof peekConsumer>>>

const view = (call: Pick<Call, 'url'>, { id, description, extra }: Consumer) => ({
  ...(extra as object),
  id,
  description,
  links: selfLink(call, 'OS-OAUTH1', 'consumers', id),
})

async function findConsumer({ tx }: Pick<Call, 'tx'>, id: string): Promise<Consumer> {
  const consumer = await peekConsumer(tx, id)
  if (!consumer) throw notFound('Consumer not found')
  return consumer
}

/** The request as the client may have signed it: by the name that it used, or by the cloud's own. */
export const signedRequest = (
  { url, headers }: Pick<Call, 'url' | 'headers'>,
  method: string,
  publicUrl: string | undefined,
): SignedRequest => ({
  method,
  urls: [url.origin, ...(publicUrl === undefined ? [] : [publicUrl])].map((origin) => origin + url.path + url.search),
  authorization: headers.authorization,
})

/** The parameters of the request, all of which must be there. @throws Fault 400 */
function needed<N extends string>(params: OauthParams, ...names: N[]): Record<N, string> {
  for (const name of names) if (!params[name]) throw expecting(name, 'request')
  return params as Record<N, string>
}

const verifierLetters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const newVerifier = () => Array.from({ length: 8 }, () => verifierLetters[randomInt(verifierLetters.length)]).join('')

/** As OAuth clients read it. */
function tokenAnswer(call: Pick<Call, 'header'>, id: string, secret: string, expiresAt: Date): string {
  call.header('content-type', 'application/x-www-form-urlencoded')
  return `oauth_token=${id}&oauth_token_secret=${secret}&oauth_expires_at=${timestamp(expiresAt.getTime())}`
}

export function oauth1({ key, publicUrl }: Oauth1Deps): AnyRow[] {
  return [
    row({
      route: 'GET /OS-OAUTH1/consumers',
      policy: 'identity:list_consumers',
      reply: 200,
      summary: 'List the programs that may ask users for access',
      async run(call) {
        const { tx, query } = call
        const rows = await tx
          .selectFrom('identity.oauth_consumer as c')
          .selectAll()
          .where(matching(query, {}, 'c'))
          .orderBy('id')
          .limit(limitOf(query))
          .execute()
        return collection(call, 'consumers', rows, (consumer) => view(call, consumer))
      },
    }),
    row({
      route: 'POST /OS-OAUTH1/consumers',
      policy: 'identity:create_consumer',
      body: t.Object({ consumer: t.Optional(t.Object(properties, { additionalProperties: true })) }),
      reply: 201,
      summary: 'Register a program; its secret is shown this once',
      async run(call) {
        const { tx, body } = call
        const { description = null, ...more } = body.consumer ?? {}
        const [id, secret] = [newId(), newId()]
        const consumer = await tx
          .insertInto('identity.oauth_consumer')
          .values({ id, description, secret: await sealSecret(tx, key, 'consumer', id, secret), extra: extraOf(more, kept) })
          .returningAll()
          .executeTakeFirstOrThrow()
        return { consumer: { ...view(call, consumer), secret } }
      },
    }),
    row({
      route: 'GET /OS-OAUTH1/consumers/:consumer_id',
      policy: 'identity:get_consumer',
      reply: 200,
      summary: 'Show a program',
      run: async (call) => ({ consumer: view(call, await findConsumer(call, call.params.consumer_id)) }),
    }),
    row({
      route: 'PATCH /OS-OAUTH1/consumers/:consumer_id',
      policy: 'identity:update_consumer',
      body: wrapped('consumer', partial(properties)),
      reply: 200,
      summary: 'Describe a program otherwise',
      async run(call) {
        const { tx, params, body } = call
        if ('secret' in body.consumer)
          throw badRequest("Invalid input for field 'secret': it cannot be changed, register the program anew.")
        sameId(body.consumer, params.consumer_id)
        const { description: given } = body.consumer
        await tx.selectFrom('identity.oauth_consumer').select('id').where('id', '=', params.consumer_id).forUpdate().execute()
        const { description, extra } = await findConsumer(call, params.consumer_id)
        const consumer = await tx
          .updateTable('identity.oauth_consumer')
          .set({ description: given === undefined ? description : given, extra: extraOf(body.consumer, kept, extra) })
          .where('id', '=', params.consumer_id)
          .returningAll()
          .executeTakeFirstOrThrow()
        return { consumer: view(call, consumer) }
      },
    }),
    row({
      route: 'DELETE /OS-OAUTH1/consumers/:consumer_id',
      policy: 'identity:delete_consumer',
      reply: 204,
      summary: 'Forget a program, and all access that it was given',
      async run(call) {
        const { id } = await findConsumer(call, call.params.consumer_id)
        await call.tx.deleteFrom('identity.oauth_consumer').where('id', '=', id).execute()
        await identityChanged(call.tx)
      },
    }),
    row({
      route: 'POST /OS-OAUTH1/request_token',
      policy: null,
      reply: 201,
      summary: 'Ask for access to a project as a program, which a user then authorizes',
      async run(call) {
        const { tx, headers } = call
        const signed = signedRequest(call, 'POST', publicUrl)
        const params = readParams(signed.authorization)
        const { oauth_consumer_key } = needed(params, 'oauth_consumer_key')
        const requested = headers['requested-project-id']
        if (typeof requested !== 'string' || requested === '') throw expecting('Requested-Project-Id', 'request')
        const project = await findProject(tx, requested)
        const consumer = await findConsumer(call, oauth_consumer_key)
        checkParams(params)
        needed(params, 'oauth_callback')
        if (!signatureFits(signed, params, secretOf(key, 'consumer', consumer), '')) throw unauthorized('Invalid signature')
        const [id, secret] = [newId(), newId()]
        const expires_at = new Date(Date.now() + requestTokenLives)
        await tx
          .insertInto('identity.oauth_request_token')
          .values({
            ...{ id, consumer_id: consumer.id, requested_project_id: project.id, expires_at },
            secret: await sealSecret(tx, key, 'request_token', id, secret),
          })
          .execute()
        return tokenAnswer(call, id, secret, expires_at)
      },
    }),
    row({
      route: 'PUT /OS-OAUTH1/authorize/:request_token_id',
      policy: 'identity:authorize_request_token',
      body: t.Object({ roles: t.Optional(authorizedRoles) }),
      reply: 200,
      summary: "Let a program in with some of one's own roles; it needs the verifier in the answer",
      async run({ tx, who, params, body }) {
        if (who.delegation) throw forbidden('Cannot authorize a request token with a token issued via delegation.')
        const token = await lockRequestToken(tx, params.request_token_id)
        const role_ids = (await rolesNamed(tx, body.roles ?? [])).map(({ id }) => id)
        if (role_ids.length > 0 && !(await hasRoles(tx, who.user.id, token.requested_project_id, role_ids))) {
          throw unauthorized('authorizing user does not have role required')
        }
        const verifier = newVerifier()
        await tx
          .updateTable('identity.oauth_request_token')
          .set({ authorizing_user_id: who.user.id, role_ids, verifier })
          .where('id', '=', token.id)
          .execute()
        return { token: { oauth_verifier: verifier } }
      },
    }),
    row({
      route: 'POST /OS-OAUTH1/access_token',
      policy: null,
      reply: 201,
      summary: 'Exchange a request token that a user has authorized for an access token',
      async run(call) {
        const { tx } = call
        const signed = signedRequest(call, 'POST', publicUrl)
        const params = readParams(signed.authorization)
        const given = needed(params, 'oauth_consumer_key', 'oauth_token', 'oauth_verifier')
        const token = await lockRequestToken(tx, given.oauth_token)
        checkParams(params)
        const consumer = await peekConsumer(tx, given.oauth_consumer_key)
        if (!consumer) throw unauthorized('Provided consumer does not exist.')
        if (token.consumer_id !== consumer.id) throw unauthorized('Provided consumer key does not match stored consumer key.')
        if (!signatureFits(signed, params, secretOf(key, 'consumer', consumer), secretOf(key, 'request_token', token))) {
          throw unauthorized('Invalid signature')
        }
        const { authorizing_user_id, role_ids, requested_project_id: project_id } = token
        if (authorizing_user_id === null || role_ids === null) throw unauthorized('Request Token does not have an authorizing user id.')
        if (token.verifier !== given.oauth_verifier) throw unauthorized('Provided verifier does not match stored verifier')
        const [id, secret] = [newId(), newId()]
        const expires_at = new Date(Date.now() + accessTokenLives)
        await tx
          .insertInto('identity.oauth_access_token')
          .values({
            ...{ id, consumer_id: consumer.id, authorizing_user_id, project_id, role_ids, expires_at },
            secret: await sealSecret(tx, key, 'access_token', id, secret),
          })
          .execute()
        await tx.deleteFrom('identity.oauth_request_token').where('id', '=', token.id).execute()
        return tokenAnswer(call, id, secret, expires_at)
      },
    }),
  ]
}

/** Held until the end of the transaction, because a request token is good only once. @throws Fault 404, 401 if it has expired */
async function lockRequestToken(tx: Call['tx'], id: string) {
  const token = await tx.selectFrom('identity.oauth_request_token').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
  if (!token) throw notFound('Request token not found')
  if (token.expires_at.getTime() <= Date.now()) throw unauthorized('Request token is expired')
  return token
}
