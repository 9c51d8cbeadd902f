import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openPolicy, type PolicyDefaults, type Target } from './policy.ts'
import { member } from './testing.ts'
import { anonymous, type Who } from './who.ts'

const admin: Who = { ...member, roles: ['Admin', 'member'] }
const system: Who = { ...member, project: null, system: true }
const unscoped: Who = { ...member, project: null }

const allows = (check: string, who: Who, target: Target = {}, more: PolicyDefaults = {}) =>
  openPolicy([{ type: 'compute', policies: { ...more, it: check } }])
    .of('compute')
    .allows('it', who, target)

test('roles, rules, constants', () => {
  assert.ok(allows('@', anonymous))
  assert.ok(!allows('!', admin))
  assert.ok(allows('role:admin', admin), 'roles compare without case')
  assert.ok(!allows('role:admin', member))
  assert.ok(allows('role:%(wanted)s', member, { wanted: 'member' }))
  assert.ok(allows('rule:other', member, {}, { other: 'role:member' }))
  assert.ok(!allows('rule:missing', admin))
  assert.ok(allows('not rule:missing', admin))
  assert.ok(!openPolicy([]).of('compute').allows('it', admin, {}))
})

test('the caller against the target', () => {
  assert.ok(allows('project_id:%(project_id)s', member, { project_id: 'p1' }))
  assert.ok(!allows('project_id:%(project_id)s', member, { project_id: 'p2' }))
  assert.ok(allows('tenant_id:%(tenant_id)s', member, { project_id: 'p1' }), 'tenant is the older word')
  assert.ok(!allows('project_id:%(project_id)s', member), 'a target without the key denies')
  assert.ok(!allows('project_id:%(project_id)s', unscoped, { project_id: null }), 'no project owns nothing')
  assert.ok(!allows('project_id:%(project_id)s', unscoped, { project_id: 'None' }))
  assert.ok(allows('project_id:None and not domain_id:None', { ...unscoped, domain: member.user.domain }))
  assert.ok(!allows('not domain_id:None', member))
  assert.ok(allows('user_id:%(target.user.id)s', member, { target: { user: { id: 'u1' } } }))
  assert.ok(allows('user_id:%(target.user.id)s', member, { 'target.user.id': 'u1' }))
  assert.ok(allows('user_id:u1', member))
  assert.ok(allows('system_scope:all', system))
  assert.ok(!allows('system_scope:all', member))
  assert.ok(allows('token.project.domain.id:default', member))
  assert.ok(allows('token.domain.id:x or token.project.domain.id:default', member), 'what the token lacks denies by itself')
  assert.ok(allows('token.roles:reader', member))
  assert.ok(!allows('constructor.name:Object', member))
})

test('literals and fields of the target', () => {
  assert.ok(allows("'public':%(visibility)s", member, { visibility: 'public' }))
  assert.ok(allows('None:%(target.role.domain_id)s', member, { target: { role: { domain_id: null } } }))
  assert.ok(!allows('None:%(target.role.domain_id)s', member, { target: { role: {} } }))
  assert.ok(allows('True:%(enabled)s', member, { enabled: true }))
  assert.ok(allows('field:networks:shared=True', member, { shared: true }))
  assert.ok(!allows('field:networks:shared=True', member, { shared: false }))
  assert.ok(allows('field:networks:router:external=True', member, { 'router:external': true }))
  assert.ok(allows('field:port:device_owner=~^network:', member, { device_owner: 'network:dhcp' }))
  assert.ok(!allows('field:port:device_owner=~(', member, { device_owner: '(' }))
})

test('is_admin is what the service calls an administrator', () => {
  assert.ok(allows('is_admin:True', admin, {}, { context_is_admin: 'role:admin' }))
  assert.ok(!allows('is_admin:True', member, {}, { context_is_admin: 'role:admin' }))
  assert.ok(!allows('is_admin:True', admin))
})

test('broken and circular rules deny', () => {
  assert.ok(!allows('role:admin and', admin))
  assert.ok(!allows('rule:it', admin))
  assert.ok(!allows('not rule:b', admin, {}, { b: 'rule:it' }))
  assert.ok(!allows('is_admin:True', admin, {}, { context_is_admin: 'is_admin:True' }))
})

