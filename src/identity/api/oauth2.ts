// OS-OAUTH2: a program gets a token by the client credentials grant (RFC 6749, 4.4); the client is an
// application credential, by id and secret, or a user, by the TLS certificate of the connection (RFC 8705).
import { type Static, Type as t } from 'typebox'
import type { Config } from '../../config.ts'
import { Fault, unauthorized } from '../../http/fault.ts'
import { type AnyRow, type Call, row } from '../../http/table.ts'
import type { SecurityCompliance } from '../../security-compliance.ts'
import { signInByCertificate } from '../control/client-certificate.ts'
import type { RememberedPasswords } from '../control/remembered-passwords.ts'
import type { SealingKeys } from '../control/sealed.ts'
import type { Sessions } from '../control/sessions.ts'
import { type SignedIn, signIn } from '../control/sign-in.ts'

export interface Oauth2Deps {
  sessions: Sessions
  /** What the data directory's secret.key holds. */
  key: SealingKeys
  /** Seconds for which a token is valid. */
  lifetime: number
  compliance: SecurityCompliance
  /** Those that are allowed. */
  methods: Config['oauth2Methods']
  /** Id of the mapping that says whose a certificate is. */
  mapping: string
  remembered: RememberedPasswords
}

const word = t.Optional(t.String())
const tokenRequest = t.Object({ grant_type: word, client_id: word, client_secret: word })

/** HTTP basic, where it is given; else the form. */
function clientOf({ headers, body }: { headers: Call['headers']; body: { client_id?: string; client_secret?: string } }) {
  const basic = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(headers.authorization ?? '')?.[1]
  if (basic === undefined) return { id: body.client_id, secret: body.client_secret }
  const text = Buffer.from(basic, 'base64').toString()
  const colon = text.indexOf(':')
  return colon < 0 || text.includes('\0') ? {} : { id: text.slice(0, colon), secret: text.slice(colon + 1) }
}

// RFC 6749, 5.2, with Keystone's statuses (keystone/oauth2/handlers.py).
const errors: Record<number, string> = { 400: 'invalid_request', 401: 'invalid_client' }

export function oauth2({ sessions, key, lifetime, compliance, remembered, methods, mapping }: Oauth2Deps): AnyRow[] {
  const refuse = (call: Pick<Call, 'status' | 'header' | 'url'>, status: number, error_description: string, error = errors[status]) => {
    call.status(status)
    if (status === 401) call.header('www-authenticate', `Keystone uri="${call.url.origin}/identity/v3/OS-OAUTH2/token"`)
    return { error: error ?? 'other_error', error_description }
  }

  const bySecret = async ({ db, remote, certificate }: Call, id: string, secret: string): Promise<SignedIn> => {
    const identity = { methods: ['application_credential'], application_credential: { id, secret } }
    const done = await signIn({ db, key, sessions, lifetime, compliance, remembered, remote, certificate }, { identity })
    if ('receipt' in done) throw unauthorized("The user's rules of multi-factor authentication allow no sign-in by a program.")
    return done
  }

  /** By what the client gave: a secret, or else the certificate of its connection. */
  const signInAs = async (call: Call<Static<typeof tokenRequest>>): Promise<SignedIn> => {
    const { id, secret } = clientOf(call)
    if (!id) throw unauthorized('Client authentication failed.')
    if (secret) {
      if (!methods.includes('client_secret_basic'))
        throw unauthorized('Client authentication failed. Secrets are not allowed in this cloud.')
      return await bySecret(call as Call, id, secret)
    }
    const certificate = methods.includes('tls_client_auth') ? call.certificate() : undefined
    if (!certificate) {
      throw unauthorized('Client authentication failed. Give the client_secret, or come with a TLS certificate that this cloud accepts.')
    }
    const { db, audit } = call
    return await signInByCertificate({ db, sessions, lifetime, compliance, mapping, audit }, id, certificate)
  }

  return [
    row({
      route: 'POST /OS-OAUTH2/token',
      policy: null,
      input: 'form',
      body: tokenRequest,
      reply: 200,
      transaction: 'own',
      summary: 'Get a token as a program, by the id and secret of an application credential, or by a client certificate',
      async run(call) {
        const { body } = call
        call.audit({ action: 'authenticate', target: { typeURI: 'service/security/account/user' } })
        call.header('cache-control', 'no-store')
        if (body.grant_type === undefined) return refuse(call, 400, 'The parameter grant_type is required.')
        if (body.grant_type !== 'client_credentials') {
          return refuse(call, 400, `The parameter grant_type ${body.grant_type} is not supported.`, 'unsupported_grant_type')
        }
        let signedIn: SignedIn
        try {
          signedIn = await signInAs(call)
        } catch (error) {
          if (!(error instanceof Fault)) throw error
          for (const [name, value] of Object.entries(error.headers ?? {})) call.header(name, value)
          return refuse(call, error.status, error.message)
        }
        const { token, claims, facts } = signedIn
        const { user, project } = facts
        call.audit({ initiator: { id: user.id, name: user.name, ...(project && { project_id: project.id }) } })
        return { access_token: token, token_type: 'Bearer', expires_in: Math.floor((claims.expiresAt - claims.issuedAt) / 1000) }
      },
    }),
  ]
}
