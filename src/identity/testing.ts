// A cloud with nothing but identity, for tests: a fresh database, bootstrapped, behind a server that requests are injected into.
import { randomBytes } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { type TestDatabase, testDatabase } from '../database/testing.ts'
import { openPolicy } from '../http/policy.ts'
import { type ApiDeps, api } from '../http/table.ts'
import { noCompliance, type SecurityCompliance } from '../security-compliance.ts'
import { authenticator } from './control/authenticate.ts'
import { type Bootstrapped, bootstrapIdentity } from './control/bootstrap.ts'
import type { LimitModel } from './control/limits.ts'
import type { SealingKeys } from './control/sealed.ts'
import { type IdentityDeps, identity } from './service.ts'

/** Dashboards other than the cloud's own that get tokens after a sign-in by an identity provider. */
export const trustedDashboards = ['https://horizon.test/auth/websso/']

export const passwords = { admin: 'secret-of-admin', demo: 'secret-of-demo' }

export interface Reply {
  status: number
  headers: Record<string, string | string[] | number | undefined>
  // What a test looks for is wherever the API puts it; a wrong path is undefined and fails the assertion.
  body: Json
}
export interface Json {
  [field: string]: Json
}

export interface TestCloud extends Bootstrapped {
  db: TestDatabase['db']
  key: SealingKeys
  app: FastifyInstance
  /** With a token, or none; the body as JSON. */
  send(
    method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    token?: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Reply>
  /** A token for a user of the default domain. `scope` is keystone's, undefined for the default one. */
  signIn(name: string, password: string, scope?: unknown): Promise<string>
  end(): Promise<void>
}

export const password = (name: string, secret: string, scope?: unknown) => ({
  auth: {
    identity: { methods: ['password'], password: { user: { name, domain: { id: 'default' }, password: secret } } },
    ...(scope !== undefined && { scope }),
  },
})

/** As without any setting. */
export const config: IdentityDeps['config'] = {
  publicUrl: undefined,
  tokenLifetime: 3600,
  passwordMemory: 5,
  securityCompliance: noCompliance,
  limitModel: 'flat',
  trustedDashboards,
  oauth2Methods: ['tls_client_auth', 'client_secret_basic'],
  oauth2Mapping: 'oauth2_mapping',
}

interface More {
  config?: Partial<IdentityDeps['config']>
  server?: Pick<ApiDeps, 'tls' | 'certificateOf'>
}

/** @param compliance what this cloud demands of passwords and accounts; nothing by default */
export async function testCloud(
  limitModel: LimitModel = 'flat',
  compliance: Partial<SecurityCompliance> = {},
  more: More = {},
): Promise<TestCloud> {
  const { db, drop } = await testDatabase()
  const secret = randomBytes(32)
  const key = () => [secret]
  const made = await db.write((tx) =>
    bootstrapIdentity(tx, { adminPassword: passwords.admin, demoPassword: passwords.demo, region: 'RegionOne', sealingKey: key }),
  )
  const services = identity({
    db,
    key,
    config: { ...config, limitModel, securityCompliance: { ...noCompliance, ...compliance }, ...more.config },
  })
  const policy = openPolicy(services)
  const app = api(services, { db, authenticate: authenticator(db, key), policy, log: pino({ level: 'silent' }), ...more.server })
  await app.ready()

  const send: TestCloud['send'] = async (method, path, token, body, headers) => {
    const answer = await app.inject({
      method,
      url: path.startsWith('/v3') || path.startsWith('/identity') || path === '/' ? path : `/identity/v3${path}`,
      headers: { host: 'cloud.test:5000', ...(token !== undefined && { 'x-auth-token': token }), ...headers },
      ...(body !== undefined && { payload: body as object }),
    })
    const text = method === 'HEAD' ? '' : answer.body
    return { status: answer.statusCode, headers: answer.headers, body: text ? (JSON.parse(text) as Json) : {} }
  }
  return {
    ...made,
    db,
    key,
    app,
    send,
    async signIn(name, secret, scope) {
      const { status, headers, body } = await send('POST', '/auth/tokens', undefined, password(name, secret, scope))
      if (status !== 201) throw new Error(`${name} could not sign in: ${status} ${JSON.stringify(body)}`)
      return String(headers['x-subject-token'])
    },
    async end() {
      await app.close()
      policy.close()
      await drop()
    },
  }
}
