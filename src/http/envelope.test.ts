import assert from 'node:assert/strict'
import { test } from 'node:test'
import { envelopes } from './envelope.ts'
import { conflict, Fault, notFound, overQuota, unavailable } from './fault.ts'

const body = (name: keyof typeof envelopes, fault: Fault) => JSON.parse(envelopes[name].write(fault, 'req-1').body)

test('each service writes a fault as its clients read it', () => {
  const fault = notFound('Image x could not be found.', { type: 'ImageNotFound' })
  assert.deepEqual(body('compute', fault), { itemNotFound: { code: 404, message: fault.message } })
  assert.deepEqual(body('blockStorage', fault), { itemNotFound: { code: 404, message: fault.message } })
  assert.deepEqual(body('identity', fault), { error: { code: 404, message: fault.message, title: 'Not Found' } })
  assert.deepEqual(body('image', fault), { error: { code: 404, message: fault.message, title: 'Not Found' } })
  assert.deepEqual(body('network', fault), { NeutronError: { type: 'ImageNotFound', message: fault.message, detail: '' } })
  assert.deepEqual(body('loadBalancer', fault), { faultcode: 'Client', faultstring: fault.message, debuginfo: null })
  assert.deepEqual(body('errors', conflict('busy', { type: 'placement.concurrent_update' })), {
    errors: [{ status: 409, title: 'Conflict', detail: 'busy', code: 'placement.concurrent_update', request_id: 'req-1' }],
  })
})

test("names of nova's faults", () => {
  const name = (fault: Fault) => Object.keys(body('compute', fault))[0]
  assert.equal(name(conflict('x')), 'conflictingRequest')
  assert.equal(name(overQuota('x')), 'forbidden')
  assert.equal(name(overQuota('x', 413)), 'overLimit')
  assert.equal(name(new Fault(500, 'x')), 'computeFault')
  assert.deepEqual(body('compute', unavailable('x', 3)), { serviceUnavailable: { code: 503, message: 'x', retryAfter: '3' } })
})

test("neutron's words for a missing and an unknown attribute", () => {
  const problem = { kind: 'body' as const, path: ['port'], text: '', value: '', name: 'network_id' }
  assert.equal(
    envelopes.network.invalid({ ...problem, keyword: 'required' }).message,
    "Failed to parse request. Required attribute 'network_id' not specified",
  )
  assert.equal(envelopes.network.invalid({ ...problem, keyword: 'additionalProperties' }).message, "Unrecognized attribute(s) 'network_id'")
  assert.equal(body('network', notFound()).NeutronError.type, 'HTTPNotFound')
})
