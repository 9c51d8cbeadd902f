import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, it, mock } from 'node:test'
import { loadConfig } from '../config.ts'
import { type TestDatabase, testDatabase } from '../database/testing.ts'
import { bootstrapIdentity } from '../identity/control/bootstrap.ts'
import { policy } from './policy.ts'

let test: TestDatabase
const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-policy-'))

before(async () => {
  test = await testDatabase()
  const ids = { adminPassword: 'a', demoPassword: 'd', region: 'RegionOne', sealingKey: () => [Buffer.alloc(32, 1)] }
  await test.db.write((tx) => bootstrapIdentity(tx, ids))
  fs.writeFileSync(path.join(home, 'policy.yaml'), '"identity:list_domains": "role:member"\n"mine": "role:admin"\n')
})
after(async () => {
  await test?.drop()
  fs.rmSync(home, { recursive: true })
})

/** What the command prints, and its exit status. */
async function say(...words: string[]): Promise<{ lines: string[]; status: number }> {
  const lines: string[] = []
  const log = mock.method(console, 'log', (line: string) => lines.push(line))
  try {
    return { status: await policy(loadConfig({ WISP_HOME: home, DATABASE_URL: test.url }), words), lines }
  } finally {
    log.mock.restore()
  }
}

it('lists rules, and says which ones the policy file changed', async () => {
  const { lines } = await say('list', 'identity:list_domains')
  assert.equal(lines.length, 2)
  assert.match(lines[0]!, /^\* identity +identity:list_domains: role:member$/)
  assert.match(lines[1]!, /policy\.yaml; the default is: .*role:reader/)
  const { lines: unchanged } = await say('list', 'os_compute_api:servers:create')
  assert.ok(unchanged.some((line) => /^ {2}compute +os_compute_api:servers:create: /.test(line)))
})

it('explains what a user may do, and what is missing', async () => {
  const allowed = await say('explain', 'demo', 'os_compute_api:servers:create', 'demo')
  assert.equal(allowed.status, 0)
  assert.match(allowed.lines[0]!, /^allowed {2}demo in project demo \(.*member/)
  const denied = await say('explain', 'demo', 'identity:create_project')
  assert.equal(denied.status, 1)
  assert.match(denied.lines[0]!, /^denied {3}demo in project demo .*: it needs role:admin/)
  assert.equal((await say('explain', 'demo', 'identity:list_domains', 'demo')).status, 0, 'the policy file counts')
})

it('explains what a user may do to one thing', async () => {
  const { read } = test.db
  const projects = await read.selectFrom('identity.project').select(['id', 'name']).where('name', 'in', ['demo', 'admin']).execute()
  const idOf = (name: string) => projects.find((project) => project.name === name)!.id
  for (const [id, owner] of [
    ['mine', idOf('demo')],
    ['theirs', idOf('admin')],
  ] as const)
    await read.insertInto('image.image').values({ id, owner, name: id, visibility: 'private' }).execute()
  const own = await say('explain', 'demo', 'delete_image', 'mine')
  assert.equal(own.status, 0)
  assert.match(own.lines.at(-1)!, /Asked of the image mine \(mine\)/)
  const foreign = await say('explain', 'demo', 'delete_image', 'demo', 'theirs')
  assert.equal(foreign.status, 1)
  assert.match(foreign.lines[0]!, /^denied .*project_id/)
  assert.equal((await say('explain', 'admin', 'delete_image', 'admin', 'mine')).status, 0)
  assert.equal((await say('explain', 'demo', 'identity:get_project', 'demo', idOf('demo'))).status, 0)
  assert.equal((await say('explain', 'demo', 'identity:get_project', 'demo', idOf('admin'))).status, 1)
})

it('says what it does not know', async () => {
  await assert.rejects(say('explain', 'nobody', 'identity:create_project'), /no user 'nobody'/)
  await assert.rejects(say('explain', 'demo', 'identity:fly'), /no rule 'identity:fly'/)
  await assert.rejects(say('explain', 'demo', 'identity:create_project', 'nowhere'), /'nowhere' is neither a project/)
  await assert.rejects(say('explain', 'demo', 'identity:create_project', 'admin'), /has no role in admin/)
  await assert.rejects(say('sing'), /wisp policy list/)
})
