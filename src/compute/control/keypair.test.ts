import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, it } from 'node:test'
import { generateKey, importKey } from './keypair.ts'

describe('keypair', () => {
  it('makes keys that OpenSSH reads, with the fingerprint that it computes', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keypair-'))
    try {
      const { private_key, public_key, fingerprint } = generateKey('me')
      const file = path.join(folder, 'key')
      fs.writeFileSync(file, private_key, { mode: 0o600 })
      assert.equal(execFileSync('ssh-keygen', ['-y', '-f', file], { encoding: 'utf8' }).trim(), public_key)
      assert.match(execFileSync('ssh-keygen', ['-l', '-E', 'md5', '-f', file], { encoding: 'utf8' }), new RegExp(`MD5:${fingerprint} `))
      assert.deepEqual(importKey(public_key), { public_key, fingerprint })
    } finally {
      fs.rmSync(folder, { recursive: true })
    }
  })

  it('refuses what is no public key', () => {
    const { public_key } = generateKey('me')
    const [, data] = public_key.split(' ')
    for (const text of [
      '',
      'ssh-rsa',
      'ssh-rsa A',
      `ssh-rsa ${data}`,
      'not a key',
      `ssh-ed25519 ${data}!`,
      `${public_key}\n${public_key}`,
      `ssh-nonsense ${data}`,
    ]) {
      assert.throws(() => importKey(text), { status: 400 }, text)
    }
  })
})
