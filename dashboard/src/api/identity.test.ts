import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { cloudsYaml, openrc } from './application-credentials.ts'
import { effectiveLimits, type ProjectLimit, type RegisteredLimit } from './limits.ts'
import { asTree, type Project } from './projects.ts'
import { type Assignment, grantOf, grantPath } from './roles.ts'

const project = (id: string, parent_id: string | null) => ({ id, name: id, parent_id, domain_id: 'default', enabled: true }) as Project

test('projects stand under their parents, by name; those whose parent is unknown are roots', () => {
  const rows = asTree([project('z', 'default'), project('b', 'a'), project('a', 'default'), project('c', 'b'), project('orphan', 'gone')])
  assert.deepEqual(
    rows.map(({ project: { id }, depth }) => [id, depth]),
    [
      ['a', 0],
      ['b', 1],
      ['c', 2],
      ['orphan', 0],
      ['z', 0],
    ],
  )
})

test('an assignment is taken away at the address at which it was given', () => {
  const role = { id: 'r', name: 'member' }
  const user = { id: 'u', name: 'ada' }
  const group = { id: 'g', name: 'staff' }
  const at = (assignment: Assignment) => grantPath(grantOf(assignment))
  assert.equal(at({ role, user, scope: { project: { id: 'p', name: 'p' } } }), '/projects/p/users/u/roles/r')
  assert.equal(at({ role, group, scope: { domain: { id: 'd', name: 'd' } } }), '/domains/d/groups/g/roles/r')
  assert.equal(at({ role, user, scope: { system: { all: true } } }), '/system/users/u/roles/r')
  assert.equal(
    at({ role, group, scope: { domain: { id: 'd', name: 'd' }, 'OS-INHERIT:inherited_to': 'projects' } }),
    '/OS-INHERIT/domains/d/groups/g/roles/r/inherited_to_projects',
  )
})

test("a project's own limit holds instead of the registered one, of the same service and region only", () => {
  const limit = { service_id: 's', region_id: null, resource_name: 'cores', description: null }
  const registered: RegisteredLimit[] = [
    { ...limit, id: '1', default_limit: 10 },
    { ...limit, id: '2', default_limit: 5, region_id: 'one' },
  ]
  const own: ProjectLimit[] = [{ ...limit, id: '3', resource_limit: 20, project_id: 'p', domain_id: null }]
  assert.deepEqual(
    effectiveLimits(registered, own).map(({ limit: holds, own: mine }) => [holds, mine?.id]),
    [
      [20, '3'],
      [5, undefined],
    ],
  )
})

const credential = { id: 'abc', secret: `it's "quoted" $HOME \\` }
const place = { authUrl: 'https://cloud.example/identity/v3', region: 'RegionOne', cloud: 'demo-app: one' }

test('clouds.yaml is YAML that gives the very same secret back', () => {
  const clouds = parse(cloudsYaml(credential, place)) as { clouds: Record<string, Record<string, unknown>> }
  assert.deepEqual(clouds.clouds['demo-app: one'], {
    auth_type: 'v3applicationcredential',
    auth: {
      auth_url: place.authUrl,
      application_credential_id: 'abc',
      application_credential_secret: credential.secret,
    },
    region_name: 'RegionOne',
    interface: 'public',
    identity_api_version: 3,
  })
})

test('openrc quotes for the shell and forgets other log-ins', () => {
  const lines = openrc(credential, place).split('\n')
  assert.match(lines[0] ?? '', /^unset OS_USERNAME .*OS_PROJECT_ID/)
  assert.ok(lines.includes(`export OS_APPLICATION_CREDENTIAL_SECRET='it'\\''s "quoted" $HOME \\'`))
  assert.ok(lines.includes("export OS_AUTH_TYPE='v3applicationcredential'"))
})
