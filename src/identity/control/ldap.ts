// An LDAP directory as the source of a domain's users and groups: how its entries are read, under Keystone's options (keystone/conf/ldap.py).
// Nothing is ever written there.
import fs from 'node:fs'
import {
  AndFilter,
  Client,
  type Entry,
  EqualityFilter,
  type Filter,
  FilterParser,
  InvalidCredentialsError,
  NoSuchObjectError,
} from 'ldapts'
import { Fault, unavailable } from '../../http/fault.ts'
import { defaults, type Options } from './domain-config.ts'

export interface Person {
  /** The value of user_id_attribute. */
  localId: string
  dn: string
  name: string
  email: string | null
  description: string | null
  enabled: boolean
  defaultProjectId: string | null
  /** What user_additional_attribute_mapping names. */
  extra: Record<string, string>
}

export interface Team {
  localId: string
  dn: string
  name: string
  description: string | null
  /** DNs in lower case, or with group_members_are_ids local ids of users. */
  members: Set<string>
}

export interface Directory {
  people(by?: { name: string } | { localId: string }): Promise<Person[]>
  /** All, or those that somebody is a member of. */
  teams(member?: Pick<Person, 'dn' | 'localId'>): Promise<Team[]>
  /** How a person is named among the members of teams. */
  memberName(person: Pick<Person, 'dn' | 'localId'>): string
  /** Whether the directory lets the person in. An empty password never does, though LDAP would take it for an anonymous bind. */
  accepts(dn: string, password: string): Promise<boolean>
  close(): Promise<void>
}

/** Milliseconds: a directory that is away must not keep anyone waiting for long. */
const patience = { connectTimeout: 3_000, timeout: 8_000 }

/**
 * Connects and signs in as the configured user. Close it after use.
 * @param domain its name, for the error
 * @throws Fault 503 that says what the directory said, or that it did not answer
 */
