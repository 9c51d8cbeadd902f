// What the README promises: a person logs in with the stock client, launches a real server, reads its console, logs in to it, stops and starts it,
// deletes it; and nobody else sees any of it.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { WebSocket } from 'ws'
import { type Cloud, keyPair, launcher, qemuPid, startCloud } from './cloud.ts'
import { becomes, consoleSays, type Person, person, remove } from './person.ts'
import { patience, run, succeed } from './run-program.ts'

const labs = path.join(import.meta.dirname, '../../labs')

interface Server {
  id: string
  name: string
  status: string
  addresses: Record<string, string[]>
}

describe('the first server', { timeout: 8 * patience * 1000 }, () => {
  let cloud: Cloud
  let demo: Person
  let folder: string
  let key: string
  let server: Server

  /** Waits until the guest has booted this often in its life: its console keeps the earlier times. */
  const booted = (times: number) => consoleSays(demo, server.id, new RegExp(`(wisp guest ready.*){${times}}`, 's'))

  before(async () => {
    cloud = await startCloud()
    demo = cloud.demo
    ;({ folder, key } = await keyPair())
  })
  after(async () => {
    if (server) await remove(demo, server.id).catch(() => undefined)
    await cloud?.stop()
  })

  it('shows a token, the catalog, an image, flavors and a network to whoever has the openrc file', async () => {
    const token = await demo.openstack<{ id: string; project_id: string; expires: string }>('token', 'issue')
    assert.ok(token.id.length > 20 && Date.parse(token.expires) > Date.now())
    const types = (await demo.openstack<{ Type: string }[]>('catalog', 'list')).map(({ Type }) => Type)
    for (const type of ['identity', 'image', 'compute', 'placement', 'network', 'block-storage'])
      assert.ok(types.includes(type), `${type} in ${types}`)
    const images = await demo.openstack<{ Name: string; Status: string }[]>('image', 'list')
    assert.equal(images.find(({ Name }) => Name === 'wisp-guest')?.Status, 'active')
    const flavors = await demo.openstack<{ Name: string; RAM: number; Disk: number; VCPUs: number }[]>('flavor', 'list')
    const nano = flavors.find(({ Name }) => Name === 'm1.nano')
    assert.deepEqual([nano?.RAM, nano?.Disk, nano?.VCPUs], [128, 1, 1])
    assert.ok(flavors.some(({ Name }) => Name === 'm1.large'))
    const networks = await demo.openstack<{ Name: string }[]>('network', 'list')
    assert.ok(networks.some(({ Name }) => Name === 'private'))
  })

  it('shows the quotas and limits of the project, of every service', async () => {
    const quotas = await demo.openstack<Record<string, number>>('quota', 'show')
    assert.ok(quotas.instances! > 0 && quotas.ports! > 0)
    assert.equal(quotas.volumes, 0)
    const limits = await demo.openstack<{ Name: string; Value: number }[]>('limits', 'show', '--absolute')
    const value = (wanted: string) => limits.find(({ Name }) => Name === wanted)?.Value
    assert.deepEqual([value('maxTotalInstances'), value('maxTotalVolumes')], [quotas.instances, 0])
  })

  it('launches a server and waits for it', async () => {
    fs.writeFileSync(path.join(folder, 'hello.sh'), '#!/bin/sh\necho "HELLO from $(hostname), kernel $(uname -s)"\n')
    await demo.openstack('keypair', 'create', '--public-key', `${key}.pub`, 'me')
    const words = ['--image', 'wisp-guest', '--flavor', 'm1.nano', '--network', 'private', '--key-name', 'me']
    server = await demo.openstack<Server>('server', 'create', ...words, '--user-data', path.join(folder, 'hello.sh'), '--wait', 'one')
    assert.equal(server.status, 'ACTIVE')
    const listed = await demo.openstack<{ ID: string; Name: string; Status: string }[]>('server', 'list')
    assert.deepEqual(listed.find(({ ID }) => ID === server.id)?.Name, 'one')
    server = await demo.openstack<Server>('server', 'show', 'one')
    assert.match(server.addresses.private?.[0] ?? '', /^\d+\.\d+\.\d+\.\d+$/)
    const events = await demo.openstack<{ Action: string }[]>('server', 'event', 'list', 'one')
    assert.deepEqual(
      events.map(({ Action }) => Action),
      ['create'],
    )
  })

  it('shows on its console the lease, the metadata and what the user data printed', async () => {
    await consoleSays(demo, server.id, /user data: the script ended with status 0/)
    const log = await demo.say('console', 'log', 'show', 'one')
    assert.match(log, new RegExp(`eth0: lease of ${server.addresses.private![0]!.replaceAll('.', '\\.')}/`))
    assert.match(log, /metadata fetched from http:\/\/169\.254\.169\.254\/openstack\/latest/)
    assert.match(log, new RegExp(`instance-id: ${server.id}`))
    assert.match(log, /SSH key for cirros: ssh-ed25519/)
    assert.match(log, /HELLO from one, kernel Linux/)
  })

  it('hands out an address of its screen that opens once', async () => {
    const { url } = await demo.openstack<{ url: string }>('console', 'url', 'show', 'one')
    const page = await fetch(url)
    assert.equal(page.status, 200)
    assert.match(page.headers.get('content-type') ?? '', /html/)
    const token = new URL(url).searchParams.get('token')
    const screen = `${cloud.url.replace('http', 'ws')}/console/v1/vnc?token=${token}`
    const first = new WebSocket(screen, ['binary'])
    const [hello] = (await once(first, 'message')) as [Buffer]
    assert.equal(hello.toString('latin1'), 'RFB 003.008\n')
    first.close()
    await once(first, 'close')
    const second = new WebSocket(screen, ['binary'])
    const [error] = (await once(second, 'error')) as [Error]
    assert.match(error.message, /401/)
  })

  it('lets its owner in by SSH, with the key that metadata delivered and no other', async () => {
    await booted(1)
    const { stdout } = await cloud.wisp('ssh', 'one', '-i', key, '--', 'hostname; sudo id -u; ip -4 -o addr show eth0')
    assert.match(stdout, /^one\n0\n/)
    assert.ok(stdout.includes(server.addresses.private![0]!))
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', `${key}-other`])
    const ask = ['setsid', launcher, 'ssh', 'one', '-i', `${key}-other`, 'hostname']
    const stranger = await run(ask, { ...cloud.env, SSH_ASKPASS: 'false', SSH_ASKPASS_REQUIRE: 'force' }, patience)
    assert.equal(stranger.status, 255)
    assert.match(stranger.stderr, /Permission denied/)
  })

  it('is found on the machine by the second lab', async () => {
    const { stdout } = await succeed(['sh', path.join(labs, '02-look-inside/look.sh'), 'one'], cloud.env, patience)
    const [port] = await demo.openstack<{ 'MAC Address': string }[]>('port', 'list', '--server', 'one')
    for (const seen of [
      `of the cloud with tag ${cloud.tag}`,
      server.addresses.private![0]!,
      port!['MAC Address'],
      'dnsmasq',
      'haproxy',
      '-j DROP',
      '"snapshot"',
    ])
      assert.ok(stdout.includes(seen), `${seen} in ${stdout}`)
  })

  it('shows nothing of it to another project', async () => {
    await cloud.admin.openstack('project', 'create', '--or-show', 'stranger')
    await cloud.admin.openstack('user', 'create', '--or-show', '--password', 'stranger-password', 'stranger')
    await cloud.admin.say('role', 'add', '--project', 'stranger', '--user', 'stranger', 'member')
    const login = { OS_USERNAME: 'stranger', OS_PASSWORD: 'stranger-password', OS_PROJECT_NAME: 'stranger' }
    const stranger = person(path.join(cloud.home, 'demo-openrc'), login)
    assert.deepEqual(await stranger.openstack<unknown[]>('server', 'list'), [])
    assert.deepEqual(await stranger.openstack<unknown[]>('network', 'list'), [])
    assert.deepEqual(await stranger.openstack<unknown[]>('port', 'list'), [])
    assert.deepEqual(await stranger.openstack<unknown[]>('keypair', 'list'), [])
    assert.match(await stranger.refused('server', 'show', server.id), /No server|could not be found|404/i)
    assert.match(await stranger.refused('server', 'delete', server.id), /No server|could not be found|404/i)
    const token = (await stranger.openstack<{ id: string }>('token', 'issue')).id
    const { id: port } = (await demo.openstack<{ ID: string }[]>('port', 'list')).map(({ ID }) => ({ id: ID }))[0]!
    for (const foreign of [`/compute/v2.1/servers/${server.id}`, `/network/v2.0/ports/${port}`]) {
      const reply = await fetch(`${cloud.url}${foreign}`, { headers: { 'x-auth-token': token } })
      assert.equal(reply.status, 404, foreign)
    }
    await cloud.admin.say('user', 'delete', 'stranger')
    await cloud.admin.say('project', 'delete', 'stranger')
  })

  it('stops and starts', async () => {
    const pid = qemuPid(server.id)
    assert.ok(pid !== undefined)
    await demo.say('server', 'stop', 'one')
    await becomes(demo, server.id, 'SHUTOFF')
    assert.equal(qemuPid(server.id), undefined)
    await demo.say('server', 'start', 'one')
    await becomes(demo, server.id, 'ACTIVE')
    const now = qemuPid(server.id)
    assert.ok(now !== undefined && now !== pid)
    await booted(2)
  })

  it('reboots, softly and hard', async () => {
    await demo.say('server', 'reboot', '--wait', 'one')
    await booted(3)
    await demo.say('server', 'reboot', '--hard', '--wait', 'one')
    await booted(4)
    const actions = (await demo.openstack<{ Action: string }[]>('server', 'event', 'list', 'one')).map(({ Action }) => Action)
    assert.deepEqual(actions.sort(), ['create', 'reboot', 'reboot', 'start', 'stop'])
  })

  it('is deleted, with its disk, its port and its process', async () => {
    await demo.say('server', 'delete', '--wait', 'one')
    assert.deepEqual(await demo.openstack<unknown[]>('server', 'list'), [])
    assert.match(await demo.refused('server', 'show', server.id), /No server|could not be found|404/i)
    assert.equal(qemuPid(server.id), undefined)
    assert.equal(fs.existsSync(path.join(cloud.home, 'servers', server.id)), false)
    const ports = await demo.openstack<{ ID: string }[]>('port', 'list', '--device-id', server.id)
    assert.deepEqual(ports, [])
    await demo.say('keypair', 'delete', 'me')
  })

  it('does everything once more in the script of the first lab', async () => {
    const { stdout } = await succeed(['sh', path.join(labs, '01-first-server/run.sh')], cloud.env, patience)
    assert.match(stdout, /everything went as the page says/)
  })

  it('keeps an image that is uploaded and downloaded byte for byte', async () => {
    const [raw, other, copy] = ['other.raw', 'other.qcow2', 'copy.qcow2'].map((name) => path.join(folder, name)) as [string, string, string]
    fs.writeFileSync(raw, randomBytes(3 << 20))
    assert.equal((await run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, other])).status, 0)
    await demo.openstack('image', 'create', '--file', other, '--disk-format', 'qcow2', 'other')
    await demo.say('image', 'save', '--file', copy, 'other')
    const sum = (file: string) => createHash('sha256').update(fs.readFileSync(file)).digest('hex')
    assert.equal(sum(copy), sum(other))
    await demo.say('image', 'delete', 'other')
  })
})
