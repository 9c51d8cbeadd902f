import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { admin, imageApi, owner, stranger } from './testing.ts'

const bits = Buffer.from('bits that lie elsewhere')
const sha512 = createHash('sha512').update(bits).digest('hex')
const patch = { 'content-type': 'application/openstack-images-v2.1-json-patch' }

/** A cloud that shows locations, and a server with an image at /a and /b. */
async function cloud(context: TestContext, shown = true) {
  const server = http.createServer((request, response) => {
    if (!/^\/[ab]$/.test(request.url!)) return response.writeHead(404).end()
    return response.writeHead(200, { 'content-length': bits.length }).end(request.method === 'HEAD' ? undefined : bits)
  })
  await new Promise<void>((go) => server.listen(0, '127.0.0.1', go))
  context.after(() => server.close())
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const all = await imageApi(
    context,
    1,
    {},
    {
      show_multiple_locations: shown,
      stores: [
        { id: 'file', kind: 'file', folder: 'images' },
        { id: 'web', kind: 'http', hosts: ['127.0.0.1'] },
      ],
    },
  )
  const change = (id: string, changes: object[], who = owner) =>
    all.api('PATCH', `/images/${id}`, { payload: changes, headers: patch, who })
  const add = (id: string, url: string, more: object = {}) =>
    change(id, [{ op: 'add', path: '/locations/-', value: { url, metadata: {}, ...more } }])
  return { ...all, base, change, add }
}

describe('locations by PATCH', () => {
  it('are not to be changed where they are not shown', async (context) => {
    const { add, api, base, create, put } = await cloud(context, false)
    const id = await create()
    const refused = await add(id, `${base}/a`)
    assert.deepEqual([refused.status, /locations are invisible/.test(refused.message)], [403, true])
    await put(id, Buffer.from('x'))
    assert.equal((await api('GET', `/images/${id}`)).body.locations, undefined)
  })

  it('make an image active, and are added, replaced and removed', async (context) => {
    const { add, api, base, change, create } = await cloud(context)
    const id = await create()
    assert.deepEqual((await api('GET', `/images/${id}`)).body.locations, [])
    const validation_data = { os_hash_algo: 'sha512', os_hash_value: sha512, checksum: createHash('md5').update(bits).digest('hex') }
    const first = await add(id, `${base}/a`, { metadata: { place: 'here' }, validation_data })
    assert.deepEqual([first.status, first.body.status, first.body.size, first.body.os_hash_value], [200, 'active', bits.length, sha512])
    assert.deepEqual(first.body.locations, [{ url: `${base}/a`, metadata: { place: 'here', store: 'web' } }])
    assert.equal((await api('GET', `/images/${id}/file`)).text, bits.toString())
    assert.equal((await add(id, `${base}/a`)).status, 400, 'twice')
    assert.equal((await add(id, `${base}/b`, { validation_data: { ...validation_data, os_hash_value: 'a'.repeat(128) } })).status, 409)
    const second = await change(id, [{ op: 'add', path: '/locations/0', value: { url: `${base}/b`, metadata: {} } }])
    assert.equal(second.body.stores, 'web,web')
    assert.equal((second.body.locations as { url: string }[])[0]!.url, `${base}/b`)
    assert.equal((await change(id, [{ op: 'remove', path: '/locations/1' }])).status, 403, "administrators' own")
    const remove = (place: string) => change(id, [{ op: 'remove', path: `/locations/${place}` }], admin)
    assert.equal((await remove('7')).status, 400)
    assert.equal((await remove('1')).status, 200)
    assert.equal((await remove('0')).status, 403, 'the last one')
    assert.equal((await change(id, [{ op: 'replace', path: '/locations', value: [] }])).status, 403)
    const replace = (...urls: string[]) =>
      change(id, [{ op: 'replace', path: '/locations', value: urls.map((url) => ({ url, metadata: { place: 'there' } })) }])
    const third = await replace(`${base}/b`)
    assert.deepEqual(third.body.locations, [{ url: `${base}/b`, metadata: { place: 'there', store: 'web' } }])
    assert.equal((await replace(`${base}/a`)).status, 400, 'another URL')
    assert.equal((await add(id, `${base}/a`)).status, 200)
    assert.equal((await replace(`${base}/b`)).status, 400, 'one of them would be gone')
    assert.equal((await replace(`${base}/a`, `${base}/b`)).status, 200, 'in another order')
    const urls = ((await api('GET', `/images/${id}`)).body.locations as { url: string }[]).map(({ url }) => url)
    assert.deepEqual(urls, [`${base}/a`, `${base}/b`])
  })

  it('are only URLs that the HTTP store may read', async (context) => {
    const { add, base, create, api } = await cloud(context)
    const id = await create()
    for (const url of ['file:///etc/passwd', 'http://192.0.2.1/x', `${base}/nothing`, 'no url', 'rbd://pool/image/snap'])
      assert.equal((await add(id, url)).status, 400, url)
    assert.equal((await add(id, `${base}/a`, { extra: 1 })).status, 400)
    assert.equal((await api('GET', `/images/${id}`)).body.status, 'queued')
  })

  it('of our own bits may be let go, and then the bits go', async (context) => {
    const { add, base, change, create, db, put } = await cloud(context)
    const id = await create()
    await put(id, bits)
    assert.equal((await add(id, `${base}/a`)).status, 200)
    assert.equal((await change(id, [{ op: 'remove', path: '/locations/0' }], admin)).body.stores, 'web')
    assert.deepEqual(await db.read.selectFrom('image.data').selectAll().execute(), [])
    assert.equal((await db.read.selectFrom('image.leftover').selectAll().execute()).length, 1)
  })
})

describe('locations by themselves', () => {
  it('are given to a queued image, which is read once', async (context) => {
    const { api, base, create } = await cloud(context, false)
    const id = await create()
    const post = (payload: object, who = owner) => api('POST', `/images/${id}/locations`, { payload, who })
    assert.equal((await post({ url: `${base}/a` }, stranger)).status, 404)
    assert.equal((await post({ url: `${base}/nothing` })).status, 400)
    assert.equal((await post({ url: 'http://192.0.2.1/x' })).status, 400)
    const other = await post({ url: `${base}/a`, validation_data: { os_hash_algo: 'sha512', os_hash_value: 'b'.repeat(128) } })
    assert.deepEqual([other.status, /The sha512 of the data is/.test(other.message)], [409, true])
    assert.equal((await api('GET', `/images/${id}`)).body.status, 'queued')
    assert.equal((await post({ url: `${base}/a`, validation_data: { os_hash_algo: 'sha512', os_hash_value: sha512 } })).status, 202)
    const { body } = await api('GET', `/images/${id}`)
    assert.deepEqual([body.status, body.size, body.os_hash_value, body.stores], ['active', bits.length, sha512, 'web'])
    assert.equal((await post({ url: `${base}/b` })).status, 409)
    assert.equal((await api('GET', `/images/${id}/locations`)).status, 403)
    const answer = await api('GET', `/images/${id}/locations`, { who: { ...admin, roles: ['service', 'admin'] } })
    assert.deepEqual(JSON.parse(answer.text), [{ url: `${base}/a`, metadata: { store: 'web' } }])
  })
})
