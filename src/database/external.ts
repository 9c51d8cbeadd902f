// A PostgreSQL of the operator's own (DATABASE_URL): whether it will do, and when it does not, in words of its operator what is wrong
// and what to do. Programs that begin with one connection of their own (migrations, export, import) open it here.
import pg from 'pg'
import { isOfAnotherName, isUntrusted } from '../certificate-errors.ts'
import type { SocketOptions } from './connect.ts'
import { codeOf } from './connection.ts'

export const OLDEST = 15
const EXTENSIONS = ['btree_gist', 'pg_trgm']

/** Opens one connection. Throws what is wrong with the address or the server, never with the password in it. */
export async function open(to: string | SocketOptions, name: string): Promise<pg.Client> {
  try {
    const client = new pg.Client({ ...(typeof to === 'string' ? { connectionString: to } : to), application_name: name })
    client.on('error', () => {})
    await client.connect()
    return client
  } catch (error) {
    throw typeof to === 'string' ? explained(error, to) : error
  }
}

/** The error of a connection to DATABASE_URL, with the place it was to and a remedy. */
export function explained(error: unknown, url: string): Error {
  const code = codeOf(error) ?? ''
  const file = error instanceof Error && 'syscall' in error && error.syscall === 'open' && 'path' in error ? String(error.path) : undefined
  if (file) return new Error(`DATABASE_URL names a file of certificates or keys, but Wisp cannot read ${file}: ${code}`, { cause: error })
  const said = (error instanceof Error ? error.message : String(error)).replace(/[.:\s]+$/, '')
  const remedy = isUntrusted(code) ? TRUST : isOfAnotherName(code) ? NAME : (REMEDIES[code] ?? (UNREACHABLE.has(code) ? REACH : ''))
  return new Error(`The database of DATABASE_URL (${placeOf(url)}) cannot be used: ${said}.${remedy && ` ${remedy}`}`, { cause: error })
}

const TRUST =
  'Its certificate is not one that this machine trusts: name its authority in DATABASE_URL, as ?sslmode=verify-full&sslrootcert=/path/ca.pem'
const NAME = 'Its certificate is for another name: write that name as the host in DATABASE_URL, or give the server another certificate'
const UNREACHABLE = new Set(['ECONNREFUSED', 'ENOENT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'EACCES'])
const REACH =
  'Does the server run, does it listen there, is the host (or the folder of its socket) right? In the URL: postgres://ROLE:PASSWORD@HOST:PORT/DATABASE, or postgres://ROLE:PASSWORD@localhost/DATABASE?host=/folder/of/the/socket'
const REMEDIES: Record<string, string> = {
  '28P01':
    'The password is wrong, or the role does not exist: look at both in DATABASE_URL; characters like @ : / in it are written as %40 %3A %2F',
  '28000': 'The server does not let this role in from here: look at its pg_hba.conf',
  '3D000': 'Make it first: create database NAME owner ROLE encoding UTF8',
  '53300': 'It has no connection left: raise its max_connections, or lower WISP_DATABASE_CONNECTIONS',
}

/** What a person would call the place: host, port and database, without the password. */
function placeOf(url: string): string {
  if (!URL.canParse(url)) return 'which is no URL'
  const { hostname, port, pathname, searchParams } = new URL(url)
  const host = searchParams.get('host') ?? decodeURIComponent(hostname)
  return `${host || 'localhost'}:${port || searchParams.get('port') || 5432}${pathname}`
}

export interface Facts {
  /** As in `server_version_num`: 150018 is 15.18. */
  version: number
  encoding: string
  role: string
  database: string
  standby: boolean
  /** May make schemas in the database. */
  create: boolean
  /** May make objects in the schema public, where extensions go. */
  public: boolean
  /** Needed extensions that are neither there nor could be made. */
  lacking: string[]
}

/** Throws when this server or database will not do. Looks only; a database that already has the schema needs no right to make one. */
export async function mustFit(client: pg.Client): Promise<void> {
  const { rows } = await client.query<Facts>(
    `select current_setting('server_version_num')::int as version, current_setting('server_encoding') as encoding, current_user::text as role,
            current_database()::text as database, pg_is_in_recovery() as standby,
            has_database_privilege(current_database(), 'create') as create,
            coalesce(has_schema_privilege(to_regnamespace('public'), 'create'), false) as public,
            array(select wanted from unnest($1::text[]) wanted
                  where wanted not in (select name from pg_available_extensions) and wanted not in (select extname from pg_extension)) as lacking`,
    [EXTENSIONS],
  )
  const wrong = unfit(rows[0]!)
  if (wrong) throw new Error(wrong)
}

/** What is wrong and what to do about it; undefined for a database that will do. */
export function unfit(facts: Facts): string | undefined {
  const { version, encoding, role, database, lacking } = facts
  const quoted = (name: string) => pg.escapeIdentifier(name)
  if (version < OLDEST * 10_000)
    return `The database server is PostgreSQL ${Math.floor(version / 10_000)}.${version % 10_000}; Wisp needs ${OLDEST} or newer: upgrade it, or leave DATABASE_URL out and use the one that Wisp brings`
  if (facts.standby)
    return 'The database server is a standby, which cannot be written to: DATABASE_URL must name the primary (with several hosts, a proxy that follows it)'
  if (encoding !== 'UTF8')
    return `The database ${database} has the encoding ${encoding}, but names in a cloud are in every script: make it anew, create database ${quoted(database)} owner ${quoted(role)} encoding UTF8 template template0`
  if (!facts.create || !facts.public)
    return `The role ${role} may not make schemas and extensions in the database ${database}. As its owner or a superuser: alter database ${quoted(database)} owner to ${quoted(role)}`
  if (lacking.length > 0)
    return `The database server lacks the extensions ${lacking.join(' and ')}, which are part of PostgreSQL's contrib: install it there (Debian and Ubuntu have it in postgresql-15 itself, others in postgresql-contrib)`
  return undefined
}
