// Metadata definitions described as JSON schemas (Glance's own documents): bodies are checked against them, clients build their forms from
// them.
import { type TUnsafe, Type as t } from 'typebox'
import { row } from '../../http/table.ts'

interface Document {
  name?: string
  properties: object
  definitions?: object
}

const text = { type: 'string' } as const
const name = { type: 'string', maxLength: 80 } as const
const time = (description: string) => ({ type: 'string', readOnly: true, description, format: 'date-time' })
const link = { type: 'string', readOnly: true }
const count = { $ref: '#/definitions/positiveInteger' }
const countFromZero = { $ref: '#/definitions/positiveIntegerDefault0' }
const texts = { $ref: '#/definitions/stringArray' }
const type = { type: 'string', enum: ['array', 'boolean', 'integer', 'number', 'object', 'string', null] }

/** What one property of a thing is. */
const property = {
  name,
  title: text,
  description: text,
  operators: { type: 'array', items: text },
  type,
  required: texts,
  minimum: { type: 'number' },
  maximum: { type: 'number' },
  maxLength: count,
  minLength: countFromZero,
  pattern: { type: 'string', format: 'regex' },
  enum: { type: 'array' },
  readonly: { type: 'boolean' },
  default: {},
  items: { type: 'object', properties: { type, enum: { type: 'array' } } },
  maxItems: count,
  minItems: countFromZero,
  uniqueItems: { type: 'boolean', default: false },
  additionalItems: { type: 'boolean' },
}
const definitions = {
  positiveInteger: { type: 'integer', minimum: 0 },
  positiveIntegerDefault0: { allOf: [count, { default: 0 }] },
  stringArray: { type: 'array', items: text, uniqueItems: true },
  property: { type: 'object', additionalProperties: { type: 'object', required: ['title', 'type'], properties: property } },
}
const properties = { $ref: '#/definitions/property' }

export const namespaceSchema = {
  name: 'namespace',
  properties: {
    namespace: { ...name, description: 'The unique namespace text.' },
    display_name: { ...name, description: 'The user friendly name for the namespace. Used by UI if available.' },
    description: { type: 'string', description: 'Provides a user friendly description of the namespace.', maxLength: 500 },
    visibility: { type: 'string', description: 'Scope of namespace accessibility.', enum: ['public', 'private'] },
    protected: { type: 'boolean', description: 'If true, namespace will not be deletable.' },
    owner: { type: 'string', description: 'Owner of the namespace.', maxLength: 255 },
    created_at: time('Date and time of namespace creation'),
    updated_at: time('Date and time of the last namespace modification'),
    schema: link,
    self: link,
    resource_type_associations: {
      type: 'array',
      items: { type: 'object', properties: { name: text, prefix: text, properties_target: text } },
    },
    properties,
    objects: {
      type: 'array',
      items: { type: 'object', properties: { name: text, description: text, required: texts, properties } },
    },
    tags: { type: 'array', items: { type: 'object', properties: { name: text } } },
  },
  additionalProperties: false,
  definitions,
  required: ['namespace'],
}

export const objectSchema = {
  name: 'object',
  properties: {
    name,
    description: text,
    required: texts,
    properties,
    schema: link,
    self: link,
    created_at: time('Date and time of object creation'),
    updated_at: time('Date and time of the last object modification'),
  },
  additionalProperties: false,
  definitions,
  required: ['name'],
}

const { property: _property, ...plain } = definitions
const propertyDefinitions = { ...plain, stringArray: { ...plain.stringArray, minItems: 1 } }
export const propertySchema = {
  name: 'property',
  properties: property,
  additionalProperties: false,
  definitions: propertyDefinitions,
  required: ['type', 'title', 'name'],
}

export const tagSchema = {
  name: 'tag',
  properties: {
    name,
    created_at: time('Date and time of tag creation'),
    updated_at: time('Date and time of the last tag modification'),
  },
  additionalProperties: false,
  required: ['name'],
}

/** What POST of several tags at once takes. */
export const tagsBody = {
  type: 'object',
  properties: {
    tags: { type: 'array', items: { type: 'object', properties: { name }, required: ['name'], additionalProperties: false } },
  },
  additionalProperties: false,
}

export const associationSchema = {
  name: 'resource_type_association',
  properties: {
    name: {
      ...name,
      description:
        'Resource type names should be aligned with Heat resource types whenever possible: https://docs.openstack.org/heat/latest/template_guide/openstack.html',
    },
    prefix: {
      ...name,
      description:
        'Specifies the prefix to use for the given resource type. Any properties in the namespace should be prefixed with this prefix when being applied to the specified resource type. Must include prefix separator (e.g. a colon :).',
    },
    properties_target: {
      ...name,
      description:
        'Some resource types allow more than one key / value pair per instance.  For example, Cinder allows user and image metadata on volumes. Only the image properties metadata is evaluated by Nova (scheduling or drivers). This property allows a namespace target to remove the ambiguity.',
    },
    created_at: time('Date and time of resource type association'),
    updated_at: time('Date and time of the last resource type association modification'),
  },
  additionalProperties: false,
  required: ['name'],
}

/** The schema of a body: the same document with its references filled in, so that it means the same inside of another document. */
export function bodyOf<T>(document: Document): TUnsafe<T> {
  const { name: _name, definitions: _definitions, ...schema } = document
  return t.Unsafe<T>({ ...(filledIn(schema) as object), type: 'object' })
}

function filledIn(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(filledIn)
  if (typeof value !== 'object' || value === null) return value
  if ('$ref' in value) return filledIn(definitions[String(value.$ref).split('/').at(-1) as keyof typeof definitions])
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, filledIn(part)]))
}

/** A page of things; their definitions stand at its root, where references look for them. */
function collection(many: string, { definitions: own, ...item }: { definitions?: object; [name: string]: unknown }, as: object) {
  return {
    name: many,
    properties: {
      [many]: { ...as, ...('items' in as ? { items: item } : { additionalProperties: item }) },
      first: text,
      next: text,
      schema: text,
    },
    links: [
      { rel: 'first', href: '{first}' },
      { rel: 'next', href: '{next}' },
      { rel: 'describedby', href: '{schema}' },
    ],
    ...(own && { definitions: own }),
  }
}
const list = (many: string, item: object) => collection(many, { ...item }, { type: 'array', items: {} })

const documents = {
  namespace: namespaceSchema,
  namespaces: list('namespaces', namespaceSchema),
  resource_type: associationSchema,
  resource_types: list('resource_type_associations', associationSchema),
  object: objectSchema,
  objects: list('objects', objectSchema),
  property: propertySchema,
  properties: collection('properties', { ...propertySchema, required: ['type', 'title'] }, { type: 'object' }),
  tag: tagSchema,
  tags: list('tags', tagSchema),
}

export const metadefSchemas = Object.entries(documents).map(([one, document]) =>
  row({
    route: `GET /v2/schemas/metadefs/${one}`,
    policy: 'metadef_default',
    reply: 200,
    summary: `The JSON schema of metadata definitions: ${one}`,
    run: () => document,
  }),
)
