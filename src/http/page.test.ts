import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from './fault.ts'
import { filterBy, pickFields } from './filter.ts'
import { glanceLinks, glancePage, type Listing, listPage, neutronLinks, neutronPage, novaLinks, novaPage } from './page.ts'
import { noRows } from './testing.ts'

const listing: Listing = {
  id: 'p.id',
  columns: { name: 'p.name', created_at: 'p.created_at', description: { ref: 'p.description', nullable: true } },
  sort: [{ key: 'created_at', direction: 'desc' }],
}
const refused = (read: () => unknown) => assert.throws(read, (error) => error instanceof Fault && error.status === 400)

test("nova's dialect", () => {
  assert.deepEqual(novaPage({}, listing), { limit: 1000, sort: listing.sort, reverse: false })
  assert.deepEqual(novaPage({ limit: '5', marker: 'm', sort_key: ['name', 'created_at'], sort_dir: ['asc', 'desc'] }, listing), {
    limit: 5,
    marker: 'm',
    sort: [
      { key: 'name', direction: 'asc' },
      { key: 'created_at', direction: 'desc' },
    ],
    reverse: false,
  })
  assert.equal(novaPage({ limit: '5000' }, listing).limit, 1000)
  refused(() => novaPage({ limit: '-1' }, listing))
  refused(() => novaPage({ limit: 'x' }, listing))
  refused(() => novaPage({ sort_key: 'constructor' }, listing))
  refused(() => novaPage({ sort_key: 'name', sort_dir: 'up' }, listing))
})

test("neutron's and glance's dialects", () => {
  assert.equal(neutronPage({}, listing).limit, Number.POSITIVE_INFINITY)
  assert.equal(neutronPage({ limit: '0' }, listing).limit, Number.POSITIVE_INFINITY)
  assert.equal(neutronPage({ page_reverse: 'True', limit: '2' }, listing).reverse, true)
  refused(() => neutronPage({ sort_key: ['name', 'created_at'], sort_dir: 'asc' }, listing))
  assert.deepEqual(glancePage({ sort: 'name:asc,created_at' }, listing).sort, [
    { key: 'name', direction: 'asc' },
    { key: 'created_at', direction: 'desc' },
  ])
  refused(() => glancePage({ sort: 'name', sort_key: 'name' }, listing))
})

test('one query that starts behind the marker; an unknown marker is 400', async (context) => {
  const db = noRows()
  const queries: string[] = []
  const plugin = db.getExecutor()
  const execute = plugin.executeQuery.bind(plugin)
  context.mock.method(plugin, 'executeQuery', (query: Parameters<typeof execute>[0]) => {
    queries.push(query.sql)
    return execute(query)
  })
  const query = db.selectFrom('identity.project as p').selectAll('p').where('p.enabled', '=', true)
  assert.deepEqual(await listPage(query, novaPage({ limit: '0' }, listing), listing), { rows: [], more: false })
  await assert.rejects(listPage(query, novaPage({ marker: 'm', limit: '2' }, listing), listing), /marker \[m\] not found/)
  assert.equal(queries.length, 2, 'the second only asks why nothing was found')
  assert.equal(
    queries[0],
    'select "p".* from "identity"."project" as "p" where "p"."enabled" = $1 and ("p"."created_at", "p"."id") < ' +
      '(select "p"."created_at" as "m0", "p"."id" as "m1" from "identity"."project" as "p" where "p"."enabled" = $2 and "p"."id" = $3) ' +
      'order by "p"."created_at" desc, "p"."id" desc limit $4',
  )
})

test('links to the next page keep the rest of the query', () => {
  const url = { origin: 'http://c:5000', path: '/compute/v2.1/servers', search: '?limit=2&marker=a&name=x%20y' }
  assert.deepEqual(novaLinks('servers', url, true, 'b'), {
    servers_links: [{ rel: 'next', href: 'http://c:5000/compute/v2.1/servers?limit=2&name=x+y&marker=b' }],
  })
  assert.deepEqual(novaLinks('servers', url, false, 'b'), {})
  assert.deepEqual(glanceLinks('/v2/images', url, true, 'b'), {
    first: '/v2/images?limit=2&name=x+y',
    next: '/v2/images?limit=2&name=x+y&marker=b',
  })
  const rels = (query: Record<string, string>, more: boolean) =>
    (neutronLinks('networks', url, neutronPage(query, listing), more, 'f', 'l').networks_links ?? []).map(({ rel }) => rel)
  assert.deepEqual(rels({ limit: '2' }, true), ['next'])
  assert.deepEqual(rels({ limit: '2', marker: 'm' }, true), ['next', 'previous'])
  assert.deepEqual(rels({ limit: '2', marker: 'm', page_reverse: 'true' }, false), ['next'])
  assert.deepEqual(rels({}, false), [])
})

test("neutron's filters and fields", () => {
  const query = noRows().selectFrom('identity.project as p').select('p.id')
  const filters = { name: { ref: 'p.name', type: 'text' }, enabled: { ref: 'p.enabled', type: 'boolean' } } as const
  const compiled = filterBy(query, { name: ['a', 'b'], enabled: 'True', limit: '1' }, filters).compile()
  assert.match(compiled.sql, /where "p"."name" in \(\$1, \$2\) and "p"."enabled" in \(\$3\)$/)
  assert.deepEqual(compiled.parameters, ['a', 'b', true])
  refused(() => filterBy(query, { enabled: 'maybe' }, filters))
  assert.deepEqual(pickFields({ id: 1, name: 2, x: 3 }, ['id', 'name']), { id: 1, name: 2 })
  assert.deepEqual(pickFields({ id: 1 }, undefined), { id: 1 })
})
