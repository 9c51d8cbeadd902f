/** Reads a JSON body or a form, and refuses what they allow but PostgreSQL cannot store or a program should not be handed. */
import { isUtf8 } from 'node:buffer'
import { badRequest, unsupportedMediaType } from './fault.ts'

/** The media types that rows of each kind of input take. */
export const mediaTypes = {
  json: ['application/json'],
  'json-patch': [
    'application/openstack-images-v2.1-json-patch',
    'application/openstack-images-v2.0-json-patch',
    'application/json-patch+json',
  ],
  form: ['application/x-www-form-urlencoded'],
}

/** The value of a body of one of these media types; undefined if it is empty. @throws Fault as the readers of each kind */
export const readBody = (raw: Buffer, contentType: string | undefined, accepted: readonly string[]): unknown =>
  accepted === mediaTypes.form ? readForm(raw, contentType) : readJson(raw, contentType, accepted)

/**
 * The fields of a form, each as text; of one that is given twice, the first. A form without fields is an empty object.
 * @throws Fault 415 for another media type, 400 for what is no storable text
 */
function readForm(raw: Buffer, contentType: string | undefined): unknown {
  refuseOtherType(contentType, mediaTypes.form)
  if (!isUtf8(raw)) throw badRequest('The request body is not valid UTF-8.')
  const fields: Record<string, string> = {}
  for (const [name, value] of new URLSearchParams(raw.toString('utf8'))) {
    if (name === '__proto__') throw badRequest("The name '__proto__' is not allowed.")
    if (!Object.hasOwn(fields, name)) fields[name] = value
  }
  refuseUnstorable(fields, '')
  return fields
}

function refuseOtherType(contentType: string | undefined, accepted: readonly string[]): void {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase()
  if (type && !accepted.includes(type)) {
    throw unsupportedMediaType(`The media type ${type.slice(0, 100)} is not supported, use ${accepted[0]}.`)
  }
}

/**
 * The value of a JSON body; undefined if it is empty.
 * @throws Fault 415 for another media type (none at all is taken for JSON), 400 for what is no storable JSON
 */
export function readJson(raw: Buffer, contentType: string | undefined, accepted: readonly string[]): unknown {
  if (raw.length === 0) return undefined
  refuseOtherType(contentType, accepted)
  if (!isUtf8(raw)) throw badRequest('The request body is not valid UTF-8.')
  const text = raw.toString('utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw badRequest('Malformed request body: it is not valid JSON.')
  }
  // Both can only be written with an escape, and few bodies have one.
  if (text.includes('\\u')) refuseUnstorable(value, '')
  if (text.includes('__proto__')) throw badRequest("The name '__proto__' is not allowed.")
  return value
}

function refuseUnstorable(value: unknown, field: string): void {
  if (typeof value === 'string') {
    if (value.includes('\0')) throw badRequest(`Invalid input for ${field || 'the body'}: it contains a NUL character.`)
    if (!value.isWellFormed())
      throw badRequest(`Invalid input for ${field || 'the body'}: it contains half of a character (a lone surrogate).`)
  } else if (Array.isArray(value)) {
    for (const item of value) refuseUnstorable(item, field)
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, item] of Object.entries(value)) {
      if (name === '__proto__') throw badRequest("The name '__proto__' is not allowed.")
      refuseUnstorable(name, `a name in ${field || 'the body'}`)
      refuseUnstorable(item, name)
    }
  }
}
