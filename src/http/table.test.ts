import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { Type as t } from 'typebox'
import { envelopes } from './envelope.ts'
import { badRequest, Fault, notBuilt, notFound } from './fault.ts'
import { type AnyRow, changed, row, type Service, since } from './table.ts'
import { type Asked, fakeApi, member } from './testing.ts'

const Create = t.Object(
  {
    keypair: t.Object(
      {
        name: t.String({ minLength: 1, maxLength: 255 }),
        public_key: t.Optional(t.String()),
        type: since('2.2', t.Optional(t.Union([t.Literal('ssh'), t.Literal('x509')]))),
        adminPass: t.Optional(t.String({ minLength: 8 })),
      },
      { additionalProperties: false, required: changed('2.92', ['name'], ['name', 'public_key']) },
    ),
  },
  { additionalProperties: false },
)

const rows: AnyRow[] = [
  row({ route: 'GET /', policy: null, reply: 200, run: () => ({ version: 'v2.1' }) }),
  row({
    route: 'GET /keys',
    policy: 'keys:index',
    query: t.Object({ limit: t.Optional(t.Integer({ minimum: 0 })), tag: t.Optional(t.Array(t.String())) }),
    reply: 200,
    run: ({ query, url, version }) => ({ query, url: { ...url }, version }),
  }),
  row({
    route: 'POST /keys',
    policy: 'keys:create',
    body: Create,
    reply: changed('2.2', 200, 201),
    run: ({ body, header }) => {
      header('location', '/x')
      return { keypair: body.keypair }
    },
  }),
  row({
    route: 'GET /keys/:id',
    policy: 'keys:show',
    target: 'loaded',
    reply: 200,
    run: ({ params, must }) => {
      if (params.id === 'none') throw notFound('Keypair none could not be found.')
      if (params.id === 'forgotten') return { secret: 1 }
      must('keys:show', { project_id: params.id })
      return { id: params.id }
    },
  }),
  row({
    route: 'DELETE /keys/:id',
    policy: 'keys:delete',
    target: ({ params }) => ({ project_id: params.id }),
    reply: 204,
    run: () => undefined,
  }),
  row({
    route: 'POST /keys/:id/action#start',
    policy: 'keys:create',
    body: t.Object({ start: t.Null() }, { additionalProperties: false }),
    reply: 202,
    run: () => undefined,
  }),
  row({
    route: 'POST /keys/:id/action#lock',
    since: '2.9',
    policy: 'keys:create',
    body: t.Object({ lock: t.Unknown() }),
    reply: 202,
    run: ({ status, header }) => {
      status(200)
      header('x-lock', '1')
      return { locked: true }
    },
  }),
  row({ route: 'GET /new', since: '2.10', policy: 'keys:index', reply: 200, run: () => ({}) }),
  row({
    route: 'GET /boom',
    policy: 'keys:index',
    reply: 200,
    run: () => {
      throw new Error('the password is hunter2')
    },
  }),
  row({
    route: 'GET /lost',
    policy: 'keys:index',
    reply: 200,
    run: () => {
      throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    },
  }),
  row({
    route: 'GET /uuid/:id',
    policy: 'keys:index',
    reply: 200,
    run: ({ params }) => {
      throw Object.assign(new Error(`invalid input syntax for type uuid: "${params.id}"`), { code: '22P02' })
    },
  }),
  row({
    route: 'GET /unbuilt',
    policy: 'keys:index',
    reply: 200,
    run: () => {
      throw notBuilt('Floating IPs')
    },
  }),
  row({
    route: 'PUT /data/:id',
    policy: 'keys:create',
    input: 'stream',
    transaction: 'own',
    reply: 204,
    run: async ({ input, header }) => {
      let size = 0
      for await (const chunk of input) size += (chunk as Buffer).length
      header('x-size', String(size))
    },
  }),
  row({ route: 'GET /data/:id', policy: 'keys:show', reply: 200, run: () => Readable.from([Buffer.from('ab'), Buffer.from('c')]) }),
  row({
    route: 'PATCH /data/:id',
    policy: 'keys:create',
    input: 'json-patch',
    body: t.Array(t.Unknown()),
    reply: 200,
    run: ({ body }) => ({ body }),
  }),
  row({
    route: 'POST /retried',
    policy: 'keys:create',
    body: t.Unknown(),
    reply: 200,
    run: ({ header, tx }) => {
      header('x-try', '1')
      return { attempt: (tx as unknown as { attempt: number }).attempt }
    },
  }),
]

