/** A service's rows as an OpenAPI 3.1 document: TypeBox schemas are JSON Schema already, so nothing is said twice. */
import type { TSchema } from 'typebox'
import { mediaTypes } from './body.ts'
import { splitRoute } from './route.ts'
import { at, lives } from './schema.ts'
import type { AnyRow, Service } from './table.ts'

type Json = Record<string, unknown>

/** Returns what makes the document's text: as of the newest microversion; made on the first call and kept. */
export function openapi(service: Service): () => string {
  let text: string | undefined
  return () => (text ??= JSON.stringify(documentOf(service)))
}

/** The document as data. A path's actions (`#reboot`) are one operation whose body is one of theirs. */
export function documentOf(service: Service): Json {
  const version = service.microversion?.max ?? ''
  const paths: Record<string, Record<string, Json>> = {}
  for (const row of service.rows) {
    if (!lives(row, version)) continue
    const { method, path, action } = splitRoute(row.route)
    const url = path.replaceAll(/:(\w+)/g, '{$1}') || '/'
    paths[url] ??= {}
    const operations = paths[url]
    const verb = method.toLowerCase()
    operations[verb] = action && operations[verb] ? withAction(operations[verb], row, version) : operation(row, path, version)
  }
  return {
    openapi: '3.1.0',
    info: { title: `Wisp: ${service.type}`, version: version || '1' },
    servers: service.prefixes.map((prefix) => ({ url: prefix.split('/:')[0] || '/' })),
    components: { securitySchemes: { token: { type: 'apiKey', in: 'header', name: 'X-Auth-Token' } } },
    paths,
  }
}

function operation(row: AnyRow, path: string, version: string): Json {
  const { action } = splitRoute(row.route)
  const parameters = [...pathParameters(path), ...queryParameters(row.query, version)]
  const returns = row.returns && { content: { 'application/json': { schema: at(row.returns, version) } } }
  return {
    ...((row.summary ?? action) && { summary: row.summary ?? action }),
    security: row.policy === null ? [] : [{ token: [] }],
    ...(row.policy !== null && { 'x-policy': row.policy }),
    ...(parameters.length > 0 && { parameters }),
    ...body(row, version),
    responses: { [at(row.reply, version)]: { description: 'Success', ...returns } },
  }
}

function body(row: AnyRow, version: string): Json {
  if (row.input === 'stream') return { requestBody: { content: { 'application/octet-stream': {} } } }
  if (!row.body) return {}
  const types = Array.isArray(row.input) ? row.input : mediaTypes[row.input ?? 'json']
  const schema = at(row.body, version)
  return { requestBody: { required: true, content: Object.fromEntries(types.map((type) => [type, { schema }])) } }
}

function withAction(existing: Json, row: AnyRow, version: string): Json {
  if (!row.body) return existing
  const content = (existing.requestBody as { content: Record<string, { schema: Json }> } | undefined)?.content
  const before = content?.['application/json']?.schema
  const choices = before && 'oneOf' in before ? (before.oneOf as unknown[]) : before ? [before] : []
  const schema = { oneOf: [...choices, at(row.body, version)] }
  const responses = { ...(existing.responses as Json), [at(row.reply, version)]: { description: 'Success' } }
  return {
    ...existing,
    summary: 'Perform an action',
    requestBody: { required: true, content: { 'application/json': { schema } } },
    responses,
  }
}

const pathParameters = (path: string) =>
  [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } }))

function queryParameters(query: TSchema | undefined, version: string): Json[] {
  if (!query) return []
  const { properties = {}, required = [] } = at(query, version) as { properties?: Record<string, Json>; required?: string[] }
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: required.includes(name), schema }))
}
