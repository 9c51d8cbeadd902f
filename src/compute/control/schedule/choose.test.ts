import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'kysely'
import { type TestDatabase, testDatabase } from '../../../database/testing.ts'
import type { Server } from '../facts.ts'
import { chooseHosts } from './choose.ts'

let base: TestDatabase
before(async () => {
  base = await testDatabase()
  // 300 hosts of 2 GB, and one of 8.
  await sql`
    insert into wire.host (id, name, secret_hash, seen_at)
    select gen_random_uuid()::text, 'host-' || n, '', now() from generate_series(0, 300) n`.execute(base.db.read)
  await sql`insert into compute.service (id, host) select gen_random_uuid()::text, name from wire.host`.execute(base.db.read)
  await sql`insert into placement.provider (id, name, root_id) select id, name, id from wire.host`.execute(base.db.read)
  await sql`
    insert into placement.inventory (provider_id, resource_class, total, reserved, allocation_ratio, min_unit, max_unit, step_size)
    select h.id, c.name, c.total, 0, 1, 1, c.total, 1
    from wire.host h, lateral (values ('VCPU', 8), ('DISK_GB', 100), ('MEMORY_MB', case h.name when 'host-0' then 8192 else 2048 end)) c (name, total)`.execute(
    base.db.read,
  )
})
after(() => base.drop())

const wanting = (memory_mb: number, requested_host: string | null = null) =>
  ({
    flavor: { vcpus: 1, memory_mb, root_gb: 1, ephemeral_gb: 0, swap_mb: 0, extra_specs: {} },
    image: {},
    availability_zone: null,
    requested_host,
    tried: [],
  }) as unknown as Server

test('out of many hosts a few come, all of which have room', async () => {
  const hosts = await chooseHosts(base.db.read, wanting(1024))
  assert.equal(hosts.length, 20)
  assert.ok(hosts.every(({ free }) => free.memory_mb >= 1024))
})

test('the one host that has room is found, however many there are', async () => {
  for (let again = 0; again < 5; again++)
    assert.deepEqual(
      (await chooseHosts(base.db.read, wanting(4096))).map(({ name }) => name),
      ['host-0'],
    )
})

test('the host that was asked for is found, and no other', async () => {
  assert.deepEqual(
    (await chooseHosts(base.db.read, wanting(1024, 'host-77'))).map(({ name }) => name),
    ['host-77'],
  )
})
