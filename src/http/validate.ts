/**
 * Checks bodies and queries against a row's schema as it is at the request's microversion, and says what is wrong in jsonschema's
 * words, which OpenStack's clients and their users know. Compiled on first use, so that start-up stays instant.
 */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import ajvFormats from 'ajv-formats'
import type { TSchema } from 'typebox'
import type { Problem } from './envelope.ts'
import { at } from './schema.ts'

const options = { strict: false, verbose: true, allowUnionTypes: true } as const
const bodies = new Ajv(options)
// A query holds only text: '10' is a number and one value a list where the schema says so.
const queries = new Ajv({ ...options, coerceTypes: 'array' })
ajvFormats.default(bodies)
ajvFormats.default(queries)

/** Answers with the first problem, or undefined if the value is fine. A query's values are converted to the schema's types in place. */
export type Validator = (value: unknown, version: string) => Problem | undefined

export function validator(kind: 'body' | 'query', schema: TSchema): Validator {
  const byVersion = new Map<string, ValidateFunction>()
  const bySchema = new Map<string, ValidateFunction>()
  const compiled = (version: string) => {
    const cut = at(schema, version)
    const text = JSON.stringify(cut)
    let check = bySchema.get(text)
    if (!check) {
      check = (kind === 'body' ? bodies : queries).compile(cut)
      bySchema.set(text, check)
    }
    byVersion.set(version, check)
    return check
  }
  return (value, version) => {
    const check = byVersion.get(version) ?? compiled(version)
    if (check(value)) return undefined
    return problem(kind, check.errors ?? [])
  }
}

const secret = /pass(word|wd)?$|secret|user_data|private_key|token|credential|blob/i

function problem(kind: 'body' | 'query', errors: ErrorObject[]): Problem {
  const error = mostTelling(errors)
  const path = error.instancePath === '' ? [] : error.instancePath.slice(1).split('/').map(unescaped)
  const hidden = path.some((field) => secret.test(field))
  const value = hidden ? '***' : shown(error.data)
  const params = error.params as Record<string, unknown>
  const name = params.missingProperty ?? params.additionalProperty ?? params.unevaluatedProperty ?? params.propertyName
  return {
    kind,
    path,
    keyword: error.keyword === 'unevaluatedProperties' ? 'additionalProperties' : error.keyword,
    text: words(error, hidden ? '***' : quoted(error.data)),
    value,
    ...(typeof name === 'string' && { name: name.slice(0, 100) }),
  }
}

// RFC 6901
const unescaped = (part: string) => part.replaceAll('~1', '/').replaceAll('~0', '~')

/** Of the errors of a union's branches, the one that a person means: the branch that went deepest or fits the value's type. */
function mostTelling(errors: ErrorObject[]): ErrorObject {
  const last = errors.at(-1)!
  if (last.keyword !== 'anyOf' && last.keyword !== 'oneOf') return last
  const branches = errors.slice(0, -1)
  const telling = branches.filter(({ keyword }) => !['type', 'const', 'enum', 'anyOf', 'oneOf'].includes(keyword))
  if (telling.length > 0)
    return telling.reduce((deepest, error) => (error.instancePath.length > deepest.instancePath.length ? error : deepest))
  const deeper = branches.find(({ instancePath }) => instancePath.length > last.instancePath.length)
  if (deeper) return deeper
  const constants = branches
    .filter(({ keyword }) => keyword === 'const')
    .map(({ params }) => (params as { allowedValue: unknown }).allowedValue)
  if (constants.length > 0) return { ...last, keyword: 'enum', params: { allowedValues: constants } }
  const types = branches.filter(({ keyword }) => keyword === 'type').flatMap(({ params }) => (params as { type: string | string[] }).type)
  return types.length > 0 ? { ...last, keyword: 'type', params: { type: types } } : last
}

function quoted(value: unknown): string {
  if (typeof value === 'string') return `'${shorten(value)}'`
  if (value === null || value === undefined) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (Array.isArray(value)) return 'the list'
  return typeof value === 'object' ? 'the object' : String(value)
}

const shown = (value: unknown) =>
  typeof value === 'object' && value !== null ? '' : typeof value === 'string' ? shorten(value) : quoted(value)
const shorten = (text: string) => (text.length > 100 ? `${text.slice(0, 100)}…`.toWellFormed() : text)
const listed = (values: unknown) => [values].flat().map(quoted).join(', ')

function words({ keyword, params }: ErrorObject, value: string): string {
  const p = params as Record<string, unknown>
  switch (keyword) {
    case 'required':
      return `'${p.missingProperty}' is a required property`
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return `Additional properties are not allowed (${quoted(p.additionalProperty ?? p.unevaluatedProperty)} was unexpected)`
    case 'type':
      return `${value} is not of type ${listed(p.type)}`
    case 'enum':
      return `${value} is not one of [${listed(p.allowedValues)}]`
    case 'const':
      return `${value} is not one of [${listed(p.allowedValue)}]`
    case 'minLength':
    case 'minItems':
      return `${value} is too short`
    case 'maxLength':
    case 'maxItems':
      return `${value} is too long`
    case 'minimum':
      return `${value} is less than the minimum of ${p.limit}`
    case 'maximum':
      return `${value} is greater than the maximum of ${p.limit}`
    case 'pattern':
      return `${value} does not match '${p.pattern}'`
    case 'format':
      // What JSON Schema calls byte is base64.
      return `${value} is not a '${p.format === 'byte' ? 'base64' : p.format}'`
    case 'minProperties':
      return `${value} does not have enough properties`
    case 'maxProperties':
      return `${value} has too many properties`
    case 'uniqueItems':
      return `${value} has non-unique elements`
    case 'anyOf':
    case 'oneOf':
      return `${value} is not valid under any of the given schemas`
    case 'propertyNames':
      return `${quoted(p.propertyName)} is not allowed as a name`
    default:
      return `${value} is not valid (${keyword})`
  }
}
