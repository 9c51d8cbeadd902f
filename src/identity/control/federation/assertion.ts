// Our word for our users: SAML assertions as Keystone makes them for other clouds (keystone/federation/idp.py), signed with RSA and SHA-256.
import { randomBytes } from 'node:crypto'
import { SignedXml } from 'xml-crypto'
import type { SamlKey } from './saml-key.ts'

const exclusive = 'http://www.w3.org/2001/10/xml-exc-c14n#'
const names = {
  saml: 'urn:oasis:names:tc:SAML:2.0:assertion',
  samlp: 'urn:oasis:names:tc:SAML:2.0:protocol',
  soap: 'http://schemas.xmlsoap.org/soap/envelope/',
  ecp: 'urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp',
  paos: 'urn:liberty:paos:2003-08',
  next: 'http://schemas.xmlsoap.org/soap/actor/next',
}
/** Keystone's [saml]assertion_expiration_time, in seconds. */
const lifetime = 3600

const xml = (text: string) => text.replaceAll(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
const newXmlId = () => `_${randomBytes(16).toString('hex')}`

export interface Vouching {
  /** Our entity id. */
  issuer: string
  /** Where the assertion is good. */
  recipient: string
  user: string
  userDomain: string
  project: string
  projectDomain: string
  roles: string[]
  groups: { name: string; domain: string }[]
}

/** A SAML response with one signed assertion. */
export function samlResponse(key: SamlKey, vouching: Vouching): string {
  const { issuer, recipient } = vouching
  const now = new Date().toISOString()
  const issued = `<saml:Issuer Format="urn:oasis:names:tc:SAML:2.0:nameid-format:entity">${xml(issuer)}</saml:Issuer>`
  return `<samlp:Response xmlns:samlp="${names.samlp}" xmlns:saml="${names.saml}" ID="${newXmlId()}" Version="2.0" IssueInstant="${now}" Destination="${xml(recipient)}">${issued}<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>${signed(key, assertion(vouching, issued, now))}</samlp:Response>`
}

function assertion({ issuer, recipient, ...about }: Vouching, issued: string, now: string): string {
  const until = new Date(Date.parse(now) + lifetime * 1000).toISOString()
  const groups = about.groups.map(({ name, domain }) => `JSON:${JSON.stringify({ name, domain: { name: domain } })}`)
  const attributes = Object.entries({
    openstack_user: [about.user],
    openstack_roles: about.roles,
    openstack_project: [about.project],
    openstack_project_domain: [about.projectDomain],
    openstack_user_domain: [about.userDomain],
    ...(groups.length > 0 && { openstack_groups: groups }),
  }).map(([name, values]) => {
    const inner = values.map((value) => `<saml:AttributeValue xsi:type="xs:string">${xml(value)}</saml:AttributeValue>`).join('')
    return `<saml:Attribute Name="${name}">${inner}</saml:Attribute>`
  })
  const spaces = `xmlns:saml="${names.saml}" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"`
  return [
    `<saml:Assertion ${spaces} ID="${newXmlId()}" Version="2.0" IssueInstant="${now}">${issued}`,
    `<saml:Subject><saml:NameID>${xml(about.user)}</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">`,
    `<saml:SubjectConfirmationData NotOnOrAfter="${until}" Recipient="${xml(recipient)}"/></saml:SubjectConfirmation></saml:Subject>`,
    `<saml:AuthnStatement AuthnInstant="${now}" SessionIndex="${newXmlId()}" SessionNotOnOrAfter="${until}"><saml:AuthnContext>`,
    '<saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef>',
    `<saml:AuthenticatingAuthority>${xml(issuer)}</saml:AuthenticatingAuthority></saml:AuthnContext></saml:AuthnStatement>`,
    `<saml:AttributeStatement>${attributes.join('')}</saml:AttributeStatement></saml:Assertion>`,
  ].join('')
}

function signed({ privateKey, certificate }: SamlKey, text: string): string {
  const signature = new SignedXml({
    privateKey,
    publicCert: certificate,
    signatureAlgorithm: 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    canonicalizationAlgorithm: exclusive,
  })
  signature.addReference({
    xpath: "/*[local-name(.)='Assertion']",
    transforms: ['http://www.w3.org/2000/09/xmldsig#enveloped-signature', exclusive],
    digestAlgorithm: 'http://www.w3.org/2001/04/xmlenc#sha256',
  })
  signature.computeSignature(text, { location: { reference: "/*/*[local-name(.)='Issuer']", action: 'after' }, prefix: 'ds' })
  return signature.getSignedXml()
}

const envelope = (header: string, body: string) =>
  `<S:Envelope xmlns:S="${names.soap}" xmlns:ecp="${names.ecp}" xmlns:paos="${names.paos}"><S:Header>${header}</S:Header><S:Body>${body}</S:Body></S:Envelope>`
const must = `S:mustUnderstand="1" S:actor="${names.next}"`

/** The response in the envelope that a command-line client carries to the other cloud (ECP). */
export function inEnvelope(response: string, recipient: string, relayStatePrefix: string): string {
  const relay = `<ecp:RelayState ${must}>${xml(relayStatePrefix)}${randomBytes(16).toString('hex')}</ecp:RelayState>`
  return envelope(`${relay}<ecp:Response ${must} AssertionConsumerServiceURL="${xml(recipient)}"/>`, response)
}

/** What a command-line client carries to its identity provider, when we are the ones who ask (ECP). */
export function askInEnvelope(issuer: string, consumer: string): string {
  const issued = `<saml:Issuer xmlns:saml="${names.saml}">${xml(issuer)}</saml:Issuer>`
  const request = `<samlp:AuthnRequest xmlns:samlp="${names.samlp}" ID="${newXmlId()}" Version="2.0" IssueInstant="${new Date().toISOString()}" AssertionConsumerServiceURL="${xml(consumer)}" ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:PAOS">${issued}</samlp:AuthnRequest>`
  const header = [
    `<paos:Request ${must} responseConsumerURL="${xml(consumer)}" service="${names.ecp}"/>`,
    `<ecp:Request ${must} IsPassive="0">${issued}</ecp:Request>`,
    `<ecp:RelayState ${must}>${randomBytes(16).toString('hex')}</ecp:RelayState>`,
  ]
  return envelope(header.join(''), request)
}

/** Who we are, for those who are to believe our assertions. */
export function ownMetadata(certificate: string, entityId: string, endpoint: string): string {
  const bare = certificate.replaceAll(/-----[^-]+-----|\s/g, '')
  return [
    `<?xml version="1.0" encoding="UTF-8"?><md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="${xml(entityId)}">`,
    `<md:IDPSSODescriptor protocolSupportEnumeration="${names.samlp}"><md:KeyDescriptor use="signing">`,
    `<ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>${bare}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>`,
    '</md:KeyDescriptor><md:NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:transient</md:NameIDFormat>',
    `<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:URI" Location="${xml(endpoint)}"/></md:IDPSSODescriptor></md:EntityDescriptor>\n`,
  ].join('')
}
