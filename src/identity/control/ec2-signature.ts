// Signatures of AWS requests, as EC2 and S3 clients make them with a secret that both sides know: versions 0, 1, 2 and 4 of EC2's, and the
// two of S3's, whose services send the text that was signed.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** A request as the service that received it describes it. */
export interface SignedRequest {
  signature: string
  host: string
  verb: string
  path: string
  params: Record<string, string>
  headers: Record<string, string>
  bodyHash: string
}

const algorithm = 'AWS4-HMAC-SHA256'
const mac = (hash: 'sha1' | 'sha256', key: string | Buffer, text: string | Buffer) => createHmac(hash, key).update(text).digest()

const same = (given: string, right: string): boolean => {
  const [a, b] = [given, right].map((text) => createHash('sha256').update(text).digest()) as [Buffer, Buffer]
  return timingSafeEqual(a, b)
}

/** Whether the request was signed with the secret; clients may have left the port of the host out. */
export function ec2SignatureFits(secret: string, request: SignedRequest): boolean {
  const hosts = [request.host, ...(request.host.includes(':') ? [request.host.replace(/:\d*$/, '')] : [])]
  return hosts.some((host) => {
    const right = signatureOf(secret, { ...request, host })
    return right !== undefined && same(request.signature, right)
  })
}

function signatureOf(secret: string, request: SignedRequest): string | undefined {
  const { params, verb, host, path } = request
  const names = Object.keys(params)
  switch (params.SignatureVersion) {
    case '0':
      return mac('sha1', secret, `${params.Action}${params.Timestamp}`).toString('base64')
    case '1': {
      const byName = (a: string, b: string) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1)
      const text = names.sort(byName).map((name) => name + params[name])
      return mac('sha1', secret, text.join('')).toString('base64')
    }
    case '2': {
      const query = canonicalQuery({ ...params, SignatureMethod: 'HmacSHA256' })
      return mac('sha256', secret, `${verb}\n${host}\n${path}\n${query}`).toString('base64')
    }
    case undefined:
      return signature4(secret, request)
    default:
      return undefined
  }
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
function signature4(secret: string, { params, verb, path, headers, bodyHash }: SignedRequest): string | undefined {
  const given = headers.Authorization
  if (!(given?.startsWith(algorithm) ?? params['X-Amz-Algorithm'] === algorithm)) return undefined
  const part = (name: string) => (given === undefined ? params[`X-Amz-${name}`] : given.split(`${name}=`)[1]?.split(',')[0]) ?? ''
  const signed = part('SignedHeaders')
  const [, day = '', region, service, ...end] = part('Credential').split('/')
  const date = headers['X-Amz-Date'] ?? params['X-Amz-Date'] ?? ''
  if (day === '' || region === undefined || service === undefined || !date.startsWith(day)) return undefined
  const lower = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase().trim(), value.trim()]))
  const lines = signed.split(';').filter((name) => lower.has(name))
  const query = verb.toUpperCase() === 'POST' ? '' : canonicalQuery(params)
  const canonical = [verb.toUpperCase(), path, query, ...lines.map((name) => `${name}:${lower.get(name)}`), '', signed, bodyHash].join('\n')
  const scope = [day, region, service, ...end].join('/')
  const text = [algorithm, date, scope, createHash('sha256').update(canonical).digest('hex')].join('\n')
  return mac('sha256', signingKey(secret, day, region, service), text).toString('hex')
}

const signingKey = (secret: string, ...scope: string[]) =>
  [...scope, 'aws4_request'].reduce((key, step) => mac('sha256', key, step), Buffer.from(`AWS4${secret}`))

/** RFC 3986: all but letters, digits and -_.~ is encoded. */
const encoded = (text: string) =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)

const canonicalQuery = (params: Record<string, string>) =>
  Object.entries(params)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
    .join('&')

/** Whether this text, which an S3 service has worked out of a request, was signed with the secret. */
export function s3SignatureFits(secret: string, text: Buffer, signature: string): boolean {
  if (!text.subarray(0, 4).equals(Buffer.from('AWS4'))) return same(signature, mac('sha1', secret, text).toString('base64'))
  const [kind, , scope, hash, more] = text.toString().split('\n')
  const [day, region, service, end, further] = (scope ?? '').split('/')
  if (kind !== algorithm || hash === undefined || more !== undefined || further !== undefined) return false
  if (!day || !region || end !== 'aws4_request' || !['s3', 'iam', 'sts'].includes(service ?? '')) return false
  return same(signature, mac('sha256', signingKey(secret, day, region, service!), text).toString('hex'))
}
