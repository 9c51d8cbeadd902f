// The world of the matrix test: two domains with the same things in each, of which one is the caller's, and the caller in every role of every
// scope. Its API hands out real answers and takes every change back.
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { FastifyInstance } from 'fastify'
import { bootstrapCompute } from '../../src/compute/control/bootstrap.ts'
import { compute } from '../../src/compute/service.ts'
import { loadConfig } from '../../src/config.ts'
import type { Database } from '../../src/database/connect.ts'
import { testDatabase } from '../../src/database/testing.ts'
import { unauthorized } from '../../src/http/fault.ts'
import { openPolicy, type Target } from '../../src/http/policy.ts'
import { api } from '../../src/http/table.ts'
import type { Who } from '../../src/http/who.ts'
import { bootstrapIdentity } from '../../src/identity/control/bootstrap.ts'
import { identity } from '../../src/identity/service.ts'
import { openStores } from '../../src/image/control/stores.ts'
import { image } from '../../src/image/service.ts'
import { network } from '../../src/network/service.ts'
import { placement } from '../../src/placement/service.ts'
import { type CloudThings, cloudIds, makeCloudThings, makePublicImage } from './matrix-cloud.ts'
import type { Place } from './services.ts'
import { nobody } from './world.ts'

interface Things {
  domain: string
  project: string
  user: string
  group: string
  credential: string
  image: string
  cloud: CloudThings
}

export interface Side extends Things {
  name: 'own' | 'foreign'
  /** Ids that nobody else should ever be told. */
  secrets: string[]
  /** A path with this side's things in place of its params. */
  path(template: string): string
  /** A body that speaks of this side's things. */
  fill(body: unknown): unknown
}

export interface Matrix {
  own: Side
  foreign: Side
  /** By name, which is their token, too. */
  personas: Map<string, Who>
  undone: FastifyInstance
  /** The rule that decides; the row's own, but that everybody sees the quotas of the own project. */
  rules(place: Place, side: Side): string
  /** Whether the caller stands above projects and domains. */
  seesAll(who: Who): boolean
  end(): Promise<void>
}

const implied: Record<string, string[]> = {
  reader: ['reader'],
  member: ['member', 'reader'],
  manager: ['manager', 'member', 'reader'],
  admin: ['admin', 'manager', 'member', 'reader'],
}

export async function makeMatrix(): Promise<Matrix> {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-matrix-'))
  const { db, drop } = await testDatabase()
  const secret = randomBytes(32)
  const key = () => [secret]
  const config = loadConfig({ WISP_HOME: home })
  await db.write(async (tx) => {
    await bootstrapIdentity(tx, { adminPassword: 'matrix-admin', demoPassword: 'matrix-demo', region: 'RegionOne', sealingKey: key })
    await bootstrapCompute(tx)
  })
  await makePublicImage(db, 'maker')
  const personas = new Map<string, Who>()
  const open = (db: Database) => {
    const services = [
      ...identity({ db, key, config }),
      image({ db, config, key, stores: openStores(config) }),
      compute(),
      network(),
      placement({ db, config }),
    ]
    const authenticate = async (token: string) => personas.get(token) ?? unauthorized()
    const log = { info() {}, warn() {}, error() {}, debug() {} }
    return api(services, { db, authenticate, policy: openPolicy(services), log })
  }
  const plain = open(db)
  const undone = open(rolledBack(db))

  const maker: Who = whoIs('maker', { id: 'default', name: 'Default' }, { roles: implied.admin!, project: 'maker' })
  personas.set('maker', maker)
  const role = await make(plain, '/identity/v3/roles', { role: { name: 'plain' } })
  const things = { own: await makeThings(plain, 'own', personas), foreign: await makeThings(plain, 'foreign', personas) }
  personas.clear()
  const { own } = things
  const domain = { id: own.domain, name: 'own' }
  personas.set('unscoped', whoIs(own.user, domain, { roles: [] }))
  for (const [name, roles] of Object.entries(implied)) {
    personas.set(`project ${name}`, whoIs(own.user, domain, { roles, project: own.project }))
    personas.set(`domain ${name}`, whoIs(own.user, domain, { roles, domain: own.domain }))
    personas.set(`system ${name}`, whoIs(own.user, domain, { roles, system: true }))
  }
  return {
    own: sideOf('own', things.own, role),
    foreign: sideOf('foreign', things.foreign, role),
    personas,
    undone,
    rules: ({ row }, side) => (side.name === 'own' && /^GET \/v2.0\/quotas\/:/.test(row.route) ? 'owner' : row.policy!),
    seesAll: ({ roles, system }) => roles.includes('admin') || system,
    async end() {
      await plain.close()
      await undone.close()
      await drop()
      fs.rmSync(home, { recursive: true })
    },
  }
}

class Undone extends Error {
  value: unknown
  constructor(value: unknown) {
    super('taken back')
    this.value = value
  }
}

