// Every door of every service, from outside: without a token it is shut (401), and no input, however hostile, makes it answer 500.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { after, before, test } from 'node:test'
import { at } from '../../src/http/table.ts'
import { type Cloud, startCloud } from './cloud.ts'
import { bodies, params, queries, sample, spoiled, texts } from './hostile.ts'
import { allPlaces, type Place, versionHeaders } from './services.ts'
import { nobody, realIds } from './world.ts'

const full = process.env.WISP_FULL === '1'
const places = allPlaces()
let cloud: Cloud

before(async () => {
  cloud = await startCloud()
})
after(async () => {
  for (const line of new Set(causes())) console.log(line)
  await cloud?.stop()
})

/** What the controller logged of faults that were its own. */
const causes = (): string[] =>
  cloud
    ? fs
        .readFileSync(cloud.log, 'utf8')
        .split('\n')
        .filter((line) => line.startsWith('{"level":50'))
        .map((line) => {
          const { err, msg } = JSON.parse(line) as { msg: string; err?: { message: string; stack: string } }
          return err ? `${err.message} ${err.stack.split('\n').slice(1, 6).join(' ')}` : msg
        })
    : []

const named = ({ service, row }: Place) => `${service.type} ${row.route}`
/** A body that selects the row. */
const selecting = ({ action, method }: Place) => (action ? { [action]: null } : method === 'GET' || method === 'HEAD' ? undefined : {})

/** Some at once, as many clients would. */
async function each<T>(all: Iterable<T>, work: (one: T) => Promise<void>): Promise<void> {
  const left = all[Symbol.iterator]()
  const worker = async () => {
    for (let next = left.next(); !next.done; next = left.next()) await work(next.value)
  }
  await Promise.all(Array.from({ length: 6 }, worker))
}

test('without a token, or with a forged one, every guarded row answers 401', async () => {
  const wrong: string[] = []
  await each(places, async (place) => {
    if (place.row.policy === null) return
    for (const token of [undefined, 'gAAAAABforged']) {
      const { status } = await cloud.ask(place.method, nobody(place.path), {
        token,
        body: selecting(place),
        headers: versionHeaders(place),
      })
      if (status !== 401) wrong.push(`${named(place)}: ${status}`)
    }
  })
  assert.deepEqual(wrong, [])
})

test('whatever is sent, no row answers 500', { timeout: full ? 1_800_000 : 240_000 }, async () => {
  const token = await cloud.token(cloud.admin)
  const ids = await realIds(cloud, token)
  const found = new Map<string, string>()
  let asked = 0
  await each(places, async (place) => {
    for (const { path, body, headers } of requests(place, ids)) {
      asked++
      const answer = await cloud
        .ask(place.method, path, { token, body, headers: { ...versionHeaders(place), ...headers } })
        .catch((error: Error) => ({
          status: 599,
          text: String(error.cause ?? error),
        }))
      const { status, text } = answer
      if (status < 500 || status === 501 || status === 503) continue
      const what = `${place.method} ${path} ${body === undefined ? '' : (typeof body === 'string' ? body : JSON.stringify(body)).slice(0, 400)}`
      if (!found.has(named(place))) found.set(named(place), `${status} for ${what} (${text.slice(0, 200)})`)
    }
  })
  console.log(`${asked} requests to ${places.length} rows`)
  assert.deepEqual([...found], [])
})

interface Request {
  path: string
  body?: unknown
  headers?: Record<string, string>
}

/** Tokens and the people behind them stay: the walk would end with them. */
const sparing = (place: Place) => place.row.route === 'DELETE /auth/tokens'

/** All of a list in a full run; else some of it, others for each row. */
function* share<T>(list: T[], row: number, most: number): Generator<T> {
  if (full) return yield* list
  for (let k = 0; k < Math.min(most, list.length); k++) yield list[(row * most + k) % list.length]!
}

function* requests(place: Place, ids: (path: string) => string): Generator<Request> {
  const { row, method, path, action } = place
  if (sparing(place)) return
  const real = ids(path)
  const body = selecting(place)
  const n = places.indexOf(place)
  for (const name of path.match(/:\w+/g) ?? []) {
    for (const value of share(params, n, 3)) yield { path: ids(path.replace(name, value)), body }
  }
  for (const query of share(queries, n, method === 'GET' ? 13 : 1)) yield { path: `${real}?${query}`, body }
  if (method === 'GET' || method === 'HEAD') return
  for (const one of share(bodies, n, 3)) yield { path: real, body: JSON.stringify(action ? { [action]: one } : one) }
  for (const one of share(texts, n, 3)) yield { path: real, body: one }
  yield { path: real, body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } }
  yield { path: real, body: '{}', headers: { 'content-type': 'application/json; charset=klingon' } }
  if (!row.body) return
  const whole = sample(at(row.body, row.until ?? place.service.microversion?.max ?? '') as never)
  // In a path of nobody first: what comes after might take the real one away.
  yield { path: nobody(path), body: whole }
  for (const one of spoiled(whole, full ? 2000 : 24)) yield { path: real, body: JSON.stringify(one) }
  yield { path: real, body: whole }
}
