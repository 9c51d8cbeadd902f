import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { Type as t } from 'typebox'
import { type AuditEvent, openAudit } from './audit.ts'
import { envelopes } from './envelope.ts'
import { notFound } from './fault.ts'
import { row, type Service } from './table.ts'
import { fakeApi, member } from './testing.ts'

const service: Service = {
  type: 'compute',
  prefixes: ['/compute/:project_id'],
  envelope: envelopes.compute,
  policies: { look: '@', change: 'role:member', rule: 'role:admin' },
  scopes: ['project'],
  rows: [
    row({ route: 'GET /servers', policy: 'look', reply: 200, run: () => ({ servers: [] }) }),
    row({
      route: 'GET /sign-in',
      policy: null,
      reply: 200,
      run({ audit }) {
        audit({ action: 'authenticate', initiator: { id: 'u9' }, target: { typeURI: 'service/security/account/user' } })
        return {}
      },
    }),
    row({
      route: 'POST /servers',
      policy: 'change',
      body: t.Object({ server: t.Object({ adminPass: t.String() }) }),
      reply: 202,
      run: () => ({ server: { id: 's1', adminPass: 'hush' } }),
    }),
    row({
      route: 'POST /servers/:id/action#reboot',
      policy: 'change',
      body: t.Object({ reboot: t.Object({}) }),
      reply: 202,
      run: () => {},
    }),
    row({
      route: 'DELETE /servers/:id',
      policy: 'change',
      reply: 204,
      run() {
        throw notFound()
      },
    }),
    row({ route: 'PUT /servers/:id', policy: 'rule', reply: 200, run: () => ({}) }),
  ],
}

test('every change is an event that says who did what, with which outcome', async (context) => {
  const events: AuditEvent[] = []
  const { ask } = fakeApi(context, [service], { audit: { write: (event) => void events.push(event), close: () => {} } })
  await ask('GET', '/compute/p1/servers?x=1')
  assert.equal(events.length, 0, 'looking is none')
  const made = await ask('POST', '/compute/p1/servers', { payload: { server: { adminPass: 'hush' } }, headers: { 'user-agent': 'cli' } })
  await ask('POST', '/compute/p1/servers/s1/action', { payload: { reboot: {} } })
  await ask('DELETE', '/compute/p1/servers/s2')
  await ask('PUT', '/compute/p1/servers/s1')
  await ask('PUT', '/compute/p1/servers/s1', { token: 'forged' })
  await ask('GET', '/compute/p1/sign-in?secret=hush')
  const seen = events.map(({ action, outcome, reason, initiator, target }) => {
    const { id, typeURI } = target as Record<string, string>
    return [action, outcome, (reason as Record<string, string>).reasonCode, (initiator as Record<string, string>).id, id, typeURI]
  })
  const servers = 'service/compute/servers'
  assert.deepEqual(seen, [
    ['create', 'success', '202', 'u1', 's1', servers],
    ['update/reboot', 'success', '202', 'u1', 's1', `${servers}/action`],
    ['delete', 'failure', '404', 'u1', 's2', servers],
    ['update', 'failure', '403', 'u1', 's1', servers],
    ['update', 'failure', '401', 'unknown', 's1', servers],
    ['authenticate', 'success', '200', 'u9', 'unknown', 'service/security/account/user'],
  ])
  assert.doesNotMatch(JSON.stringify(events), /hush|good|forged/, 'no secret and no token')
  const { id, eventTime, observer, initiator, ...rest } = events[0]!
  assert.match(String(id), /^[0-9a-f-]{36}$/)
  assert.match(String(eventTime), /\+00:00$/)
  assert.equal((observer as Record<string, string>).typeURI, 'service/compute')
  assert.deepEqual(initiator, {
    typeURI: 'service/security/account/user',
    id: 'u1',
    name: 'demo',
    credential: { type: 'token', audit_id: 'audit' },
    project_id: 'p1',
    host: { address: '127.0.0.1', agent: 'cli' },
    request_id: made.headers['x-openstack-request-id'],
  })
  assert.deepEqual(rest, {
    typeURI: 'http://schemas.dmtf.org/cloud/audit/1.0/event',
    eventType: 'activity',
    action: 'create',
    outcome: 'success',
    reason: { reasonType: 'HTTP', reasonCode: '202' },
    target: { id: 's1', typeURI: servers },
    requestPath: '/compute/p1/servers',
  })
})

test('a service that serves projects refuses tokens of a domain or of the system', async (context) => {
  const { ask } = fakeApi(context, [service])
  const list = async (who: Partial<typeof member>) => await ask('GET', '/compute/p1/servers', { who: { ...member, ...who } })
  assert.equal((await list({})).status, 200)
  assert.equal((await list({ project: null })).status, 200, 'who is unscoped counts as in a project')
  const system = await list({ project: null, system: true, roles: ['admin'] })
  assert.equal(system.status, 403)
  assert.match(system.text, /look to be performed: it needs a token of a project, not of the system/)
  assert.equal((await list({ project: null, domain: { id: 'd', name: 'D' } })).status, 403)
})

test('the log is a file of lines that only its owner reads, and grows', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-audit-'))
  try {
    const file = path.join(folder, 'made', 'audit.log')
    for (const n of [1, 2]) {
      const log = openAudit(file, { error: () => assert.fail('it can be written') })
      log.write({ n })
      log.close()
    }
    assert.deepEqual(
      fs
        .readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
      [{ n: 1 }, { n: 2 }],
    )
    assert.equal(fs.statSync(file).mode & 0o777, 0o600)
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
})
