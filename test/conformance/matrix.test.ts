// Who may touch what: every row of identity, image, compute, network and placement, as every persona, on what is the caller's own and on what is
// someone else's. What is expected of identity and image is not ours to say: the reference's rules (policies.tsv) are asked; of the others it is
// what their own rules say. The engine is the reference's (oslo.policy), with objects as this test made them. Every change is rolled back, so that
// the next caller finds the same world.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { type AnyRow, at } from '../../src/http/table.ts'
import type { Who } from '../../src/http/who.ts'
import { sample } from './hostile.ts'
import { isList, type Matrix, makeMatrix, type Side, targetOf } from './matrix.ts'
import { cloudServices, hasOwner, owned, plainBodies, plainRules, queries } from './matrix-cloud.ts'
import { type Oslo, startOslo } from './oslo.ts'
import { type ReferenceRule, readPolicies } from './policies.ts'
import { allPlaces, type Place, versionHeaders } from './services.ts'
import { nowhere } from './world.ts'

const reference = readPolicies()
let matrix: Matrix
let app: FastifyInstance
let oslo: Oslo

before(async () => {
  matrix = await makeMatrix()
  app = matrix.undone
  oslo = startOslo()
})
after(async () => {
  await matrix?.end()
  await oslo?.end()
})

const isBuilt = (row: AnyRow) => !/\bnotBuilt\(/.test(String(row.run))
/** Where the answer depends on another token, which is a matter of the tests of tokens. */
const skipped = new Set(['GET /auth/tokens', 'HEAD /auth/tokens', 'DELETE /auth/tokens'])
const places = allPlaces().filter(
  ({ service, row }) =>
    ['identity', 'image', ...cloudServices].includes(service.type) && row.policy !== null && !skipped.has(row.route) && isBuilt(row),
)

interface Verdicts {
  leaks: string[]
  walls: string[]
  asked: number
}

test('nobody sees or touches what is not theirs, and everyone may what is theirs', { timeout: 600_000 }, async () => {
  const found: Verdicts = { leaks: [], walls: [], asked: 0 }
  for (const place of places) {
    await askAll(place, matrix.own, found)
    // A list is the same for everyone who asks; what is in it is looked at.
    if (!isList(place) && (!cloudServices.includes(place.service.type) || hasOwner(place.path))) await askAll(place, matrix.foreign, found)
    if (isOwned(place)) await tellApart(place, found)
  }
  console.log(`${found.asked} requests to ${places.length} rows`)
  assert.deepEqual(found, { leaks: [], walls: [], asked: found.asked })
})

const isOwned = ({ service, path }: Place) => cloudServices.includes(service.type) && owned.has(/([\w-]+)\/:/.exec(path)?.[1] ?? '')

/** Who may not see another's thing gets the answer that there is no such thing: word for word, but for the id. */
async function tellApart(place: Place, found: Verdicts): Promise<void> {
  const collection = /([\w-]+)\/:/.exec(place.path)![1]!
  const none: Side = { ...matrix.foreign, path: (template) => matrix.foreign.path(template.replace(/:\w+/, nowhere)) }
  for (const [name, who] of matrix.personas) {
    if (matrix.seesAll(who)) continue
    const [theirs, nothing] = [await ask(place, matrix.foreign, name), await ask(place, none, name)]
    const id = matrix.foreign.path(`${collection}/:id`).slice(collection.length + 1)
    const text = theirs.text.replaceAll(id, nowhere)
    if (theirs.status !== nothing.status || text !== nothing.text)
      found.leaks.push(
        `${place.row.route} as ${name}: another's thing ${theirs.status} ${text.slice(0, 120)}; nothing ${nothing.status} ${nothing.text.slice(0, 120)}`,
      )
  }
}

/** The rules to ask, and to which tokens each is open. */
function rulesOf({ service, row }: Place): ReferenceRule[] {
  if (!cloudServices.includes(service.type)) return reference.filter((one) => one.service === service.type)
  const scopes = (rule: string) => [...(typeof service.scopes === 'function' ? service.scopes(rule) : (service.scopes ?? []))]
  const open = row.policy === null ? [] : scopes(row.policy)
  return Object.entries(plainRules(service.policies)).map(([rule, check]) => ({ service: service.type, rule, check, scopes: open }))
}

async function askAll(place: Place, side: Side, found: Verdicts): Promise<void> {
  const { row } = place
  const personas = [...matrix.personas]
  const rules = rulesOf(place)
  const asked = matrix.rules(place, side)
  const known = rules.find(({ rule }) => rule === asked)
  if (!known) throw new Error(`${row.route}: ${asked} is no rule of the reference`)
  const questions = personas.map(([, who]) => ({ rule: asked, who, target: targetOf(side, who, place, bodyOf(place, side)) }))
  const verdicts = await oslo.judge(Object.fromEntries(rules.map(({ rule, check }) => [rule, check])), questions)
  for (const [i, [name, who]] of personas.entries()) {
    found.asked++
    const may = verdicts[i] === 'yes' && fits(known, who)
    const answer = await ask(place, side, name)
    const told = `${row.route} of ${side.name} as ${name} (${asked}: ${verdicts[i]}): ${answer.status} ${answer.text.slice(0, 160)}`
    const refused = answer.status === 401 || (answer.status === 403 && /Policy doesn't allow/.test(answer.text))
    // A list that shows nothing tells nothing.
    const empty = isList(place) && /^\{"\w+":\[\]\}$/.test(answer.text)
    if (!may && !empty && (answer.status < 400 || answer.status >= 500)) found.leaks.push(told)
    if (may && refused) found.walls.push(told)
    if (answer.status < 300 && side.name === 'own' && !matrix.seesAll(who))
      for (const id of matrix.foreign.secrets) if (answer.text.includes(id)) found.leaks.push(`${told}: names ${id} of someone else`)
  }
  const nobody = await ask(place, side, undefined)
  if (nobody.status !== 401) found.leaks.push(`${row.route} without a token: ${nobody.status}`)
}

const fits = ({ scopes }: ReferenceRule, { system, domain }: Who) =>
  scopes.length === 0 || scopes.includes(system ? 'system' : domain ? 'domain' : 'project')

/** A body as the row wants it, about this side's things. */
function bodyOf({ service, row, method }: Place, side: Side): unknown {
  if (method === 'GET' || method === 'HEAD') return undefined
  if (row.route in plainBodies) return plainBodies[row.route]
  return row.body ? side.fill(sample(at(row.body, row.until ?? service.microversion?.max ?? '') as never)) : undefined
}

async function ask(place: Place, side: Side, persona: string | undefined): Promise<{ status: number; text: string }> {
  const { row, method, path } = place
  const body = bodyOf(place, side)
  const type = Array.isArray(row.input) ? row.input[0]! : row.input === 'stream' ? 'application/octet-stream' : 'application/json'
  const answer = await app.inject({
    method,
    url: side.path(path) + (queries[row.route]?.(side.project) ?? ''),
    headers: {
      ...versionHeaders(place),
      ...(persona !== undefined && { 'x-auth-token': persona }),
      ...((body !== undefined || row.input) && { 'content-type': type }),
    },
    ...(body !== undefined && { payload: JSON.stringify(body) }),
  })
  return { status: answer.statusCode, text: answer.body }
}
