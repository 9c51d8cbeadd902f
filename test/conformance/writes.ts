// One write that succeeds for each row of identity and image whose answer has a published schema, in an order in which each finds what it needs.

export interface Write {
  method: 'POST' | 'PUT' | 'PATCH'
  /** With {name} for what an earlier write has kept. */
  path: string
  body: unknown
  /** application/json by default. */
  type?: string
  /** The name under which the id in the answer is kept. */
  keep?: string
}

const post = (path: string, body: unknown, keep?: string): Write => ({ method: 'POST', path, body, ...(keep && { keep }) })
const put = (path: string, body: unknown): Write => ({ method: 'PUT', path, body })
const patch = (path: string, body: unknown, type?: string): Write => ({ method: 'PATCH', path, body, ...(type && { type }) })

const rules = [{ local: [{ user: { name: '{0}' } }], remote: [{ type: 'uid' }] }]
const sp = { sp_url: 'https://sp.example/ecp', auth_url: 'https://sp.example/auth' }
const ldap = { url: 'ldap://ldap.example', user_tree_dn: 'ou=people,dc=example' }

/** {user} and {password} are the caller's own. */
const identity: Write[] = [
  post('/auth/tokens', { auth: { identity: { methods: ['password'], password: { user: { id: '{user}', password: '{password}' } } } } }),
  post('/domains', { domain: { name: 'writes', description: 'd' } }, 'domain'),
  patch('/domains/{domain}', { domain: { description: 'changed' } }),
  post('/domains', { domain: { name: 'writes in LDAP' } }, 'directory'),
  put('/domains/{directory}/config', { config: { identity: { driver: 'ldap' }, ldap } }),
  patch('/domains/{directory}/config', { config: { ldap } }),
  patch('/domains/{directory}/config/ldap', { config: { ldap } }),
  patch('/domains/{directory}/config/ldap/url', { config: { url: ldap.url } }),
  post('/projects', { project: { name: 'writes', domain_id: '{domain}', description: 'd' } }, 'project'),
  patch('/projects/{project}', { project: { description: 'changed' } }),
  put('/projects/{project}/tags', { tags: ['one', 'two'] }),
  post('/groups', { group: { name: 'writes', domain_id: '{domain}' } }, 'group'),
  patch('/groups/{group}', { group: { description: 'changed' } }),
  post(
    '/users',
    { user: { name: 'writes', domain_id: '{domain}', password: 'a-password-1', default_project_id: '{project}' } },
    'somebody',
  ),
  patch('/users/{somebody}', { user: { description: 'changed', email: 'a@example.org' } }),
  post('/users/{user}/application_credentials', { application_credential: { name: 'writes', description: 'd' } }),
  post('/credentials', { credential: { user_id: '{user}', type: 'cert', blob: 'x' } }),
  post('/regions', { region: { id: 'writes', description: 'd' } }),
  patch('/regions/writes', { region: { description: 'changed' } }),
  post('/services', { service: { type: 'writes', name: 'writes', description: 'd' } }, 'service'),
  patch('/services/{service}', { service: { description: 'changed' } }),
  post(
    '/endpoints',
    { endpoint: { service_id: '{service}', interface: 'public', region_id: 'writes', url: 'http://w.example' } },
    'endpoint',
  ),
  patch('/endpoints/{endpoint}', { endpoint: { url: 'http://changed.example' } }),
  post('/roles', { role: { name: 'writes', description: 'd' } }, 'role'),
  patch('/roles/{role}', { role: { description: 'changed' } }),
  post('/roles', { role: { name: 'implied by writes' } }, 'implied'),
  put('/roles/{role}/implies/{implied}', undefined),
  put('/OS-FEDERATION/identity_providers/writes', { identity_provider: { enabled: true, remote_ids: ['https://idp.example'] } }),
  patch('/OS-FEDERATION/identity_providers/writes', { identity_provider: { description: 'changed' } }),
  put('/OS-FEDERATION/mappings/writes', { mapping: { rules } }),
  patch('/OS-FEDERATION/mappings/writes', { mapping: { rules } }),
  put('/OS-FEDERATION/identity_providers/writes/protocols/mapped', { protocol: { mapping_id: 'writes' } }),
  patch('/OS-FEDERATION/identity_providers/writes/protocols/mapped', { protocol: { mapping_id: 'writes' } }),
  put('/OS-FEDERATION/service_providers/writes', { service_provider: { ...sp, enabled: true } }),
  patch('/OS-FEDERATION/service_providers/writes', { service_provider: { description: 'changed' } }),
].map((write) => ({ ...write, path: `/identity/v3${write.path}` }))

const space = '/v2/metadefs/namespaces/writes'
const property = { title: 'P', type: 'string' }
const image: Write[] = [
  post('/v2/metadefs/namespaces', { namespace: 'writes', display_name: 'W', visibility: 'public' }),
  put(space, { namespace: 'writes', display_name: 'changed', visibility: 'public' }),
  post(`${space}/resource_types`, { name: 'OS::Writes', prefix: 'w_' }),
  post(`${space}/properties`, { name: 'p', ...property }),
  put(`${space}/properties/p`, { name: 'p', ...property, description: 'changed' }),
  post(`${space}/objects`, { name: 'o', description: 'd', properties: { p: property } }),
  put(`${space}/objects/o`, { name: 'o', description: 'changed', properties: { p: property } }),
  post(`${space}/tags`, { tags: [{ name: 'one' }, { name: 'two' }] }),
  post(`${space}/tags/three`, undefined),
  put(`${space}/tags/three`, { name: 'four' }),
  post('/v2/images', { name: 'writes', disk_format: 'raw', container_format: 'bare', visibility: 'shared', tags: ['t'] }, 'image'),
  patch('/v2/images/{image}', [{ op: 'add', path: '/own', value: 'x' }], 'application/openstack-images-v2.1-json-patch'),
  post('/v2/images/{image}/members', { member: 'friend' }),
  put('/v2/images/{image}/members/friend', { status: 'accepted' }),
  post('/v2/tasks', {
    type: 'import',
    input: {
      import_from: 'https://images.example.org/x.img',
      import_from_format: 'raw',
      image_properties: { disk_format: 'raw', container_format: 'bare' },
    },
  }),
].map((write) => ({ ...write, path: `/image${write.path}` }))

export const writes: Write[] = [...identity, ...image]

/** Rows with a published schema that answer with a page for a browser. */
export const pages = [
  'identity POST /auth/OS-FEDERATION/websso/{}',
  'identity POST /auth/OS-FEDERATION/identity_providers/{}/protocols/{}/websso',
  'identity POST /OS-FEDERATION/identity_providers/{}/protocols/{}/auth',
]
