// Builds the guest image and boots it twice under emulation: with the metadata service, then with a config drive as another instance.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { type Guest, startGuest } from './emulator.ts'

const execute = promisify(execFile)
const here = import.meta.dirname
const deadline = 180_000
const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7Nv0Xo1bQf3yXWm2Cq5y8mYt0oS0n5l1hYH2p0q6rT me, "myself" @home'
const metadata = {
  uuid: '5f2b9b0e-6a55-4a0c-9a0e-0c8d9f6f3a11',
  hostname: 'one.wisp.example',
  meta: { uuid: 'not this one', hostname: 'nor this' },
  public_keys: { 'my, key': `${key}\n` },
}
const userData = '#!/bin/sh\necho "hello from $(hostname), $((6 * 7))"\nexit 3\n'

describe('the guest image', { timeout: 5 * deadline }, () => {
  let folder = ''
  let image = ''
  let disk = ''
  let service: Server
  let asked: string[] = []
  let guest: Guest | undefined
  let hostKey = ''

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wisp-guest-test-'))
    service = createServer((request, reply) => {
      asked.push(request.url ?? '')
      const page = { '/openstack/latest/meta_data.json': JSON.stringify(metadata), '/openstack/latest/user_data': userData }[
        request.url ?? ''
      ]
      reply.writeHead(page === undefined ? 404 : 200).end(page)
    })
    await once(service.listen(0, '127.0.0.1'), 'listening')
    // QEMU runs this for each of the guest's connections to the metadata service
    const { port } = service.address() as AddressInfo
    const forward = `import { connect } from 'node:net'\nconst line = connect(${port}, '127.0.0.1')\nprocess.stdin.pipe(line).pipe(process.stdout)\n`
    await writeFile(join(folder, 'forward.mjs'), forward)
  })

  after(async () => {
    await guest?.kill()
    service.closeAllConnections()
    service.close()
    await rm(folder, { recursive: true, force: true })
  })

  it('is built whole, named after its version and small', async () => {
    await execute(join(here, 'build.sh'), [folder])
    const version = (await readFile(join(here, 'VERSION'), 'utf8')).trim()
    image = join(folder, `wisp-guest-${version}.qcow2`)
    assert.deepEqual((await readdir(folder)).sort(), ['forward.mjs', `wisp-guest-${version}.qcow2`])
    assert.ok((await stat(image)).size < 25 * 1024 * 1024, 'less than 25 MB')
    const about = JSON.parse((await execute('qemu-img', ['info', '--output=json', image])).stdout) as Record<string, unknown>
    assert.equal(about.format, 'qcow2')
    assert.equal(about['backing-filename'], undefined)
    assert.ok(Number(about['virtual-size']) <= 128 * 1024 * 1024)
    await execute('qemu-img', ['check', image])
  })

  it('becomes the server that the metadata service describes', async () => {
    disk = join(folder, 'disk.qcow2')
    await execute('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', image, '-F', 'qcow2', disk, '1G'])
    const forward = `guestfwd=tcp:169.254.169.254:80-cmd:'${process.execPath}' '${join(folder, 'forward.mjs')}'`
    guest = startGuest(
      folder,
      disk,
      ['-netdev', `user,id=net0,net=169.254.0.0/16,restrict=on,${forward}`, '-device', 'virtio-net-pci,netdev=net0,host_mtu=1450'],
      deadline,
    )
    await guest.said(/=== wisp guest ready in [\d.]+ s ===/)
    await guest.said(/user data: the script ended with status 3/)
    const log = guest.log()
    assert.match(log, /eth0: lease of 169\.254\.2\.15\/16 from 169\.254\.2\.2/)
    assert.match(log, /metadata fetched from http:\/\/169\.254\.169\.254\/openstack\/latest\/meta_data\.json/)
    assert.match(log, /instance-id: 5f2b9b0e-6a55-4a0c-9a0e-0c8d9f6f3a11/)
    assert.match(log, /hostname: one\n/)
    assert.match(log, /SSH key for cirros: ssh-ed25519 me, "myself" @home/)
    assert.match(log, /^hello from one, 42$/m)
    assert.match(log, /root partition \/dev\/vda2: grown from 44 to \d{3,} MB/)
    hostKey = log.match(/new SSH host key: (SHA256:\S+)/)?.[1] ?? ''
    assert.notEqual(hostKey, '')
    // A fetch that takes the guest too long it repeats.
    assert.deepEqual([...new Set(asked)], ['/openstack/latest/meta_data.json', '/openstack/latest/user_data'])
  })

  it('is logged in to over the serial line and SSH', async () => {
    assert.ok(guest)
    await logIn(guest)
    assert.equal(await guest.run('id -un; sudo id -un; hostname'), 'cirros\nroot\none\n')
    assert.equal(await guest.run('cat .ssh/authorized_keys'), `${key}\n`)
    assert.equal(await guest.run("DROPBEAR_PASSWORD=gocubsgo ssh -y cirros@127.0.0.1 'sudo id -un' 2> /dev/null"), 'root\n')
    assert.match(await guest.run('df -k / | tail -n 1'), /^\S+ +1\d{6} /)
    assert.equal(
      await guest.run(
        'for tool in ping nc wget httpd ip lsblk blkid fallocate uptime mkfs.ext4; do which $tool > /dev/null || echo no $tool; done',
      ),
      '',
    )
    assert.match(await guest.run('ping -c 1 -I eth0 169.254.2.2'), /1 packets received/)
  })

  it('takes a disk, a network card and a processor while it runs', async () => {
    assert.ok(guest)
    const extra = join(folder, 'extra.raw')
    await writeFile(extra, Buffer.alloc(16 * 1024 * 1024))
    await guest.monitor('blockdev-add', { driver: 'raw', 'node-name': 'extra', file: { driver: 'file', filename: extra } })
    await guest.monitor('device_add', { driver: 'virtio-blk-pci', drive: 'extra', id: 'disk1' })
    await guest.run('until [ -b /dev/vdb ]; do usleep 100000; done')
    assert.match(
      await guest.run('sudo mkfs.ext4 -q /dev/vdb && sudo mount /dev/vdb /mnt && lsblk -no NAME,SIZE,MOUNTPOINT /dev/vdb'),
      /vdb +16M \/mnt/,
    )
    await guest.run('sudo umount /mnt')

    await guest.monitor('netdev_add', { type: 'user', id: 'net1', net: '10.9.8.0/24', restrict: true })
    await guest.monitor('device_add', { driver: 'virtio-net-pci', netdev: 'net1', id: 'card1' })
    await guest.said(/eth1: lease of 10\.9\.8\.15\/24 from 10\.9\.8\.2/)

    const slots = (await guest.monitor('query-hotpluggable-cpus')) as { type: string; props: Record<string, number>; 'qom-path'?: string }[]
    const slot = slots.find((each) => each['qom-path'] === undefined)
    assert.ok(slot)
    await guest.monitor('device_add', { driver: slot.type, id: 'cpu1', ...slot.props })
    await guest.run('until [ "$(nproc)" = 2 ]; do usleep 100000; done')
  })

  it('ends at the press of the power button', async () => {
    assert.ok(guest)
    await guest.monitor('system_powerdown')
    assert.equal(await guest.ended, 0)
    assert.match(guest.log(), /The system is going down/)
  })

  it('becomes another instance from a config drive, reboots, and then remembers it', async () => {
    asked = []
    const drive = join(folder, 'drive')
    await mkdir(join(drive, 'openstack', 'latest'), { recursive: true })
    await writeFile(join(drive, 'openstack', 'latest', 'meta_data.json'), JSON.stringify({ uuid: 'another', hostname: 'two' }))
    await writeFile(join(drive, 'openstack', 'latest', 'user_data'), '#cloud-config\npackages: [emacs]\n')
    const configDrive = `driver=vvfat,node-name=drive,dir=${drive},label=config-2,read-only=on`
    // QEMU ends where the guest reboots, and is started again: emulation of a second boot in the same process is several times slower
    const extra = ['-blockdev', configDrive, '-device', 'virtio-blk-pci,drive=drive', '-no-reboot']
    guest = startGuest(folder, disk, extra, deadline)
    await guest.said(/=== wisp guest ready/)
    const log = guest.log()
    assert.match(log, /metadata read from the config drive \/dev\/vdb/)
    assert.match(log, /instance-id: another\n/)
    assert.match(log, /no SSH keys in the metadata/)
    assert.match(log, /user data ignored: .* this begins with '#cloud-config'/)
    assert.doesNotMatch(log, /root partition/)
    const another = log.match(/new SSH host key: (SHA256:\S+)/)?.[1]
    assert.ok(another && another !== hostKey, 'a host key of its own')
    assert.deepEqual(asked, [])

    await logIn(guest)
    guest.type('sudo reboot\n')
    assert.equal(await guest.ended, 0)
    assert.match(guest.log(), /Restarting system/)

    guest = startGuest(folder, disk, extra, deadline)
    await guest.said(/two login: $/)
    assert.match(guest.log(), /instance-id: another\n/)
    assert.doesNotMatch(guest.log(), /new SSH host key|user data/)
  })
})

async function logIn(guest: Guest): Promise<void> {
  await guest.said(/login: $/)
  guest.type('cirros\n')
  await guest.said(/Password: $/)
  guest.type('gocubsgo\n')
  await guest.said(/cirros@\w+:~\$ $/)
}
