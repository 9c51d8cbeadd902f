import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { testDatabase } from '../database/testing.ts'
import { type Listing, listPage, type Page, type Sort } from './page.ts'

const listing: Listing = {
  id: 'p.id',
  columns: { name: 'p.name', enabled: 'p.enabled', parent_id: { ref: 'p.parent_id', nullable: true } },
  sort: [{ key: 'name', direction: 'asc' }],
}

test('pages of any size and order, strung together, are the whole list', async (context) => {
  const { db, drop } = await testDatabase()
  context.after(drop)
  await db.write(async (tx) => {
    const project = (id: string, parent_id: string | null, i: number) => ({
      id,
      name: `n${i}`,
      parent_id,
      domain_id: null,
      is_domain: true,
      enabled: i % 3 > 0,
    })
    await tx
      .insertInto('identity.project')
      .values([project('a', null, 0), project('b', null, 1)])
      .execute()
    await tx
      .insertInto('identity.project')
      .values(Array.from({ length: 9 }, (_, i) => ({ ...project(`c${i}`, i % 2 ? 'a' : 'b', i + 2), domain_id: 'a', is_domain: false })))
      .execute()
  })
  const visible = db.read.selectFrom('identity.project as p').select(['p.id', 'p.name', 'p.enabled', 'p.parent_id'])
  const all = await visible.execute()
  const sorts = fc.uniqueArray(
    fc.record({ key: fc.constantFrom('name', 'enabled', 'parent_id'), direction: fc.constantFrom('asc' as const, 'desc' as const) }),
    { selector: ({ key }: Sort) => key, maxLength: 3 },
  )
  await fc.assert(
    fc.asyncProperty(sorts, fc.integer({ min: 1, max: 5 }), fc.boolean(), async (sort, limit, reverse) => {
      const whole = await listPage(visible, { limit: 100, sort, reverse: false }, listing)
      const pages: string[][] = []
      let page: Page = { limit, sort, reverse }
      for (;;) {
        const { rows, more } = await listPage(visible, page, listing)
        pages.push(rows.map(({ id }) => id))
        if (!more) break
        page = { ...page, marker: reverse ? rows[0]!.id : rows.at(-1)!.id }
      }
      assert.equal(whole.rows.length, all.length)
      assert.deepEqual(
        (reverse ? pages.reverse() : pages).flat(),
        whole.rows.map(({ id }) => id),
      )
    }),
    { numRuns: 40 },
  )
  for (const sort of [[], [{ key: 'parent_id', direction: 'desc' as const }]]) {
    await assert.rejects(listPage(visible, { limit: 5, sort, reverse: false, marker: 'nobody' }, listing), /marker \[nobody\] not found/)
  }
  const filtered = visible.where('p.enabled', '=', true)
  const behind = await listPage(filtered, { limit: 5, sort: [], reverse: false, marker: 'a' }, listing, visible)
  assert.ok(behind.rows.length > 0, 'a marker that the filter drops still marks its place')
})
