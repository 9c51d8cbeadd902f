// What rows answer against the schemas that the OpenStack community publishes for its APIs (openapi.jsonl, cut down to what GET answers),
// written by others than us. schema-deviations.tsv has what is known to differ, and which of the two is right.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { type Cloud, startCloud } from './cloud.ts'
import { allPlaces, versionHeaders } from './services.ts'
import { realIds } from './world.ts'

const read = (file: string) =>
  fs
    .readFileSync(path.join(import.meta.dirname, file), 'utf8')
    .trim()
    .split('\n')

const published = new Map(
  read('openapi.jsonl').map((line) => {
    const { service, path: route, schema } = JSON.parse(line) as { service: string; path: string; schema: object }
    return [`${service} ${route}`, schema]
  }),
)
let cloud: Cloud

before(async () => {
  cloud = await startCloud()
})
after(() => cloud?.stop())

test('every GET answers as the published schemas say, but for known deviations', async () => {
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true, logger: false })
  formats.default(ajv)
  const known = new Map(
    read('schema-deviations.tsv')
      .slice(1)
      .map((line) => line.split('\t') as [string, string]),
  )
  const token = await cloud.token(cloud.admin)
  const ids = await realIds(cloud, token)
  const found = new Map<string, unknown>()
  const statuses: Record<number, number> = {}
  for (const place of allPlaces()) {
    const { service, row, method } = place
    if (method !== 'GET' || row.until !== undefined) continue
    const route = row.route.slice('GET '.length).replaceAll(/:\w+/g, '{}')
    const schema = published.get(`${service.type} ${route}`)
    if (!schema) continue
    const { status, body, text } = await cloud.ask('GET', ids(place.path), { token, headers: versionHeaders(place) })
    statuses[status] = (statuses[status] ?? 0) + 1
    if (status !== 200 || body === undefined) continue
    const check = compiled(ajv, schema)
    if (check(body)) continue
    for (const { instancePath, keyword, params } of check.errors!) {
      // What a choice could not decide says nothing by itself: its branches are named, too.
      if (keyword === 'anyOf' || keyword === 'oneOf') continue
      const where = instancePath.replaceAll(/\/\d+(?=\/|$)/g, '/*')
      const detail = 'missingProperty' in params ? params.missingProperty : 'additionalProperty' in params ? params.additionalProperty : ''
      found.set(`${service.type} ${route} ${where}: ${keyword}${detail && ` ${detail}`}`, text.slice(0, 300))
    }
  }
  console.log(`answers by status: ${JSON.stringify(statuses)}`)
  assert.deepEqual(
    [...found]
      .filter(([key]) => !known.has(key))
      .map(([key]) => key)
      .sort(),
    [],
    'deviations that are not known',
  )
  // Which object of a kind is shown depends on its random id, and so do some deviations.
  for (const key of known.keys()) if (!found.has(key)) console.log(`not seen this time: ${key}`)
})

function compiled(ajv: Ajv2020, schema: object): ValidateFunction {
  try {
    return ajv.compile(schema)
  } catch (error) {
    throw new Error(`A published schema can't be read: ${error instanceof Error ? error.message : error}`)
  }
}
