// What an image's properties may be: the schema of Glance's own, and the rules for those that people add.
import { type TSchema, Type as t } from 'typebox'
import { envelopes } from '../../http/envelope.ts'
import { badRequest, forbidden, tooLarge } from '../../http/fault.ts'
import { validator } from '../../http/validate.ts'
import { containerFormats, diskFormats } from '../control/formats.ts'

export const visibilities = ['community', 'public', 'private', 'shared'] as const
/** Glance's image_property_quota, image_tag_quota and image_member_quota. */
export const most = 128

/** Said where an image would be nobody's: it would count in no quota. */
export const noOwner = 'An image belongs to a project: its owner cannot be empty.'

const nullable = (schema: TSchema) => t.Union([schema, t.Null()])
const count = t.Integer({ minimum: 0, maximum: 2_147_483_647 })
export const tag = t.String({ maxLength: 255 })

/** What clients set, beside properties of their own. */
export const settable = {
  name: t.Union([t.String({ maxLength: 255 }), t.Null()]),
  visibility: t.Union(visibilities.map((word) => t.Literal(word))),
  disk_format: t.Union([t.String({ enum: diskFormats }), t.Null()]),
  container_format: t.Union([t.String({ enum: containerFormats }), t.Null()]),
  min_disk: count,
  min_ram: count,
  protected: t.Boolean(),
  os_hidden: t.Boolean(),
  tags: t.Array(tag),
  owner: t.Union([t.String({ maxLength: 255 }), t.Null()]),
}
export type Settable = keyof typeof settable
export const isSettable = (name: string): name is Settable => Object.hasOwn(settable, name)

// What Glance's etc/schema-image.json says of properties that are none of its own.
const uuid = '^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$'
export const imageId = t.String({ pattern: uuid })
export const keyPolicies = ['on_image_deletion', 'do_not_delete']
export const known = {
  kernel_id: nullable(imageId),
  ramdisk_id: nullable(imageId),
  cinder_encryption_key_deletion_policy: t.String({ enum: keyPolicies }),
}

const ownValue = t.String({ maxLength: 65_535 })
export const imageBody = t.Object(
  { id: t.Optional(imageId), ...t.Partial(t.Object({ ...settable, ...known })).properties },
  { additionalProperties: t.Unknown() },
)
const oneProperty = t.Object(t.Partial(t.Object({ ...settable, ...known })).properties, { additionalProperties: ownValue })
const checkOne = validator('body', oneProperty)

const readOnly = new Set(
  'created_at updated_at status checksum size virtual_size direct_url self file schema stores os_hash_algo os_hash_value'.split(' '),
)
const reserved = new Set(['location', 'deleted', 'deleted_at'])

/** @throws Fault 403 for a name that is not the client's to set; `id` only at the creation */
export function refuseName(name: string, creating: boolean): void {
  if (readOnly.has(name) || (name === 'id' && !creating)) throw forbidden(`Attribute '${name}' is read-only.`)
  if (reserved.has(name) || name.startsWith('os_glance')) throw forbidden(`Attribute '${name}' is reserved.`)
  if (name === 'locations') throw forbidden("It's not allowed to update locations if locations are invisible.")
  // As in bodies (src/http/body.ts): it is no property to JavaScript but what an object inherits from.
  if (name === '__proto__') throw badRequest("The name '__proto__' is not allowed.")
  if (name.length > 255) throw badRequest('Custom property should not be greater than 255 characters.')
}

/** @throws Fault 400 for a value that the property can't have */
export function refuseValue(name: string, value: unknown): void {
  const problem = checkOne({ [name]: value }, '')
  if (problem) throw envelopes.image.invalid(problem)
}

/** @throws Fault 413 */
export function refuseTooMany(kind: 'properties' | 'tags' | 'members', attempted: number): void {
  if (attempted > most) {
    throw tooLarge(`The limit has been exceeded on the number of allowed image ${kind}. Attempted: ${attempted}, Maximum: ${most}`)
  }
}

export const uniqueTags = (tags: string[]): string[] => [...new Set(tags)]
