// What rows answer against the schemas that the OpenStack community publishes for its APIs, written by others than us: what GET answers
// (openapi.jsonl), and what the writes of identity and image do (openapi-writes.jsonl). schema-deviations.tsv has what is known to differ, and
// which of the two is right.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { type Cloud, startCloud } from './cloud.ts'
import { allPlaces, versionHeaders } from './services.ts'
import { realIds } from './world.ts'
import { pages, writes } from './writes.ts'

const read = (file: string) =>
  fs
    .readFileSync(path.join(import.meta.dirname, file), 'utf8')
    .trim()
    .split('\n')

interface Published {
  service: string
  /** GET by default. */
  method?: string
  path: string
  schema: object
}

/** By 'identity /users/{}' for GET, 'identity POST /users' for what writes. */
const published = new Map(
  [...read('openapi.jsonl'), ...read('openapi-writes.jsonl')].map((line) => {
    const { service, method, path: route, schema } = JSON.parse(line) as Published
    return [`${service} ${method ? `${method} ` : ''}${route}`, schema]
  }),
)
const known = new Map(
  read('schema-deviations.tsv')
    .slice(1)
    .map((line) => line.split('\t') as [string, string]),
)
const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true, logger: false })
formats.default(ajv)
/** All deviations that were seen, whatever test saw them. */
const seen = new Set<string>()
let cloud: Cloud

before(async () => {
  cloud = await startCloud()
})
after(() => cloud?.stop())

after(() => {
  // Which object of a kind is shown depends on its random id, and so do some deviations.
  for (const key of known.keys()) if (!seen.has(key)) console.log(`not seen this time: ${key}`)
})

/** Where the answer is not as the schema of this key says, but for what is known. */
function deviations(key: string, body: unknown): string[] {
  const check = compiled(published.get(key)!)
  if (check(body)) return []
  const found = check.errors!.flatMap(({ instancePath, keyword, params }) => {
    // What a choice could not decide says nothing by itself: its branches are named, too.
    if (keyword === 'anyOf' || keyword === 'oneOf') return []
    const where = instancePath.replaceAll(/\/\d+(?=\/|$)/g, '/*')
    const detail = 'missingProperty' in params ? params.missingProperty : 'additionalProperty' in params ? params.additionalProperty : ''
    return [`${key} ${where}: ${keyword}${detail && ` ${detail}`}`]
  })
  for (const one of found) seen.add(one)
  return found.filter((one) => !known.has(one))
}

test('every GET answers as the published schemas say, but for known deviations', async () => {
  const token = await cloud.token(cloud.admin)
  const ids = await realIds(cloud, token)
  const found = new Set<string>()
  const statuses: Record<number, number> = {}
  for (const place of allPlaces()) {
    const { service, row, method } = place
    if (method !== 'GET' || row.until !== undefined) continue
    const key = `${service.type} ${row.route.slice('GET '.length).replaceAll(/:\w+/g, '{}')}`
    if (!published.has(key)) continue
    const { status, body } = await cloud.ask('GET', ids(place.path), { token, headers: versionHeaders(place) })
    statuses[status] = (statuses[status] ?? 0) + 1
    if (status === 200 && body !== undefined) for (const one of deviations(key, body)) found.add(one)
  }
  console.log(`answers by status: ${JSON.stringify(statuses)}`)
  assert.deepEqual([...found].sort(), [], 'deviations that are not known')
})

test('every write of identity and image answers as the published schemas say, but for known deviations', async () => {
  const token = await cloud.token(cloud.admin)
  const mine = await cloud.ask('GET', '/identity/v3/auth/tokens', { token, headers: { 'x-subject-token': token } })
  const kept = new Map([
    ['user', (mine.body as { token: { user: { id: string } } }).token.user.id],
    ['password', cloud.admin.password],
  ])
  const fill = (text: string) => text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => kept.get(name) ?? whole)
  const routes = allPlaces().filter(({ service }) => ['identity', 'image'].includes(service.type))
  const asked = new Set<string>()
  const found = new Set<string>()
  for (const { method, path: template, body, type, keep } of writes) {
    const answer = await cloud.ask(method, fill(template), {
      token,
      body: body === undefined ? undefined : fill(JSON.stringify(body)),
      ...(type && { headers: { 'content-type': type } }),
    })
    assert.ok(answer.status < 300, `${method} ${template}: ${answer.status} ${answer.text}`)
    const place = routes.find((one) => one.method === method && fits(one.path, template))
    assert.ok(place, `${method} ${template} is no row`)
    const key = `${place.service.type} ${method} ${place.row.route.slice(method.length + 1).replaceAll(/:\w+/g, '{}')}`
    asked.add(key)
    if (published.has(key)) for (const one of deviations(key, answer.body)) found.add(one)
    const { id = (Object.values(answer.body as object)[0] as { id?: string } | null)?.id } = answer.body as { id?: string }
    if (keep) kept.set(keep, id!)
  }
  assert.deepEqual([...found].sort(), [], 'deviations that are not known')
  const missing = [...published.keys()].filter((key) => /^\S+ (POST|PUT|PATCH) /.test(key) && !asked.has(key) && !pages.includes(key))
  assert.deepEqual(missing, [], 'published schemas of writes that nothing asks for')
})

const fits = (route: string, path: string): boolean => {
  const [known, given] = [route.split('/'), path.split('/')]
  return known.length === given.length && known.every((part, i) => part === given[i] || part.startsWith(':'))
}

function compiled(schema: object): ValidateFunction {
  try {
    return ajv.compile(schema)
  } catch (error) {
    throw new Error(`A published schema can't be read: ${error instanceof Error ? error.message : error}`)
  }
}
