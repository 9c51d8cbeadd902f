// An image in Ceph from which volumes were cloned, as Nova and Cinder do: it stays until they are gone.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { lookAt } from '../../work/testing.ts'
import { handlers } from '../control/work.ts'
import { cephMissing, startCeph } from '../store/testing.ts'
import { type Answer, admin, imageApi } from './testing.ts'

it('an image whose bits others use cannot be deleted', { skip: cephMissing ?? false, timeout: 120_000 }, async (context) => {
  const ceph = await startCeph()
  context.after(() => ceph.stop())
  const stored = {
    default: 'ceph',
    show_multiple_locations: true,
    stores: [
      { id: 'ceph', kind: 'rbd', pool: ceph.pool, user: 'glance', conf: ceph.conf, weight: 5 },
      { id: 'file', kind: 'file', folder: 'images' },
    ],
  }
  const { api, create, db, put, stores } = await imageApi(context, 1, {}, stored)
  const remove = (id: string) => api('DELETE', `/images/${id}`)
  const first = await create()
  assert.equal((await put(first, Buffer.from('bits'))).status, 204)
  const locationsOf = async (id: string) => (await api('GET', `/images/${id}`, { who: admin })).body.locations as Answer[]
  const [location] = await locationsOf(first)
  const [, key] = /^rbd:\/\/[0-9a-f-]{36}\/images\/([0-9a-f-]{36})\/snap$/.exec(String(location!.url)) ?? []
  assert.ok(key, String(location!.url))
  await ceph.admin('rbd', 'clone', `images/${key}@snap`, 'images/volume')

  // Another image with the same bits is another name for them, so one of the two can go.
  const twin = await create()
  assert.equal((await put(twin, Buffer.from('bits'))).status, 204)
  assert.deepEqual(await locationsOf(twin), [location])
  assert.equal((await remove(first)).status, 204)
  const refused = await remove(twin)
  assert.deepEqual([refused.status, refused.message.includes('in use: volumes were cloned from it in the store ceph')], [409, true])
  const elsewhere = { store: 'file', data: 'copy', metadata: {} }
  await db.read
    .updateTable('image.image')
    .set({ locations: JSON.stringify([{ store: 'ceph', data: key, metadata: {} }, elsewhere]) })
    .where('id', '=', twin)
    .execute()
  assert.equal((await api('DELETE', `/stores/ceph/${twin}`, { who: admin })).status, 409)
  assert.equal((await api('GET', `/images/${twin}/file`)).text, 'bits')

  // Who clones the bits after the image was deleted keeps the sweep waiting.
  await ceph.admin('rbd', 'rm', '--no-progress', 'images/volume')
  assert.equal((await remove(twin)).status, 204)
  await ceph.admin('rbd', 'clone', `images/${key}@snap`, 'images/late')
  const sweep = () => lookAt(db, handlers(stores)['image-data']!, key!)
  await assert.rejects(sweep(), { status: 409, message: /Delete or flatten them first/ })
  await ceph.admin('rbd', 'rm', '--no-progress', 'images/late')
  assert.equal(await sweep(), null)
  assert.deepEqual(JSON.parse(await ceph.admin('rbd', 'ls', '--format', 'json', 'images')), [])
  assert.deepEqual(await db.read.selectFrom('image.leftover').selectAll().execute(), [])
})
