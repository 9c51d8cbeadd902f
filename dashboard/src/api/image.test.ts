import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changesBetween, type Image, imageShows, isPropertyName, narrowed, propertiesOf, queryOfShow } from './image.ts'

const image = (name: string, more: Partial<Image> = {}) =>
  ({
    id: `id-${name}`,
    name,
    status: 'active',
    tags: [],
    size: 1,
    disk_format: 'qcow2',
    created_at: '2026-01-01T00:00:00Z',
    ...more,
  }) as Image

test('only what differs is sent: what is gone, what changed, what is new', () => {
  assert.deepEqual(changesBetween({ a: '1', b: '2', c: ['x'] }, { b: '3', c: ['x'], d: '4' }), [
    { op: 'remove', path: '/a' },
    { op: 'replace', path: '/b', value: '3' },
    { op: 'add', path: '/d', value: '4' },
  ])
  assert.deepEqual(changesBetween({ a: 1 }, { a: 1 }), [])
  assert.deepEqual(changesBetween({}, { constructor: 'x' }), [{ op: 'add', path: '/constructor', value: 'x' }])
  assert.deepEqual(changesBetween({ toString: 'x' }, {}), [{ op: 'remove', path: '/toString' }])
})

test('a name with a slash or a tilde is escaped as JSON pointers want it', () => {
  assert.deepEqual(changesBetween({}, { 'a/b~c': 'x' }), [{ op: 'add', path: '/a~1b~0c', value: 'x' }])
})

test('properties are what people gave, not what the service keeps', () => {
  const given = image('x', { os_distro: 'debian', os_glance_failed_import: 'file', checksum: null, nothing: null })
  assert.deepEqual(propertiesOf(given), { os_distro: 'debian' })
  assert.equal(isPropertyName('os_distro'), true)
  for (const name of ['', 'status', '__proto__', 'os_glance_x', 'x'.repeat(256)]) assert.equal(isPropertyName(name), false)
})

test('a list is narrowed by a part of the name, status, format and tag', () => {
  const all = [
    image('Debian 13'),
    image('debian 12', { status: 'queued' }),
    image('Ubuntu', { id: '4b1f-9', disk_format: 'raw', tags: ['lts'] }),
  ]
  const by = { sort: 'name', dir: 'asc' } as const
  const names = (filter: object) => narrowed(all, { ...by, ...filter }).map(({ name }) => name)
  assert.deepEqual(names({}), ['debian 12', 'Debian 13', 'Ubuntu'])
  assert.deepEqual(names({ name: 'DEBIAN' }), ['debian 12', 'Debian 13'])
  assert.deepEqual(names({ name: 'debian', status: 'queued' }), ['debian 12'])
  assert.deepEqual(names({ format: 'raw' }), ['Ubuntu'])
  assert.deepEqual(names({ tag: 'lts' }), ['Ubuntu'])
  assert.deepEqual(names({ name: '4b1f' }), ['Ubuntu'], 'the beginning of an id is as good')
})

test('sizes are sorted as numbers, an image without one is the smallest', () => {
  const all = [image('ten', { size: 10 }), image('none', { size: null }), image('nine', { size: 9 })]
  const names = narrowed(all, { sort: 'size', dir: 'desc' }).map(({ name }) => name)
  assert.deepEqual(names, ['ten', 'nine', 'none'])
})

test('every choice of images asks for something the service knows', () => {
  assert.deepEqual(queryOfShow('usable', 'mine'), {})
  assert.deepEqual(queryOfShow('mine', 'mine'), { owner: 'mine', visibility: 'all' })
  assert.deepEqual(queryOfShow('offered', 'mine'), { visibility: 'shared', member_status: 'pending' })
  assert.deepEqual(queryOfShow('hidden', 'mine'), { os_hidden: true })
  for (const show of imageShows.filter((each) => !['usable', 'mine', 'offered', 'hidden'].includes(each)))
    assert.deepEqual(queryOfShow(show, 'mine'), { visibility: show })
})
