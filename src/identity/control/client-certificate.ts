// Programs that sign in by their TLS certificate (RFC 8705, tls_client_auth), as Keystone has it: a mapping compares the certificate's names
// with those of the user that the program says it is. The token is bound to the certificate, and worth nothing without it.
import type { X509Certificate } from 'node:crypto'
import type { AuditDetails } from '../../http/audit.ts'
import { unauthorized } from '../../http/fault.ts'
import type { SecurityCompliance } from '../../security-compliance.ts'
import { thumbprintOf } from './bound-tokens.ts'
import { readFacts } from './facts.ts'
import { type Assertion, applyMapping, type Mapped } from './federation/mapping.ts'
import type { Mapping } from './federation/mapping-schema.ts'
import { isEnabled } from './prove-password.ts'
import { suffices } from './receipts.ts'
import { issue, type SignedIn, type SignInDeps } from './sign-in.ts'
import type { Scope } from './tokens.ts'

/** What mappings are given: SSL_CLIENT_SUBJECT_DN_CN, SSL_CLIENT_ISSUER_DN_O, …, each with all of its values. */
function namesIn(certificate: X509Certificate): Assertion {
  const { subject, issuer } = certificate.toLegacyObject() as unknown as Record<'subject' | 'issuer', Record<string, string | string[]>>
  const under = (kind: string, names: Record<string, string | string[]>) =>
    Object.entries(names).map(([name, values]) => [`SSL_CLIENT_${kind}_DN_${name.toUpperCase()}`, [values].flat()])
  return Object.fromEntries([...under('SUBJECT', subject), ...under('ISSUER', issuer)])
}

interface Account {
  id: string
  name: string
  email: string | null
  domain_id: string
  domain_name: string
}

/** Why the certificate is not this user's; undefined if it is. What the mapping does not say, it does not ask for. */
function differs({ user: { id, name, email, domain } }: Mapped, account: Account): string | undefined {
  if (id === undefined && name === undefined) return 'the mapping gives neither id nor name of a user'
  if (id !== undefined && id !== account.id) return 'another id'
  if (name !== undefined && name !== account.name) return 'another name'
  if (email !== undefined && email !== account.email) return 'another email'
  if (domain?.id !== undefined && domain.id !== account.domain_id) return "another domain's id"
  if (domain?.name !== undefined && domain.name !== account.domain_name) return "another domain's name"
  // A name alone may stand for somebody in each domain.
  if (id === undefined && !domain && account.domain_id !== 'default') return 'the mapping gives a name without a domain'
  return undefined
}

export interface ByCertificate extends Pick<SignInDeps, 'db' | 'sessions' | 'lifetime'> {
  compliance: SecurityCompliance
  /** Id of the mapping. */
  mapping: string
  audit: (details: AuditDetails) => void
}

/**
 * A token in the user's default project.
 * @param userId who the program says it is
 * @throws Fault 401, always the same; why stands in the audit log
 */
export async function signInByCertificate(deps: ByCertificate, userId: string, certificate: X509Certificate): Promise<SignedIn> {
  const { db, sessions, lifetime, compliance, audit } = deps
  const refuse = (reason: string) => {
    audit({ reason: `Client certificate: ${reason}` })
    return unauthorized('Client authentication failed.')
  }
  const [account, mapping] = await Promise.all([
    db.read
      .selectFrom('identity.user as u')
      .innerJoin('identity.project as d', 'd.id', 'u.domain_id')
      .select(['u.id', 'u.name', 'u.email', 'u.domain_id', 'd.name as domain_name', 'u.default_project_id'])
      .select(['u.enabled', 'u.options', 'u.last_active_at', 'u.created_at'])
      .where('u.id', '=', userId)
      .executeTakeFirst(),
    db.read.selectFrom('identity.mapping').select(['rules', 'schema_version']).where('id', '=', deps.mapping).executeTakeFirst(),
  ])
  if (!account) throw refuse('no such user')
  audit({ initiator: { id: account.id, name: account.name } })
  if (!mapping) throw refuse(`there is no mapping ${deps.mapping}`)
  const wrong = differs(mapped(mapping as unknown as Mapping, certificate, refuse), account)
  if (wrong !== undefined) throw refuse(wrong)
  if (account.default_project_id === null) throw refuse('the user has no default project')
  if (!isEnabled(account, compliance)) throw refuse('the account is disabled')
  const scope: Scope = { kind: 'project', id: account.default_project_id }
  const facts = await readFacts(db.read, account.id, scope)
  if (!facts) throw refuse('the user is disabled, or has no role in the default project')
  const methods = ['oauth2_credential']
  if (!suffices(facts, methods)) throw refuse("the user's rules of multi-factor authentication want more")
  return await issue(sessions, { user: account.id, scope, facts, methods, lifetime, thumbprint: thumbprintOf(certificate) })
}

function mapped(mapping: Mapping, certificate: X509Certificate, refuse: (reason: string) => Error): Mapped {
  try {
    return applyMapping(mapping, namesIn(certificate))
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error))
  }
}
