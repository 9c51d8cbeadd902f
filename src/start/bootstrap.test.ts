import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { openrcText } from './bootstrap.ts'

test('an openrc file logs in as whom it names, whatever another one left in the shell', () => {
  const text = openrcText({ OS_AUTH_URL: 'http://127.0.0.1:5000/identity/v3', OS_PASSWORD: `it's "$HOME"` })
  const script = `${text}set -eu\nenv | grep '^OS_' | sort`
  const { stdout } = spawnSync('sh', ['-c', script], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, OS_CLOUD: 'elsewhere', OS_PROJECT_ID: 'another', OS_CACERT: '/gone', OS_AUTH_URL: 'http://elsewhere' },
  })
  assert.equal(stdout, `OS_AUTH_URL=http://127.0.0.1:5000/identity/v3\nOS_PASSWORD=it's "$HOME"\n`)
})
