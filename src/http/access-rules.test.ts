import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accessAllowed } from './access-rules.ts'
import { member } from './testing.ts'
import type { AccessRule } from './who.ts'

const rule = (path: string, method = 'GET', service = 'compute'): AccessRule => ({ id: 'r', service, method, path })
const allowed = (rules: AccessRule[], path: string, method = 'GET', types = ['compute']) =>
  accessAllowed({ ...member, accessRules: rules }, types, method, path)

test('without rules everything is allowed, with none that fits nothing', () => {
  assert.equal(accessAllowed(member, ['compute'], 'DELETE', '/compute/v2.1/servers/x'), true)
  assert.equal(allowed([], '/compute/v2.1/servers'), false)
})

test('service, method and path must fit, with or without where the service is mounted', () => {
  const rules = [rule('/v2.1/servers')]
  assert.equal(allowed(rules, '/compute/v2.1/servers'), true)
  assert.equal(allowed(rules, '/v2.1/servers'), true)
  assert.equal(allowed([rule('/compute/v2.1/servers')], '/compute/v2.1/servers'), true)
  assert.equal(allowed(rules, '/compute/v2.1/servers', 'POST'), false)
  assert.equal(allowed(rules, '/compute/v2.1/servers', 'GET', ['network']), false)
  assert.equal(allowed(rules, '/compute/v2.1/servers/detail'), false)
  assert.equal(allowed([rule('/v3/p/volumes', 'GET', 'volumev3')], '/volume/v3/p/volumes', 'GET', ['block-storage', 'volumev3']), true)
})

test('wildcards stand for a part of the path, or for all of it', () => {
  for (const path of ['/v2.1/servers/*/ips', '/v2.1/servers/{server_id}/ips']) {
    assert.equal(allowed([rule(path)], '/compute/v2.1/servers/5b/ips'), true, path)
    assert.equal(allowed([rule(path)], '/compute/v2.1/servers//ips'), false, path)
    assert.equal(allowed([rule(path)], '/compute/v2.1/servers/5b/x/ips'), false, path)
  }
  assert.equal(allowed([rule('/v2.1/**')], '/compute/v2.1/servers/5b/x/ips'), true)
  assert.equal(allowed([rule('/v2.1/**/ips')], '/compute/v2.1/servers/5b/ips'), true)
  assert.equal(allowed([rule('/v2.1/s*s')], '/compute/v2.1/servers'), true)
  assert.equal(allowed([rule('/v2.1/.*')], '/compute/v2.1/servers'), false, 'a dot is a dot')
})

test('a token with rules can be checked', () => {
  assert.equal(allowed([], '/identity/v3/auth/tokens', 'GET', ['identity']), true)
  assert.equal(allowed([], '/v3/auth/tokens', 'GET', ['identity']), true)
  assert.equal(allowed([], '/identity/v3/auth/tokens', 'DELETE', ['identity']), false)
})

test('no pattern is slow', () => {
  const wild = rule(`/${'**a'.repeat(70)}b`)
  assert.equal(allowed([wild], `/compute/${'a'.repeat(1_900)}`), false)
  assert.equal(allowed([rule('/**')], `/compute/${'a'.repeat(9_000)}`), true)
  assert.equal(allowed([rule('/a**')], `/${'a'.repeat(9_000)}`), false)
})
