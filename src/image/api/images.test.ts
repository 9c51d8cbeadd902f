import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loadConfig } from '../../config.ts'
import { checkRows } from '../../http/coverage.ts'
import { openStores } from '../control/stores.ts'
import { image } from '../service.ts'
import { admin, caller, imageApi, owner, reader, stranger } from './testing.ts'

const patchType = { 'content-type': 'application/openstack-images-v2.1-json-patch' }
const names = (body: Record<string, unknown>) => (body.images as { name: string }[]).map(({ name }) => name)

describe('images', () => {
  it('have a table without gaps', () => {
    const config = loadConfig({})
    assert.deepEqual(checkRows([image({ db: undefined as never, config, key: () => [Buffer.alloc(32)], stores: openStores(config) })]), [])
  })

  it('are created, shown, changed and deleted', async (context) => {
    const { api, create } = await imageApi(context)
    const id = 'a3d3e7a4-0000-4000-8000-000000000001'
    const made = await api('POST', '/images', {
      payload: { id, name: 'one', disk_format: 'qcow2', container_format: 'bare', min_ram: 64, tags: ['x', 'x'], os_distro: 'debian' },
    })
    assert.equal(made.status, 201)
    assert.match(String(made.headers.location), /^http:\/\/.*\/image\/v2\/images\/a3d3e7a4/)
    const { created_at, updated_at, ...shown } = made.body
    assert.match(String(created_at), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    assert.equal(updated_at, created_at)
    assert.deepEqual(shown, {
      os_distro: 'debian',
      id,
      name: 'one',
      status: 'queued',
      visibility: 'shared',
      owner: 'p1',
      disk_format: 'qcow2',
      container_format: 'bare',
      size: null,
      virtual_size: null,
      checksum: null,
      os_hash_algo: null,
      os_hash_value: null,
      min_disk: 0,
      min_ram: 64,
      protected: false,
      os_hidden: false,
      tags: ['x'],
      self: `/v2/images/${id}`,
      file: `/v2/images/${id}/file`,
      schema: '/v2/schemas/image',
    })
    assert.equal((await api('POST', '/images', { payload: { id } })).status, 409)

    const changed = await api('PATCH', `/images/${id}`, {
      payload: JSON.stringify([{ op: 'replace', path: '/protected', value: true }]),
      headers: patchType,
    })
    assert.deepEqual([changed.status, changed.body.protected], [200, true])
    const kept = await api('DELETE', `/images/${id}`)
    assert.deepEqual([kept.status, kept.message], [403, `Image ${id} is protected and cannot be deleted.`])
    const free = JSON.stringify([{ replace: '/protected', value: false }])
    await api('PATCH', `/images/${id}`, { payload: free, headers: { 'content-type': 'application/openstack-images-v2.0-json-patch' } })
    assert.equal((await api('DELETE', `/images/${id}`)).status, 204)
    assert.equal((await api('GET', `/images/${id}`)).status, 404)
    assert.equal((await api('GET', '/images/nonsense')).status, 404)
    const other = await create()
    const wrongType = await api('PATCH', `/images/${other}`, { payload: '[]', headers: { 'content-type': 'text/plain' } })
    assert.equal(wrongType.status, 415)
  })

  it('refuse what Glance refuses', async (context) => {
    const { api } = await imageApi(context)
    const refused: [payload: unknown, status: number, message: RegExp][] = [
      [{ status: 'active' }, 403, /'status' is read-only/],
      [{ self: 'x' }, 403, /'self' is read-only/],
      [{ deleted: true }, 403, /'deleted' is reserved/],
      [{ os_glance_import_task: 'x' }, 403, /reserved/],
      [{ disk_format: 'floppy' }, 400, /disk_format/],
      [{ container_format: 'box' }, 400, /container_format/],
      [{ visibility: 'mine' }, 400, /visibility/],
      [{ id: 'short' }, 400, /id/],
      [{ name: 5 }, 400, /name/],
      [{ min_disk: -1 }, 400, /min_disk/],
      [{ custom: 5 }, 400, /custom/],
      [{ custom: { a: 1 } }, 400, /custom/],
      [{ tags: ['x'.repeat(256)] }, 400, /too long/],
      [{ kernel_id: 'x' }, 400, /kernel_id/],
      [{ cinder_encryption_key_deletion_policy: 'sometimes' }, 400, /cinder_encryption_key_deletion_policy/],
      [{ owner: 'p2' }, 403, /not permitted to create images owned by 'p2'/],
      [{ visibility: 'public' }, 403, /publicize_image/],
      [Object.fromEntries(Array.from({ length: 129 }, (_, i) => [`p${i}`, 'x'])), 413, /Maximum: 128/],
    ]
    for (const [payload, status, message] of refused) {
      const answer = await api('POST', '/images', { payload })
      assert.deepEqual([answer.status, message.test(answer.message)], [status, true], `${JSON.stringify(payload)}: ${answer.text}`)
    }
    assert.equal((await api('POST', '/images', { payload: {}, who: reader })).status, 403)
    assert.equal((await api('POST', '/images', { payload: { visibility: 'public', owner: 'p1' }, who: admin })).body.owner, 'p1')
    assert.equal((await api('POST', '/images', { payload: { owner: null } })).body.owner, 'p1', 'null names nobody')
    const nobodys = await api('POST', '/images', { payload: { owner: '' }, who: admin })
    assert.deepEqual([nobodys.status, /its owner cannot be empty/.test(nobodys.message)], [400, true])
  })

  it('are seen by their own project, and by others only as their visibility says', async (context) => {
    const { api, create } = await imageApi(context)
    const ids = Object.fromEntries(
      await Promise.all(
        ['private', 'shared', 'community'].map(async (visibility) => [visibility, await create({ visibility, name: visibility })] as const),
      ),
    )
    ids.public = await create({ visibility: 'public', name: 'public', owner: 'p1' }, admin)
    const seen = async (who: typeof owner, query = '') => names((await api('GET', `/images?sort=name:asc${query}`, { who })).body)

    assert.deepEqual(await seen(owner), ['community', 'private', 'public', 'shared'])
    assert.deepEqual(await seen(reader), ['community', 'private', 'public', 'shared'])
    assert.deepEqual(await seen(stranger), ['public'])
    assert.deepEqual(await seen(stranger, '&visibility=all'), ['community', 'public'])
    assert.deepEqual(await seen(stranger, '&visibility=community'), ['community'])
    assert.deepEqual(await seen(stranger, '&owner=p1'), ['public'])
    assert.deepEqual(await seen(admin, '&visibility=all'), ['community', 'private', 'public', 'shared'])

    const payload = JSON.stringify([{ op: 'replace', path: '/name', value: 'mine' }])
    for (const [visibility, id] of Object.entries(ids)) {
      const hidden = visibility === 'private' || visibility === 'shared'
      const asked = async (who: typeof owner) =>
        Promise.all([
          api('GET', `/images/${id}`, { who }),
          api('GET', `/images/${id}/file`, { who }),
          api('PATCH', `/images/${id}`, { payload, headers: patchType, who }),
          api('DELETE', `/images/${id}`, { who }),
          api('PUT', `/images/${id}/tags/t`, { who }),
          api('POST', `/images/${id}/actions/deactivate`, { who }),
          api('PUT', `/images/${id}/file`, { payload: Buffer.from('x'), headers: { 'content-type': 'application/octet-stream' }, who }),
        ]).then((answers) => answers.map(({ status }) => status))
      assert.deepEqual(await asked(stranger), hidden ? Array(7).fill(404) : [200, 204, 403, 403, 403, 403, 403], visibility)
      assert.deepEqual(await asked(reader), [200, 403, 403, 403, 403, 403, 403], visibility)
    }
    assert.equal((await api('GET', '/images', { token: '' })).status, 401)
    const publicize = JSON.stringify([{ op: 'replace', path: '/visibility', value: 'public' }])
    assert.equal((await api('PATCH', `/images/${ids.private}`, { payload: publicize, headers: patchType })).status, 403)
    assert.equal((await api('PATCH', `/images/${ids.private}`, { payload: publicize, headers: patchType, who: admin })).status, 200)
  })

  it('are listed by filter, order and page', async (context) => {
    const { api, create, db } = await imageApi(context)
    const a = await create({ name: 'a', tags: ['x', 'y'], os_distro: 'debian' })
    await create({ name: 'b', disk_format: 'qcow2', tags: ['x'], os_distro: 'ubuntu', min_ram: 512 })
    await create({ name: 'c, "d"', disk_format: 'iso', os_hidden: true })
    await create({ name: 'e', protected: true })
    await db.read
      .updateTable('image.image')
      .set({ size: 1000, status: 'active', created_at: new Date('2026-01-01T00:00:00Z') })
      .where('id', '=', a)
      .execute()
    const found = async (query: string) => {
      const { status, body, message } = await api('GET', `/images?sort=name:asc&${query}`)
      return status === 200 ? names(body).join() : `${status} ${message}`
    }
    assert.equal(await found(''), 'a,b,e')
    assert.equal(await found('name=b'), 'b')
    assert.equal(await found('name=in:a,b'), 'a,b')
    assert.equal(await found(`os_hidden=true&name=${encodeURIComponent('in:"c, \\"d\\"",z')}`), 'c, "d"')
    assert.match(await found('name=in:"a'), /^400/)
    assert.match(await found('name=neq:a'), /^400 Unable to filter by unknown operator 'neq'/)
    assert.equal(await found('status=active'), 'a')
    assert.equal(await found('status=in:active,queued'), 'a,b,e')
    assert.equal(await found('disk_format=in:qcow2,iso'), 'b')
    assert.equal(await found('tag=x'), 'a,b')
    assert.equal(await found('tag=x&tag=y'), 'a')
    assert.equal(await found('os_distro=ubuntu'), 'b')
    assert.equal(await found('os_distro=%27%3B drop'), '')
    assert.equal(await found('size_min=1000'), 'a')
    assert.equal(await found('size_max=999'), '')
    assert.equal(await found('min_ram_min=1'), 'b')
    assert.match(await found('size_min=big'), /^400 Unable to filter on a range/)
    assert.equal(await found('created_at=lt:2026-01-01T00:00:01Z'), 'a')
    assert.equal(await found('created_at=2026-01-01T00:00:00Z'), 'a')
    assert.equal(await found('created_at=gte:2026-01-01T02:00:00%2B02:00&created_at=lte:2026-01-01T00:00:00Z'), 'a')
    assert.match(await found('created_at=gt:yesterday'), /^400 Bad "created_at"/)
    assert.match(await found('created_at=constructor:2026-01-01'), /^400 Unable to filter on a unknown operator/)
    assert.match(await found('updated_at=about:2026-01-01T00:00:00Z'), /^400/)
    assert.equal(await found('protected=true'), 'e')
    assert.match(await found('protected=maybe'), /^400/)
    assert.match(await found('os_hidden=maybe'), /^400/)
    assert.match(await found('visibility=odd'), /^400 Invalid visibility/)
    assert.match(await found('member_status=odd'), /^400 Invalid status/)
    assert.match(await found('changes-since=x'), /^400/)
    assert.match(await found('limit=-1'), /^400/)
    assert.match(await found('sort_key=name'), /^400 Old and new/)
    assert.equal((await api('GET', '/images?sort_key=color')).status, 400)
    const uneven = await api('GET', '/images?sort_key=name&sort_key=size&sort_key=id&sort_dir=asc&sort_dir=desc')
    assert.match(uneven.message, /Number of sort dirs does not match/)

    const first = await api('GET', '/images?limit=2&sort_key=disk_format&sort_key=name&sort_dir=asc&sort_dir=desc')
    assert.deepEqual(names(first.body), ['b', 'e'])
    assert.equal(first.body.first, '/v2/images?limit=2&sort_key=disk_format&sort_key=name&sort_dir=asc&sort_dir=desc')
    const second = await api('GET', String(first.body.next).replace('/v2', ''))
    assert.deepEqual([names(second.body), second.body.next], [['a'], undefined])
    for (const marker of ['nonsense', '']) assert.equal((await api('GET', `/images?marker=${marker}`)).status, 400, marker)
  })

  it('bear tags, and can be put out of use', async (context) => {
    const { api, create, put } = await imageApi(context)
    const id = await create()
    assert.equal((await api('PUT', `/images/${id}/tags/blue`)).status, 204)
    assert.equal((await api('PUT', `/images/${id}/tags/blue`)).status, 204)
    assert.deepEqual((await api('GET', `/images/${id}`)).body.tags, ['blue'])
    assert.equal((await api('PUT', `/images/${id}/tags/${'x'.repeat(256)}`)).status, 400)
    assert.equal((await api('DELETE', `/images/${id}/tags/blue`)).status, 204)
    assert.equal((await api('DELETE', `/images/${id}/tags/blue`)).status, 404)

    const queued = await api('POST', `/images/${id}/actions/deactivate`)
    assert.deepEqual([queued.status, queued.message], [403, "Not allowed to deactivate image in status 'queued'"])
    assert.equal((await put(id, Buffer.from('bits'))).status, 204)
    for (const word of ['deactivate', 'reactivate']) {
      const bodied = await api('POST', `/images/${id}/actions/${word}`, { payload: {} })
      assert.deepEqual([bodied.status, bodied.message], [400, 'A body is not expected with this request.'])
    }
    assert.equal((await api('POST', `/images/${id}/actions/deactivate`)).status, 204)
    assert.equal((await api('POST', `/images/${id}/actions/deactivate`)).status, 204)
    assert.equal((await api('GET', `/images/${id}`)).body.status, 'deactivated')
    assert.equal((await api('GET', `/images/${id}/file`)).status, 403)
    assert.equal((await api('GET', `/images/${id}/file`, { who: admin })).text, 'bits')
    assert.equal((await api('POST', `/images/${id}/actions/reactivate`)).status, 204)
    assert.equal((await api('GET', `/images/${id}/file`)).text, 'bits')
  })

  it('are shared with members', async (context) => {
    const { api, create } = await imageApi(context)
    const id = await create()
    const third = caller('p3', 'member', 'reader')
    const share = (member: unknown, who = owner) => api('POST', `/images/${id}/members`, { payload: { member }, who })
    assert.equal((await share('p2', stranger)).status, 404)
    assert.equal((await share('')).status, 400)
    const made = await share('p2')
    assert.deepEqual([made.status, made.body.member_id, made.body.status, made.body.schema], [200, 'p2', 'pending', '/v2/schemas/member'])
    assert.equal((await share('p2')).status, 409)
    await share('p3')

    assert.equal((await api('GET', `/images/${id}`, { who: stranger })).status, 200)
    const seen = async (query = '') => names((await api('GET', `/images${query}`, { who: stranger })).body)
    assert.deepEqual(await seen(), [])
    assert.deepEqual(await seen('?member_status=pending&visibility=shared'), ['one'])
    const answer = (status: unknown, who = stranger, member = 'p2') =>
      api('PUT', `/images/${id}/members/${member}`, { payload: { status }, who })
    assert.equal((await answer('accepted', owner)).status, 403)
    assert.equal((await answer('accepted', third)).status, 403)
    assert.equal((await answer('maybe')).status, 400)
    assert.equal((await answer('accepted')).body.status, 'accepted')
    assert.deepEqual(await seen(), ['one'])

    const listed = async (who: typeof owner) => {
      const { body } = await api('GET', `/images/${id}/members`, { who })
      return (body.members as { member_id: string }[]).map(({ member_id }) => member_id)
    }
    assert.deepEqual(await listed(owner), ['p2', 'p3'])
    assert.deepEqual(await listed(stranger), ['p2'])
    assert.equal((await api('GET', `/images/${id}/members`, { who: caller('p4', 'member', 'reader') })).status, 404)
    assert.equal((await api('GET', `/images/${id}/members/p3`, { who: stranger })).status, 404)
    assert.equal((await api('GET', `/images/${id}/members/p2`, { who: stranger })).status, 200)
    assert.equal((await api('DELETE', `/images/${id}`, { who: stranger })).status, 403)
    assert.equal((await api('DELETE', `/images/${id}/members/p2`, { who: stranger })).status, 403)
    assert.equal((await api('DELETE', `/images/${id}/members/p2`)).status, 204)
    assert.equal((await api('DELETE', `/images/${id}/members/p2`)).status, 404)
    assert.equal((await api('GET', `/images/${id}`, { who: stranger })).status, 404)
    const alone = await create({ visibility: 'private' })
    assert.equal((await api('GET', `/images/${alone}/members`)).status, 403)
  })

  it('describe themselves, and say what is not there', async (context) => {
    const { api } = await imageApi(context)
    for (const name of ['image', 'images', 'member', 'members']) assert.equal((await api('GET', `/schemas/${name}`)).body.name, name)
    assert.equal((await api('GET', '/../versions')).status, 200)
    assert.equal((await api('GET', '')).status, 300)
    assert.deepEqual((await api('GET', '/info/stores')).body.stores, [
      { id: 'file', description: "Files in the cloud's data directory", default: 'true' },
    ])
    assert.equal((await api('GET', '/info/stores/detail')).status, 403)
    const { versions } = (await api('GET', '/../versions')).body as { versions: { id: string; status: string }[] }
    assert.deepEqual([versions[0]?.id, versions[0]?.status, versions.length], ['v2.18', 'CURRENT', 19])
    const { properties } = (await api('GET', '/schemas/image')).body as { properties: Record<string, { is_base?: boolean }> }
    for (const name of ['description', 'cinder_encryption_key_id', 'cinder_encryption_key_deletion_policy'])
      assert.equal(properties[name]?.is_base, false, name)
  })
})
