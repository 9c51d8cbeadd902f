import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Tx } from '../../database/connect.ts'
import { type TestDatabase, testDatabase } from '../../database/testing.ts'
import { claim, release } from './claim.ts'
import { reportInventory } from './provider.ts'

describe('claim', () => {
  let test: TestDatabase
  const used = async (provider: string) =>
    Object.fromEntries(
      (
        await test.db.read
          .selectFrom('placement.inventory')
          .select(['resource_class', 'used'])
          .where('provider_id', '=', provider)
          .execute()
      ).map((row) => [row.resource_class, row.used]),
    )
  const hello = (tx: Tx) =>
    reportInventory(
      tx,
      { id: 'h1', name: 'h1' },
      {
        VCPU: { total: 4, reserved: 0, allocation_ratio: 2.5 },
        MEMORY_MB: { total: 2048, reserved: 512, allocation_ratio: 1 },
        DISK_GB: { total: 100, reserved: 0, allocation_ratio: 1 },
      },
      ['HW_CPU_X86_VMX', 'CUSTOM_A'],
    )
  const consumer = (n: number) => ({ consumer: `server-${n}`, project_id: 'p', user_id: 'u' })
  before(async () => {
    test = await testDatabase({ connections: 20 })
    await test.db.write(hello)
  })
  after(() => test.drop())

  it('takes all or nothing', async () => {
    assert.equal(await test.db.write((tx) => claim(tx, consumer(0), 'h1', { VCPU: 1, MEMORY_MB: 4096 })), false)
    assert.deepEqual(await used('h1'), { VCPU: 0, MEMORY_MB: 0, DISK_GB: 0 })
    assert.equal(await test.db.write((tx) => claim(tx, consumer(0), 'h1', { VCPU: 1, NO_SUCH_CLASS: 1 })), false)
    assert.equal(await test.db.write((tx) => claim(tx, consumer(0), 'h1', { VCPU: 1, MEMORY_MB: 512, DISK_GB: 0 })), true)
    assert.deepEqual(await used('h1'), { VCPU: 1, MEMORY_MB: 512, DISK_GB: 0 })
    await test.db.write((tx) => release(tx, 'server-0'))
    assert.deepEqual(await used('h1'), { VCPU: 0, MEMORY_MB: 0, DISK_GB: 0 })
    await test.db.write((tx) => release(tx, 'server-0'))
  })

  it('and what gives back, and a host that says hello, never wait for each other', async () => {
    let tried = 0
    const once = (work: (tx: Tx) => Promise<unknown>) =>
      test.db.write((tx) => {
        tried++ // again after a deadlock
        return work(tx)
      })
    const resources = { VCPU: 1, MEMORY_MB: 10, DISK_GB: 1 }
    await Promise.all(
      Array.from({ length: 16 }, async (_, n) => {
        for (let round = 0; round < 8; round++) {
          await once((tx) => claim(tx, consumer(n), 'h1', resources))
          if (n === 0) await once(hello)
          await once((tx) => release(tx, `server-${n}`))
        }
      }),
    )
    assert.equal(tried, 16 * 8 * 2 + 8)
    assert.deepEqual(await used('h1'), { VCPU: 0, MEMORY_MB: 0, DISK_GB: 0 })
  })

  it('cannot be overdrawn by forty claims at once, and gives everything back', async () => {
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, n) => test.db.write((tx) => claim(tx, consumer(n), 'h1', { VCPU: 1, MEMORY_MB: 100 }))),
    )
    assert.equal(results.filter(Boolean).length, 10, 'floor(4 * 2.5) vcpus')
    assert.deepEqual(await used('h1'), { VCPU: 10, MEMORY_MB: 1000, DISK_GB: 0 })
    const allocated = await test.db.read
      .selectFrom('placement.allocation')
      .select((e) => e.fn.sum<number>('used').as('sum'))
      .where('resource_class', '=', 'VCPU')
      .executeTakeFirst()
    assert.equal(Number(allocated?.sum), 10)
    await Promise.all(Array.from({ length: 40 }, (_, n) => test.db.write((tx) => release(tx, `server-${n}`))))
    assert.deepEqual(await used('h1'), { VCPU: 0, MEMORY_MB: 0, DISK_GB: 0 })
    assert.equal((await test.db.read.selectFrom('placement.consumer').select('id').execute()).length, 0)
  })
})
