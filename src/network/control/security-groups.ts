// Security groups and their rules as rows: made, changed and removed in the caller's transaction. The group's row is locked first by
// whatever changes its rules, so that of two equal rules created at the same time only one is.
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { json, type Tx } from '../../database/connect.ts'
import { hold } from '../../identity/control/quota.ts'
import { poke, pokeAll } from '../../work/engine.ts'
import { hintChanged } from '../../work/hint.ts'
import { defaultGroupExists, defaultGroupKeepsName, defaultGroupStays, groupInUse, groupNotFound, ruleExists, ruleTwice } from './faults.ts'
import { mustHaveRoom, quota } from './quota.ts'
import { changedRevision, matchRevision } from './revision.ts'
import { checkRule, defaultRules, egressRules, type Rule, type RuleInput, ruleKey } from './rule.ts'

/** The project's default group, made with its four rules on first use. One statement when it is there. */
export async function defaultGroup(tx: Tx, project: string): Promise<string> {
  for (;;) {
    const known = await tx
      .selectFrom('network.security_group')
      .select('id')
      .where('project_id', '=', project)
      .where('is_default', '=', true)
      .executeTakeFirst()
    if (known) return known.id
    const id = randomUUID()
    // One statement, so that readers without a transaction (GET makes the group, too) never leave half of it.
    const { rows } = await sql<{ id: string }>`
      with made as (
        insert into network.security_group (id, project_id, name, description, is_default)
        values (${id}, ${project}, 'default', 'Default security group', true)
        on conflict (project_id) where is_default do nothing
        returning id
      ), ruled as (${insertRules(id, project, named(defaultRules(id)), sql`where exists (select from made)`)})
      select id from made`.execute(tx)
    if (rows[0]) return rows[0].id
  }
}

type NewRule = Rule & { id: string }
const named = (rules: Rule[]): NewRule[] => rules.map((rule) => ({ id: randomUUID(), ...rule }))

const insertRules = (groupId: string, project: string, rules: NewRule[], where = sql``) => sql`
  insert into network.security_group_rule
    (id, security_group_id, project_id, direction, ethertype, protocol, port_range_min, port_range_max, remote_ip_prefix, remote_group_id, description)
  select r.id, ${groupId}, ${project}, r.direction, r.ethertype, r.protocol, r.port_range_min, r.port_range_max, r.remote_ip_prefix, r.remote_group_id, r.description
  from jsonb_to_recordset(${json(rules)}) as r
    (id text, direction text, ethertype text, protocol text, port_range_min int, port_range_max int, remote_ip_prefix cidr, remote_group_id text, description text)
  ${where}`

export interface GroupInput {
  name: string
  description: string
  stateful: boolean
}

export async function createGroup(tx: Tx, project: string, group: GroupInput): Promise<string> {
  if (group.name.toLowerCase() === 'default') throw defaultGroupExists()
  await defaultGroup(tx, project)
  // Its two rules count, and are never refused.
  const id = randomUUID()
  await sql`
    with made as (
      insert into network.security_group (id, project_id, name, description, stateful)
      values (${id}, ${project}, ${group.name}, ${group.description}, ${group.stateful})
    ) ${insertRules(id, project, named(egressRules))}`.execute(tx)
  await mustHaveRoom(tx, project, 'security_group')
  hintChanged(tx, 'security-group', id, project)
  return id
}

export async function updateGroup(tx: Tx, id: string, change: Partial<GroupInput>, revision?: number): Promise<void> {
  const group = await lockGroup(tx, id, revision, change.stateful === undefined ? 'no key update' : 'update')
  if (change.name !== undefined && change.name !== group.name) {
    if (group.is_default) throw defaultGroupKeepsName()
    if (change.name.toLowerCase() === 'default') throw defaultGroupExists()
  }
  if (change.stateful !== undefined && change.stateful !== group.stateful && (await inUse(tx, id))) throw groupInUse(id)
  await tx
    .updateTable('network.security_group')
    .set({ ...change, ...changedRevision })
    .where('id', '=', id)
    .execute()
  if (change.stateful !== undefined) await poke(tx, 'security-group', id)
  hintChanged(tx, 'security-group', id, group.project_id)
}

