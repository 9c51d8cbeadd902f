import assert from 'node:assert/strict'
import { argon2 } from 'node:crypto'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { catalogFor } from './catalog.ts'
import { hashPassword, isOutdated, verifyPassword } from './passwords.ts'
import { seal, unseal } from './sealed.ts'

test('a password verifies against its own hash only', async () => {
  const phc = await hashPassword('grüße')
  assert.match(phc, /^\$argon2id\$v=19\$m=12288,t=19,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  assert.notEqual(await hashPassword('grüße'), phc, 'a salt of its own')
  assert.equal(await verifyPassword('grüße', phc), true)
  assert.equal(await verifyPassword('grüsse', phc), false)
  assert.equal(await verifyPassword('', phc), false)
})

test('a hash of another library is the same', async () => {
  const nonce = Buffer.alloc(16, 7)
  const derived = await promisify(argon2)('argon2id', {
    message: 'grüße',
    nonce,
    tagLength: 32,
    memory: 12_288,
    passes: 19,
    parallelism: 1,
  })
  const [salt, hash] = [nonce, derived].map((bytes) => bytes.toString('base64').replaceAll('=', ''))
  assert.equal(await verifyPassword('grüße', `$argon2id$v=19$m=12288,t=19,p=1$${salt}$${hash}`), true)
})

test('who has no password is never let in', async () => {
  assert.equal(await verifyPassword('', null), false)
  assert.equal(await verifyPassword('x', undefined), false)
})

test('hashes of other costs are read', async () => {
  // The example of RFC 9106's reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 (tag of 32 bytes).
  const phc = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'
  assert.equal(await verifyPassword('password', phc), true)
  assert.equal(isOutdated(phc), true)
  assert.equal(isOutdated(await hashPassword('password')), false)
})

test('what is sealed opens under its own name and key only', () => {
  const key = Buffer.alloc(32, 1)
  const sealed = seal(key, 'row 1', Buffer.from('secret'))
  assert.equal(unseal(key, 'row 1', sealed).toString(), 'secret')
  assert.throws(() => unseal(key, 'row 2', sealed), /secret\.key/)
  assert.throws(() => unseal(Buffer.alloc(32, 2), 'row 1', sealed), /secret\.key/)
})

test('a catalog has no address with a hole in it', () => {
  const row = { service_id: 's', type: 'x', service_name: null, id: 'e', interface: 'public', region_id: null }
  const rows = [
    { ...row, url: '$(public_url)s/v3/%(project_id)s' },
    { ...row, url: '$(public_url)s/v3' },
    { ...row, url: 'http://$(constructor)s' },
  ]
  const urls = (project_id?: string) =>
    catalogFor({ rows, only: new Map() }, 'http://c', { user_id: 'u', ...(project_id && { project_id }) })[0]!.endpoints.map(
      (e) => (e as { url: string }).url,
    )
  assert.deepEqual(urls('p'), ['http://c/v3/p', 'http://c/v3'])
  assert.deepEqual(urls(), ['http://c/v3'])
})
