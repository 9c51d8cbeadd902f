// How Wisp's own command line asks the cloud on this machine: as its administrator, with the log-in of $WISP_HOME/openrc, through the
// controller's Unix socket; so it works whatever address and certificate the API has.
import fs from 'node:fs'
import path from 'node:path'
import { request } from 'undici'
import type { Config } from '../config.ts'
import { controllerSocket } from '../start/files.ts'
import { doorTo } from '../wire/host.ts'

export interface Session {
  /** GET, parsed. Throws what the service says, unless the answer is 200; null for 404. */
  get<T>(path: string): Promise<T | null>
  close(): Promise<void>
}

/** The variables that an openrc file sets. */
export function readOpenrc(text: string): Record<string, string> {
  const lines = text.matchAll(/^\s*(?:export\s+)?(OS_[A-Z_]+)=(['"]?)(.*?)\2\s*$/gm)
  return Object.fromEntries([...lines].map(([, name, , value]) => [name!, value!]))
}

export async function logIn(config: Config): Promise<Session> {
  const openrc = path.join(config.home, 'openrc')
  if (!fs.existsSync(openrc))
    throw new Error(`There is no ${openrc}: this command works on a controller's machine, after "wisp up" (and as root, who may read it)`)
  const login = readOpenrc(fs.readFileSync(openrc, 'utf8'))
  const { origin, agent } = doorTo(`unix:${controllerSocket(config.home)}`)
  const scoped = { name: login.OS_PROJECT_NAME, domain: { name: login.OS_PROJECT_DOMAIN_NAME } }
  const user = { name: login.OS_USERNAME, password: login.OS_PASSWORD, domain: { name: login.OS_USER_DOMAIN_NAME } }
  const reply = await request(`${origin}/identity/v3/auth/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ auth: { identity: { methods: ['password'], password: { user } }, scope: { project: scoped } } }),
    dispatcher: agent,
  }).catch((error: Error) => {
    throw new Error(`The controller of the cloud in ${config.home} does not answer (${error.message}). "wisp status" says what runs`)
  })
  const body = await reply.body.text()
  if (reply.statusCode !== 201)
    throw new Error(`The log-in of ${openrc} was refused (${messageOf(body)}). Where its password was changed, change it there, too`)
  const headers = {
    'x-auth-token': String(reply.headers['x-subject-token']),
    'openstack-api-version': 'compute 2.90',
    accept: 'application/json',
  }
  return {
    async get<T>(what: string) {
      const found = await request(`${origin}${what}`, { headers, dispatcher: agent })
      const text = await found.body.text()
      if (found.statusCode === 404) return null
      if (found.statusCode !== 200) throw new Error(`${what.split('?')[0]} answers ${found.statusCode}: ${messageOf(text)}`)
      return JSON.parse(text) as T
    },
    close: () => agent.close(),
  }
}

/** What a person should read of a fault, in whichever of OpenStack's envelopes it comes. */
function messageOf(text: string): string {
  try {
    const [fault] = Object.values(JSON.parse(text) as Record<string, { message?: string } | string>)
    return typeof fault === 'string' ? fault : (fault?.message ?? text)
  } catch {
    return text.slice(0, 200)
  }
}
