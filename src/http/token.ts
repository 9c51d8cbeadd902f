/** The caller's token: where it is read from, and the 401 that says where to get one. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { CertificateOf } from './certificate.ts'
import { Fault, unauthorized } from './fault.ts'
import type { Who } from './who.ts'

/**
 * Who a token speaks for, or the Fault to answer with; never throws for a bad token.
 * @param certificate the certificate of the client who presents it: asked for only where the token is bound to one
 */
export type Authenticate = (token: string, certificate: () => ReturnType<CertificateOf>) => Promise<Who | Fault>

/** What the client sent as its token: OpenStack's header, or as OAuth2 has it (RFC 6750). */
export function tokenOf({ 'x-auth-token': header, authorization }: IncomingHttpHeaders): string | undefined {
  const token = Array.isArray(header) ? header[0] : header
  return token || /^Bearer +([\w.~+/=-]+)$/i.exec(authorization ?? '')?.[1]
}

/**
 * Who the request's token speaks for.
 * @throws Fault 401 with `WWW-Authenticate` (if `keystone` gives the identity service's URL), or whatever fault `authenticate` answers
 */
export async function readToken(
  request: IncomingMessage,
  authenticate: Authenticate,
  certificateOf: CertificateOf,
  keystone: (() => string) | undefined,
): Promise<Who> {
  const token = tokenOf(request.headers)
  if (!token) throw withHint(unauthorized(), keystone)
  const who = await authenticate(token, () => certificateOf(request))
  if (who instanceof Fault) throw who.status === 401 ? withHint(who, keystone) : who
  return who
}

function withHint(fault: Fault, keystone: (() => string) | undefined): Fault {
  if (!keystone) return fault
  const { type, title, detail } = fault
  return unauthorized(fault.message, {
    headers: { ...fault.headers, 'www-authenticate': `Keystone uri="${keystone()}"` },
    type,
    title,
    detail,
  })
}
