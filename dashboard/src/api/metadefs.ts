// Metadata definitions: which properties images usually have, with their meanings and values, as the image service's catalog describes them.
import { request } from './http.ts'

export type DefinedProperty = {
  title: string
  description?: string
  type: 'string' | 'integer' | 'number' | 'boolean' | 'array'
  default?: unknown
  enum?: unknown[]
  minimum?: number
  maximum?: number
  items?: { type?: string; enum?: unknown[] }
}

type Namespace = { namespace: string; display_name?: string | null; description?: string | null }

type NamespaceDetails = Namespace & {
  properties?: Record<string, DefinedProperty>
  objects?: { name: string; description?: string | null; properties?: Record<string, DefinedProperty> }[]
}

const resource = 'OS::Glance::Image'

/** The namespaces with properties for images, by the names people read. */
export async function listNamespaces(signal?: AbortSignal): Promise<Namespace[]> {
  const query = { resource_types: resource, limit: 500 }
  const { namespaces } = await request<{ namespaces: Namespace[] }>('image', '/metadefs/namespaces', { signal, query })
  return namespaces.toSorted((a, b) => nameOfNamespace(a).localeCompare(nameOfNamespace(b)))
}

export function nameOfNamespace({ display_name, namespace }: Namespace): string {
  return display_name ?? namespace
}

/** All properties that a namespace defines, those of its objects too, with the prefix that images want. */
export async function getDefinedProperties(namespace: string, signal?: AbortSignal): Promise<Record<string, DefinedProperty>> {
  const path = `/metadefs/namespaces/${encodeURIComponent(namespace)}`
  const details = await request<NamespaceDetails>('image', path, { signal, query: { resource_type: resource } })
  return Object.assign({}, ...(details.objects ?? []).map(({ properties }) => properties ?? {}), details.properties ?? {})
}

/** The value that a newly added property begins with, as text. */
export function firstValue({ default: fallback, enum: values, items, type }: DefinedProperty): string {
  const value = fallback ?? values?.[0] ?? items?.enum?.[0] ?? (type === 'boolean' ? 'true' : '')
  return Array.isArray(value) ? value.join(',') : String(value)
}
