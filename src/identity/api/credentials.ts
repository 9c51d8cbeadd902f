// Credentials that users keep here for other services, such as EC2 keys. Their blobs are secrets: sealed in the database, shown to their owner.
import { createHash } from 'node:crypto'
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, notFound } from '../../http/fault.ts'
import { type AnyRow, type Call, row } from '../../http/table.ts'
import { newId } from '../control/changed.ts'
import { expecting } from '../control/faults.ts'
import { seal, unseal } from '../control/sealed.ts'
import { extraOf, nullable, partial, sameId, taken, wrapped } from './fields.ts'
import { findUser, lock, orGone } from './find.ts'
import { asked, collection, limitOf, matching, selfLink } from './list.ts'

const properties = {
  blob: t.String(),
  type: t.String({ maxLength: 255 }),
  user_id: t.String({ maxLength: 64 }),
  project_id: t.Optional(nullable(t.String({ maxLength: 64 }))),
}
const known = Object.keys(properties)

const peek = (tx: Tx, id: string) => tx.selectFrom('identity.credential').selectAll().where('id', '=', id).executeTakeFirst()
type CredentialRow = NonNullable<Awaited<ReturnType<typeof peek>>>

/** @throws Fault 404 */
async function findCredential(tx: Tx, id: string): Promise<CredentialRow> {
  const credential = await peek(tx, id)
  if (!credential) throw notFound(`Could not find credential: ${id}.`)
  return credential
}

const theCredential = async ({ tx, params }: { tx: Tx; params: Record<string, string> }) => ({
  target: { credential: await peek(tx, params.credential_id ?? '') },
})

/** An EC2 credential is found by its access key: its id is the key's sha256. @throws Fault 400 if the blob has none */
function idFor(type: string, blob: string): string {
  if (type.toLowerCase() !== 'ec2') return newId()
  let parsed: unknown
  try {
    parsed = JSON.parse(blob)
  } catch {
    throw badRequest('Invalid blob in credential')
  }
  if (typeof parsed !== 'object' || parsed === null) throw expecting('blob', 'credential')
  if (!('access' in parsed) || typeof parsed.access !== 'string') throw expecting('access', 'credential')
  return createHash('sha256').update(parsed.access).digest('hex')
}

export function credentials(sealingKey: Buffer): AnyRow[] {
  const sealed = (id: string, blob: string) => seal(sealingKey, `credential ${id}`, Buffer.from(blob))
  const view = (call: Pick<Call, 'url'>, credential: CredentialRow) => ({
    ...(credential.extra as object),
    id: credential.id,
    user_id: credential.user_id,
    project_id: credential.project_id,
    type: credential.type,
    blob: unseal(sealingKey, `credential ${credential.id}`, credential.blob).toString(),
    links: selfLink(call, 'credentials', credential.id),
  })

  return [
    row({
      route: 'GET /credentials',
      policy: 'identity:list_credentials',
      target: ({ who }) => ({ target: { credential: { user_id: who.user.id } } }),
      reply: 200,
      summary: 'List the credentials that one may see',
      async run(call) {
        const { query, tx } = call
        const all = await tx
          .selectFrom('identity.credential as c')
          .selectAll()
          .$if(asked(query, 'user_id') !== undefined, (q) => q.where('user_id', '=', asked(query, 'user_id')!))
          .where(matching(query, { type: 'text' }, 'c'))
          .orderBy('id')
          .limit(limitOf(query))
          .execute()
        const mine = all.filter((credential) => call.may('identity:get_credential', { target: { credential } }))
        return collection(call, 'credentials', mine, (credential) => view(call, credential))
      },
    }),
    row({
      route: 'POST /credentials',
      policy: 'identity:create_credential',
      target: ({ body }) => ({ target: { credential: body.credential } }),
      body: wrapped('credential', t.Object(properties, { additionalProperties: true })),
      reply: 201,
      summary: 'Keep a credential',
      async run(call) {
        const { body, tx } = call
        const { type, blob, user_id, project_id = null } = body.credential
        if (type === 'ec2' && !project_id) throw badRequest("'project_id' is a required property")
        const id = idFor(type, blob)
        await findUser(tx, user_id)
        const credential = await tx
          .insertInto('identity.credential')
          .values({ id, type, user_id, project_id, blob: sealed(id, blob), extra: extraOf(body.credential, known) })
          .returningAll()
          .executeTakeFirstOrThrow()
          .catch(taken('credential', `Duplicate entry found with ID ${id}`))
        return { credential: view(call, credential) }
      },
    }),
    row({
      route: 'GET /credentials/:credential_id',
      policy: 'identity:get_credential',
      target: theCredential,
      reply: 200,
      summary: 'Show a credential',
      async run(call) {
        return { credential: view(call, await findCredential(call.tx, call.params.credential_id)) }
      },
    }),
    row({
      route: 'PATCH /credentials/:credential_id',
      policy: 'identity:update_credential',
      target: theCredential,
      body: wrapped('credential', partial(properties)),
      reply: 200,
      summary: 'Change a credential',
      async run(call) {
        const { body, tx } = call
        await lock(tx, 'credential', call.params.credential_id)
        const old = await findCredential(tx, call.params.credential_id)
        sameId(body.credential, old.id)
        const { type = old.type, blob, user_id = old.user_id, project_id = old.project_id } = body.credential
        // Also allowed for whoever it would belong to then, or one could put credentials into another's pocket.
        call.must('identity:update_credential', { target: { credential: { ...old, user_id } } })
        if (blob !== undefined) idFor(type, blob)
        if (user_id !== old.user_id) await findUser(tx, user_id)
        const credential = await tx
          .updateTable('identity.credential')
          .set({ type, user_id, project_id, extra: extraOf(body.credential, known, old.extra) })
          .$if(blob !== undefined, (q) => q.set({ blob: sealed(old.id, blob!) }))
          .where('id', '=', old.id)
          .returningAll()
          .executeTakeFirstOrThrow(orGone('credential', old.id))
        return { credential: view(call, credential) }
      },
    }),
    row({
      route: 'DELETE /credentials/:credential_id',
      policy: 'identity:delete_credential',
      target: theCredential,
      reply: 204,
      summary: 'Delete a credential',
      async run({ tx, params }) {
        const { id } = await findCredential(tx, params.credential_id)
        await tx.deleteFrom('identity.credential').where('id', '=', id).execute()
      },
    }),
  ]
}
