import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Assertion, applyMapping, type Mapped } from './mapping.ts'
import { checkMapping, type Local, type Requirement } from './mapping-schema.ts'

const mapping = (rules: { local: Local[]; remote: Requirement[] }[], schema_version = '1.0') => checkMapping({ rules, schema_version })
const home = { id: 'abc1234' }
const people = { UserName: ['jsmith'] }
const group = (name: string) => ({ name, domain: home })

/** Each of the examples of Keystone's page on mapping combinations: rules, what comes in, who that is. */
const examples: [string, Parameters<typeof mapping>[0], Assertion, Partial<Mapped>][] = [
  [
    'empty condition',
    [
      {
        local: [{ user: { name: '{0} {1}', email: '{2}' }, group: { name: '{3}', domain: { id: '0cd5e9' } } }],
        remote: [{ type: 'FirstName' }, { type: 'LastName' }, { type: 'Email' }, { type: 'OIDC_GROUPS' }],
      },
    ],
    { FirstName: ['Jane'], LastName: ['Doe'], Email: ['jane.doe@example.com'], OIDC_GROUPS: ['developers', 'testers'] },
    {
      user: { name: 'Jane Doe', email: 'jane.doe@example.com', type: 'ephemeral' },
      group_names: [
        { name: 'developers', domain: { id: '0cd5e9' } },
        { name: 'testers', domain: { id: '0cd5e9' } },
      ],
    },
  ],
  [
    'any_one_of with a group by id',
    [
      {
        local: [{ user: { name: '{0}' }, group: { id: '0cd5e9' } }],
        remote: [{ type: 'UserName' }, { type: 'HTTP_OIDC_GROUPIDS', any_one_of: ['HTTP_OIDC_EMAIL'] }],
      },
    ],
    { ...people, HTTP_OIDC_GROUPIDS: ['other', 'HTTP_OIDC_EMAIL'] },
    { user: { name: 'jsmith', type: 'ephemeral' }, group_ids: ['0cd5e9'] },
  ],
  [
    'whitelist',
    [
      {
        local: [{ user: { name: '{0}' } }, { groups: '{1}', domain: home }],
        remote: [{ type: 'UserName' }, { type: 'HTTP_OIDC_GROUPIDS', whitelist: ['Developers', 'OpsTeam'] }],
      },
    ],
    { ...people, HTTP_OIDC_GROUPIDS: ['Developers', 'OpsTeam', 'Finance', 'Marketing'] },
    { group_names: [group('Developers'), group('OpsTeam')] },
  ],
  [
    'blacklist',
    [
      {
        local: [{ user: { name: '{0}' } }, { groups: '{1}', domain: home }],
        remote: [{ type: 'UserName' }, { type: 'HTTP_OIDC_GROUPIDS', blacklist: ['Finance'] }],
      },
    ],
    { ...people, HTTP_OIDC_GROUPIDS: ['Developers', 'OpsTeam', 'Finance', 'Marketing'] },
    { group_names: [group('Developers'), group('OpsTeam'), group('Marketing')] },
  ],
  [
    'a local user',
    [
      {
        local: [{ user: { name: 'local_user', type: 'local', domain: { name: 'local_domain' } } }],
        remote: [{ type: 'UserName' }],
      },
    ],
    people,
    { user: { name: 'local_user', type: 'local', domain: { name: 'local_domain' } }, group_ids: [], group_names: [] },
  ],
  [
    'regular expressions',
    [
      {
        local: [{ user: { name: '{0}' }, group: { name: '{1}', domain: home } }],
        remote: [
          { type: 'UserName' },
          { type: 'HTTP_OIDC_GROUPIDS', any_one_of: ['.*@yeah.com$'], regex: true },
          { type: 'HTTP_OIDC_GROUPIDS', whitelist: ['Project.*$'], regex: true },
        ],
      },
    ],
    { ...people, HTTP_OIDC_GROUPIDS: ['admin@yeah.com', 'users@yeah.com', 'ProjectAlpha', 'ProjectBeta', 'Finance'] },
    { group_names: [group('ProjectAlpha'), group('ProjectBeta')] },
  ],
  [
    'combined conditions',
    [
      {
        local: [{ user: { name: '{0}' }, group: { id: '0cd5e9' } }],
        remote: [
          { type: 'UserName' },
          { type: 'cn=IBM_Canada_Lab', not_any_of: ['.*@naww.com$'], regex: true },
          { type: 'cn=IBM_USA_Lab', any_one_of: ['.*@yeah.com$'], regex: true },
        ],
      },
    ],
    { UserName: ['a@yeah.com'], 'cn=IBM_USA_Lab': ['a@yeah.com'], 'cn=IBM_Canada_Lab': ['a@yeah.com'] },
    { user: { name: 'a@yeah.com', type: 'ephemeral' }, group_ids: ['0cd5e9'] },
  ],
  [
    'several rules, one for the user',
    [
      { local: [{ user: { id: '{0}' } }], remote: [{ type: 'UserName' }] },
      {
        local: [{ group: group('non-contractors') }],
        remote: [{ type: 'orgPersonType', not_any_of: ['Contractor', 'SubContractor'] }],
      },
      { local: [{ group: group('contractors') }], remote: [{ type: 'orgPersonType', any_one_of: ['Contractor', 'SubContractor'] }] },
    ],
    { ...people, orgPersonType: ['Employee'] },
    { user: { id: 'jsmith', type: 'ephemeral' }, group_names: [group('non-contractors')] },
  ],
  [
    'projects',
    [
      {
        local: [
          { user: { name: '{0}' } },
          {
            projects: [
              { name: 'Production', roles: [{ name: 'reader' }] },
              { name: 'Project for {0}', roles: [{ name: 'admin' }] },
            ],
          },
        ],
        remote: [{ type: 'UserName' }],
      },
    ],
    people,
    {
      projects: [
        { name: 'Production', roles: [{ name: 'reader' }] },
        { name: 'Project for jsmith', roles: [{ name: 'admin' }] },
      ],
    },
  ],
  [
    'groups of another Keystone',
    [
      {
        local: [{ user: { name: '{0}' } }, { groups: '{1}' }],
        remote: [{ type: 'openstack_user' }, { type: 'openstack_groups' }],
      },
    ],
    { openstack_user: ['bob'], openstack_groups: ['JSON:{"name":"group1","domain":{"name":"Default"}}'] },
    { group_names: [{ name: 'group1', domain: { name: 'Default' } }] },
  ],
]

