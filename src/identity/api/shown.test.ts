// Lists remember what objects looked like: nothing that has changed since may be shown as it was.
import assert from 'node:assert/strict'
import { after, before, describe, it, mock } from 'node:test'
import { sql } from 'kysely'
import { noCompliance } from '../../security-compliance.ts'
import { passwords, type TestCloud, testCloud } from '../testing.ts'

type Thing = Record<string, unknown> & { id: string; links: { self: string } }

describe('lists that remember', () => {
  let cloud: TestCloud
  let admin: string
  before(async () => {
    cloud = await testCloud('flat', { ...noCompliance, disable_user_account_days_inactive: 30 })
    admin = await cloud.signIn('admin', passwords.admin)
  })
  after(() => cloud.end())

  const list = async (kind: 'users' | 'projects', query = '', headers: Record<string, string> = {}): Promise<Thing[]> => {
    const { status, body } = await cloud.send('GET', `/${kind}${query}`, admin, undefined, headers)
    assert.equal(status, 200)
    return body[kind] as unknown as Thing[]
  }
  const one = async (kind: 'users' | 'projects', id: string): Promise<Thing> => {
    const { body } = await cloud.send('GET', `/${kind}/${id}`, admin)
    return body[kind.slice(0, -1)] as Thing
  }
  const make = async (kind: 'users' | 'projects', object: object): Promise<string> => {
    const { status, body } = await cloud.send('POST', `/${kind}`, admin, { [kind.slice(0, -1)]: object })
    assert.equal(status, 201)
    return (body[kind.slice(0, -1)] as Thing).id
  }
  const listed = async (kind: 'users' | 'projects', id: string) => (await list(kind)).find((thing) => thing.id === id)

  for (const kind of ['users', 'projects'] as const) {
    it(`show ${kind} as they are by themselves, after each change, too`, async () => {
      const id = await make(kind, { name: `"quoted" \\ ${kind}\u2028`, description: null, colour: 'a "red" one' })
      assert.deepEqual(await listed(kind, id), await one(kind, id))
      assert.deepEqual(await listed(kind, id), await one(kind, id), 'the second list, which remembers')
      for (const change of [{ name: `${kind} renamed` }, { enabled: false }, { colour: 'blue' }]) {
        await cloud.send('PATCH', `/${kind}/${id}`, admin, { [kind.slice(0, -1)]: change })
        const shown = await listed(kind, id)
        assert.deepEqual(shown, await one(kind, id))
        for (const [name, value] of Object.entries(change)) assert.equal(shown?.[name], value)
      }
      await cloud.send('DELETE', `/${kind}/${id}`, admin)
      assert.equal(await listed(kind, id), undefined)
    })
  }

  it('link to the address under which each client came', async () => {
    for (const host of ['one.test', 'other.test:5000'])
      for (const { id, links } of await list('projects', '', { host }))
        assert.equal(links.self, `http://${host}/identity/v3/projects/${id}`)
  })

  it('cut at the limit and say where the next page is', async () => {
    const all = await list('projects')
    const { body } = await cloud.send('GET', '/projects?limit=1', admin)
    assert.deepEqual(body.projects, all.slice(0, 1))
    assert.match(String(body.links?.next), new RegExp(`/projects\\?limit=1&marker=${all[0]!.id}$`))
    const rest = await cloud.send('GET', `/projects?marker=${all[0]!.id}`, admin)
    assert.deepEqual(rest.body.projects, all.slice(1))
    assert.equal(rest.body.links?.next, null)
  })

  it('show when a password expires and that an idle user is disabled, although the change is not in the row of the user', async () => {
    const id = await make('users', { name: 'idle', password: 'a long enough one' })
    assert.equal((await listed('users', id))?.password_expires_at, null)
    await sql`update identity.password set expires_at = '2031-02-03T04:05:06Z' where user_id = ${id}`.execute(cloud.db.read)
    assert.equal((await listed('users', id))?.password_expires_at, '2031-02-03T04:05:06.000000')
    assert.equal((await listed('users', id))?.enabled, true)
    await sql`update identity."user" set created_at = now() - interval '31 days' where id = ${id}`.execute(cloud.db.read)
    assert.equal((await listed('users', id))?.enabled, false)
  })

  it("show who is idle by this machine's day, also where the database has another", async () => {
    const id = await make('users', { name: 'nearly idle', password: 'a long enough one' })
    await sql`update identity."user" set created_at = now() - interval '30 days' where id = ${id}`.execute(cloud.db.read)
    mock.timers.enable({ apis: ['Date'], now: Date.now() - 86_400_000 })
    try {
      assert.equal((await listed('users', id))?.enabled, true)
    } finally {
      mock.timers.reset()
    }
    assert.equal((await listed('users', id))?.enabled, false)
  })
})