const toy: Service = {
  type: 'compute',
  prefixes: ['/compute/v2.1', '/compute/v2/:project_id'],
  microversion: { header: 'compute', legacyHeader: 'X-OpenStack-Nova-API-Version', min: '2.1', max: '2.96' },
  envelope: envelopes.compute,
  rows,
  policies: {
    'keys:index': 'role:reader',
    'keys:show': 'project_id:%(project_id)s',
    'keys:create': 'role:member and project_id:%(project_id)s',
    'keys:delete': 'role:admin or project_id:%(project_id)s',
  },
}
const network: Service = {
  type: 'network',
  prefixes: ['/network/v2.0'],
  envelope: envelopes.network,
  policies: { a: '@' },
  rows: [
    row({
      route: 'POST /networks',
      policy: 'a',
      body: t.Object({ network: t.Object({ name: t.String({ maxLength: 3 }) }, { additionalProperties: false }) }),
      reply: 201,
      run: ({ body }) => body,
    }),
  ],
}

const key = (name: string, more: object = {}) => ({ keypair: { name, ...more } })

test('a row answers at the version asked for', async (context) => {
  const { ask } = fakeApi(context, [toy])
  const post = (version: string, payload: object): Promise<Asked> => ask('POST', '/compute/v2.1/keys', { version, payload })
  assert.equal((await post('2.1', key('a'))).status, 200)
  assert.equal((await post('2.1', key('a', { type: 'x509' }))).status, 400)
  const made = await post('2.2', key('a', { type: 'x509' }))
  assert.equal(made.status, 201)
  assert.deepEqual(made.body, key('a', { type: 'x509' }))
  assert.equal(made.headers['openstack-api-version'], 'compute 2.2')
  assert.equal(made.headers['x-openstack-nova-api-version'], '2.2')
  assert.match(String(made.headers.vary), /OpenStack-API-Version/)
  assert.equal(made.headers.location, '/x')
  assert.match(String(made.headers['x-openstack-request-id']), /^req-[0-9a-f-]{36}$/)
  assert.equal((await post('2.92', key('a'))).status, 400)
  assert.equal((await post('latest', key('a', { public_key: 'k' }))).headers['openstack-api-version'], 'compute 2.96')
  assert.equal((await ask('GET', '/compute/v2.1/new')).status, 404)
  assert.equal((await ask('GET', '/compute/v2.1/new', { version: '2.10' })).status, 200)
})

test('versions that are malformed or not spoken', async (context) => {
  const { ask } = fakeApi(context, [toy])
  const old = await ask('GET', '/compute/v2.1/keys', { version: '2.97' })
  assert.equal(old.status, 406)
  assert.deepEqual(old.body, {
    computeFault: { code: 406, message: 'Version 2.97 is not supported by the API. Minimum is 2.1 and maximum is 2.96.' },
  })
  assert.equal((await ask('GET', '/compute/v2.1/keys', { version: 'two' })).status, 400)
})

test('validation names the field and never repeats a secret', async (context) => {
  const { ask } = fakeApi(context, [toy, network])
  const post = async (payload: unknown) => (await ask('POST', '/compute/v2.1/keys', { payload })).body
  assert.deepEqual(await post(key('')), { badRequest: { code: 400, message: "Invalid input for field/attribute name. '' is too short" } })
  assert.deepEqual(await post(key('a', { color: 1 })), {
    badRequest: {
      code: 400,
      message: "Invalid input for field/attribute keypair. Additional properties are not allowed ('color' was unexpected)",
    },
  })
  assert.ok(!JSON.stringify(await post(key('a', { adminPass: 'hunt3r' }))).includes('hunt3r'))
  const neutron = await ask('POST', '/network/v2.0/networks', { payload: { network: { name: 'long' } } })
  assert.deepEqual(neutron.body, {
    NeutronError: { type: 'InvalidInput', message: "Invalid input for name. Reason: 'long' is too long.", detail: '' },
  })
  const query = await ask('GET', '/compute/v2.1/keys?limit=-1')
  assert.equal(query.status, 400)
  assert.match(JSON.stringify(query.body), /query parameters limit/)
})

test('queries are converted to the types of the schema, and the address is told as the client sees it', async (context) => {
  const { ask } = fakeApi(context, [toy])
  const answer = await ask('GET', '/compute/v2.1/keys?limit=5&tag=a', {
    headers: { host: 'cloud.example:5000', 'x-forwarded-proto': 'https' },
  })
  assert.deepEqual(answer.body, {
    query: { limit: 5, tag: ['a'] },
    url: { origin: 'https://cloud.example:5000', path: '/compute/v2.1/keys', search: '?limit=5&tag=a' },
    version: '2.1',
  })
})

