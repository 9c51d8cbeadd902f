// SAML metadata: the provider's, as operators paste it.
import { XMLParser } from 'fast-xml-parser'
import { badRequest } from '../../../http/fault.ts'

const bindings = ['urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect']
const lists = new Set(['KeyDescriptor', 'SingleSignOnService', 'X509Certificate', 'X509Data'])

interface Descriptor {
  EntityDescriptor?: {
    '@entityID'?: string
    IDPSSODescriptor?: {
      KeyDescriptor?: { '@use'?: string; KeyInfo?: { X509Data?: { X509Certificate?: string[] }[] } }[]
      SingleSignOnService?: { '@Binding'?: string; '@Location'?: string }[]
    }
  }
}

/** @throws Fault 400 if it is no metadata of one identity provider */
export function readMetadata(xml: string): { entity_id?: string; sso_url?: string; certificates?: string[] } {
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: '@',
    removeNSPrefix: true,
    parseTagValue: false,
    processEntities: false,
    isArray: (name) => lists.has(name),
  })
  let read: Descriptor
  try {
    read = parser.parse(xml, true) as Descriptor
  } catch {
    throw badRequest("Invalid input for field 'metadata': it is not XML.")
  }
  const entity = read.EntityDescriptor
  const provider = entity?.IDPSSODescriptor
  if (!entity || !provider)
    throw badRequest("Invalid input for field 'metadata': it does not describe one identity provider (IDPSSODescriptor).")
  const service = provider.SingleSignOnService?.find((one) => bindings.includes(one['@Binding'] ?? ''))
  const certificates = (provider.KeyDescriptor ?? [])
    .filter((one) => one['@use'] !== 'encryption')
    .flatMap((one) => one.KeyInfo?.X509Data ?? [])
    .flatMap((one) => one.X509Certificate ?? [])
  return {
    ...(entity['@entityID'] && { entity_id: entity['@entityID'] }),
    ...(service?.['@Location'] && { sso_url: service['@Location'] }),
    ...(certificates.length > 0 && { certificates }),
  }
}
