// What images count for follows their rows, whatever statement changes these; and the API refuses what would be too much.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { admin, imageApi } from '../api/testing.ts'

const MiB = 1024 ** 2

async function limit(tx: Tx, name: string, default_limit: number): Promise<void> {
  await tx
    .insertInto('identity.service')
    .values({ id: 'glance', type: 'image', name: 'glance' })
    .onConflict((on) => on.doNothing())
    .execute()
  await sql`insert into identity.registered_limit (id, service_id, resource_name, default_limit) values (${name}, 'glance', ${name}, ${default_limit})
    on conflict (id) do update set default_limit = excluded.default_limit`.execute(tx)
}

/** Usage as the rows themselves have it, and as it was counted. */
async function both(tx: Tx) {
  const { rows: counted } = await sql`select project_id, resource, used from identity.usage where used > 0 order by 1, 2`.execute(tx)
  const { rows: real } = await sql`
    select owner as project_id, c.resource, sum(c.amount)::bigint as used from image.image i, image.counted(i.status, i.size) c
    group by 1, 2 having sum(c.amount) > 0 order by 1, 2`.execute(tx)
  return { counted, real }
}

test('images are counted, uploads too, and what is too much is a 413', async (context) => {
  const { api, create, put, db } = await imageApi(context)
  const { read } = db
  assert.deepEqual((await api('GET', '/info/usage')).body, { usage: {} }, 'nothing is limited')
  await limit(read, 'image_count_total', 2)
  await limit(read, 'image_size_total', 1)
  const one = await create()
  const two = await create()
  const third = await api('POST', '/images', { payload: { name: 'three' } })
  assert.equal(third.status, 413, third.text)
  assert.match(third.message, /image_count_total is over limit of 2/)
  assert.equal((await api('POST', '/images', { payload: { name: 'theirs', owner: 'p2' }, who: admin })).status, 201)
  await limit(read, 'image_count_total', 10)
  assert.equal((await put(one, Buffer.alloc(MiB))).status, 204)
  assert.equal((await put(two, Buffer.alloc(MiB))).status, 204, 'nobody knew how large it would be')
  const three = await create()
  const refused = await put(three, Buffer.alloc(MiB))
  assert.equal(refused.status, 413)
  assert.match(refused.message, /image_size_total is over limit of 1 with a usage of 2/)
  assert.equal((await api('GET', `/images/${three}`)).body.status, 'queued', 'it can be uploaded later')
  assert.deepEqual((await api('GET', '/info/usage')).body.usage, {
    image_count_total: { usage: 3, limit: 10 },
    image_size_total: { usage: 2, limit: 1 },
  })
  assert.equal((await api('DELETE', `/images/${one}`)).status, 204)
  assert.equal((await put(three, Buffer.alloc(MiB))).status, 204)
  const { counted, real } = await both(read)
  assert.deepEqual(counted, real)

  await limit(read, 'image_count_uploading', 0)
  await limit(read, 'image_size_total', -1)
  const four = await create()
  assert.match((await put(four, Buffer.alloc(1))).message, /image_count_uploading is over limit of 0/)
})

test('counts follow every change of a row', async (context) => {
  const { create, db } = await imageApi(context)
  const id = await create()
  for (const change of [
    sql`status = 'saving'`,
    sql`status = 'active', size = 5000`,
    sql`owner = 'p2'`,
    sql`size = 10`,
    sql`name = 'other'`,
    sql`status = 'deactivated'`,
    sql`status = 'importing'`,
  ]) {
    await sql`update image.image set ${change} where id = ${id}`.execute(db.read)
    const { counted, real } = await both(db.read)
    assert.deepEqual(counted, real)
  }
  await sql`delete from image.image`.execute(db.read)
  assert.deepEqual((await both(db.read)).counted, [])
})
