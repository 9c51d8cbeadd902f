// Every door of every service, from outside: without a token it is shut (401), and no input, however hostile, makes it answer 500.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { after, before, test } from 'node:test'
import { at } from '../../src/http/table.ts'
import { type Cloud, startCloud } from './cloud.ts'
import { bodies, params, queries, sample, spoiled, texts } from './hostile.ts'
import { allPlaces, type Place, versionHeaders } from './services.ts'

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
/** Nothing that a path's params could name. */
const nobody = (path: string) => path.replaceAll(/:\w+/g, '3f3f3f3f-0000-4000-8000-3f3f3f3f3f3f')
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
  const ids = await realIds(token)
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

function* requests(place: Place, ids: (path: string) => string): Generator<Request> {
  const { row, method, path, action } = place
  if (sparing(place)) return
  const real = ids(path)
  const body = selecting(place)
  for (const name of path.match(/:\w+/g) ?? []) {
    for (const value of params) yield { path: ids(path.replace(name, value)), body }
  }
  for (const query of full ? queries : method === 'GET' ? queries : queries.slice(0, 3)) yield { path: `${real}?${query}`, body }
  if (method === 'GET' || method === 'HEAD') return
  for (const one of bodies) yield { path: real, body: JSON.stringify(action ? { [action]: one } : one) }
  for (const one of texts) yield { path: real, body: one }
  yield { path: real, body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } }
  yield { path: real, body: '{}', headers: { 'content-type': 'application/json; charset=klingon' } }
  if (!row.body) return
  const whole = sample(at(row.body, row.until ?? place.service.microversion?.max ?? '') as never)
  // In a path of nobody first: what comes after might take the real one away.
  yield { path: nobody(path), body: whole }
  for (const one of spoiled(whole, full ? 2000 : 50)) yield { path: real, body: JSON.stringify(one) }
  yield { path: real, body: whole }
}

/**
 * Fills params with what exists: the first thing that the collection before the param lists, unless the walk needs it itself;
 * else with an id that nothing has.
 */
async function realIds(token: string): Promise<(path: string) => string> {
  await makeThings(token)
  const kept = await needed(token)
  const known = new Map<string, string>()
  const collections = new Set(places.flatMap(({ path }) => [...path.matchAll(/\/:\w+/g)].map(({ index }) => path.slice(0, index))))
  // The short ones first: the longer ones need them.
  for (const collection of [...collections].sort((a, b) => a.length - b.length)) {
    const answer = await cloud.ask('GET', fill(collection, known), {
      token,
      headers: { 'openstack-api-version': 'placement 1.39,compute 2.96' },
    })
    const lists = Object.values((answer.status === 200 && (answer.body as object)) || {}).filter(Array.isArray)
    const id = (lists[0] ?? [])
      .map((thing: unknown) =>
        typeof thing === 'string'
          ? thing
          : ((thing as Record<string, string>)?.id ??
            (thing as Record<string, string>)?.uuid ??
            (thing as { keypair?: { name: string } })?.keypair?.name ??
            (thing as Record<string, string>)?.name),
      )
      .find((one: string | undefined) => one && !kept.has(one))
    if (id) known.set(collection, encodeURIComponent(id))
  }
  return (path) => nobody(fill(path, known))
}

const fill = (path: string, known: Map<string, string>): string => {
  let filled = ''
  let template = ''
  for (const part of path.split('/').slice(1)) {
    const id = part.startsWith(':') ? known.get(template) : undefined
    filled += `/${id ?? part}`
    template += `/${part}`
  }
  return filled || '/'
}

/** What must not be spoiled: the caller's own user, project, domain, roles, and the shared network. */
async function needed(token: string): Promise<Set<string>> {
  const mine = await cloud.ask('GET', '/identity/v3/auth/tokens', { token, headers: { 'x-subject-token': token } })
  const { token: said } = mine.body as {
    token: {
      user: { id: string }
      project: { id: string }
      roles: { id: string }[]
      catalog: { id: string; endpoints: { id: string }[] }[]
    }
  }
  return new Set([said.user.id, said.project.id, 'default', ...said.roles.map(({ id }) => id)])
}

async function makeThings(token: string): Promise<void> {
  const make = async (path: string, body: unknown) => {
    const answer = await cloud.ask('POST', path, { token, body })
    assert.ok(answer.status < 300, `${path}: ${answer.text}`)
    return Object.values(answer.body as Record<string, { id: string }>)[0]!
  }
  const identity = '/identity/v3'
  const domain = await make(`${identity}/domains`, { domain: { name: 'prey' } })
  await make(`${identity}/users`, { user: { name: 'prey', domain_id: domain.id } })
  await make(`${identity}/projects`, { project: { name: 'prey', domain_id: domain.id, tags: ['prey'] } })
  await make(`${identity}/groups`, { group: { name: 'prey', domain_id: domain.id } })
  await make(`${identity}/roles`, { role: { name: 'prey' } })
  await make(`${identity}/services`, { service: { name: 'prey', type: 'prey' } })
  await make(`${identity}/policies`, { policy: { type: 'application/json', blob: '{}' } })
  const network = await make('/network/v2.0/networks', { network: { name: 'prey' } })
  await make('/network/v2.0/subnets', { subnet: { network_id: network.id, ip_version: 4, cidr: '10.9.0.0/24' } })
  await make('/network/v2.0/ports', { port: { network_id: network.id } })
  await make('/network/v2.0/security-groups', { security_group: { name: 'prey' } })
  await make('/compute/v2.1/os-keypairs', { keypair: { name: 'prey' } })
  await make('/compute/v2.1/servers', {
    server: { name: 'prey', imageRef: cloud.images[0], flavorRef: '42', networks: [{ uuid: cloud.network.id }], metadata: { prey: 'yes' } },
  })
}
