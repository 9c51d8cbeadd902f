import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ImageRow } from './find.ts'
import { applyPatch, readPatch } from './patch.ts'

const image: ImageRow = {
  id: 'i1',
  owner: 'p1',
  name: 'one',
  status: 'active',
  visibility: 'shared',
  container_format: 'bare',
  disk_format: 'raw',
  min_disk: 0,
  min_ram: 0,
  protected: false,
  os_hidden: false,
  size: 1,
  virtual_size: 1,
  checksum: 'x',
  os_hash_algo: 'sha512',
  os_hash_value: 'y',
  tags: ['a'],
  properties: { os_distro: 'debian' },
  locations: [],
  upload: 'u1',
  created_at: new Date(0),
  updated_at: new Date(0),
}
const change = (body: unknown, { v20 = false, admin = false, on = image } = {}) => applyPatch(on, readPatch(body, v20), admin)

describe('PATCH of an image', () => {
  it('replaces, adds and removes', () => {
    const changed = change([
      { op: 'replace', path: '/name', value: 'two' },
      { op: 'replace', path: '/tags', value: ['b', 'a', 'b'] },
      { op: 'add', path: '/hw_disk_bus', value: 'scsi' },
      { op: 'add', path: '/a~1b~0c', value: 'slash' },
      { op: 'replace', path: '/os_distro', value: 'ubuntu' },
      { op: 'add', path: '/gone', value: 'x' },
      { op: 'remove', path: '/gone' },
    ])
    assert.equal(changed.name, 'two')
    assert.deepEqual(changed.tags, ['b', 'a'])
    assert.deepEqual(changed.properties, { os_distro: 'ubuntu', hw_disk_bus: 'scsi', 'a/b~c': 'slash' })
    assert.deepEqual(image.properties, { os_distro: 'debian' }, 'pure')
  })

  it('reads the draft before it', () => {
    assert.equal(change([{ replace: '/name', value: 'two' }], { v20: true }).name, 'two')
    assert.deepEqual(change([{ remove: '/os_distro' }], { v20: true }).properties, {})
    assert.throws(() => change([{ add: '/os_distro', value: 'x' }], { v20: true }), { status: 409, message: /already present/ })
    assert.throws(() => change([{ add: '/name', value: 'x' }], { v20: true }), { status: 409 })
    assert.throws(() => change([{ add: '/a', remove: '/b' }], { v20: true }), { status: 400, message: /only one member/ })
    assert.throws(() => change([{}], { v20: true }), { status: 400, message: /exactly one member/ })
  })

  const refused: [body: unknown, status: number, message: RegExp][] = [
    [undefined, 400, /Body expected/],
    [{}, 400, /JSON array/],
    [['x'], 400, /must be JSON objects/],
    [[{ path: '/a' }], 400, /find `op`/],
    [[{ op: 'move', path: '/a', from: '/b' }], 400, /Invalid operation: `move`/],
    [[{ op: 'add', value: 'x' }], 400, /find 'path'/],
    [[{ op: 'add', path: '/a' }], 400, /requires a member named "value"/],
    [[{ op: 'add', path: 'a', value: 'x' }], 400, /does not start with/],
    [[{ op: 'add', path: 7, value: 'x' }], 400, /does not start with/],
    [[{ op: 'add', path: '/a//b', value: 'x' }], 400, /adjacent/],
    [[{ op: 'add', path: '/a/', value: 'x' }], 400, /end with/],
    [[{ op: 'add', path: '/', value: 'x' }], 400, /end with/],
    [[{ op: 'add', path: '/a~2', value: 'x' }], 400, /escape sequence/],
    [[{ op: 'add', path: '/tags/-', value: 'x' }], 400, /Invalid JSON pointer/],
    [[{ op: 'replace', path: '/status', value: 'active' }], 403, /'status' is read-only/],
    [[{ op: 'remove', path: '/id' }], 403, /'id' is read-only/],
    [[{ op: 'add', path: '/__proto__', value: 'x' }], 400, /'__proto__' is not allowed/],
    [[{ op: 'add', path: '/location', value: 'x' }], 403, /'location' is reserved/],
    [[{ op: 'add', path: '/os_glance_x', value: 'x' }], 403, /is reserved/],
    [[{ op: 'replace', path: '/locations', value: [] }], 403, /locations/],
    [[{ op: 'replace', path: '/disk_format', value: 'qcow2' }], 403, /only replaced for a queued image/],
    [[{ op: 'remove', path: '/name' }], 403, /name may not be removed/],
    [[{ op: 'replace', path: '/owner', value: 'p2' }], 403, /non admin/],
    [[{ op: 'remove', path: '/nothing' }], 409, /does not exist/],
    [[{ op: 'replace', path: '/nothing', value: 'x' }], 409, /does not exist/],
    [[{ op: 'replace', path: '/min_ram', value: 'x' }], 400, /min_ram/],
    [[{ op: 'replace', path: '/min_disk', value: -1 }], 400, /min_disk/],
    [[{ op: 'replace', path: '/visibility', value: 'secret' }], 400, /visibility/],
    [[{ op: 'replace', path: '/name', value: 'x'.repeat(256) }], 400, /too long/],
    [[{ op: 'replace', path: '/protected', value: 'yes' }], 400, /protected/],
    [[{ op: 'add', path: '/mine', value: 5 }], 400, /not of type/],
    [[{ op: 'add', path: `/${'x'.repeat(256)}`, value: 'x' }], 400, /255/],
    [Array.from({ length: 128 }, (_, i) => ({ op: 'add', path: `/p${i}`, value: 'x' })), 413, /Maximum: 128/],
  ]
  for (const [body, status, message] of refused) {
    it(`refuses ${JSON.stringify(body)?.slice(0, 60)}`, () => assert.throws(() => change(body), { status, message }))
  }

  it('lets formats change while nothing is uploaded, and an administrator give the image away', () => {
    assert.equal(
      change([{ op: 'replace', path: '/disk_format', value: 'qcow2' }], { on: { ...image, status: 'queued' } }).disk_format,
      'qcow2',
    )
    assert.equal(change([{ op: 'replace', path: '/owner', value: 'p2' }], { admin: true }).owner, 'p2')
  })
})
