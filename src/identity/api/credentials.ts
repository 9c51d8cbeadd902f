// Credentials that users keep here for other services, such as EC2 keys. Their blobs are secrets: sealed in the database, shown to their owner.
import { Type as t } from 'typebox'
import type { Tx } from '../../database/connect.ts'
import { badRequest, notFound } from '../../http/fault.ts'
import { type AnyRow, type Call, row } from '../../http/table.ts'
import type { Who } from '../../http/who.ts'
import { newId } from '../control/changed.ts'
import {
  blobOf,
  credentialsWithKeys,
  type Ec2Blob,
  idOfAccess,
  parseBlob,
  type SealedCredential,
  sealBlob,
} from '../control/credentials.ts'
import { expecting } from '../control/faults.ts'
import type { SealingKeys } from '../control/sealed.ts'
import { extraOf, nullable, partial, sameId, taken, wrapped } from './fields.ts'
import { findUser, lock } from './find.ts'
import { refuseOtherProject, refuseRestricted } from './lent.ts'
import { asked, collection, limitOf, matching, selfLink } from './list.ts'

const properties = {
  blob: t.String(),
  type: t.String({ maxLength: 255 }),
  user_id: t.String({ maxLength: 64 }),
  project_id: t.Optional(nullable(t.String({ maxLength: 64 }))),
}
const known = Object.keys(properties)

const peek = (tx: Tx, id: string) => credentialsWithKeys(tx).where('c.id', '=', id).executeTakeFirst()

/** @throws Fault 404 */
async function findCredential(tx: Tx, id: string): Promise<SealedCredential> {
  const credential = await peek(tx, id)
  if (!credential) throw notFound(`Could not find credential: ${id}.`)
  return credential
}

const theCredential = async ({ tx, params }: { tx: Tx; params: Record<string, string> }) => ({
  target: { credential: await peek(tx, params.credential_id ?? '') },
})

const isEc2 = (type: string) => type.toLowerCase() === 'ec2'

/** @throws Fault 400 for a blob without an access key */
function ec2Blob(blob: string): Ec2Blob & { access: string } {
  const parsed = parseBlob(blob)
  if (!parsed) throw badRequest('Invalid blob in credential')
  const { access } = parsed
  if (typeof access !== 'string') throw expecting('access', 'credential')
  return { ...parsed, access }
}

/** What EC2 keys bear that were made with lent rights: they are worth no more than those. */
export const lentBy = ({ delegation }: Who): Pick<Ec2Blob, 'trust_id' | 'app_cred_id' | 'access_token_id'> => ({
  ...(delegation?.kind === 'trust' && { trust_id: delegation.id }),
  ...(delegation?.kind === 'application_credential' && { app_cred_id: delegation.id }),
  ...(delegation?.kind === 'oauth1' && { access_token_id: delegation.id }),
})

/** @throws Fault 400 if keys would come to be worth more than when they were made */
function refuseOtherLoan(old: string, blob: string): void {
  const [before, after] = [parseBlob(old) ?? {}, parseBlob(blob) ?? {}]
  for (const key of ['trust_id', 'app_cred_id', 'access_token_id'] as const) {
    if ((before[key] ?? null) !== (after[key] ?? null)) throw badRequest(`${key} can not be updated for credential`)
  }
}

export function credentials(sealingKey: SealingKeys): AnyRow[] {
  const view = (call: Pick<Call, 'url'>, credential: SealedCredential) => ({
    ...(credential.extra as object),
    id: credential.id,
    user_id: credential.user_id,
    project_id: credential.project_id,
    type: credential.type,
    blob: blobOf(sealingKey, credential),
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
        const { query, tx, who } = call
        const rule = 'identity:get_credential'
        const may = (credential: object) => call.may(rule, { target: { credential } })
        // What one may not see must not count for the page; where policy knows only owners, the rest is not even read.
        const everything = may({})
        const others = everything || may({ project_id: who.project?.id })
        const rows = await credentialsWithKeys(tx)
          .$if(asked(query, 'user_id') !== undefined, (q) => q.where('c.user_id', '=', asked(query, 'user_id')!))
          .$if(!others, (q) => q.where('c.user_id', '=', who.user.id))
          .where(matching(query, { type: 'text' }, 'c'))
          .orderBy('c.id')
          .$if(everything && who.delegation === undefined, (q) => q.limit(limitOf(query)))
          .execute()
        const mine = rows.filter((row) => may(row) && (who.delegation === undefined || row.project_id === who.project?.id))
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
        const { body, tx, who } = call
        const { type, user_id, project_id = null } = body.credential
        let { blob } = body.credential
        if (isEc2(type)) refuseRestricted(who, 'credentials')
        if (type === 'ec2' && !project_id) throw badRequest("'project_id' is a required property")
        refuseOtherProject(who, project_id)
        let id = newId()
        if (isEc2(type)) {
          const parsed = ec2Blob(blob)
          id = idOfAccess(parsed.access)
          if (who.delegation) blob = JSON.stringify({ ...parsed, ...lentBy(who) })
        }
        await findUser(tx, user_id)
        await tx
          .insertInto('identity.credential')
          .values({ id, type, user_id, project_id, ...(await sealBlob(tx, sealingKey, id, blob)), extra: extraOf(body.credential, known) })
          .execute()
          .catch(taken('credential', `Duplicate entry found with ID ${id}`))
        return { credential: view(call, await findCredential(tx, id)) }
      },
    }),
    row({
      route: 'GET /credentials/:credential_id',
      policy: 'identity:get_credential',
      target: theCredential,
      reply: 200,
      summary: 'Show a credential',
      async run(call) {
        const credential = await findCredential(call.tx, call.params.credential_id)
        refuseOtherProject(call.who, credential.project_id)
        return { credential: view(call, credential) }
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
        const { body, tx, who } = call
        await lock(tx, 'credential', call.params.credential_id)
        const old = await findCredential(tx, call.params.credential_id)
        sameId(body.credential, old.id)
        const { type = old.type, blob, user_id = old.user_id, project_id = old.project_id } = body.credential
        // Also allowed for whoever it would belong to then, or one could put credentials into another's pocket.
        call.must('identity:update_credential', { target: { credential: { ...old, user_id } } })
        refuseOtherProject(who, old.project_id)
        refuseOtherProject(who, project_id)
        if (blob !== undefined) {
          if (isEc2(type)) ec2Blob(blob)
          refuseOtherLoan(blobOf(sealingKey, old), blob)
        }
        if (user_id !== old.user_id) await findUser(tx, user_id)
        const sealed = blob === undefined ? {} : await sealBlob(tx, sealingKey, old.id, blob)
        await tx
          .updateTable('identity.credential')
          .set({ type, user_id, project_id, extra: extraOf(body.credential, known, old.extra), ...sealed })
          .where('id', '=', old.id)
          .execute()
        const credential = await findCredential(tx, old.id)
        return { credential: view(call, credential) }
      },
    }),
    row({
      route: 'DELETE /credentials/:credential_id',
      policy: 'identity:delete_credential',
      target: theCredential,
      reply: 204,
      summary: 'Delete a credential',
      async run({ tx, who, params }) {
        const { id, project_id } = await findCredential(tx, params.credential_id)
        refuseOtherProject(who, project_id)
        await tx.deleteFrom('identity.credential').where('id', '=', id).execute()
      },
    }),
  ]
}
