// What can be set for one domain where it differs from the cloud (keystone/resource/core.py): where its users come from, above all.
// The defaults are Keystone's (keystone/conf/{identity,ldap}.py); whether a value makes sense is seen by who uses it.
import { json, type Tx } from '../../database/connect.ts'
import type { Json } from '../../database/types.ts'
import { forbidden, notFound } from '../../http/fault.ts'
import { poke } from '../../work/engine.ts'
import { type SealingKeys, seal, sealingKeyIn, unsealWith } from './sealed.ts'

export type Options = Record<string, Json>
/** Options by group: {identity: {driver: 'ldap'}, ldap: {url: '…'}}. */
export type DomainConfig = Record<string, Options>

/** All that may be set and read again, with what holds where nothing is set. */
export const defaults = {
  identity: { driver: 'sql', list_limit: null },
  ldap: {
    url: 'ldap://localhost',
    user: null,
    suffix: 'cn=example,cn=com',
    query_scope: 'one',
    page_size: 0,
    alias_dereferencing: 'default',
    debug_level: null,
    chase_referrals: null,
    user_tree_dn: null,
    user_filter: null,
    user_objectclass: 'inetOrgPerson',
    user_id_attribute: 'cn',
    user_name_attribute: 'sn',
    user_mail_attribute: 'mail',
    user_description_attribute: 'description',
    user_pass_attribute: 'userPassword',
    user_enabled_attribute: 'enabled',
    user_enabled_invert: false,
    user_enabled_mask: 0,
    user_enabled_default: 'True',
    user_attribute_ignore: ['default_project_id'],
    user_default_project_id_attribute: null,
    user_enabled_emulation: false,
    user_enabled_emulation_dn: null,
    user_enabled_emulation_use_group_config: false,
    user_additional_attribute_mapping: [],
    group_tree_dn: null,
    group_filter: null,
    group_objectclass: 'groupOfNames',
    group_id_attribute: 'cn',
    group_name_attribute: 'ou',
    group_members_are_ids: false,
    group_member_attribute: 'member',
    group_desc_attribute: 'description',
    group_attribute_ignore: [],
    group_additional_attribute_mapping: [],
    tls_cacertfile: null,
    tls_cacertdir: null,
    use_tls: false,
    tls_req_cert: 'demand',
    use_pool: true,
    pool_size: 10,
    pool_retry_max: 3,
    pool_retry_delay: 0.1,
    pool_connection_timeout: -1,
    pool_connection_lifetime: 600,
    use_auth_pool: true,
    auth_pool_size: 100,
    auth_pool_connection_lifetime: 60,
  },
} satisfies DomainConfig

/** Kept sealed, used, never shown. */
const sensitive: Record<string, string[]> = { ldap: ['password'] }
const isSensitive = (group: string, option: string) => sensitive[group]?.includes(option) ?? false

const invalid = (reason: string) => forbidden(`Invalid domain specific configuration: ${reason}.`)

/** The options of a group that may be set and shown. @throws Fault 403 for a group or an option that cannot be set for a domain */
export function checkNames(group?: string, option?: string): Options {
  if (group === undefined) return {}
  const known: Options | undefined = Object.hasOwn(defaults, group) ? defaults[group as keyof typeof defaults] : undefined
  if (!known) throw invalid(`Group ${group} is not supported for domain specific configurations`)
  if (option !== undefined && !Object.hasOwn(known, option) && !isSensitive(group, option))
    throw invalid(`Option ${option} in group ${group} is not supported for domain specific configurations`)
  return known
}

/** The defaults, of all groups or of one. @throws Fault 403 for what is not known, or secret */
export function defaultsOf(group?: string, option?: string): DomainConfig | Options {
  if (group === undefined) return defaults
  const known = checkNames(group, option)
  if (option === undefined) return { [group]: known }
  if (isSensitive(group, option)) throw invalid(`Reading the default for option ${option} in group ${group} is not supported`)
  return { [option]: known[option] ?? null }
}

/** @throws Fault 403 for anything but groups of options that are known */
export function checkConfig(config: object): DomainConfig {
  const groups = Object.entries(config as Record<string, unknown>)
  if (groups.length === 0) throw invalid('No options specified')
  for (const [group, options] of groups) {
    if (typeof options !== 'object' || options === null || Array.isArray(options) || Object.keys(options).length === 0)
      throw invalid(`The value of group ${group} specified in the config should be a dictionary of options`)
    for (const option of Object.keys(options)) checkNames(group, option)
  }
  return config as DomainConfig
}

