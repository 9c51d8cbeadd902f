import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loadStandardMetadefs } from '../control/metadefs.ts'
import { type Answer, admin, imageApi, owner, reader, stranger } from './testing.ts'

const of = (body: Answer, many: string) => body[many] as Answer[]
const names = (body: Answer, many: string, name = 'name') => of(body, many).map((one) => one[name])
const at = '/metadefs/namespaces'

async function metadefs(context: Parameters<typeof imageApi>[0]) {
  const { api, db } = await imageApi(context)
  const asAdmin: typeof api = (method, url, options = {}) => api(method, url, { who: admin, ...options })
  const make = async (namespace: string, more: object = {}) => {
    const made = await asAdmin('POST', at, { payload: { namespace, ...more } })
    assert.equal(made.status, 201, made.text)
    return made.body
  }
  return { api, asAdmin, db, make }
}

describe('metadata definitions', () => {
  it('begin with the standard ones, once', async (context) => {
    const { api, asAdmin, db } = await metadefs(context)
    await db.write((tx) => loadStandardMetadefs(tx, 'admins'))
    const all = await api('GET', `${at}?limit=3&sort_key=namespace&sort_dir=asc`)
    assert.deepEqual(names(all.body, 'namespaces', 'namespace'), [
      'CIM::ProcessorAllocationSettingData',
      'CIM::ResourceAllocationSettingData',
      'CIM::StorageAllocationSettingData',
    ])
    assert.equal(all.body.next, `/v2${at}?limit=3&sort_key=namespace&sort_dir=asc&marker=CIM%3A%3AStorageAllocationSettingData`)
    assert.equal(all.body.schema, '/v2/schemas/metadefs/namespaces')

    const tpm = (await api('GET', `${at}/OS::Compute::TPM?resource_type=OS::Nova::Flavor`)).body
    assert.deepEqual(Object.keys(tpm.properties as object), ['hw:tpm_model', 'hw:tpm_version'])
    assert.deepEqual(
      of(tpm, 'resource_type_associations').map(({ name, prefix }) => [name, prefix]),
      [
        ['OS::Glance::Image', 'hw_'],
        ['OS::Nova::Flavor', 'hw:'],
      ],
    )
    const runtimes = (await api('GET', `${at}/OS::Software::Runtimes`)).body
    assert.deepEqual(names(runtimes, 'objects'), ['Java', 'PHP', 'Perl', 'Python', 'Ruby'])
    assert.ok((await api('GET', '/metadefs/resource_types')).text.includes('OS::Cinder::Volume'))
    assert.equal((await asAdmin('DELETE', `${at}/OS::Compute::TPM`)).status, 403)

    await asAdmin('PUT', `${at}/OS::Compute::TPM`, { payload: { namespace: 'OS::Compute::TPM', protected: false } })
    assert.equal((await asAdmin('DELETE', `${at}/OS::Compute::TPM`)).status, 204)
    await db.write((tx) => loadStandardMetadefs(tx, 'admins'))
    assert.equal((await asAdmin('GET', `${at}/OS::Compute::TPM`)).status, 404)
  })

  it('have namespaces that are made with all that lies in them', async (context) => {
    const { asAdmin, make } = await metadefs(context)
    const property = { title: 'Speed', type: 'integer', minimum: 1 }
    const made = await make('N1', {
      display_name: 'One',
      visibility: 'public',
      resource_type_associations: [{ name: 'OS::Nova::Server', prefix: 'x_' }],
      properties: { speed: property },
      objects: [{ name: 'engine', required: ['speed'], properties: { speed: property } }],
      tags: [{ name: 'fast' }],
    })
    assert.deepEqual(made.resource_type_associations, [{ name: 'OS::Nova::Server', prefix: 'x_' }])
    const shown = (await asAdmin('GET', `${at}/N1?resource_type=OS::Nova::Server`)).body
    assert.deepEqual(
      [shown.namespace, shown.display_name, shown.visibility, shown.protected, shown.owner],
      ['N1', 'One', 'public', false, 'admins'],
    )
    assert.deepEqual([shown.self, shown.schema], [`/v2${at}/N1`, '/v2/schemas/metadefs/namespace'])
    assert.deepEqual(shown.properties, { x_speed: property })
    const [engine] = of(shown, 'objects')
    assert.deepEqual([engine?.required, engine?.properties], [['x_speed'], { x_speed: property }])
    assert.deepEqual(shown.tags, [{ name: 'fast' }])

    assert.equal((await asAdmin('POST', at, { payload: { namespace: 'N1' } })).status, 409)
    assert.equal((await asAdmin('POST', at, { payload: { display_name: 'none' } })).status, 400)
    assert.equal((await asAdmin('POST', at, { payload: { namespace: 'N2', self: 'x' } })).status, 403)
    assert.equal((await asAdmin('POST', at, { payload: { namespace: 'x'.repeat(81) } })).status, 400)
    await make('N2')
    const renamed = await asAdmin('PUT', `${at}/N2`, { payload: { namespace: 'N3', description: 'three' } })
    assert.deepEqual([renamed.status, renamed.body.namespace, renamed.body.visibility], [200, 'N3', 'private'])
    assert.equal((await asAdmin('PUT', `${at}/N3`, { payload: { namespace: 'N1' } })).status, 409)
    assert.equal((await asAdmin('DELETE', `${at}/N1`)).status, 204)
    assert.equal((await asAdmin('GET', `${at}/N1`)).status, 404)
  })

  it('are seen by those who may, and changed by administrators', async (context) => {
    const { api, asAdmin, make } = await metadefs(context)
    await make('public', { visibility: 'public' })
    await make('ours', { owner: 'p1' })
    assert.deepEqual(names((await api('GET', at)).body, 'namespaces', 'namespace').sort(), ['ours', 'public'])
    assert.deepEqual(names((await api('GET', at, { who: stranger })).body, 'namespaces', 'namespace'), ['public'])
    assert.deepEqual(names((await api('GET', `${at}?visibility=private`, { who: reader })).body, 'namespaces', 'namespace'), ['ours'])
    assert.equal((await api('GET', `${at}?visibility=secret`)).status, 400)
    assert.equal((await api('GET', `${at}?marker=none`)).status, 404)
    for (const [method, url, payload] of [
      ['PUT', `${at}/ours`, { namespace: 'ours' }],
      ['DELETE', `${at}/ours`, undefined],
      ['POST', `${at}/ours/objects`, { name: 'o' }],
      ['POST', `${at}/ours/properties`, { name: 'p', title: 'P', type: 'string' }],
      ['POST', `${at}/ours/tags/t`, undefined],
      ['POST', `${at}/ours/resource_types`, { name: 'r' }],
    ] as const) {
      assert.equal((await api(method, url, { payload, who: owner })).status, 403, `${method} ${url}`)
      assert.equal((await api(method, url, { payload, who: stranger })).status, 404, `${method} ${url}`)
    }
    assert.equal((await api('POST', at, { payload: { namespace: 'mine' } })).status, 403)
    await asAdmin('POST', `${at}/ours/tags/t`)
    assert.equal((await api('GET', `${at}/ours/tags/t`)).status, 200)
    assert.equal((await api('GET', `${at}/ours/tags/t`, { who: stranger })).status, 404)
  })

  it('have objects', async (context) => {
    const { asAdmin, make } = await metadefs(context)
    await make('N')
    const objects = `${at}/N/objects`
    const made = await asAdmin('POST', objects, {
      payload: { name: 'a', description: 'A', properties: { p: { title: 'P', type: 'string' } } },
    })
    assert.deepEqual([made.status, made.body.self], [201, `/v2${objects}/a`])
    assert.equal((await asAdmin('POST', objects, { payload: { name: 'a' } })).status, 409)
    assert.equal((await asAdmin('POST', objects, { payload: { name: 'b', properties: { p: { type: 'string' } } } })).status, 400)
    await asAdmin('POST', objects, { payload: { name: 'b' } })
    const changed = await asAdmin('PUT', `${objects}/b`, { payload: { name: 'c', required: ['x'] } })
    assert.deepEqual([changed.status, changed.body.name, changed.body.required, changed.body.description], [200, 'c', ['x'], undefined])
    assert.equal((await asAdmin('PUT', `${objects}/c`, { payload: { name: 'a' } })).status, 409)
    assert.deepEqual(names((await asAdmin('GET', objects)).body, 'objects'), ['a', 'c'])
    assert.deepEqual(names((await asAdmin('GET', `${objects}?limit=1&marker=a`)).body, 'objects'), ['c'])
    assert.equal((await asAdmin('GET', `${objects}/b`)).status, 404)
    assert.equal((await asAdmin('DELETE', `${objects}/c`)).status, 204)
    await asAdmin('PUT', `${at}/N`, { payload: { namespace: 'N', protected: true } })
    const kept = await asAdmin('DELETE', `${objects}/a`)
    assert.deepEqual([kept.status, kept.message], [403, 'Metadata definition object a is protected and cannot be deleted.'])
    await asAdmin('PUT', `${at}/N`, { payload: { namespace: 'N' } })
    assert.equal((await asAdmin('DELETE', objects)).status, 204)
    assert.deepEqual(of((await asAdmin('GET', objects)).body, 'objects'), [])
  })

  it('have properties, under another name for some resource types', async (context) => {
    const { asAdmin, make } = await metadefs(context)
    await make('N', { resource_type_associations: [{ name: 'R', prefix: 'r:' }] })
    const properties = `${at}/N/properties`
    const speed = { name: 'speed', title: 'Speed', type: 'integer', enum: ['1', '2'], default: 1 }
    const made = await asAdmin('POST', properties, { payload: speed })
    assert.deepEqual([made.status, made.body], [201, speed])
    assert.equal((await asAdmin('POST', properties, { payload: speed })).status, 409)
    assert.equal((await asAdmin('POST', properties, { payload: { ...speed, type: 'tree' } })).status, 400)
    const { name, ...bare } = speed
    assert.deepEqual((await asAdmin('GET', properties)).body, { properties: { [name]: bare } })
    assert.deepEqual((await asAdmin('GET', `${properties}/speed`)).body, speed)
    assert.deepEqual((await asAdmin('GET', `${properties}/r:speed?resource_type=R`)).body, speed)
    assert.equal((await asAdmin('GET', `${properties}/speed?resource_type=R`)).status, 404)
    assert.equal((await asAdmin('GET', `${properties}/speed?resource_type=S`)).status, 404)
    const changed = await asAdmin('PUT', `${properties}/speed`, { payload: { name: 'pace', title: 'Pace', type: 'number' } })
    assert.deepEqual([changed.status, changed.body], [200, { name: 'pace', title: 'Pace', type: 'number' }])
    assert.equal((await asAdmin('DELETE', `${properties}/speed`)).status, 404)
    assert.equal((await asAdmin('DELETE', `${properties}/pace`)).status, 204)
    assert.equal((await asAdmin('DELETE', properties)).status, 204)
  })

  it('have tags, one by one or many at once', async (context) => {
    const { asAdmin, make } = await metadefs(context)
    await make('N')
    const tags = `${at}/N/tags`
    const listed = async () => names((await asAdmin('GET', tags)).body, 'tags').sort()
    assert.equal((await asAdmin('POST', `${tags}/one`)).status, 201)
    assert.equal((await asAdmin('POST', `${tags}/one`)).status, 409)
    const more = await asAdmin('POST', tags, { payload: { tags: [{ name: 'two' }] }, headers: { 'x-openstack-append': 'True' } })
    assert.deepEqual([more.status, more.body], [201, { tags: [{ name: 'two' }] }])
    assert.deepEqual(await listed(), ['one', 'two'])
    await asAdmin('POST', tags, { payload: { tags: [{ name: 'three' }, { name: 'four' }] } })
    assert.deepEqual(await listed(), ['four', 'three'])
    assert.equal((await asAdmin('PUT', `${tags}/four`, { payload: { name: 'three' } })).status, 409)
    assert.equal((await asAdmin('PUT', `${tags}/four`, { payload: { name: 'five' } })).body.name, 'five')
    assert.deepEqual(names((await asAdmin('GET', `${tags}?sort_key=name&sort_dir=asc&limit=1`)).body, 'tags'), ['five'])
    assert.equal((await asAdmin('DELETE', `${tags}/five`)).status, 204)
    assert.equal((await asAdmin('DELETE', tags)).status, 204)
    assert.deepEqual(await listed(), [])
  })

  it('apply to resource types', async (context) => {
    const { asAdmin, make } = await metadefs(context)
    await make('N')
    const types = `${at}/N/resource_types`
    const made = await asAdmin('POST', types, { payload: { name: 'R', prefix: 'r:', properties_target: 'image' } })
    assert.deepEqual([made.status, made.body.name, made.body.prefix, made.body.properties_target], [201, 'R', 'r:', 'image'])
    assert.equal((await asAdmin('POST', types, { payload: { name: 'R' } })).status, 409)
    assert.deepEqual(names((await asAdmin('GET', types)).body, 'resource_type_associations'), ['R'])
    assert.deepEqual(names((await asAdmin('GET', `${at}?resource_types=R,S`)).body, 'namespaces', 'namespace'), ['N'])
    assert.deepEqual(of((await asAdmin('GET', `${at}?resource_types=S`)).body, 'namespaces'), [])
    assert.equal((await asAdmin('DELETE', `${types}/R`)).status, 204)
    assert.equal((await asAdmin('DELETE', `${types}/R`)).status, 404)
    assert.deepEqual(names((await asAdmin('GET', '/metadefs/resource_types')).body, 'resource_types'), ['R'])
  })

  it('are described by schemas', async (context) => {
    const { api } = await metadefs(context)
    for (const [one, required] of [
      ['namespace', ['namespace']],
      ['object', ['name']],
      ['property', ['type', 'title', 'name']],
      ['tag', ['name']],
    ] as const) {
      const { status, body } = await api('GET', `/schemas/metadefs/${one}`)
      assert.deepEqual([status, body.name, body.required], [200, one, required])
    }
    const namespaces = (await api('GET', '/schemas/metadefs/namespaces')).body
    assert.ok('definitions' in namespaces)
    assert.equal((await api('GET', '/schemas/metadefs/resource_types')).body.name, 'resource_type_associations')
    assert.equal((await api('GET', '/schemas/metadefs/properties')).body.name, 'properties')
  })
})
