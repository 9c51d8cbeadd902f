import assert from 'node:assert/strict'
import { test } from 'node:test'
import { remedyOf } from './explain.ts'
import { ApiError, messageOf } from './http.ts'

test('the words of an error are found in every envelope', () => {
  assert.equal(messageOf('{"badRequest":{"code":400,"message":"nova says"}}', 400), 'nova says')
  assert.equal(messageOf('{"error":{"code":401,"title":"Unauthorized","message":"keystone says"}}', 401), 'keystone says')
  assert.equal(messageOf('{"NeutronError":{"type":"X","message":"neutron says","detail":""}}', 409), 'neutron says')
  assert.equal(messageOf('{"message":"flat"}', 500), 'flat')
  assert.equal(messageOf('<html><head><title>404</title></head><body>No image <b>found</b></body></html>', 404), 'No image found')
  assert.equal(messageOf('', 502), 'HTTP 502')
})

test('a remedy follows from the words first, then from the status', () => {
  assert.equal(remedyOf(new ApiError('compute', 403, 'Quota exceeded for cores: Requested 8')), 'quota')
  assert.equal(remedyOf(new ApiError('compute', 403, "Policy doesn't allow this")), 'forbidden')
  assert.equal(remedyOf(new ApiError('identity', 401, 'requires authentication')), 'wrongPassword')
  assert.equal(remedyOf(new ApiError('network', 0, 'Failed to fetch')), 'unreachable')
  assert.equal(remedyOf(new ApiError('network', 501, 'routers come later')), 'notBuilt')
})
