import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sql } from 'kysely'
import { type TestDatabase, testDatabase } from '../database/testing.ts'
import { Fault } from '../http/fault.ts'
import { hostDoor, join, knowsJoinToken, makeJoinToken } from './join.ts'

describe('joining', () => {
  let test: TestDatabase
  before(async () => {
    test = await testDatabase()
  })
  after(() => test.drop())
  const token = (minutes?: number) => test.db.write((tx) => makeJoinToken(tx, minutes))
  const trade = (which: string, name: string, machine = `machine of ${name}`) => test.db.write((tx) => join(tx, which, name, machine))
  const refused = (status: number) => (error: unknown) => error instanceof Fault && error.status === status

  it('takes a token once, also from two machines at the same moment', async () => {
    const one = await token()
    const results = await Promise.allSettled(['a', 'b', 'c', 'd'].map((name) => trade(one, name)))
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
    for (const result of results) if (result.status === 'rejected') assert.ok(refused(403)(result.reason), String(result.reason))
    assert.equal((await test.db.read.selectFrom('wire.host').select('id').execute()).length, 1)
  })

  it('takes no unknown token, and none that has run out', async () => {
    await assert.rejects(trade('nonsense', 'x'), refused(403))
    await assert.rejects(trade(await token(-1), 'x'), refused(403))
  })

  it('knows whether a token is still good', async () => {
    const one = await token()
    assert.equal(await knowsJoinToken(test.db.read, one), true)
    await trade(one, 'known')
    assert.equal(await knowsJoinToken(test.db.read, one), false)
    assert.equal(await knowsJoinToken(test.db.read, await token(-1)), false)
    assert.equal(await knowsJoinToken(test.db.read, ''), false)
  })

  it('gives the same machine a new secret, and another machine nothing; the old secret is void', async () => {
    const first = await trade(await token(), 'again')
    const door = hostDoor(test.db)
    await door(`Bearer ${first.host_id}.${first.secret}`)
    const unused = await token()
    await assert.rejects(trade(unused, 'again', 'an impostor'), refused(409))
    const second = await trade(unused, 'again')
    assert.equal(second.host_id, first.host_id)
    assert.deepEqual((await door(`Bearer ${second.host_id}.${second.secret}`)).name, 'again')
    await assert.rejects(door(`Bearer ${first.host_id}.${first.secret}`), refused(401))
  })

  it('keeps no secret as it is', async () => {
    const given = await token()
    const { secret } = await trade(given, 'secretive')
    const { rows } = await sql<{ all: string }>`
      select coalesce(string_agg(h::text, ''), '') || (select string_agg(t::text, '') from wire.join_token t) as all from wire.host h`.execute(
      test.db.read,
    )
    assert.ok(!rows[0]!.all.includes(secret) && !rows[0]!.all.includes(given))
  })

  it('opens the door to a host’s own secret only', async () => {
    const { host_id, secret } = await trade(await token(), 'door')
    const other = await trade(await token(), 'other')
    const door = hostDoor(test.db)
    const good = `Bearer ${host_id}.${secret}`
    assert.equal((await door(good)).id, host_id)
    const bad = [
      undefined,
      '',
      'Bearer',
      good.slice(0, -1),
      `${good}x`,
      good.replace('Bearer', 'Basic'),
      `Bearer ${host_id}.${other.secret}`,
      `Bearer ${other.host_id}.${secret}`,
      `Bearer ${crypto.randomUUID()}.${secret}`,
    ]
    for (const wrong of bad) await assert.rejects(door(wrong), refused(401), wrong ?? 'nothing')
  })
})
