// Signing in with EC2 keys: a service sends what its client has signed, and gets the token that the client would have got.
import type { Database } from '../../database/connect.ts'
import { notFound, unauthorized } from '../../http/fault.ts'
import type { SecurityCompliance } from '../../security-compliance.ts'
import { blobOf, credentialsWithKeys, idOfAccess, parseBlob } from './credentials.ts'
import { readLent } from './delegations.ts'
import { readFacts } from './facts.ts'
import { refuseInactive } from './prove-password.ts'
import type { SealingKeys } from './sealed.ts'
import type { Sessions } from './sessions.ts'
import { issue, type SignedIn, standingBehind } from './sign-in.ts'
import type { Delegation, Scope } from './tokens.ts'

export interface Ec2Deps {
  db: Database
  sessions: Sessions
  sealingKey: SealingKeys
  /** Seconds. */
  lifetime: number
  compliance: SecurityCompliance
}

/** Keystone's auth_ttl: for how long (ms) a signature with a time in it is good. */
const goodFor = 15 * 60_000

/**
 * The token of the keys' user, in the keys' project; with lent rights, if the keys were made with such.
 * @param fits whether the signature was made with the secret
 * @param signedAt as the request says it, in ISO 8601; undefined if it doesn't
 * @throws Fault 404 for keys that are not there, 401 for all else
 */
export async function signInWithKeys(
  { db, sessions, sealingKey, lifetime, compliance }: Ec2Deps,
  access: string,
  fits: (secret: string) => boolean,
  signedAt: string | undefined,
): Promise<SignedIn> {
  const credential = await credentialsWithKeys(db.read)
    .where('c.id', '=', idOfAccess(access))
    .where('c.type', '=', 'ec2')
    .executeTakeFirst()
  const blob = credential && parseBlob(blobOf(sealingKey, credential))
  if (!credential || typeof blob?.secret !== 'string') throw notFound('EC2 access key not found.')
  if (!fits(blob.secret)) throw unauthorized('Invalid EC2 signature.')
  if (signedAt !== undefined) refuseOld(signedAt)
  if (credential.project_id === null) throw unauthorized('User not valid for project.')

  const { trust_id, app_cred_id, access_token_id } = blob
  let delegation: Delegation | undefined
  if (trust_id) delegation = { kind: 'trust', id: trust_id }
  else if (app_cred_id) delegation = { kind: 'application_credential', id: app_cred_id }
  else if (access_token_id) delegation = { kind: 'oauth1', id: access_token_id }
  const lent = delegation && (await readLent(db.read, delegation))
  // The keys belong to whom the loan makes one; whoever writes another's loan into their blob gets nothing.
  if (delegation && lent?.shown !== credential.user_id) throw unauthorized()
  const user = lent?.user ?? credential.user_id
  const scope: Scope = { kind: 'project', id: credential.project_id }
  const facts = await readFacts(db.read, user, scope, undefined, delegation)
  if (!facts) throw unauthorized('User not valid for project.')
  await refuseInactive(db.read, standingBehind(user, facts), compliance)
  return await issue(sessions, { user, scope, facts, methods: ['ec2credential'], lifetime })
}

function refuseOld(signedAt: string): void {
  const compact = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(signedAt)
  const [, year, month, day, hour, minute, second] = compact ?? []
  const iso = compact ? `${year}-${month}-${day}T${hour}:${minute}:${second}Z` : signedAt
  const at = Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(iso) ? iso : `${iso}Z`)
  if (Number.isNaN(at)) throw unauthorized('Credential timestamp is invalid.')
  if (Math.abs(Date.now() - at) > goodFor) throw unauthorized('Credential is expired')
}
