// Many hosts and servers in one controller: everything becomes what was wished, and every claim, port and document adds up, after all were
// launched and after all were deleted. `bench/scale.ts` measures the same at full size.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { sql } from 'kysely'
import { account, launch, prepare, settled, startScaleCloud } from './cloud.ts'

it('100 hosts carry 500 servers, and nothing is left of them', { timeout: 170_000 }, async (context) => {
  const cloud = await startScaleCloud(100)
  context.after(cloud.stop)
  const { db, client, hosts } = cloud
  const image = { name: 'scale', disk_format: 'raw', container_format: 'bare' }
  const { id } = await client.call<{ id: string }>('POST', 'image/v2', 'images', image)
  await client.upload(id, Buffer.alloc(1024))
  const without = await prepare(client, 0)
  const launched = await launch(client, without, 400, 50)
  const onNetworks = await prepare(client, 5)
  launched.push(...(await launch(client, onNetworks, 100, 25)))
  await settled(db, 60)
  await hosts.idle()
  assert.equal(new Set(launched).size, 500)
  const { rows } = await sql<{ count: number }>`select count(*)::int as count from compute.server where vm_state = 'active'`.execute(
    db.read,
  )
  assert.equal(rows[0]?.count, 500)
  assert.deepEqual(await account(db, hosts.machines), [])

  const remaining = launched.values()
  const remove = async () => {
    for (const server of remaining) await client.call('DELETE', 'compute/v2.1', `servers/${server}`)
  }
  await Promise.all(Array.from({ length: 8 }, remove))
  await settled(db, 60)
  await hosts.idle()
  assert.deepEqual(await account(db, hosts.machines), [])
  const left = await sql<{ it: string }>`
    select 'server ' || id as it from compute.server union all
    select 'port ' || id from network.port where device_owner like 'compute:%' union all
    select 'consumer ' || id from placement.consumer union all
    select 'document ' || kind || ' ' || id from wire.document`.execute(db.read)
  assert.deepEqual(left.rows, [])
})
