import assert from 'node:assert/strict'
import { it } from 'node:test'
import { readOpenrc } from './session.ts'
import { readWords, sshWords } from './ssh.ts'

it('reads a server, options and a command', () => {
  assert.deepEqual(readWords(['one']), { server: 'one', user: 'cirros', command: [] })
  assert.deepEqual(readWords(['-i', 'key', 'one', '--user', 'debian', 'ls', '-l', '--user']), {
    server: 'one',
    user: 'debian',
    key: 'key',
    command: ['ls', '-l', '--user'],
  })
  assert.deepEqual(readWords(['one', '--', '-strange']).command, ['-strange'])
})

it('refuses what ssh could take for an option', () => {
  assert.throws(() => readWords([]), /Which server/)
  assert.throws(() => readWords(['one', '-oProxyCommand=x']), /knows no -oProxyCommand/)
  assert.throws(() => readWords(['one', '--user', '-oProxyCommand=x']), /cannot be a user/)
  assert.throws(() => readWords(['one', '-i']), /wants a value/)
})

it('gives the key to ssh only where there is one', () => {
  const wanted = { server: 'one', user: 'cirros', command: ['id'] }
  assert.deepEqual(sshWords({ ip: '10.0.0.5' }, wanted).slice(-3), ['cirros@10.0.0.5', '--', 'id'])
  assert.ok(
    sshWords({ ip: '10.0.0.5' }, { ...wanted, key: 'k' })
      .join(' ')
      .includes('-i k -o IdentitiesOnly=yes'),
  )
})

it('reads the variables of an openrc file', () => {
  assert.deepEqual(readOpenrc("export OS_USERNAME='admin'\n# OS_X=1\nexport OS_PASSWORD='a=b c'\nOS_REGION_NAME=RegionOne\n"), {
    OS_USERNAME: 'admin',
    OS_PASSWORD: 'a=b c',
    OS_REGION_NAME: 'RegionOne',
  })
})
