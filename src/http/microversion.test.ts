import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from './fault.ts'
import { negotiator, versionHeaders } from './microversion.ts'

const nova = { header: 'compute', legacyHeader: 'X-OpenStack-Nova-API-Version', min: '2.1', max: '2.96' }
const negotiate = negotiator(nova)
const ask = (version: string) => negotiate({ 'openstack-api-version': version })
const status = (ask: () => unknown) => {
  try {
    ask()
  } catch (error) {
    assert.ok(error instanceof Fault)
    return error.status
  }
  return 200
}

test('the header, the legacy header, and neither', () => {
  assert.equal(negotiate({}), '2.1')
  assert.equal(ask('compute 2.90'), '2.90')
  assert.equal(ask('Compute latest'), '2.96')
  assert.equal(ask('volume 3.70, compute 2.5'), '2.5')
  assert.equal(ask('volume 3.70'), '2.1')
  assert.equal(negotiate({ 'x-openstack-nova-api-version': '2.7' }), '2.7')
  assert.equal(negotiate({ 'x-openstack-nova-api-version': '2.7', 'openstack-api-version': 'compute 2.8' }), '2.8')
})

test('malformed is 400, out of range 406', () => {
  for (const version of ['two', '2', '2.x', '2.01', '-2.1', '2.1.1', '2.1 beta'])
    assert.equal(
      status(() => ask(`compute ${version}`)),
      400,
      version,
    )
  for (const version of ['2.0', '1.9', '2.97', '3.1'])
    assert.equal(
      status(() => ask(`compute ${version}`)),
      406,
      version,
    )
})

test('the answer tells the version and that it varies with it', () => {
  assert.deepEqual(versionHeaders(nova, '2.9'), [
    ['openstack-api-version', 'compute 2.9'],
    ['x-openstack-nova-api-version', '2.9'],
    ['vary', 'OpenStack-API-Version, X-OpenStack-Nova-API-Version'],
  ])
})
