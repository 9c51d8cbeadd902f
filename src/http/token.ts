/** The caller's token: where it is read from, and the 401 that says where to get one. */
import type { IncomingMessage } from 'node:http'
import { Fault, unauthorized } from './fault.ts'
import type { Who } from './who.ts'

/**
 * Who the request's X-Auth-Token speaks for.
 * @throws Fault 401 with `WWW-Authenticate` (if `keystone` gives the identity service's URL), or whatever fault `authenticate` answers
 */
export async function readToken(
  request: IncomingMessage,
  authenticate: (token: string) => Promise<Who | Fault>,
  keystone: (() => string) | undefined,
): Promise<Who> {
  const header = request.headers['x-auth-token']
  const token = Array.isArray(header) ? header[0] : header
  if (!token) throw withHint(unauthorized(), keystone)
  const who = await authenticate(token)
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
