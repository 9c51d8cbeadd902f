// Hashes with known passwords: bcrypt's from its own test vectors, bcrypt-sha256's from passlib's manual, sha512-crypt's by openssl passwd, the rest
// by Python's hashlib.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isOutdated, verifyPassword } from './passwords.ts'

const vectors = {
  bcrypt: ['U*U', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
  'bcrypt (2b)': ['U*U', '$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
  'bcrypt (2y)': ['U*U', '$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
  'bcrypt-sha256': ['password', '$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2'],
  scrypt: ['grüße', '$scrypt$ln=14,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$8sS4SNEo0DR3mOR//MxoYmCmGvliXl7LrJC35JTYRDY'],
  'pbkdf2-sha512': [
    'grüße',
    '$pbkdf2-sha512$25000$AAECAwQFBgcICQoLDA0ODw$Xt4KnCP3Qh3HZddY0PNVikhy74u4VQ8oa/DG9xVYg57DZuWrA8BLifebOO6FEKXiU0iihfUviqvEgrx1V/x4cw',
  ],
  'sha512-crypt': ['grüße', '$6$saltsalt$MSdmCK51lJjMpTz5N3aU5vb0jpPXztyruwBRt8o.ZecvnlwVPiRqJgV.TP3nG1tB/9sMjuGzdcGQUjkTPL3qK.'],
} as const

for (const [name, [password, hash]] of Object.entries(vectors)) {
  test(`a ${name} hash of Keystone's opens with its password alone`, async () => {
    assert.equal(await verifyPassword(password, hash), true)
    assert.equal(await verifyPassword(`${password}x`, hash), false)
    assert.equal(await verifyPassword('', hash), false)
    assert.equal(isOutdated(hash), true)
  })
}

test('what is no hash is an error and lets nobody in', async () => {
  await assert.rejects(verifyPassword('x', 'plain'), /neither an argon2id/)
  assert.equal(await verifyPassword('U*U\0', vectors.bcrypt[1]), false, 'bcrypt ends at a NUL')
  assert.equal(await verifyPassword('grüße\0', vectors['sha512-crypt'][1]), false)
})