export async function deleteGroup(tx: Tx, id: string, admin: boolean, revision?: number): Promise<void> {
  const group = await lockGroup(tx, id, revision, 'update')
  if (group.is_default && !admin) throw defaultGroupStays()
  if (await inUse(tx, id)) throw groupInUse(id)
  const naming = await tx
    .selectFrom('network.security_group_rule')
    .select('security_group_id')
    .distinct()
    .where('remote_group_id', '=', id)
    .where('security_group_id', '<>', id)
    .execute()
  // Rules are counted before groups, as where groups are made; by itself the group would be counted first, for its rules go by a cascade.
  await hold(tx, group.project_id, { quota, names: ['security_group_rule'] })
  await tx.deleteFrom('network.security_group').where('id', '=', id).execute()
  await pokeAll(tx, 'security-group', [id, ...naming.map(({ security_group_id }) => security_group_id)])
  await poke(tx, 'group-members', id)
  hintChanged(tx, 'security-group', id, group.project_id)
}

const inUse = async (tx: Tx, id: string) =>
  (await tx.selectFrom('network.port_security_group').select('port_id').where('security_group_id', '=', id).limit(1).executeTakeFirst()) !==
  undefined

/** `update` keeps ports from being put into the group meanwhile; `no key update` does not. */
async function lockGroup(tx: Tx, id: string, revision?: number, strength: 'update' | 'no key update' = 'no key update') {
  const query = tx
    .selectFrom('network.security_group')
    .select(['project_id', 'name', 'is_default', 'stateful', 'revision'])
    .where('id', '=', id)
  const group = await (strength === 'update' ? query.forUpdate() : query.forNoKeyUpdate()).executeTakeFirst()
  if (!group) throw groupNotFound(id)
  matchRevision(group.revision, revision)
  return group
}

/** Adds rules to one group; its owner owns them. Returns their ids, in order. @param visible whether the caller may name a remote group */
export async function createRules(
  tx: Tx,
  groupId: string,
  inputs: RuleInput[],
  visible: (group: { project_id: string }) => boolean,
): Promise<string[]> {
  const rules = inputs.map(checkRule)
  const keys = new Set(rules.map(ruleKey))
  if (keys.size < rules.length) throw ruleTwice()
  const group = await lockGroup(tx, groupId)
  const remotes = [...new Set(rules.flatMap(({ remote_group_id }) => remote_group_id ?? []))]
  if (remotes.length > 0) {
    const known = await tx.selectFrom('network.security_group').select(['id', 'project_id']).where('id', 'in', remotes).execute()
    const missing = remotes.find((id) => !known.some((remote) => remote.id === id && visible(remote)))
    if (missing !== undefined) throw groupNotFound(missing)
  }
  const present = await tx.selectFrom('network.security_group_rule').selectAll().where('security_group_id', '=', groupId).execute()
  const same = present.find((rule) => keys.has(ruleKey(rule as Rule)))
  if (same) throw ruleExists(same.id)
  const made = named(rules)
  await sql`with touched as (${touchGroup(groupId)}) ${insertRules(groupId, group.project_id, made)}`.execute(tx)
  await mustHaveRoom(tx, group.project_id, 'security_group_rule')
  await poke(tx, 'security-group', groupId)
  hintChanged(tx, 'security-group', groupId, group.project_id)
  return made.map(({ id }) => id)
}

const touchGroup = (id: string) => sql`update network.security_group set revision = revision + 1, updated_at = now() where id = ${id}`

export async function deleteRule(
  tx: Tx,
  rule: { id: string; security_group_id: string; project_id: string; remote_group_id: string | null },
): Promise<void> {
  await sql`
    with touched as (${touchGroup(rule.security_group_id)})
    delete from network.security_group_rule where id = ${rule.id}`.execute(tx)
  await poke(tx, 'security-group', rule.security_group_id)
  if (rule.remote_group_id) await poke(tx, 'group-members', rule.remote_group_id)
  hintChanged(tx, 'security-group', rule.security_group_id, rule.project_id)
}
