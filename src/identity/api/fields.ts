// Field types that all of identity's bodies share, as keystone/api/validation/parameter_types.py has them, and what is done with the
// attributes that Keystone does not know: they are kept and shown again.
import { type Static, type TSchema, Type as t } from 'typebox'
import { json } from '../../database/connect.ts'
import type { JsonObject } from '../../database/types.ts'
import { badRequest, conflict, forbidden } from '../../http/fault.ts'

export const name = (maxLength = 255) => t.String({ minLength: 1, maxLength, pattern: '\\S+' })
export const nullable = <T extends TSchema>(schema: T) => t.Union([schema, t.Null()])
export const text = t.Optional(nullable(t.String()))
export const id = t.String({ minLength: 1, maxLength: 64, pattern: '^[a-zA-Z0-9-]+$' })
export const enabled = t.Optional(t.Boolean())
export const options = t.Optional(t.Object({ immutable: t.Optional(nullable(t.Boolean())) }, { additionalProperties: false }))
export const tags = t.Array(t.String({ minLength: 1, maxLength: 255, pattern: '^[^,/]*$' }), { maxItems: 80, uniqueItems: true })

/** A body `{<key>: {…}}` with nothing beside it. */
export const wrapped = <K extends string, T extends TSchema>(key: K, schema: T) =>
  t.Object({ [key]: schema } as Record<K, T>, { additionalProperties: false })

/** An update: every field may be left out, but not all. */
export const partial = <T extends Record<string, TSchema>>(properties: T) =>
  t.Partial(t.Object(properties), { minProperties: 1, additionalProperties: true })

/** For a jsonb column: the attributes that are none of the known ones, over those that were there before. */
export function extraOf(body: object, known: readonly string[], old: unknown = {}) {
  const more = Object.entries(body).filter(([key]) => !known.includes(key) && key !== 'id' && key !== 'links')
  return json({ ...(old as JsonObject), ...(Object.fromEntries(more) as JsonObject) })
}

/** @throws Fault 400 if the body names another object than the path */
export function sameId(body: object, id: string): void {
  if ('id' in body && body.id !== id) throw badRequest('Cannot change ID')
}

/** @throws Fault 400 if the body would move the object to another domain */
export function sameDomain(body: { domain_id?: string | null | undefined }, domainId: string | null): void {
  if (body.domain_id !== undefined && body.domain_id !== domainId) throw badRequest('Cannot change Domain ID')
}

type Options = Static<typeof options>
const isImmutable = (row: { options: unknown }) => (row.options as NonNullable<Options>).immutable === true

/** An immutable object may only be made mutable again (keystone/common/resource_options). */
export function refuseUpdate(type: string, row: { id: string; options: unknown }, body: { options?: Options }): void {
  if (!isImmutable(row)) return
  const frees = body.options && 'immutable' in body.options && body.options.immutable !== true && Object.keys(body).length === 1
  if (!frees) throw forbidden(`Unable to update immutable ${type} resource: \`${row.id}. Set resource option "immutable" to false first.`)
}

export function refuseDelete(type: string, row: { id: string; options: unknown }): void {
  if (isImmutable(row))
    throw forbidden(`Unable to delete immutable ${type} resource: \`${row.id}. Set resource option "immutable" to false first.`)
}

/** For a jsonb column: the options after an update; null takes one away. */
export function optionsOf(given: object | undefined, old: unknown = {}) {
  const all = { ...(old as JsonObject), ...(given as JsonObject | undefined) }
  return json(Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null)) as JsonObject)
}

/** For `.catch` of a statement: a name that is taken already is Keystone's 409. */
export const taken =
  (type: string, details: string) =>
  (error: unknown): never => {
    if (error instanceof Error && 'code' in error && error.code === '23505') {
      throw conflict(`Conflict occurred attempting to store ${type} - ${details}.`)
    }
    throw error
  }
