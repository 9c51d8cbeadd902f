// Signatures of OAuth 1.0, by the example that the specification itself gives.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkParams, readParams, signatureFits } from './oauth1-signature.ts'

// OAuth Core 1.0a, appendix A.5.
const authorization = `OAuth realm="http://photos.example.net/", oauth_consumer_key="dpf43f3p2l4k3l03", oauth_token="nnch734d00sl2jdk",
  oauth_signature_method="HMAC-SHA1", oauth_signature="tR3%2BTy81lMeYAr%2FFid0kMTYa%2FWM%3D", oauth_timestamp="1191242096",
  oauth_nonce="kllo9940pd9333jh", oauth_version="1.0"`.replaceAll('\n', '')
const url = 'http://photos.example.net/photos?file=vacation.jpg&size=original'
const secrets = ['kd94hf93k423kf44', 'pfkkdhi9sl3r4s00'] as const

test("the specification's example fits, and nothing near it", () => {
  const params = readParams(authorization)
  const fits = (urls: string[], method = 'GET', more = {}) =>
    signatureFits({ method, urls, authorization }, { ...params, ...more }, ...secrets)
  assert.equal(params.realm, undefined)
  assert.ok(fits([url]))
  assert.ok(fits(['http://elsewhere.example.net/', 'HTTP://Photos.Example.Net:80/photos?size=original&file=vacation.jpg']))
  assert.ok(!fits([url], 'POST'))
  assert.ok(!fits([url.replace('http:', 'https:')]))
  assert.ok(!fits([`${url}&more=1`]))
  assert.ok(!fits([url], 'GET', { oauth_nonce: 'another' }))
  assert.ok(!fits([url], 'GET', { oauth_signature: '' }))
  assert.ok(!signatureFits({ method: 'GET', urls: [url], authorization }, params, secrets[0], 'another'))
})

test('what is malformed, missing, or too old is refused', () => {
  for (const bad of [undefined, '', 'Basic eDp5', 'OAuth nonsense', 'OAuth a="%zz"', 'OAuth a="%00"', 'OAuth a="1", a="2"']) {
    assert.throws(() => readParams(bad), { status: 400 }, bad)
  }
  const params = readParams(authorization)
  const then = 1_191_242_096_000
  checkParams(params, then)
  checkParams(params, then + 599_000)
  assert.throws(() => checkParams(params, then + 601_000), { status: 400, message: /600 seconds/ })
  for (const name of ['oauth_signature', 'oauth_signature_method', 'oauth_consumer_key', 'oauth_timestamp', 'oauth_nonce']) {
    assert.throws(() => checkParams({ ...params, [name]: '' }, then), { status: 400, message: new RegExp(name) })
  }
})
