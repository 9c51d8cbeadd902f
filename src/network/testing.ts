// What this room's tests share: an API on a database of its own, callers of some projects, and hosts that carry networks.
import type { FastifyInstance } from 'fastify'
import { json, type Tx } from '../database/connect.ts'
import { type TestDatabase, testDatabase } from '../database/testing.ts'
import { Fault } from '../http/fault.ts'
import { openPolicy } from '../http/policy.ts'
import { api } from '../http/table.ts'
import type { Who } from '../http/who.ts'
import { network } from './service.ts'

const domain = { id: 'default', name: 'Default' }

/** A caller in a project; `roles` as after implication. */
export const caller = (project: string, roles = ['member', 'reader']): Who => ({
  user: { id: `user-${project}`, name: `user-${project}`, domain },
  project: { id: project, name: project, domain },
  domain: null,
  system: false,
  roles,
  auditIds: [],
  methods: ['password'],
  issuedAt: new Date(),
  expiresAt: new Date(Date.now() + 3_600_000),
})

export const admin = caller('admin', ['admin', 'manager', 'member', 'reader'])

export interface Answer {
  status: number
  body: Record<string, never> & { NeutronError?: { type: string; message: string } }
  headers: Record<string, unknown>
}

export interface TestApi extends TestDatabase {
  app: FastifyInstance
  /** Sends a request as `token`: 'admin', or the name of a project, of which it is a member. */
  send(
    token: string,
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: object,
    headers?: Record<string, string>,
  ): Promise<Answer>
  end(): Promise<void>
}

const silent = { info() {}, warn() {}, debug() {}, error: (...args: unknown[]) => console.error(...args) }

export async function testApi(connections = 10): Promise<TestApi> {
  const database = await testDatabase({ connections })
  const service = network()
  const policy = openPolicy([service])
  const authenticate = async (token: string) =>
    token === 'admin'
      ? admin
      : token.startsWith('reader-')
        ? caller(token.slice(7), ['reader'])
        : token === ''
          ? new Fault(401, 'no')
          : caller(token)
  const app = api([service], { db: database.db, authenticate, policy, log: silent })
  return {
    ...database,
    app,
    async send(token, method, path, body, headers = {}) {
      const reply = await app.inject({
        method,
        url: `/network/v2.0${path}`,
        headers: { 'x-auth-token': token, ...headers },
        ...(body && { payload: body }),
      })
      return {
        status: reply.statusCode,
        body: reply.body ? (reply.json() as Answer['body']) : ({} as Answer['body']),
        headers: reply.headers,
      }
    },
    async end() {
      await app.close()
      policy.close()
      await database.drop()
    },
  }
}

/** A host that has said hello. */
export async function addHost(tx: Tx, name: string, tunnel_ip: string | null): Promise<{ id: string; name: string }> {
  const id = `host-${name}`
  await tx
    .insertInto('wire.host')
    .values({ id, name, secret_hash: Buffer.from(name), hello: json({ tunnel_ip, physical_networks: [] }) })
    .execute()
  return { id, name }
}
