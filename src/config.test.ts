import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { cloudTag, effective, loadConfig, settings } from './config.ts'

let home: string
before(() => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-config-'))
})
after(() => fs.rmSync(home, { recursive: true }))
const written = (text: string) => fs.writeFileSync(path.join(home, 'wisp.conf'), text)

test('there are at most 50 settings, each with one name of its own', () => {
  const names = Object.values(settings).map(({ env }) => env)
  assert.ok(names.length <= 50)
  assert.equal(new Set(names).size, names.length)
})

test('the environment wins over wisp.conf, which wins over the default', () => {
  written('# my cloud\nWISP_PORT = 5100\n\nWISP_REGION="Here"\nWISP_PHYSICAL_NETWORKS=physnet1:eth1, physnet2:eth2\n')
  const config = loadConfig({ WISP_HOME: home, WISP_PORT: '5200', WISP_DASHBOARD: 'off' })
  assert.equal(config.port, 5200)
  assert.equal(config.region, 'Here')
  assert.equal(config.dashboard, false)
  assert.equal(config.listen, '127.0.0.1')
  assert.equal(config.databaseUrl, undefined)
  assert.deepEqual(config.physicalNetworks, { physnet1: 'eth1', physnet2: 'eth2' })
  const from = new Map(effective({ WISP_HOME: home, WISP_PORT: '5200' }).map((setting) => [setting.env, setting.from]))
  assert.deepEqual([from.get('WISP_PORT'), from.get('WISP_REGION'), from.get('WISP_LISTEN')], ['environment', 'wisp.conf', 'default'])
})

test('all wrong settings are named at once', () => {
  written('WISP_PROT=1\nWISP_VIRT_TYPE=xen\n')
  const wrong = () =>
    loadConfig({ WISP_HOME: home, WISP_PORT: '70000', WISP_DASHBOARD: 'maybe', WISP_TLS_CERT: '/c', WISP_PHYSICAL_NETWORKS: 'eth1' })
  const expected = [
    /WISP_PORT=70000 \(environment\) wants a number from 0 to 65535/,
    /WISP_DASHBOARD=maybe .* wants on or off/,
    /WISP_VIRT_TYPE=xen \(wisp.conf\) wants one of auto, kvm, qemu/,
  ]
  const more = [/WISP_PROT in .* is no setting/, /WISP_TLS_CERT and WISP_TLS_KEY belong together/, /wants name:interface pairs/]
  for (const message of [...expected, ...more]) assert.throws(wrong, message)
  const certificates = () =>
    loadConfig({ WISP_HOME: home, WISP_CLIENT_CA: '/ca', WISP_CERTIFICATE_PROXIES: 'proxy.example', WISP_OAUTH2_METHODS: 'x' })
  for (const message of [
    /WISP_CLIENT_CA means something only where TLS ends here/,
    /wants addresses or networks/,
    /wants one of tls_client_auth/,
  ])
    assert.throws(certificates, message)
  written('what is this\n')
  assert.throws(() => loadConfig({ WISP_HOME: home }), /line 1: wants KEY=value/)
  written('')
})

test('secrets are masked, also when they are wrong', () => {
  const shown = (url: string) => effective({ WISP_HOME: home, DATABASE_URL: url }).find(({ env }) => env === 'DATABASE_URL')?.value
  assert.equal(shown('postgres://wisp:hush@db/wisp'), 'postgres://wisp:***@db/wisp')
  assert.equal(shown('postgres://db/wisp?user=wisp&password=hush'), 'postgres://db/wisp?user=wisp&password=***')
  assert.equal(shown('host=db password=hush'), '***')
})

test('the tag of a cloud follows from its home alone', () => {
  assert.match(cloudTag('/var/lib/wisp'), /^[0-9a-f]{6}$/)
  assert.equal(cloudTag('/var/lib/wisp/'), cloudTag('/var/lib/wisp'))
  assert.notEqual(cloudTag('/var/lib/wisp2'), cloudTag('/var/lib/wisp'))
})
