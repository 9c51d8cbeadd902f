// A cloud as a company runs it: its own PostgreSQL (the distribution's, by TLS with passwords), its own authority's certificate, a second host
// that verifies it. The database dies and comes back, the certificate is renewed, and nobody starts Wisp again for that.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import tls from 'node:tls'
import { WebSocket } from 'ws'
import { parse } from 'yaml'
import * as steps from '../../dashboard/test/steps.ts'
import { type ExternalServer, startExternal } from '../../src/database/external-testing.ts'
import { type Bed, startBed } from '../bed/bed.ts'
import { type Cloud, keyPair, launcher, onEnd, startCloud } from './cloud.ts'
import { consoleSays, importKey, launch, networkId, person, remove } from './person.ts'
import { patience, run, until } from './run-program.ts'

describe("a database and a certificate of one's own", { timeout: 8 * patience * 1000 }, () => {
  let cloud: Cloud
  let database: ExternalServer
  let bed: Bed | undefined
  let folder: string
  let server: string | undefined
  const file = (name: string) => path.join(folder, name)
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: folder, stdio: 'ignore' })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

  /** As an ACME client would: the key first, then the certificate, each moved into its place. */
  const certify = (...ips: string[]) => {
    const names = `subjectAltName=${ips.map((ip) => `IP:${ip}`).join()}`
    const authority = ['-CA', 'ca.pem', '-CAkey', 'ca.key']
    openssl('req', '-x509', ...authority, ...newKey, '-subj', '/CN=cloud', '-addext', names, '-keyout', 'key.new', '-out', 'cert.new')
    fs.renameSync(file('key.new'), file('key.pem'))
    fs.renameSync(file('cert.new'), file('cert.pem'))
  }
  const servedNames = async (): Promise<string> => {
    const socket = tls.connect({ host: '127.0.0.1', port: cloud.port, ca: fs.readFileSync(file('ca.pem')) })
    await once(socket, 'secureConnect')
    const { subjectaltname = '' } = socket.getPeerCertificate()
    socket.destroy()
    return subjectaltname
  }

  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wisp-e2e-own-'))
    fs.chmodSync(folder, 0o711)
    openssl('req', '-x509', ...newKey, '-subj', '/CN=authority', '-keyout', 'ca.key', '-out', 'ca.pem')
    certify('127.0.0.1')
    database = await startExternal()
    onEnd(() => database.stop())
    await database.administer('create database wisp owner wisp')
    cloud = await startCloud({
      own: true,
      settings: {
        DATABASE_URL: database.url('wisp', { host: 'localhost', query: { sslmode: 'verify-full', sslrootcert: database.ca } }),
        WISP_LISTEN: '0.0.0.0',
        WISP_TLS_CERT: file('cert.pem'),
        WISP_TLS_KEY: file('key.pem'),
        WISP_CONTROLLER_CA: file('ca.pem'),
      },
    })
  })
  after(async () => {
    if (server) await remove(cloud.demo, server).catch(() => undefined)
    await bed?.stop()
    await cloud?.stop()
    await database?.stop()
    fs.rmSync(folder, { recursive: true, force: true })
  })

  it('gives the stock client HTTPS everywhere, with the authority in its log-in files', async () => {
    assert.equal(cloud.demo.env.OS_CACERT, file('ca.pem'))
    const { clouds } = parse(fs.readFileSync(path.join(cloud.home, 'clouds.yaml'), 'utf8'))
    assert.equal(clouds['wisp-demo'].cacert, file('ca.pem'))
    const catalog = await cloud.demo.openstack<{ Endpoints: { url: string }[] }[]>('catalog', 'list')
    const addresses = catalog.flatMap(({ Endpoints }) => Endpoints.map(({ url }) => url))
    assert.ok(addresses.length >= 6)
    for (const address of addresses) assert.match(address, new RegExp(`^https://127\\.0\\.0\\.1:${cloud.port}/`))
    assert.equal((await cloud.demo.openstack<unknown[]>('image', 'list')).length, 1)
    const stranger = await run(['openstack', 'token', 'issue'], { ...process.env, ...cloud.demo.env, OS_CACERT: '' })
    assert.match(stranger.stderr, /certificate verify failed/i)
    assert.equal(fs.existsSync(path.join(cloud.home, 'postgres')), false, 'there is no embedded database')
  })

  it('refuses to let a machine join that cannot verify the controller, and says what to do', async () => {
    const token = /wisp join \S+ (\S+)/.exec((await cloud.wisp('join-token')).stdout)![1]!
    const env = { ...process.env, WISP_HOME: file('host'), WISP_CONTROLLER_CA: '' }
    const { status, stderr } = await run([launcher, 'join', cloud.url, token], env)
    assert.equal(status, 1)
    assert.match(stderr, /certificate.*WISP_CONTROLLER_CA/s)
    assert.equal(fs.existsSync(file('host')), false)
  })

  it('takes a certificate for another name while it runs, and a host that verifies that name joins', async () => {
    bed = await startBed({
      names: ['a'],
      folder,
      env: { WISP_CONTROLLER_CA: file('ca.pem') },
      controllerUrl: (ip) => {
        certify('127.0.0.1', ip)
        return `https://${ip}:${cloud.port}`
      },
      joinToken: async () => {
        await until(async () => (await servedNames()).includes('172.31.'), 'the new certificate is served')
        return /wisp join \S+ (\S+)/.exec((await cloud.wisp('join-token')).stdout)![1]!
      },
    })
    onEnd(async () => bed?.stop())
    await until(async () => {
      const { services } = await cloud.admin.ask<{ services: { host: string; state: string }[] }>('GET', 'compute/v2.1/os-services')
      return services.some(({ host, state }) => host === 'a' && state === 'up')
    }, 'the second host has joined')
  })

  it('runs a server on that host, whose screen comes over two encrypted ways', async () => {
    const { key } = await keyPair()
    const demo = await administratorOfDemo()
    await importKey(demo, 'me', `${key}.pub`)
    server = (await launch(demo, { name: 'one', key: 'me', network: { uuid: await networkId(demo, 'private') }, host: 'a' })).id
    await consoleSays(demo, server, /metadata fetched from/)
    const { url } = await cloud.demo.openstack<{ url: string }>('console', 'url', 'show', 'one')
    assert.ok(url.startsWith(`${cloud.url}/`))
    const token = new URL(url).searchParams.get('token')
    const screen = new WebSocket(`${cloud.url.replace('https', 'wss')}/console/v1/vnc?token=${token}`, ['binary'], {
      ca: fs.readFileSync(file('ca.pem')),
      origin: cloud.url,
    })
    const [hello] = (await once(screen, 'message')) as [Buffer]
    assert.equal(hello.toString('latin1'), 'RFB 003.008\n')
    screen.close()
  })

  it('opens both consoles in a browser over wss', async () => {
    const browser = await steps.openBrowser()
    onEnd(() => browser.close())
    try {
      const { page, errors } = await steps.openPage(browser, { anyCertificate: true })
      page.setDefaultTimeout(patience * 1000)
      const { url } = await cloud.demo.openstack<{ url: string }>('console', 'url', 'show', 'one')
      const opened = page.waitForEvent('websocket')
      await page.goto(url)
      assert.match((await opened).url(), /^wss:/)
      await page.getByText('Connected', { exact: true }).waitFor()
      const serial = await cloud.demo.openstack<{ url: string }>('console', 'url', 'show', '--serial', 'one')
      assert.match(serial.url, new RegExp(`^wss://127\\.0\\.0\\.1:${cloud.port}/console/v1/serial\\?token=`))
      await page.goto(`${cloud.url}/dashboard/console?protocol=serial&token=${new URL(serial.url).searchParams.get('token')}`)
      await page.getByText('Connected', { exact: true }).waitFor()
      await steps.signInAtTerminal(page, { user: 'cirros', password: 'gocubsgo' }, { timeout: patience * 1000 })
      assert.deepEqual(errors, [])
    } finally {
      await browser.close()
    }
  })

  it('comes back by itself when the database was killed, and knows the server', async () => {
    await database.kill()
    await until(
      async () => (await run(['openstack', 'token', 'issue'], { ...process.env, ...cloud.demo.env }, patience)).status !== 0,
      'the cloud misses its database',
    )
    await database.start()
    await until(
      async () => (await run(['openstack', 'token', 'issue'], { ...process.env, ...cloud.demo.env }, patience)).status === 0,
      'the cloud answers again',
    )
    const servers = await cloud.demo.openstack<{ Name: string; Status: string }[]>('server', 'list')
    assert.deepEqual(
      servers.map(({ Name, Status }) => [Name, Status]),
      [['one', 'ACTIVE']],
    )
    await remove(cloud.demo, server!)
    server = undefined
  })

  it("goes down, up and away; the database is its owner's to drop", async () => {
    await cloud.wisp('down')
    await cloud.wisp('up')
    const file = path.join(folder, 'cloud.wisp')
    assert.match((await cloud.wisp('export', file)).stdout, /rows are in/)
    const doctor = await run([launcher, 'doctor'], cloud.env, 120)
    assert.match(doctor.stdout, /your own PostgreSQL \d+/)
    assert.match(doctor.stdout, /the certificate of the API is for 127\.0\.0\.1/)
    await bed!.stop()
    bed = undefined
    assert.match((await cloud.wisp('destroy', '--yes')).stdout, /Your own PostgreSQL .* was not touched/)
  })

  async function administratorOfDemo() {
    await cloud.admin.say('role', 'add', '--project', 'demo', '--user', 'admin', 'admin')
    return person(path.join(cloud.home, 'openrc'), { OS_PROJECT_NAME: 'demo' })
  }
})
