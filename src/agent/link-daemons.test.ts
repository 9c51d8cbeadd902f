import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { keepOff, letBe } from './link-daemons.ts'

test('daemons that look after interfaces are told to leave ours alone, and told nothing once we are gone', async (context) => {
  const run = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-run-'))
  context.after(() => fs.rmSync(run, { recursive: true }))
  const files = () => (fs.readdirSync(run, { recursive: true, encoding: 'utf8' }) as string[]).filter((name) => /wisp/.test(name)).sort()
  await keepOff('abcdef', run)
  assert.deepEqual(files(), [], 'none of them is here')

  fs.mkdirSync(path.join(run, 'systemd/system'), { recursive: true })
  fs.mkdirSync(path.join(run, 'NetworkManager'))
  for (const _ of ['writes', 'leaves as it is']) await keepOff('abcdef', run)
  const [manager, link, network] = files()
  assert.deepEqual(
    [manager, link, network],
    ['NetworkManager/conf.d/wisp-abcdef.conf', 'systemd/network/05-wisp-abcdef.link', 'systemd/network/05-wisp-abcdef.network'],
  )
  const text = (name: string) => fs.readFileSync(path.join(run, name), 'utf8')
  assert.match(text(network!), /\[Match\]\nName=wabcdef\*\n\n\[Link\]\nUnmanaged=yes/)
  assert.match(text(link!), /OriginalName=wabcdef\*\n\n\[Link\]\nNamePolicy=\nMACAddressPolicy=none/)
  assert.match(text(manager!), /unmanaged-devices\+=interface-name:wabcdef\*/)

  await keepOff('123456', run)
  await letBe('abcdef', run)
  assert.equal(files().length, 3, 'those of another cloud stay')
  await letBe('123456', run)
  assert.deepEqual(files(), [])
})