describe('mapping', () => {
  for (const [name, rules, assertion, expected] of examples) {
    test(`Keystone's example: ${name}`, () => {
      const mapped = applyMapping(mapping(rules), assertion)
      for (const [field, value] of Object.entries(expected)) assert.deepEqual(mapped[field as keyof Mapped], value, field)
    })
  }

  test('a rule that is not met gives nothing, and a mapping of such rules lets nobody in', () => {
    const rules = [{ local: [{ user: { name: '{0}' } }], remote: [{ type: 'UserName' }, { type: 'Staff', any_one_of: ['yes'] }] }]
    assert.throws(() => applyMapping(mapping(rules), { ...people, Staff: ['no'] }), { status: 401, message: /Could not map any federated/ })
    assert.throws(() => applyMapping(mapping(rules), people), { status: 401 })
    assert.throws(() => applyMapping(mapping(rules), { ...people, Staff: [] }), { status: 401 })
  })

  test("from version 2.0 on the rule's domain counts for its user and projects that name none", () => {
    const rules = [
      {
        local: [
          {
            user: { name: '{0}' },
            domain: home,
            projects: [
              { name: 'a', roles: [] },
              { name: 'b', roles: [], domain: { name: 'other' } },
            ],
          },
        ],
        remote: [{ type: 'UserName' }],
      },
    ]
    const { user, projects } = applyMapping(mapping(rules, '2.0'), people)
    assert.deepEqual(user.domain, home)
    assert.deepEqual(
      projects.map(({ domain }) => domain),
      [home, { name: 'other' }],
    )
    assert.throws(() => mapping(rules, '1.0'), { status: 400 })
    const plain = [{ local: [{ user: { name: '{0}' }, domain: home }], remote: [{ type: 'UserName' }] }]
    assert.equal(applyMapping(mapping(plain, '1.0'), people).user.domain, undefined)
  })

  test('version 3.0 takes projects as JSON, if they are such', () => {
    const rules = [{ local: [{ user: { name: '{0}' }, projects_json: '{1}' }], remote: [{ type: 'UserName' }, { type: 'Projects' }] }]
    const sent = (text: string) => applyMapping(mapping(rules, '3.0'), { ...people, Projects: [text] }).projects
    const project = { name: 'x', roles: [{ name: 'member' }], domain: { name: 'Default' } }
    assert.deepEqual(sent(JSON.stringify([project])), [project])
    assert.throws(() => sent('[{"name":"x"}]'), { status: 401 })
    assert.throws(() => sent('no JSON'), { status: 401 })
    assert.throws(() => mapping(rules, '2.0'), { status: 400 })
  })

  test('what makes no sense is refused when the mapping is made', () => {
    const remote = [{ type: 'UserName' }]
    for (const bad of [
      {},
      { rules: [] },
      { rules: [{ local: [{ user: { name: 'x' } }] }] },
      { rules: [{ local: [{ user: { name: 'x' } }], remote: [] }] },
      { rules: [{ local: [{ user: { name: 'x', role: 'y' } }], remote }] },
      { rules: [{ local: [{ user: { type: 'other' } }], remote }] },
      { rules: [{ local: [{ group: { name: 'x' } }], remote }] },
      { rules: [{ local: [{}], remote: [{ type: 'x', any_one_of: ['a'], whitelist: ['b'] }] }] },
      { rules: [{ local: [{}], remote: [{ type: 'x', any_one_of: ['('], regex: true }] }] },
      { rules: [{ local: [{}], remote }], schema_version: '9' },
      { rules: [{ local: [{}], remote }], more: 1 },
    ]) {
      assert.throws(() => checkMapping(bad), { status: 400 }, JSON.stringify(bad))
    }
    assert.doesNotThrow(() => checkMapping({ rules: [{ local: [{}], remote: [{ type: 'x', whitelist: ['(?i)admins'], regex: true }] }] }))
  })

  test('a rule that refers to what it does not pass on, or to one value where there are several, lets nobody in', () => {
    const rule = (name: string) => mapping([{ local: [{ user: { name } }], remote: [{ type: 'UserName' }, { type: 'Groups' }] }])
    const both = { ...people, Groups: ['a', 'b'] }
    assert.throws(() => applyMapping(rule('{2}'), both), { status: 401, message: /refers to \{2\}/ })
    assert.throws(() => applyMapping(rule('{1}'), both), { status: 401, message: /several/ })
    assert.throws(() => applyMapping(rule('x{1}'), both), { status: 401, message: /several/ })
    assert.equal(applyMapping(rule('{{{0}}}'), both).user.name, '{jsmith}')
  })

  test('nothing that a provider sends is taken for more than text', () => {
    const rules = [{ local: [{ user: { name: '{0}' }, groups: '{1}', domain: home }], remote: [{ type: 'UserName' }, { type: 'Groups' }] }]
    const hostile = fc.oneof(
      fc.string(),
      fc.constantFrom(
        '{0}',
        "['admins', 'b']",
        'a;admins',
        'JSON:{"name":"admins","domain":{"name":"Default"}}',
        '$&',
        '{{}}',
        '__proto__',
      ),
    )
    fc.assert(
      fc.property(hostile, fc.uniqueArray(hostile), (user, groups) => {
        fc.pre(!groups.some((text) => text.startsWith('JSON:')))
        const assertion = { UserName: [user], Groups: groups }
        if (groups.length === 0) return assert.throws(() => applyMapping(mapping(rules), assertion), { status: 401 })
        const mapped = applyMapping(mapping(rules), assertion)
        assert.equal(mapped.user.name, user)
        assert.deepEqual(mapped.group_names, groups.map(group))
      }),
    )
    const own = applyMapping(mapping(rules), { UserName: ['u'], Groups: ['JSON:{"name":"x","domain":{"name":"Default"}}'] })
    assert.deepEqual(own.group_names, [group('x')])
  })

  test('whitelist and blacklist part the values; any_one_of and not_any_of are opposites', () => {
    const words = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'ab', 'B'), { minLength: 1 })
    const through = (requirement: Requirement, values: string[]) =>
      applyMapping(mapping([{ local: [{ user: { name: 'x' }, group_ids: '{0}' }], remote: [requirement] }]), { Groups: values }).group_ids
    const applies = (requirement: Requirement, values: string[]) => {
      try {
        applyMapping(mapping([{ local: [{ user: { name: 'x' } }], remote: [requirement] }]), { Groups: values })
        return true
      } catch {
        return false
      }
    }
    fc.assert(
      fc.property(words, words, fc.boolean(), (values, wanted, regex) => {
        const white = through({ type: 'Groups', whitelist: wanted, regex }, values)
        const black = through({ type: 'Groups', blacklist: wanted, regex }, values)
        assert.deepEqual([...white, ...black].sort(), [...values].sort())
        const any = applies({ type: 'Groups', any_one_of: wanted, regex }, values)
        assert.equal(any, white.length > 0)
        assert.equal(applies({ type: 'Groups', not_any_of: wanted, regex }, values), !any)
      }),
    )
  })
})
