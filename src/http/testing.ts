/** For tests of any room: the real server over a database that is only counted, and one caller, a member of project p1. */

import type { OutgoingHttpHeaders } from 'node:http'
import type { TestContext } from 'node:test'
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'
import type { Database, Tx } from '../database/connect.ts'
import type { DB } from '../database/types.ts'
import { type ApiDeps, api } from './api.ts'
import { unauthorized } from './fault.ts'
import { openPolicy } from './policy.ts'
import type { Method, Service } from './table.ts'
import type { Who } from './who.ts'

const domain = { id: 'default', name: 'Default' }

export const member: Who = {
  user: { id: 'u1', name: 'demo', domain },
  project: { id: 'p1', name: 'demo', domain },
  domain: null,
  system: false,
  roles: ['member', 'reader'],
  auditIds: ['audit'],
  methods: ['password'],
  issuedAt: new Date('2026-01-01T00:00:00Z'),
  expiresAt: new Date('2026-01-02T00:00:00Z'),
}

/** Compiles queries and answers each with no rows. */
export const noRows = (): Tx =>
  new Kysely<DB>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })

export interface FakeDatabase extends Database {
  writes: number
  /** How many tries of the next write are thrown away after they have run. */
  failures: number
}

/** A Database without one; `tx.attempt` tells which try of `write` it is. */
export function fakeDatabase(): FakeDatabase {
  const db: FakeDatabase = {
    read: noRows(),
    writes: 0,
    failures: 0,
    async write(work) {
      db.writes++
      for (let attempt = 1; ; attempt++) {
        const result = await work(Object.assign(noRows(), { attempt }))
        if (db.failures-- <= 0) return result
      }
    },
    listen: async () => async () => {},
    close: async () => {},
  }
  return db
}

export interface Asked {
  status: number
  headers: OutgoingHttpHeaders
  text: string
  /** The parsed JSON, undefined if it is none. */
  body: unknown
}

export interface AskOptions {
  version?: string
  payload?: unknown
  headers?: Record<string, string>
  token?: string
  who?: Who
}

/** The services behind `ask`; closed at the end of the test. The token 'good' is `member`'s (or `who`'s), all others are refused. */
export function fakeApi(context: TestContext, services: Service[], over: Partial<ApiDeps> = {}) {
  const db = fakeDatabase()
  const logged: { level: string; data: Record<string, unknown> }[] = []
  const at = (level: string) => (data: unknown) => void logged.push({ level, data: data as Record<string, unknown> })
  let who = member
  const app = api(services, {
    db,
    authenticate: async (token) => (token === 'good' ? who : unauthorized()),
    policy: openPolicy(services),
    log: { info: at('info'), warn: at('warn'), error: at('error'), debug: at('debug') },
    ...over,
  })
  context.after(() => app.close())

  const ask = async (method: Method, url: string, options: AskOptions = {}): Promise<Asked> => {
    who = options.who ?? member
    const { payload, version, token = 'good' } = options
    const answer = await app.inject({
      method,
      url,
      headers: {
        ...(token && { 'x-auth-token': token }),
        ...(version !== undefined && { 'openstack-api-version': `${services[0]!.microversion?.header ?? services[0]!.type} ${version}` }),
        ...(typeof payload === 'string' && { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(payload !== undefined && { payload: payload as object }),
    })
    const json = String(answer.headers['content-type']).startsWith('application/json') && answer.body !== ''
    return { status: answer.statusCode, headers: answer.headers, text: answer.body, body: json ? JSON.parse(answer.body) : undefined }
  }
  return { app, ask, db, logged }
}