/**
 * What an update of one group or option may bring: that, and nothing else. An option comes by itself, {url: '…'}.
 * @throws Fault 403
 */
export function checkUpdate(config: object, group?: string, option?: string): DomainConfig {
  const whole = checkConfig(group !== undefined && option !== undefined ? { [group]: config } : config)
  checkNames(group, option)
  if (group === undefined) return whole
  const only = Object.keys(whole).length === 1 && (option === undefined || Object.keys(whole[group] ?? {}).length === 1)
  const what = option === undefined ? `group ${group}` : `option ${option} in group ${group}`
  if (!only || !whole[group] || (option !== undefined && !Object.hasOwn(whole[group], option)))
    throw invalid(
      `Trying to update ${what}, so that, and only that, ${option === undefined ? 'group' : 'option'} must be specified in the config`,
    )
  return whole
}

/** Keystone's 404 for what is not set. */
export const notSet = (domainId: string, group?: string, option?: string) => {
  const what = option !== undefined ? `option ${option} in group ${group}` : group !== undefined ? `group ${group}` : 'any options'
  return notFound(`Could not find ${what} in domain configuration for domain ${domainId}.`)
}

export const nameOfOption = (domainId: string, group: string, option: string) => `domain config ${domainId} ${group} ${option}`

const rowsOf = (tx: Tx, domainId: string, group?: string, option?: string) =>
  tx
    .selectFrom('identity.domain_config')
    .selectAll()
    .where('domain_id', '=', domainId)
    .$if(group !== undefined, (q) => q.where('group', '=', group!))
    .$if(option !== undefined, (q) => q.where('option', '=', option!))
    .orderBy('group')
    .orderBy('option')

/** Whether anything is set there, be it secret. */
export const isSet = async (tx: Tx, domainId: string, group?: string, option?: string) =>
  (await rowsOf(tx, domainId, group, option).limit(1).executeTakeFirst()) !== undefined

/** What is set, without what is secret. */
export async function shownConfig(tx: Tx, domainId: string, group?: string, option?: string): Promise<DomainConfig> {
  const config: DomainConfig = {}
  for (const row of await rowsOf(tx, domainId, group, option).execute()) {
    if (row.sealed === null) config[row.group] = { ...config[row.group], [row.option]: row.value }
  }
  return config
}

/** What is set, with what is secret; `%(password)s` in a text stands for the secret of that name. */
export async function wholeConfig(tx: Tx, sealingKey: SealingKeys, domainId: string): Promise<DomainConfig> {
  const rows = await rowsOf(tx, domainId).execute()
  const secrets = new Map(
    rows
      .filter(({ sealed }) => sealed !== null)
      .map(({ group, option, sealed }) => [
        option,
        JSON.parse(unsealWith(sealingKey, nameOfOption(domainId, group, option), sealed!).toString()),
      ]),
  )
  const config: DomainConfig = {}
  for (const { group, option, value, sealed } of rows) {
    const filled = typeof value === 'string' ? value.replaceAll(/%\((\w+)\)s/g, (all, name) => secrets.get(name) ?? all) : value
    config[group] = { ...config[group], [option]: sealed === null ? filled : secrets.get(option) }
  }
  return config
}

/** Sets these options and leaves the others. */
export async function setConfig(tx: Tx, sealingKey: SealingKeys, domainId: string, config: DomainConfig): Promise<void> {
  const key = await sealingKeyIn(tx, sealingKey)
  const values = Object.entries(config).flatMap(([group, options]) =>
    Object.entries(options).map(([option, value]) => {
      const secret = isSensitive(group, option)
      const sealed = secret ? seal(key, nameOfOption(domainId, group, option), Buffer.from(JSON.stringify(value))) : null
      return { domain_id: domainId, group, option, value: secret ? null : json(value), sealed }
    }),
  )
  await tx
    .insertInto('identity.domain_config')
    .values(values)
    .onConflict((on) =>
      on
        .columns(['domain_id', 'group', 'option'])
        .doUpdateSet((eb) => ({ value: eb.ref('excluded.value'), sealed: eb.ref('excluded.sealed') })),
    )
    .execute()
  if (config.identity?.driver === 'ldap') await poke(tx, 'directory', domainId)
}

/** Forgets all, a group or an option. */
export async function forgetConfig(tx: Tx, domainId: string, group?: string, option?: string): Promise<void> {
  await tx
    .deleteFrom('identity.domain_config')
    .where('domain_id', '=', domainId)
    .$if(group !== undefined, (q) => q.where('group', '=', group!))
    .$if(option !== undefined, (q) => q.where('option', '=', option!))
    .execute()
}
