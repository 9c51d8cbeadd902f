// The API's own certificate: two files that somebody else renews (an ACME client, a company's authority). They are read again when they
// change; a pair that does not belong together (only one of the files is new yet) or cannot be read waits, and the old one goes on.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import { isIP } from 'node:net'
import { createSecureContext, type Server } from 'node:tls'
import type { Logger } from 'pino'

export interface CertificateFiles {
  /** PEM: the certificate, then those between it and its authority. */
  certificate: string
  /** PEM. */
  key: string
}

export interface Pair {
  cert: string
  key: string
}

/** Reads both. Throws in words of an operator what is wrong with them. */
export function readPair({ certificate, key }: CertificateFiles): Pair {
  const pair = { cert: readPem('WISP_TLS_CERT', certificate), key: readPem('WISP_TLS_KEY', key) }
  let leaf: X509Certificate
  try {
    leaf = new X509Certificate(pair.cert)
  } catch {
    throw new Error(`${certificate} (WISP_TLS_CERT) has no certificate in PEM: it should begin with -----BEGIN CERTIFICATE-----`)
  }
  try {
    if (!leaf.checkPrivateKey(createPrivateKey(pair.key)))
      throw new Error(`the certificate is for another key: ${certificate} (WISP_TLS_CERT) must begin with the one that belongs to it`)
    createSecureContext(pair) // whatever else TLS has against them, such as a key that is too short
  } catch (error) {
    throw new Error(`${key} (WISP_TLS_KEY) cannot be used: ${error instanceof Error ? error.message : String(error)}`)
  }
  return pair
}

/** Reads the authorities whose client certificates count, as PEM. Throws in words of an operator what is wrong with the file. */
export function readAuthority(file: string): string {
  const pem = readPem('WISP_CLIENT_CA', file)
  try {
    new X509Certificate(pem)
  } catch {
    throw new Error(`${file} (WISP_CLIENT_CA) has no certificate in PEM: it should begin with -----BEGIN CERTIFICATE-----`)
  }
  return pem
}

/** What a person should know of a pair that TLS takes: undefined if nothing. `now` and `host` are compared with the certificate. */
export function troubleOf({ cert }: Pair, host: string, now = new Date()): { level: 'poor' | 'bad'; what: string } | undefined {
  const { validFromDate, validToDate, ...leaf } = readLeaf(cert)
  if (validToDate < now)
    return { level: 'bad', what: `the certificate of the API has expired: it was good until ${validToDate.toISOString()}` }
  if (validFromDate > now) return { level: 'bad', what: `the certificate of the API is not good before ${validFromDate.toISOString()}` }
  if (!leaf.names(host))
    return { level: 'bad', what: `the certificate of the API is not for ${host}, the name in its addresses, but for ${leaf.subjects}` }
  const days = Math.floor((validToDate.getTime() - now.getTime()) / 86_400_000)
  return days < 14 ? { level: 'poor', what: `the certificate of the API expires in ${days} days` } : undefined
}

function readLeaf(cert: string) {
  const leaf = new X509Certificate(cert)
  const names = (host: string) => (isIP(host) ? leaf.checkIP(host) : leaf.checkHost(host)) !== undefined
  const subjects = leaf.subjectAltName ?? leaf.subject
  return { validFromDate: leaf.validFromDate, validToDate: leaf.validToDate, names, subjects }
}

/**
 * Gives the server the new certificate soon after it is there; connections that are open keep theirs. `more` = what else the server's TLS
 * was made with, for Node forgets it otherwise. Returns how to stop.
 */
export function renewCertificate(
  server: Pick<Server, 'setSecureContext'>,
  files: CertificateFiles,
  log: Logger,
  { interval = 5_000, ...more }: { interval?: number; ca?: string } = {},
): () => void {
  const renew = () => {
    try {
      server.setSecureContext({ ...more, ...readPair(files) })
      log.info(files, 'tls: the certificate was read anew')
    } catch (error) {
      log.error({ err: error }, 'tls: the new certificate cannot be used; the old one goes on')
    }
  }
  const watched = [files.certificate, files.key]
  for (const file of watched) watchFile(file, { interval, persistent: false }, renew)
  return () => {
    for (const file of watched) unwatchFile(file, renew)
  }
}

function readPem(setting: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new Error(`${file} (${setting}) cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
}
