// Responses that command-line clients carry from an identity provider to us in a SOAP envelope (ECP), and what is kept of one until its
// bearer comes for the token.
import { createHash, randomBytes } from 'node:crypto'
import { DOMParser, XMLSerializer } from '@xmldom/xmldom'
import { sql } from 'kysely'
import type { Database, Tx } from '../../../database/connect.ts'
import { badRequest, unauthorized } from '../../../http/fault.ts'
import { type SealingKeys, sealIn, unsealWith } from '../sealed.ts'
import { type Connection, readConnection } from './connections.ts'
import { readCookie } from './pending.ts'
import type { Proven } from './sign-in.ts'

const protocol = 'urn:oasis:names:tc:SAML:2.0:protocol'
const assertion = 'urn:oasis:names:tc:SAML:2.0:assertion'

/** The SAML response in an envelope, and who it says made it, which nobody has verified yet. @throws Fault 400 */
export function openEnvelope(text: string): { response: string; issuer: string } {
  const problems: string[] = []
  const errorHandler = (_level: string, message: string) => void problems.push(message)
  const document = new DOMParser({ errorHandler }).parseFromString(text, 'text/xml')
  const response = problems.length === 0 ? document?.getElementsByTagNameNS(protocol, 'Response')[0] : undefined
  if (!response) throw badRequest('The request body must be a SOAP envelope with a SAML response.')
  const issuer = response.getElementsByTagNameNS(assertion, 'Issuer')[0]?.textContent?.trim() ?? ''
  return { response: new XMLSerializer().serializeToString(response), issuer }
}

/** The connection to whoever bears this entity id, or the provider that this cloud itself is registered as (Keystone to Keystone on one cloud). */
export async function speakerOf(
  tx: Tx,
  key: SealingKeys,
  issuer: string,
): Promise<{ provider: string; protocol: string; connection: Connection | undefined } | undefined> {
  const { rows } = await sql<{ provider: string; protocol: string }>`
    select p.identity_provider_id as provider, p.id as protocol
    from identity.federation_protocol p
    join identity.identity_provider i on i.id = p.identity_provider_id and i.enabled
    left join identity.federation_connection c on c.identity_provider_id = p.identity_provider_id and c.protocol_id = p.id
    where c.type = 'saml2' and c.settings->>'entity_id' = ${issuer}
       or c.type is null and exists (select from identity.identity_provider_remote_id r where r.identity_provider_id = i.id and r.remote_id = ${issuer})
    order by c.type nulls last, 1, 2 limit 1`.execute(tx)
  const [found] = rows
  return found && { ...found, connection: await readConnection(tx, key, found.provider, found.protocol) }
}

const cookieName = 'wisp_saml'
const minutes = 5

/** Keeps what was proven for its bearer. The answer is a cookie. */
export async function keepProven(db: Database, key: SealingKeys, proven: Proven, secure: boolean): Promise<string> {
  const secret = randomBytes(24).toString('base64url')
  const id = noteId(secret)
  await db.write(async (tx) => {
    const sealed = await sealIn(tx, key, id, Buffer.from(JSON.stringify(proven)))
    await tx
      .insertInto('identity.federation_note')
      .values({ id, sealed, expires_at: sql<Date>`now() + ${minutes} * interval '1 minute'` })
      .execute()
  })
  return `${cookieName}=${secret}; Path=/; Max-Age=${minutes * 60}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
}

/** What the bearer of the cookie has proven; once. Undefined without a cookie. @throws Fault 401 if it is nothing that is kept */
export async function takeProven(db: Database, key: SealingKeys, cookies: string | undefined): Promise<Proven | undefined> {
  const secret = readCookie(cookies, cookieName)
  if (!secret) return undefined
  const id = noteId(secret)
  const note = await db.read
    .deleteFrom('identity.federation_note')
    .where('id', '=', id)
    .where('expires_at', '>', sql<Date>`now()`)
    .returning('sealed')
    .executeTakeFirst()
  if (!note?.sealed) throw unauthorized()
  return JSON.parse(unsealWith(key, id, note.sealed).toString()) as Proven
}

const noteId = (secret: string) => `session ${createHash('sha256').update(secret).digest('base64url')}`
