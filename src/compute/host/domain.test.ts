import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { XMLParser, XMLValidator } from 'fast-xml-parser'
import type { ServerDocument } from '../../wire/documents.ts'
import { serverDocument } from '../../wire/testing.ts'
import type { Disk } from './disks.ts'
import { domainName, domainXml, serverIdOf } from './domain.ts'

const disks: Disk[] = [
  { path: '/home/of wisp/<&>"\'/disk', target: 'vda', format: 'qcow2', serial: 'root' },
  { path: '/x/disk.config', target: 'vdb', format: 'raw', serial: 'config-2', readonly: true },
]
const parser = new XMLParser({ ignoreAttributes: false, attributeNamePrefix: '@', parseTagValue: false, trimValues: false })
const build = (server: ServerDocument, virtType: 'kvm' | 'qemu' = 'qemu', arch = 'x86_64') => {
  const text = domainXml({ tag: 'abcdef', virtType, arch }, server, disks, '/x/console.log')
  assert.equal(XMLValidator.validate(text), true, text)
  return parser.parse(text).domain
}

it('says what libvirt shall run', () => {
  const server = serverDocument()
  const domain = build(server)
  assert.equal(domain['@type'], 'qemu')
  assert.equal(domain.name, `wisp-abcdef-${server.id}`)
  assert.equal(domain.uuid, server.id)
  assert.deepEqual([domain.memory['#text'], domain.memory['@unit'], domain.vcpu['#text']], ['128', 'MiB', '1'])
  assert.equal(domain.features.tcg['tb-cache']['#text'], '64')
  assert.deepEqual(
    domain.devices.disk.map((disk: Record<string, Record<string, string>>) => [
      disk.source!['@file'],
      disk.target!['@dev'],
      'readonly' in disk,
    ]),
    [
      [disks[0]!.path, 'vda', false],
      [disks[1]!.path, 'vdb', true],
    ],
  )
  assert.equal(domain.devices.interface.mac['@address'], 'fa:16:3e:00:00:01')
  assert.deepEqual(domain.devices.interface.target, { '@dev': 'wabcdeft4444444', '@managed': 'no' })
  assert.equal(domain.devices.serial.log['@append'], 'on')
  assert.equal(build(server, 'kvm')['@type'], 'kvm')
  assert.equal(build(server, 'kvm').features.tcg, undefined)
})

it('makes a server of an ARM machine without what only a PC has', () => {
  const server = serverDocument()
  const { os, cpu, clock, features, devices, ...domain } = build(server, 'qemu', 'aarch64')
  assert.equal(domain['@type'], 'qemu')
  assert.deepEqual([os.type['@arch'], os.type['@machine'], os['@firmware']], ['aarch64', 'virt', 'efi'])
  assert.deepEqual([cpu.model['#text'], clock.timer, features.apic], ['cortex-a57', undefined, undefined])
  assert.deepEqual([devices.serial.target['@type'], devices.serial.target.model['@name']], ['system-serial', 'pl011'])
  assert.deepEqual(
    [devices.video.model['@type'], devices.disk[0].target['@bus'], devices.controller['@model']],
    ['virtio', 'virtio', 'qemu-xhci'],
  )
  const fast = build(server, 'kvm', 'aarch64')
  assert.deepEqual([fast['@type'], fast.cpu['@mode']], ['kvm', 'host-passthrough'])
})

it('emulates what an image asks to be emulated, also where KVM works', () => {
  const server = serverDocument()
  server.image.properties = { hw_emulation_architecture: 'arm64' }
  const foreign = build(server, 'kvm', 'x86_64')
  assert.deepEqual([foreign['@type'], foreign.os.type['@machine'], foreign.cpu.model['#text']], ['qemu', 'virt', 'cortex-a57'])
  server.image.properties = { hw_architecture: 'amd64' }
  const own = build(server, 'kvm', 'x86_64')
  assert.deepEqual([own['@type'], own.os.type['@arch'], own.os.type['@machine']], ['kvm', 'x86_64', 'pc'])
})

it('follows the properties of the image', () => {
  const server = serverDocument()
  server.image.properties = { hw_disk_bus: 'scsi', hw_vif_model: 'e1000', hw_machine_type: 'q35', hw_video_model: 'vga' }
  const { os, devices } = build(server)
  assert.deepEqual(
    [os.type['@machine'], devices.disk[0].target['@bus'], devices.interface.model['@type'], devices.video.model['@type']],
    ['q35', 'scsi', 'e1000', 'vga'],
  )
})

it('carries hostile names and properties as they are, and nothing out of its place', () => {
  const shape = (value: unknown): unknown =>
    typeof value === 'object' && value !== null
      ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]))
      : typeof value
  const plain = serverDocument()
  plain.image.properties = { hw_disk_bus: 'x', hw_vif_model: 'x', hw_machine_type: 'x', hw_video_model: 'x', hw_architecture: 'x' }
  const expected = shape(build(plain))
  const text = fc.oneof(
    fc.string({ unit: 'binary', minLength: 1 }),
    fc.constantFrom('</title><devices>', '"/><x a="', "' onload='", '&amp;', ']]>', '<!--', '\u0000\u001b', '\ud800', 'a\nb', '\ufffe'),
  )
  // What every object of JavaScript has is a name like any other, too.
  const word = fc.oneof(fc.stringMatching(/^[ -~]{1,30}$/), fc.constantFrom(...Object.getOwnPropertyNames(Object.prototype)))
  fc.assert(
    fc.property(text, word, (name, property) => {
      const server = serverDocument()
      server.name = name
      server.image.properties = {
        hw_disk_bus: property,
        hw_vif_model: property,
        hw_machine_type: property,
        hw_video_model: property,
        hw_architecture: property,
      }
      const domain = build(server)
      assert.deepEqual(shape(domain), expected)
      assert.doesNotMatch(domain.title, /\p{Cc}/u)
      assert.ok(domain.title.isWellFormed())
      assert.equal(domain.devices.video.model['@type'], property)
    }),
    { numRuns: 300 },
  )
})

it('knows its own domains by name', () => {
  assert.equal(serverIdOf('abcdef', domainName('abcdef', 'id')), 'id')
  assert.equal(serverIdOf('abcdee', domainName('abcdef', 'id')), null)
  assert.equal(serverIdOf('abcdef', 'instance-0001'), null)
})
