// A self-signed X.509 certificate around a key: the form in which SAML wants to be told a public key. Only its encoding (DER, RFC 5280) is
// done here; key and signature are Node's.
import { createPublicKey, randomBytes, sign } from 'node:crypto'

const tlv = (tag: number, ...parts: Buffer[]): Buffer => {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}
const sequence = (...parts: Buffer[]) => tlv(0x30, ...parts)
const hex = (text: string) => Buffer.from(text, 'hex')

const sha256WithRsa = sequence(tlv(0x06, hex('2a864886f70d01010b')), tlv(0x05))
const nameOf = (text: string) => sequence(tlv(0x31, sequence(tlv(0x06, hex('550403')), tlv(0x0c, Buffer.from(text)))))

/** UTCTime until 2049, GeneralizedTime from then on. */
function timeOf(date: Date): Buffer {
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return date.getUTCFullYear() < 2050 ? tlv(0x17, Buffer.from(digits.slice(2))) : tlv(0x18, Buffer.from(digits))
}

/**
 * As PEM.
 * @param privateKey an RSA key as PEM
 */
export function selfSigned(privateKey: string, commonName: string, from: Date, until: Date): string {
  const key = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  const serial = Buffer.concat([hex('01'), randomBytes(15)])
  const name = nameOf(commonName)
  const body = sequence(
    tlv(0xa0, tlv(0x02, hex('02'))),
    tlv(0x02, serial),
    sha256WithRsa,
    name,
    sequence(timeOf(from), timeOf(until)),
    name,
    key,
  )
  const signature = sign('sha256', body, privateKey)
  const certificate = sequence(body, sha256WithRsa, tlv(0x03, hex('00'), signature))
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
