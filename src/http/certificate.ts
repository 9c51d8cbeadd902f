/** The TLS certificate of a client: from the socket where TLS ends here, or from a header where it ends at a proxy that is trusted. */
import { X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type BlockList, isIPv6 } from 'node:net'
import { TLSSocket } from 'node:tls'
import { badRequest } from './fault.ts'

/** @throws Fault 400 if a trusted proxy says something that is no certificate */
export type CertificateOf = (request: IncomingMessage) => X509Certificate | undefined

/** @param proxies addresses whose header counts; what comes from them bears the proxy's own certificate, if any, which says nothing of a client */
export function certificateReader(proxies?: BlockList): CertificateOf {
  return ({ socket, headers }) => {
    const { remoteAddress } = socket
    if (remoteAddress !== undefined && proxies?.check(remoteAddress, isIPv6(remoteAddress) ? 'ipv6' : 'ipv4')) {
      return told(headers['client-cert'])
    }
    // Authorized: it was issued by one of WISP_CLIENT_CA, for clients, and the other side has its key.
    return socket instanceof TLSSocket && socket.authorized ? socket.getPeerX509Certificate() : undefined
  }
}

/**
 * As RFC 9440 has it (DER in base64 between colons), or as proxies can write it: PEM with percent encoding (nginx's $ssl_client_escaped_cert),
 * PEM in one line (Apache's SSL_CLIENT_CERT, which is "(null)" without a certificate) or bare base64 (HAProxy's ssl_c_der).
 */
function told(header: string | string[] | undefined): X509Certificate | undefined {
  const text = String(header ?? '').trim()
  if (text === '' || text === '(null)') return undefined
  try {
    const pem = text.includes('%') ? decodeURIComponent(text) : text
    const base64 = pem.replaceAll(/-----(BEGIN|END) CERTIFICATE-----|^:|:$|\s/g, '')
    return new X509Certificate(Buffer.from(base64, 'base64'))
  } catch (error) {
    throw badRequest('The header Client-Cert, which a proxy has set, is no certificate: see "Behind a proxy" in docs/operate/oauth2.md.', {
      cause: error,
    })
  }
}