test('tokens: missing, refused, and rows open to anyone', async (context) => {
  const { ask } = fakeApi(context, [toy])
  const missing = await ask('GET', '/compute/v2.1/keys', { token: '' })
  assert.equal(missing.status, 401)
  assert.equal(missing.headers['www-authenticate'], 'Keystone uri="http://localhost:80/identity"')
  assert.equal((await ask('GET', '/compute/v2.1/keys', { token: 'forged' })).status, 401)
  assert.deepEqual((await ask('GET', '/compute/v2.1', { token: '' })).body, { version: 'v2.1' })
  assert.equal((await ask('GET', '/compute/v2.1/', { token: '' })).status, 200)
})

test('policy is checked before the run, on what the row loads, or the row fails closed', async (context) => {
  const { ask } = fakeApi(context, [toy])
  assert.equal((await ask('GET', '/compute/v2.1/keys', { who: { ...member, roles: [] } })).status, 403)
  const foreign = await ask('GET', '/compute/v2.1/keys/p2')
  assert.equal(foreign.status, 403)
  assert.match(JSON.stringify(foreign.body), /Policy doesn't allow keys:show to be performed/)
  assert.equal((await ask('GET', '/compute/v2.1/keys/p1')).status, 200)
  assert.equal((await ask('GET', '/compute/v2.1/keys/forgotten')).status, 500)
  assert.equal((await ask('DELETE', '/compute/v2.1/keys/p2')).status, 403)
  const gone = await ask('DELETE', '/compute/v2.1/keys/p1')
  assert.deepEqual([gone.status, gone.text], [204, ''])
  // The path names the project: the caller of another one is refused.
  assert.equal((await ask('POST', '/compute/v2/p2/keys', { payload: key('a') })).status, 403)
  assert.equal((await ask('POST', '/compute/v2/p1/keys', { payload: key('a') })).status, 200)
})

test('the first key of an action selects its row', async (context) => {
  const { ask } = fakeApi(context, [toy])
  const act = (payload: unknown, version = '2.1') => ask('POST', '/compute/v2.1/keys/p1/action', { payload, version })
  assert.equal((await act({ start: null })).status, 202)
  assert.equal((await act({ start: 5 })).status, 400)
  assert.equal((await act({ lock: null })).status, 404)
  const locked = await act({ lock: null }, '2.9')
  assert.deepEqual([locked.status, locked.headers['x-lock'], locked.body], [200, '1', { locked: true }])
  assert.match(JSON.stringify((await act({ fly: 1 })).body), /no such action: fly/)
  for (const malformed of [{}, [], { start: null, lock: null }, 'x']) assert.equal((await act(malformed)).status, 400)
  assert.equal((await act({ constructor: 1 })).status, 400)
})

test('writes run in a transaction that may be tried again; headers of a try that failed are forgotten', async (context) => {
  const { ask, db } = fakeApi(context, [toy])
  db.failures = 2
  const answer = await ask('POST', '/compute/v2.1/retried', { payload: {} })
  assert.deepEqual([answer.status, answer.body, answer.headers['x-try']], [200, { attempt: 3 }, '1'])
  assert.equal(db.writes, 1)
  await ask('GET', '/compute/v2.1/keys')
  assert.equal(db.writes, 1)
})

test('what is unforeseen tells nothing but the request id; the database has its own answers', async (context) => {
  const { ask, logged } = fakeApi(context, [toy])
  const boom = await ask('GET', '/compute/v2.1/boom')
  assert.equal(boom.status, 500)
  assert.ok(!boom.text.includes('hunter2'))
  assert.ok(boom.text.includes(String(boom.headers['x-openstack-request-id'])))
  assert.ok(logged.some(({ level, data }) => level === 'error' && data.request_id === boom.headers['x-openstack-request-id']))
  const lost = await ask('GET', '/compute/v2.1/lost')
  assert.deepEqual([lost.status, lost.headers['retry-after']], [503, '2'])
  assert.equal((await ask('GET', '/compute/v2.1/uuid/abc')).status, 404)
  assert.deepEqual((await ask('GET', '/compute/v2.1/unbuilt')).body, {
    notImplemented: { code: 501, message: 'Floating IPs: not available in this version of Wisp.' },
  })
})

test('unknown paths, other verbs, HEAD and trailing slashes', async (context) => {
  const { ask } = fakeApi(context, [toy, network])
  assert.deepEqual(Object.keys((await ask('GET', '/compute/v2.1/nothing')).body as object), ['itemNotFound'])
  assert.deepEqual(Object.keys((await ask('GET', '/network/v2.0/nothing')).body as object), ['NeutronError'])
  assert.deepEqual(Object.keys((await ask('GET', '/nothing')).body as object), ['errors'])
  const wrong = await ask('PUT', '/compute/v2.1/keys/p1')
  assert.deepEqual([wrong.status, wrong.headers.allow], [405, 'DELETE, GET, HEAD'])
  assert.equal((await ask('GET', '/compute/v2.1/keys/')).status, 200)
  const nameless = await ask('DELETE', '/compute/v2.1/nothing/', { headers: { 'content-type': 'application/json' } })
  assert.equal(nameless.status, 404)
  const strict = fakeApi(context, [{ ...toy, strictSlash: true, requestIdHeader: 'x-compute-request-id' }])
  assert.equal((await strict.ask('GET', '/compute/v2.1/keys/')).status, 404)
  assert.equal((await strict.ask('DELETE', '/compute/v2.1/keys/')).status, 404)
  const strictly = await strict.ask('GET', '/compute/v2.1/keys')
  assert.deepEqual([strictly.status, strictly.headers['x-compute-request-id']], [200, strictly.headers['x-openstack-request-id']])
  const head = await ask('HEAD', '/compute/v2.1/keys/p1')
  assert.deepEqual([head.status, head.text, head.headers['content-length']], [200, '', '11'])
  assert.equal((await ask('GET', '/compute/v2.1/keys/none')).status, 404)
})

test('bodies that no JSON row takes', async (context) => {
  const { ask } = fakeApi(context, [toy])
  const raw = async (payload: string | Buffer, type = 'application/json') =>
    (await ask('POST', '/compute/v2.1/keys', { payload, headers: { 'content-type': type } })).status
  assert.equal(await raw('{"keypair":'), 400)
  assert.equal(await raw('{"keypair":{"name":"a"}}', 'text/plain'), 415)
  assert.equal(await raw('{"keypair":{"name":"a"}}', 'application/json; charset=UTF-8'), 200)
  assert.equal(await raw('{"keypair":{"name":"a\\u0000"}}'), 400)
  assert.equal(await raw('{"keypair":{"name":"a\\ud800"}}'), 400)
  assert.equal(await raw('{"keypair":{"name":"\\ud83d\\ude00"}}'), 200)
  assert.equal(await raw('{"keypair":{"name":"a","__proto__":{}}}'), 400)
  assert.equal(await raw(Buffer.from([0x22, 0xff, 0x22])), 400)
  assert.equal(await raw(''), 400)
  assert.equal(await raw(JSON.stringify(key('a'.repeat(2_000_000)))), 413)
})

test('percent encodings that are no text', async (context) => {
  const { ask } = fakeApi(context, [toy])
  assert.equal((await ask('GET', '/compute/v2.1/keys/%zz')).status, 400)
  assert.equal((await ask('GET', '/compute/v2.1/keys?tag=%ff')).status, 400)
  assert.equal((await ask('GET', '/compute/v2.1/keys?tag=%00')).status, 400)
  assert.equal((await ask('GET', '/compute/v2.1/keys/%00')).status, 404)
  assert.equal((await ask('GET', `/compute/v2.1/keys/${'x'.repeat(3000)}`)).status, 404)
})

test('streams in and out, and JSON patches by their media type', async (context) => {
  const { ask } = fakeApi(context, [toy])
  const put = await ask('PUT', '/compute/v2.1/data/p1', {
    payload: Buffer.alloc(3_000_000),
    headers: { 'content-type': 'application/octet-stream' },
  })
  assert.deepEqual([put.status, put.headers['x-size']], [204, '3000000'])
  const got = await ask('GET', '/compute/v2.1/data/p1')
  assert.deepEqual([got.text, got.headers['content-type']], ['abc', 'application/octet-stream'])
  const patch = (type: string) => ask('PATCH', '/compute/v2.1/data/p1', { payload: '[{"op":"add"}]', headers: { 'content-type': type } })
  assert.equal((await patch('application/openstack-images-v2.1-json-patch')).status, 200)
  assert.equal((await patch('application/json')).status, 415)
})

test('health, metrics and the OpenAPI document', async (context) => {
  const { ask } = fakeApi(context, [toy])
  await ask('GET', '/compute/v2.1/keys')
  const counted = await ask('GET', '/metrics', { token: '' })
  assert.match(counted.text, /wisp_http_requests_total\{service="compute",route="GET \/compute\/v2.1\/keys",method="GET",status="200"\} 1/)
  const document = (await ask('GET', '/compute/v2.1/openapi.json', { token: '' })).body as {
    openapi: string
    paths: Record<string, object>
  }
  assert.equal(document.openapi, '3.1.0')
  assert.deepEqual(Object.keys(document.paths['/keys/{id}']!), ['get', 'delete'])
  assert.equal((await ask('GET', '/healthz', { token: '' })).status, 200)
})

test('a fault of the authentication itself is handed on', async (context) => {
  const { ask } = fakeApi(context, [toy], { authenticate: async () => new Fault(503, 'later', { headers: { 'retry-after': '1' } }) })
  assert.equal((await ask('GET', '/compute/v2.1/keys')).status, 503)
  assert.equal(badRequest('x').status, 400)
})
