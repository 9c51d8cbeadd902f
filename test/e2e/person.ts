// Someone with an openrc file: types commands of the stock client, and asks the API directly where a test is not about the client
// (which takes seconds to start on a busy machine).
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { stripVTControlCharacters } from 'node:util'
import { Agent, fetch } from 'undici'
import { readOpenrc } from '../../src/cli/session.ts'
import { patience, run, succeed, until } from './run-program.ts'

export interface Person {
  /** What the openrc file sets. */
  env: Record<string, string>
  /** The stock client; its words as arguments, its answer parsed. Throws with what it said when it fails. */
  openstack<T = Record<string, unknown>>(...words: string[]): Promise<T>
  /** The same for commands that answer nothing, or text. */
  say(...words: string[]): Promise<string>
  /** The same, when it is expected to fail: what it says on stderr. */
  refused(...words: string[]): Promise<string>
  /** A request with a token of theirs; the answer's body, parsed. Throws unless it is a success. `compute/v2.1/servers` is a path. */
  ask<T = unknown>(method: string, path: string, body?: unknown): Promise<T>
}

/** Whoever logs in with this openrc file; `more` overrides what it sets. */
export function person(openrc: string, more: Record<string, string> = {}): Person {
  const env = { ...readOpenrc(fs.readFileSync(openrc, 'utf8')), ...more }
  const all = { ...process.env, ...env }
  let token: string | undefined
  const trust = trustOf(env)
  return {
    env,
    openstack: async <T>(...words: string[]) =>
      JSON.parse((await succeed(['openstack', ...words, '-f', 'json'], all, patience)).stdout) as T,
    say: async (...words) => (await succeed(['openstack', ...words], all, patience)).stdout,
    async refused(...words) {
      const { stdout, stderr, status } = await run(['openstack', ...words], all, patience)
      assert.notEqual(status, 0, `openstack ${words.join(' ')} should have been refused, but answered: ${stdout}`)
      return stderr
    },
    async ask<T>(method: string, path: string, body?: unknown) {
      token ??= await issueToken(env, trust)
      const reply = await fetch(`${env.OS_AUTH_URL!.replace('/identity/v3', '')}/${path}`, {
        method,
        headers: { 'x-auth-token': token, 'content-type': 'application/json', 'openstack-api-version': 'compute 2.90' },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ...trust,
      })
      const text = await reply.text()
      if (!reply.ok) throw new Refused(`${method} ${path} answers ${reply.status}: ${text}`, reply.status)
      return (text === '' ? undefined : JSON.parse(text)) as T
    },
  }
}

/** What the API says when it does not do what it is asked. */
class Refused extends Error {
  readonly status: number
  constructor(message: string, status: number) {
    super(message)
    this.status = status
  }
}

/** For `catch` where one asks again until it is so: no answer yet, for nobody listened or the cloud said that it will be well by itself. @throws any other error */
export const notNow = (error: unknown): undefined => {
  const later = error instanceof Refused ? error.status === 503 : error instanceof TypeError // fetch's, when there is no connection
  if (!later) throw error
}

/** Whom the openrc file says to trust beside the public authorities. */
const trustOf = (env: Record<string, string>) =>
  env.OS_CACERT ? { dispatcher: new Agent({ connect: { ca: fs.readFileSync(env.OS_CACERT, 'utf8') } }) } : {}

async function issueToken(env: Record<string, string>, trust: { dispatcher?: Agent }): Promise<string> {
  const user = { name: env.OS_USERNAME, password: env.OS_PASSWORD, domain: { name: env.OS_USER_DOMAIN_NAME } }
  const project = { name: env.OS_PROJECT_NAME, domain: { name: env.OS_PROJECT_DOMAIN_NAME } }
  const reply = await fetch(`${env.OS_AUTH_URL}/auth/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ auth: { identity: { methods: ['password'], password: { user } }, scope: { project } } }),
    ...trust,
  })
  if (reply.status !== 201) throw new Error(`${env.OS_USERNAME} cannot log in: ${await reply.text()}`)
  return reply.headers.get('x-subject-token')!
}

export interface Server {
  id: string
  name: string
  status: string
  'OS-EXT-SRV-ATTR:host'?: string | null
}

export interface Wanted {
  name: string
  key: string
  network: { uuid: string; fixed_ip?: string }
  /** For administrators: the host's name. */
  host?: string
}

/** Launches a server of the guest image and waits until it is ACTIVE. */
export async function launch(who: Person, { name, key, network, host }: Wanted): Promise<Server> {
  const { images } = await who.ask<{ images: { id: string }[] }>('GET', 'image/v2/images?name=wisp-guest')
  const { flavors } = await who.ask<{ flavors: { id: string; name: string }[] }>('GET', 'compute/v2.1/flavors')
  const flavorRef = flavors.find((flavor) => flavor.name === 'm1.nano')?.id
  const wanted = {
    name,
    imageRef: images[0]?.id,
    flavorRef,
    key_name: key,
    networks: [network],
    ...(host && { availability_zone: `nova:${host}` }),
  }
  const { server } = await who.ask<{ server: { id: string } }>('POST', 'compute/v2.1/servers', { server: wanted })
  return await becomes(who, server.id, 'ACTIVE')
}

export const networkId = async (who: Person, name: string): Promise<string> =>
  (await who.ask<{ networks: { id: string }[] }>('GET', `network/v2.0/networks?name=${name}`)).networks[0]!.id

export const importKey = (who: Person, name: string, file: string): Promise<unknown> =>
  who.ask('POST', 'compute/v2.1/os-keypairs', { keypair: { name, type: 'ssh', public_key: fs.readFileSync(file, 'utf8') } })

export const show = async (who: Person, id: string): Promise<Server> =>
  (await who.ask<{ server: Server }>('GET', `compute/v2.1/servers/${id}`)).server

/** Waits until the server has this status; fails at once when it is in ERROR instead. */
export async function becomes(who: Person, id: string, status: string): Promise<Server> {
  return await until(async () => {
    const server = await show(who, id).catch(notNow)
    if (!server) return false
    if (server.status === 'ERROR' && status !== 'ERROR') throw new Error(`server ${id} is in ERROR: ${JSON.stringify(server)}`)
    return server.status === status && server
  }, `server ${id} is ${status}`)
}

/** Deletes a server and waits until it is gone; one that is gone already is as good. */
export async function remove(who: Person, id: string): Promise<void> {
  const gone = (error: unknown) => {
    if (!(error instanceof Refused) || error.status !== 404) throw error
    return true
  }
  if (await who.ask('DELETE', `compute/v2.1/servers/${id}`).catch(gone)) return
  await until(
    () =>
      show(who, id)
        .then(() => false, gone)
        .catch(notNow),
    `server ${id} is gone`,
  )
}

/** Waits until the guest's console says this, and answers the whole log. */
export async function consoleSays(who: Person, id: string, wanted: RegExp): Promise<string> {
  let log = ''
  await until(async () => {
    const said = await who.ask<{ output: string }>('POST', `compute/v2.1/servers/${id}/action`, { 'os-getConsoleOutput': {} }).catch(notNow)
    if (!said) return false
    log = stripVTControlCharacters(said.output).replaceAll('\r', '')
    return wanted.test(log)
  }, `the console of ${id} says ${wanted}`).catch((error: Error) => {
    throw new Error(`${error.message}. Its console:\n${log}`)
  })
  return log
}
