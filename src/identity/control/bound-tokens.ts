// Tokens that are worth nothing without the TLS certificate that they were got with (RFC 8705, 3): whoever steals one can't use it.
import { createHash, type X509Certificate } from 'node:crypto'
import { unauthorized } from '../../http/fault.ts'
import type { Claims } from './tokens.ts'

/** SHA-256 in base64url. Of the certificate as PEM, where the RFC has DER: so do Keystone and keystonemiddleware, who compare it. */
export const thumbprintOf = (certificate: X509Certificate): string =>
  createHash('sha256').update(certificate.toString()).digest('base64url')

/** Whether the token may be used by who presents it: one that is bound to a certificate only comes with that certificate. */
export const isHeld = ({ thumbprint }: Pick<Claims, 'thumbprint'>, certificate: () => X509Certificate | undefined): boolean => {
  if (thumbprint === undefined) return true
  const shown = certificate()
  return shown !== undefined && thumbprintOf(shown) === thumbprint
}

export const notHeld = () =>
  unauthorized('This token is bound to the TLS certificate that it was got with, and this request came without it.')
