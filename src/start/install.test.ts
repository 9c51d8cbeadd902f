import assert from 'node:assert/strict'
import { test } from 'node:test'
import { unitText } from './install.ts'

test('the unit starts this checkout for this home, and leaves servers alone when it stops', () => {
  const unit = unitText('/srv/my cloud 100%', '/opt/wi$p/wisp')
  assert.match(unit, /^Environment="WISP_HOME=\/srv\/my cloud 100%%"$/m)
  assert.match(unit, /^ExecStart="\/opt\/wi\$\$p\/wisp" up --foreground$/m)
  assert.match(unit, /^KillMode=process$/m)
  assert.match(unit, /^OOMPolicy=continue$/m)
  assert.match(unit, /^After=.* libvirt-guests\.service$/m)
  assert.match(unit, /^Restart=on-failure$/m) // "wisp down" ends it with 0, and it stays down
})
