// Which tokens were revoked, for services that check tokens by themselves, and what is left of the PKI tokens of old: answers that say so.
import { badRequest, Fault, forbidden } from '../../http/fault.ts'
import { row } from '../../http/table.ts'
import { asked, base } from './list.ts'

/** As Keystone writes times of events: UTC, with microseconds. */
const timestamp = (at: Date) => at.toISOString().replace('Z', '000Z')

const gone = () => {
  throw new Fault(410, 'This API is no longer available due to the removal of support for PKI tokens.')
}

export const revocationEvents = [
  row({
    route: 'GET /OS-REVOKE/events',
    policy: 'identity:list_revoke_events',
    reply: 200,
    summary: 'List the tokens that were revoked one by one; ?since=<time> leaves out older ones',
    async run(call) {
      const text = asked(call.query, 'since')
      const since = text === undefined ? undefined : new Date(text)
      if (since && Number.isNaN(since.getTime()))
        throw badRequest(`Invalid date format '${text}' in the parameter 'since': it wants ISO 8601`)
      const rows = await call.tx
        .selectFrom('identity.revocation')
        .select(['audit_id', 'chain', 'revoked_at'])
        .$if(since !== undefined, (q) => q.where('revoked_at', '>=', since!))
        .orderBy('revision')
        .execute()
      const events = rows.map(({ audit_id, chain, revoked_at }) => ({
        [chain ? 'audit_chain_id' : 'audit_id']: audit_id,
        issued_before: timestamp(revoked_at),
        revoked_at: timestamp(revoked_at),
      }))
      return { events, links: { self: `${base(call)}/OS-REVOKE/events`, previous: null, next: null } }
    },
  }),
  row({
    route: 'GET /auth/tokens/OS-PKI/revoked',
    policy: 'identity:revocation_list',
    reply: 200,
    summary: 'No list of revoked tokens: tokens are not stored; see GET /OS-REVOKE/events',
    run() {
      throw forbidden('Revoked tokens cannot be listed, because tokens are not stored. GET /OS-REVOKE/events lists what was revoked.')
    },
  }),
  row({ route: 'GET /OS-SIMPLE-CERT/ca', policy: null, reply: 200, summary: 'Gone with the PKI tokens', run: gone }),
  row({ route: 'GET /OS-SIMPLE-CERT/certificates', policy: null, reply: 200, summary: 'Gone with the PKI tokens', run: gone }),
]