test('a token for something else does not fit, whatever its roles', () => {
  const scopes = (rule: string) => (rule === 'own' ? (['project'] as const) : (['project', 'system'] as const))
  const policy = openPolicy([{ type: 'compute', policies: { own: '@', any: '@' }, scopes }]).of('compute')
  const domain: Who = { ...unscoped, domain: member.user.domain }
  const allowed = (who: Who) => ['own', 'any'].filter((rule) => policy.allows(rule, who, {}))
  assert.deepEqual([member, unscoped, domain, system].map(allowed), [['own', 'any'], ['own', 'any'], [], ['any']])
  assert.equal(policy.explain('own', system, {}), 'it needs a token of a project, not of the system')
  assert.equal(policy.explain('any', domain, {}), 'it needs a token of a project or of the system, not of a domain')
})

test('a missing rule is what the rule named default says', () => {
  assert.ok(allows('rule:missing', member, {}, { default: 'role:member' }))
  assert.ok(!allows('rule:missing', member, {}, { default: 'role:admin' }))
  assert.ok(!allows('not rule:missing', admin, {}, { default: 'rule:elsewhere' }), 'default leads back to itself')
})

test('what cannot be decided denies, even under not, and is explained', () => {
  for (const check of ['role:%d', ":'a'", '5a:b', 'class:b', 'user_id.x:b', "'a:b", 'and', "'role:member'"]) {
    assert.ok(!allows(check, admin) && !allows(`not ${check} and rule:other`, admin, {}, { other: '@' }), check)
  }
  assert.ok(!allows('not rule:other', admin, {}, { other: "'role:member'" }))
  assert.ok(allows('role:admin or role:%d', admin), 'what is not asked does no harm')
  const policy = openPolicy([{ type: 'compute', policies: { it: 'not role:%d' } }]).of('compute')
  assert.equal(policy.explain('it', member, {}), "the rule can't be decided: '%d' has a % that stands for nothing")
})

test('the part that failed is named', () => {
  const rules = { owner: 'project_id:%(project_id)s', both: 'role:manager and rule:owner', either: 'role:admin or rule:owner' }
  const policy = openPolicy([{ type: 'compute', policies: rules }]).of('compute')
  assert.equal(policy.explain('both', member, { project_id: 'p1' }), 'it needs role:manager (the token has member, reader)')
  assert.equal(
    policy.explain('either', member, { project_id: 'p2' }),
    'it needs role:admin (the token has member, reader), or it needs project_id:%(project_id)s',
  )
  assert.equal(policy.explain('owner', member, { project_id: 'p1' }), '')
  assert.equal(policy.explain('nothing', member, {}), 'no such rule is known')
})

test('a file overrides the services that know the rule, and a broken one never opens the door', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'policy-'))
  context.after(() => rm(folder, { recursive: true }))
  const path = join(folder, 'policy.yaml')
  const services: { type: string; policies: PolicyDefaults }[] = [
    { type: 'compute', policies: { show: 'role:admin', same: 'role:admin' } },
    { type: 'network', policies: { same: 'role:admin' } },
  ]
  await writeFile(path, "'show': 'rule:mine'\nmine: 'role:member'\nsame: [['role:reader']]\n")
  const enforcer = openPolicy(services, { path })
  context.after(() => enforcer.close())
  assert.ok(enforcer.of('compute').allows('show', member, {}))
  assert.ok(enforcer.of('network').allows('same', member, {}))
  assert.ok(!enforcer.of('network').has('show'))

  await writeFile(path, 'a: [')
  assert.throws(() => openPolicy(services, { path }), /not valid YAML/)
  await writeFile(path, '- list')
  assert.throws(() => openPolicy(services, { path }), /must map rule names/)
  const missing = openPolicy(services, { path: join(folder, 'absent.yaml') })
  context.after(() => missing.close())
  assert.ok(!missing.of('compute').allows('show', member, {}))

  await writeFile(join(folder, 'compute.json'), '{"show": "role:reader"}')
  const byFolder = openPolicy(services, { path: folder })
  context.after(() => byFolder.close())
  assert.ok(byFolder.of('compute').allows('show', member, {}))
})

test('a changed file is read again', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'policy-'))
  context.after(() => rm(folder, { recursive: true }))
  const path = join(folder, 'policy.yaml')
  await writeFile(path, "show: '!'\n")
  const { promise, resolve } = Promise.withResolvers<void>()
  const log = { info: () => resolve(), warn: () => {}, error: () => {} }
  const enforcer = openPolicy([{ type: 'compute', policies: { show: '@' } }], { path, interval: 20, log })
  context.after(() => enforcer.close())
  const policy = enforcer.of('compute')
  assert.ok(!policy.allows('show', member, {}))
  await writeFile(path, "show: 'role:member'\n")
  // The watcher alone would not keep the process alive.
  const alive = setInterval(() => {}, 1000)
  await promise
  clearInterval(alive)
  assert.ok(policy.allows('show', member, {}))
})