export async function openDirectory(domain: string, given: Options): Promise<Directory> {
  const options: Options = { ...defaults.ldap, ...given }
  const text = (name: string): string | undefined => (typeof options[name] === 'string' && options[name] !== '' ? options[name] : undefined)
  const flag = (name: string) => options[name] === true || /^(true|1|yes|on)$/i.test(String(options[name]))
  const list = (name: string): string[] =>
    Array.isArray(options[name])
      ? options[name].map(String)
      : String(options[name] ?? '')
          .split(',')
          .filter(Boolean)
  const named = (name: string) => (list('user_attribute_ignore').includes(name) ? undefined : name)

  const client = await connect(domain, list('url'), {
    startTls: flag('use_tls'),
    user: text('user'),
    password: String(options.password ?? ''),
    tls: {
      rejectUnauthorized: options.tls_req_cert !== 'never' && options.tls_req_cert !== 'allow',
      ...(text('tls_cacertfile') && { ca: fs.readFileSync(text('tls_cacertfile')!) }),
    },
  })
  const asked = <T>(question: Promise<T>) => question.catch((error: unknown) => complain(domain, error))

  const search = async (base: string, filters: (Filter | undefined)[], scope = text('query_scope') === 'sub' ? 'sub' : 'one') => {
    const pageSize = Number(options.page_size)
    const found = client.search(base, {
      scope: scope as 'sub' | 'one' | 'base',
      filter: new AndFilter({ filters: filters.filter((one) => one !== undefined) }),
      ...(pageSize > 0 && { paged: { pageSize } }),
    })
    return (await asked(found)).searchEntries
  }
  const anything = FilterParser.parseString('(objectClass=*)')
  const custom = (name: string) => (text(name) ? FilterParser.parseString(text(name)!) : undefined)
  const equal = (attribute: string, value: string) => new EqualityFilter({ attribute, value })

  const userTree = text('user_tree_dn') ?? `ou=Users,${text('suffix')}`
  const groupTree = text('group_tree_dn') ?? `ou=UserGroups,${text('suffix')}`
  const attribute = (name: string) => text(name) ?? ''

  /** By user_enabled_attribute with its mask, or by being a member of user_enabled_emulation_dn. */
  const enabled = async (): Promise<(entry: Entry) => boolean> => {
    if (flag('user_enabled_emulation')) {
      const dn = text('user_enabled_emulation_dn') ?? `cn=enabled_users,${userTree}`
      const group = await search(dn, [anything], 'base')
      const members = new Set(group.flatMap((entry) => values(entry, 'member')).map(normal))
      return (entry) => members.has(normal(entry.dn))
    }
    const mask = Number(options.user_enabled_mask)
    const fallback = String(options.user_enabled_default)
    return (entry) => {
      const value = first(entry, attribute('user_enabled_attribute')) ?? fallback
      if (mask !== 0) return (Number(value) & mask) !== mask
      return flag('user_enabled_invert') ? !/^true$/i.test(value) : /^(true|1|512)$/i.test(value)
    }
  }

  const person = (entry: Entry, isEnabled: (entry: Entry) => boolean): Person[] => {
    const localId = first(entry, attribute('user_id_attribute'))
    const name = first(entry, attribute('user_name_attribute'))
    if (localId === undefined || name === undefined) return []
    const read = (field: string, option: string) => (named(field) ? (first(entry, attribute(option)) ?? null) : null)
    const pairs = list('user_additional_attribute_mapping').map((pair) => pair.split(':') as [string, string])
    return [
      {
        localId,
        dn: entry.dn,
        name,
        email: read('email', 'user_mail_attribute'),
        description: read('description', 'user_description_attribute'),
        enabled: named('enabled') ? isEnabled(entry) : true,
        defaultProjectId: read('default_project_id', 'user_default_project_id_attribute'),
        extra: Object.fromEntries(pairs.flatMap(([from, to]) => (first(entry, from) === undefined ? [] : [[to, first(entry, from)!]]))),
      },
    ]
  }

  const team = (entry: Entry): Team[] => {
    const localId = first(entry, attribute('group_id_attribute'))
    const name = first(entry, attribute('group_name_attribute'))
    if (localId === undefined || name === undefined) return []
    const members = values(entry, attribute('group_member_attribute'))
    return [
      {
        localId,
        dn: entry.dn,
        name,
        description: first(entry, attribute('group_desc_attribute')) ?? null,
        members: new Set(flag('group_members_are_ids') ? members : members.map(normal)),
      },
    ]
  }

  return {
    async people(by) {
      const which =
        by && ('name' in by ? equal(attribute('user_name_attribute'), by.name) : equal(attribute('user_id_attribute'), by.localId))
      const entries = await search(userTree, [equal('objectClass', attribute('user_objectclass')), custom('user_filter'), which])
      const isEnabled = await enabled()
      return entries.flatMap((entry) => person(entry, isEnabled))
    },
    async teams(member) {
      const ofMember = member && equal(attribute('group_member_attribute'), flag('group_members_are_ids') ? member.localId : member.dn)
      const entries = await search(groupTree, [equal('objectClass', attribute('group_objectclass')), custom('group_filter'), ofMember])
      return entries.flatMap(team)
    },
    memberName: ({ dn, localId }) => (flag('group_members_are_ids') ? localId : normal(dn)),
    async accepts(dn, password) {
      if (password === '') return false
      try {
        await client.bind(dn, password)
        return true
      } catch (error) {
        if (error instanceof InvalidCredentialsError || error instanceof NoSuchObjectError) return false
        return complain(domain, error)
      }
    },
    close: () => client.unbind().catch(() => {}),
  }
}

interface Login {
  startTls: boolean
  user: string | undefined
  password: string
  tls: { rejectUnauthorized: boolean; ca?: Buffer }
}

/** The first of the addresses that answers. */
async function connect(domain: string, urls: string[], { startTls, user, password, tls }: Login): Promise<Client> {
  let problem: unknown = new Error('no address is configured')
  for (const url of urls) {
    const secure = url.trim().startsWith('ldaps:')
    const client = new Client({ url: url.trim(), strictDN: false, ...patience, ...(secure && { tlsOptions: tls }) })
    try {
      if (startTls) await client.startTLS(tls)
      if (user !== undefined) await client.bind(user, password)
      return client
    } catch (error) {
      problem = error
      await client.unbind().catch(() => {})
    }
  }
  return complain(domain, problem)
}

function complain(domain: string, error: unknown): never {
  if (error instanceof Fault) throw error
  const said = error instanceof Error ? error.message || error.name : String(error)
  throw unavailable(
    `The LDAP directory of the domain ${domain} cannot be asked: ${said.slice(0, 200)}. Its users can sign in again when it answers; "openstack domain config" or GET /v3/domains/{id}/config shows how it is reached.`,
    5,
    error,
  )
}

/** DNs are compared without regard to case and to blanks between their parts. */
const normal = (dn: string) => dn.toLowerCase().replaceAll(/\s*,\s*/g, ',')

const values = (entry: Entry, attribute: string): string[] => {
  const key = Object.keys(entry).find((name) => name.toLowerCase() === attribute.toLowerCase())
  return key === undefined ? [] : [entry[key]!].flat().map((value) => (Buffer.isBuffer(value) ? value.toString('hex') : value))
}
const first = (entry: Entry, attribute: string): string | undefined => values(entry, attribute).find((value) => value !== '')
