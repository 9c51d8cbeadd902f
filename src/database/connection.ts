// One connection to PostgreSQL and what it saves: statements that come again are prepared, those that are asked for at once travel together,
// and a transaction costs no round trip before its first statement.
import { createHash } from 'node:crypto'
import {
  type CompiledQuery,
  type DatabaseConnection,
  DummyDriver,
  type Kysely,
  type KyselyProps,
  PostgresDialect,
  type PostgresPoolClient,
  type QueryResult,
  Transaction,
} from 'kysely'
import type pg from 'pg'
import type { DB } from './types.ts'

export interface Connection extends PostgresPoolClient {
  /** Asks without waiting for what was asked before. */
  send(text: string, values: readonly unknown[]): Promise<pg.QueryResult>
  /** Gives it back to the pool; a broken one is closed. */
  release(broken?: boolean): void
}

/** A statement that ends a transaction: it travels with the commit, so nothing can be decided by its answer any more. */
export interface Last {
  /** Made before any of them is sent: what throws here undoes the transaction. */
  query(): CompiledQuery
  answered?(rows: unknown[]): void
  /** What to say instead of PostgreSQL's error. */
  failed?(error: unknown): unknown
  /** Called if the transaction comes to nothing after all. */
  undone?(): void
}

/** A Kysely is made of these; one whose executor is given needs none of them. */
const dialect = new PostgresDialect({ pool: { connect: () => Promise.reject(new Error('Not a pool')), end: async () => {} } })
const unused: Omit<KyselyProps, 'executor'> = { config: { dialect }, dialect, driver: new DummyDriver() }

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

// A migration changed a table under a prepared statement: the name is of no use any more, nor is the connection that has it.
export function planChanged(error: unknown): boolean {
  return codeOf(error) === '0A000' && String(error).includes('cached plan must not change')
}

// Statements that come again are prepared under a name, so that PostgreSQL parses and plans them once per connection.
// Lists with many filters have endless variants: only what came before gets a name, and a connection keeps a bounded number.
const NAMED_PER_CONNECTION = 200
const NAMED_FROM = 3

/** What a pooled client becomes: Kysely's idea of one, for statements by themselves; and what a transaction needs. */
export function connectionOf(client: pg.PoolClient): Connection {
  const seen = new Map<string, number>()
  const names = new Map<string, string>()
  const { stream } = client.connection
  let stale = false
  let gathering = false

  const nameOf = (text: string): string | undefined => {
    const known = names.get(text)
    if (known || names.size >= NAMED_PER_CONNECTION) return known
    const times = (seen.get(text) ?? 0) + 1
    if (times < NAMED_FROM) {
      if (seen.size > 1000) seen.clear()
      seen.set(text, times)
      return undefined
    }
    seen.delete(text)
    const name = createHash('sha256').update(text).digest('base64url')
    names.set(text, name)
    return name
  }

  /** What is asked for in one turn of the event loop is one write to the socket. */
  const gather = () => {
    if (gathering) return
    gathering = true
    stream.cork()
    process.nextTick(() => {
      gathering = false
      stream.uncork()
    })
  }

  const send = (text: string, values: readonly unknown[]): Promise<pg.QueryResult> => {
    gather()
    const name = values.length > 0 ? nameOf(text) : undefined
    return client.query({ ...(name && { name }), text, values: [...values] }).catch((error) => {
      if (planChanged(error)) stale = true
      throw error
    })
  }

  return {
    send,
    query: (async (text: string, values: readonly unknown[] = []) => {
      const { command, rowCount, rows } = await send(text, values).catch((error) => {
        if (!planChanged(error)) throw error
        return client.query({ text, values: [...values] })
      })
      return { command, rowCount: rowCount ?? 0, rows }
    }) as PostgresPoolClient['query'], // cursors are not used here
    release: (broken = false) => client.release(broken || stale),
  }
}

/**
 * Only values of which none can fail to become PostgreSQL's text: what fails in this process has to fail before the first statement that
 * travels with the commit is sent, or the commit would follow.
 */
function ready(query: CompiledQuery): CompiledQuery {
  const plain = (value: unknown): boolean =>
    value === null ||
    typeof value !== 'object' ||
    value instanceof Date ||
    Buffer.isBuffer(value) ||
    (Array.isArray(value) && value.every(plain))
  if (!query.parameters.every(plain)) throw new Error('A value at the end of a transaction is an object: give its JSON instead')
  return query
}

/**
 * Runs `work` in a transaction on `connection` and gives the connection back. `begin` travels with the first statement, and statements that
 * are asked for at once (`Promise.all`) travel together, where Kysely's own transaction waits for each. After a statement has failed all
 * others fail with that same error. `last` = the statements that end the transaction, in their order.
 */
export async function transactionOn<T>(
  read: Kysely<DB>,
  connection: Connection,
  work: (tx: Kysely<DB>) => Promise<T>,
  last: () => Last[],
): Promise<T> {
  let state = 'new' as 'new' | 'open' | 'ended'
  let failure: unknown
  const ask = async (text: string, values: readonly unknown[]) => {
    if (state === 'ended') throw new Error('The transaction has ended')
    const begun = state === 'new' ? connection.send('begin', []) : undefined
    state = 'open'
    try {
      const answer = connection.send(text, values)
      if (text === 'commit') state = 'ended'
      const [result] = await Promise.all([answer, begun])
      return result
    } catch (error) {
      failure ??= error
      throw failure
    }
  }
  const one: DatabaseConnection = {
    async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
      const { command, rowCount, rows } = await ask(sql, parameters)
      return { ...(command !== 'SELECT' && rowCount !== null && { numAffectedRows: BigInt(rowCount) }), rows }
    },
    streamQuery() {
      throw new Error('Cursors are not used here')
    },
  }
  const tx = new Transaction<DB>({
    ...unused,
    executor: read.getExecutor().withConnectionProvider({ provideConnection: (consumer) => consumer(one) }),
  })
  let broken = false
  let lasts: Last[] = []
  try {
    const result = await work(tx)
    // Committing a transaction in which a statement failed is quietly a rollback: someone swallowed an error.
    if (failure !== undefined) throw new Error('A statement of the transaction had failed, and its error was swallowed', { cause: failure })
    lasts = last()
    const ending = lasts.map((each) => ({ ...each, ...ready(each.query()) }))
    if (state === 'open' || ending.length > 0) {
      const answers = ending.map(async ({ sql, parameters, answered, failed }) => {
        const answer = await ask(sql, parameters).catch((error: unknown) => {
          throw failed ? failed(error) : error
        })
        answered?.(answer.rows)
      })
      await Promise.all([...answers, ask('commit', [])])
    }
    return result
  } catch (error) {
    for (const { undone } of lasts) undone?.()
    if (state === 'open')
      await connection.send('rollback', []).catch(() => {
        broken = true
      })
    throw error
  } finally {
    state = 'ended'
    connection.release(broken)
  }
}