/** The same database, but no change stays. */
const rolledBack = (db: Database): Database => ({
  ...db,
  write: <T>(work: Parameters<typeof db.write<T>>[0]) =>
    db
      .write(async (tx) => {
        throw new Undone(await work(tx))
      })
      .catch((error: unknown) => {
        if (error instanceof Undone) return error.value as T
        throw error
      }),
})

function whoIs(
  id: string,
  domain: { id: string; name: string },
  { roles, project, domain: within, system = false }: { roles: string[]; project?: string; domain?: string; system?: boolean },
): Who {
  return {
    user: { id, name: id, domain },
    project: project === undefined ? null : { id: project, name: project, domain },
    domain: within === undefined ? null : { id: within, name: 'own' },
    system,
    roles,
    auditIds: ['matrix'],
    methods: ['password'],
    issuedAt: new Date(),
    expiresAt: new Date(Date.now() + 3_600_000),
  }
}

async function make(app: FastifyInstance, url: string, payload: object, token = 'maker'): Promise<string> {
  const answer = await app.inject({ method: 'POST', url, payload, headers: { 'x-auth-token': token } })
  if (answer.statusCode !== 201) throw new Error(`${url}: ${answer.statusCode} ${answer.body}`)
  const body = answer.json() as { id: string } | Record<string, { id: string }>
  return typeof body.id === 'string' ? body.id : Object.values(body as Record<string, { id: string }>)[0]!.id
}

async function makeThings(app: FastifyInstance, name: string, personas: Map<string, Who>): Promise<Things> {
  const identity = '/identity/v3'
  const domain = await make(app, `${identity}/domains`, { domain: { name } })
  const project = await make(app, `${identity}/projects`, { project: { name, domain_id: domain, tags: ['plain'] } })
  const user = await make(app, `${identity}/users`, { user: { name, domain_id: domain } })
  const group = await make(app, `${identity}/groups`, { group: { name, domain_id: domain } })
  const credential = await make(app, `${identity}/credentials`, {
    credential: { user_id: user, project_id: project, type: 'cert', blob: 'x' },
  })
  personas.set('owner', whoIs(user, { id: domain, name }, { roles: implied.member!, project }))
  const image = await make(app, '/image/v2/images', { name, disk_format: 'raw', container_format: 'bare', visibility: 'private' }, 'owner')
  return { domain, project, user, group, credential, image, cloud: await makeCloudThings(app, 'owner', name) }
}

function sideOf(name: Side['name'], things: Things, role: string): Side {
  const params: Record<string, string> = {
    user_id: things.user,
    project_id: things.project,
    domain_id: things.domain,
    group_id: things.group,
    credential_id: things.credential,
    image_id: things.image,
    member_id: things.project,
    role_id: role,
    prior_role_id: role,
  }
  const ids = cloudIds(things.cloud, things.project)
  const fields: Record<string, string> = {
    ...params,
    owner: things.project,
    trustor_user_id: things.user,
    parent_id: things.domain,
    network_id: things.cloud.networks,
    security_group_id: things.cloud['security-groups'],
  }
  const fill = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(fill)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fields[key] ?? fill(inner)]))
  }
  return {
    name,
    ...things,
    secrets: [...Object.values(things).filter((thing) => typeof thing === 'string'), ...Object.values(things.cloud)],
    path: (template) =>
      nobody(
        template
          .replaceAll(/([\w-]+)\/:(\w+)/g, (whole, collection: string) => {
            const id = ids.get(collection)
            return id === undefined ? whole : `${collection}/${id}`
          })
          .replaceAll(/:(\w+)/g, (whole, param: string) => params[param] ?? whole),
      ),
    fill,
  }
}

export const isList = ({ row, method }: Place) => (method === 'GET' || method === 'HEAD') && !/:\w+/.test(row.route)

/** What there is to know of the object for any rule, as the reference's own rows put it to the engine. */
export function targetOf(side: Side, who: Who, place: Place, body: unknown): Target {
  const { row, method } = place
  const listing = isList(place)
  const given = typeof body === 'object' && body !== null ? (Object.values(body)[0] as Record<string, unknown> | undefined) : undefined
  const creating = method === 'POST' && typeof given === 'object' ? given : undefined
  return {
    user_id: /:user_id/.test(row.route) ? side.user : who.user.id,
    project_id: side.project,
    'network:project_id': side.project,
    'security_group:project_id': side.project,
    'ext_parent:project_id': side.project,
    owner: side.project,
    visibility: 'private',
    target: {
      user: creating && /^POST \/users$/.test(row.route) ? creating : { id: side.user, domain_id: side.domain },
      project: { id: side.project, domain_id: side.domain },
      group: { id: side.group, domain_id: side.domain },
      domain: { id: listing ? who.domain?.id : side.domain },
      role: { id: 'plain', name: 'plain', domain_id: null },
      credential: { user_id: side.user },
      ...(listing && who.domain && { domain_id: who.domain.id }),
    },
  }
}
