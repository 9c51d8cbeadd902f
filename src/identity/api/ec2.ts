// EC2 credentials (OS-EC2): pairs of an access key and a secret with which S3 and EC2 clients sign their requests, and the doors at which
// services ask whose such a signature is.
import { randomUUID } from 'node:crypto'
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, notFound, unauthorized } from '../../http/fault.ts'
import { type AnyRow, type Call, row } from '../../http/table.ts'
import { blobOf, credentialsWithKeys, idOfAccess, parseBlob, type SealedCredential, sealBlob } from '../control/credentials.ts'
import { type Ec2Deps, signInWithKeys } from '../control/ec2.ts'
import { ec2SignatureFits, s3SignatureFits } from '../control/ec2-signature.ts'
import { lentBy } from './credentials.ts'
import { findProject, findUser } from './find.ts'
import { refuseOtherProject, refuseRestricted } from './lent.ts'
import { base, selfLink } from './list.ts'
import type { TokenView } from './token-view.ts'

const newKey = () => randomUUID().replaceAll('-', '')

/** @throws Fault 404 before policy is asked, as Keystone does it here */
async function keysOf(tx: Tx, access: string): Promise<SealedCredential> {
  const credential = await credentialsWithKeys(tx).where('c.id', '=', idOfAccess(access)).where('c.type', '=', 'ec2').executeTakeFirst()
  if (!credential) throw notFound(`Could not find credential: ${access}.`)
  return credential
}

/** The keys of the path, if the caller may do this to them. */
async function keysFor(call: Pick<Call, 'tx' | 'who' | 'params' | 'must'>, rule: string): Promise<SealedCredential> {
  const credential = await keysOf(call.tx, call.params.credential_id ?? '')
  call.must(rule, { target: { credential } })
  await findUser(call.tx, call.params.user_id ?? '')
  refuseOtherProject(call.who, credential.project_id, 'EC2 credential')
  return credential
}

const words = t.Record(t.String(), t.Union([t.String(), t.Number(), t.Boolean(), t.Null()]))
const signed = t.Object({
  access: t.Optional(t.String()),
  signature: t.Optional(t.String()),
  token: t.Optional(t.String()),
  host: t.Optional(t.String()),
  verb: t.Optional(t.String()),
  path: t.Optional(t.String()),
  body_hash: t.Optional(t.String()),
  params: t.Optional(words),
  headers: t.Optional(words),
})
const signedBody = t.Object(
  { credentials: t.Optional(signed), credential: t.Optional(signed), ec2Credentials: t.Optional(signed) },
  { minProperties: 1 },
)

const texts = (values: object = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]))

/** What was sent under one of its three names, with its time. @throws Fault 401 without an access key or a signature */
function readSigned(body: { credentials?: unknown; credential?: unknown; ec2Credentials?: unknown }) {
  type Given = Partial<Record<'access' | 'signature' | 'token' | 'host' | 'verb' | 'path' | 'body_hash', string>> & {
    params?: object
    headers?: object
  }
  const { access, signature, ...given } = (body.credentials ?? body.credential ?? body.ec2Credentials ?? {}) as Given
  if (!access || !signature) throw unauthorized('EC2 signature not supplied.')
  const [params, headers] = [texts(given.params), texts(given.headers)]
  return { ...given, access, signature, params, headers, at: params.Timestamp ?? headers['X-Amz-Date'] ?? params['X-Amz-Date'] }
}

export interface Ec2ApiDeps extends Omit<Ec2Deps, 'db'> {
  view: TokenView
}

export function ec2(deps: Ec2ApiDeps): AnyRow[] {
  const { sealingKey } = deps
  const view = (call: Pick<Call, 'url'>, credential: SealedCredential) => {
    const { access = '', secret, trust_id = null } = parseBlob(blobOf(sealingKey, credential)) ?? {}
    const { user_id, project_id } = credential
    return {
      user_id,
      tenant_id: project_id,
      access,
      secret,
      trust_id,
      links: selfLink(call, 'users', user_id, 'credentials', 'OS-EC2', access),
    }
  }

  return [
    row({
      route: 'GET /users/:user_id/credentials/OS-EC2',
      policy: 'identity:ec2_list_credentials',
      reply: 200,
      summary: 'List the EC2 credentials of a user',
      async run(call) {
        const { tx, who, params } = call
        await findUser(tx, params.user_id)
        const rows = await credentialsWithKeys(tx)
          .where('c.user_id', '=', params.user_id)
          .where('c.type', '=', 'ec2')
          .$if(who.delegation !== undefined, (q) => q.where('c.project_id', '=', who.project?.id ?? ''))
          .orderBy('c.id')
          .execute()
        const links = { self: `${base(call)}/users/${params.user_id}/credentials/OS-EC2`, previous: null, next: null }
        return { credentials: rows.map((credential) => view(call, credential)), links }
      },
    }),
    row({
      route: 'POST /users/:user_id/credentials/OS-EC2',
      policy: 'identity:ec2_create_credential',
      target: ({ params }) => ({ target: { credential: { user_id: params.user_id } } }),
      body: t.Object({ tenant_id: t.String() }),
      reply: 201,
      summary: 'Make an access key and its secret for a user in a project',
      async run(call) {
        const { body, tx, who, params } = call
        refuseRestricted(who, 'application credentials')
        await findUser(tx, params.user_id)
        await findProject(tx, body.tenant_id)
        refuseOtherProject(who, body.tenant_id, 'EC2 credential')
        const access = newKey()
        const blob = { access, secret: newKey(), trust_id: null, ...lentBy(who) }
        const id = idOfAccess(access)
        const sealed = await sealBlob(tx, sealingKey, id, JSON.stringify(blob))
        await tx
          .insertInto('identity.credential')
          .values({ id, type: 'ec2', user_id: params.user_id, project_id: body.tenant_id, ...sealed })
          .execute()
        return { credential: view(call, await keysOf(tx, access)) }
      },
    }),
    row({
      route: 'GET /users/:user_id/credentials/OS-EC2/:credential_id',
      policy: 'identity:ec2_get_credential',
      target: 'loaded',
      reply: 200,
      summary: 'Show an EC2 credential by its access key',
      run: async (call) => ({ credential: view(call, await keysFor(call, 'identity:ec2_get_credential')) }),
    }),
    row({
      route: 'DELETE /users/:user_id/credentials/OS-EC2/:credential_id',
      policy: 'identity:ec2_delete_credential',
      target: 'loaded',
      reply: 204,
      summary: 'Delete an EC2 credential',
      async run(call) {
        const { id } = await keysFor(call, 'identity:ec2_delete_credential')
        await call.tx.deleteFrom('identity.credential').where('id', '=', id).execute()
      },
    }),
    row({
      route: 'POST /ec2tokens',
      policy: 'identity:ec2tokens_validate',
      body: signedBody,
      reply: 200,
      transaction: 'own',
      summary: 'Whose signature of an EC2 request it is: their token',
      async run(call) {
        const { access, signature, host = '', verb = '', path = '', body_hash: bodyHash = '', params, headers, at } = readSigned(call.body)
        const fits = (secret: string) => ec2SignatureFits(secret, { signature, host, verb, path, bodyHash, params, headers })
        const { token, ...session } = await signInWithKeys({ ...deps, db: call.db }, access, fits, at)
        call.header('x-subject-token', token)
        return await deps.view(call, session)
      },
    }),
    row({
      route: 'POST /s3tokens',
      policy: 'identity:s3tokens_validate',
      body: signedBody,
      reply: 200,
      transaction: 'own',
      summary: 'Whose signature of an S3 request it is: what their token says',
      async run(call) {
        const { access, signature, token: text, at } = readSigned(call.body)
        if (text === undefined) throw badRequest('What was signed is missing: token.')
        const fits = (secret: string) => s3SignatureFits(secret, Buffer.from(text, 'base64url'), signature)
        const { token: _unseen, ...session } = await signInWithKeys({ ...deps, db: call.db }, access, fits, at)
        return await deps.view(call, session)
      },
    }),
  ]
}
