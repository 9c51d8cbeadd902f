// A server as libvirt's XML. Pure: a document in, a text out; the library escapes what users wrote.
import { XMLBuilder } from 'fast-xml-parser'
import type { Machine } from '../../agent/machine.ts'
import { tapName } from '../../network/host/names.ts'
import type { ServerDocument } from '../../wire/documents.ts'
import type { Disk } from './disks.ts'

const builder = new XMLBuilder({ ignoreAttributes: false, attributeNamePrefix: '@', suppressEmptyNode: true, format: true })

/** The domain's name carries the cloud, so that two clouds on one machine never meet. */
export const domainName = (tag: string, serverId: string) => `wisp-${tag}-${serverId}`
/** The server's id in the name of a domain of this cloud; null for others. */
export const serverIdOf = (tag: string, name: string): string | null =>
  name.startsWith(`wisp-${tag}-`) ? name.slice(`wisp-${tag}-`.length) : null

/** libvirt takes no line breaks in a title, XML no other control characters nor halves of characters. */
const title = (name: string) =>
  [...name.toWellFormed()]
    .slice(0, 128)
    .join('')
    .replaceAll(/[\p{Cc}\ufffe\uffff]/gu, ' ')

export function domainXml(machine: Pick<Machine, 'tag' | 'virtType'>, server: ServerDocument, disks: Disk[], consoleLog: string): string {
  const kvm = machine.virtType === 'kvm'
  const properties = server.image.properties
  const diskBus = properties['hw_disk_bus'] ?? 'virtio'
  const nicModel = properties['hw_vif_model'] ?? 'virtio'
  return builder.build({
    domain: {
      '@type': kvm ? 'kvm' : 'qemu',
      name: domainName(machine.tag, server.id),
      uuid: server.id,
      title: title(server.name) || server.id,
      memory: { '@unit': 'MiB', '#text': server.memory_mb },
      vcpu: { '@placement': 'static', '#text': server.vcpus },
      sysinfo: {
        '@type': 'smbios',
        system: {
          entry: [
            { '@name': 'manufacturer', '#text': 'OpenStack Foundation' },
            { '@name': 'product', '#text': 'OpenStack Nova' },
            { '@name': 'version', '#text': 'Wisp' },
            { '@name': 'serial', '#text': server.id },
            { '@name': 'uuid', '#text': server.id },
            { '@name': 'family', '#text': 'Virtual Machine' },
          ],
        },
      },
      os: {
        type: { '@arch': properties['hw_architecture'] ?? 'x86_64', '@machine': properties['hw_machine_type'] ?? 'pc', '#text': 'hvm' },
        boot: { '@dev': 'hd' },
        smbios: { '@mode': 'sysinfo' },
      },
      // Without a limit the translation cache of an emulated guest grows to some 400 MB; with this one it stays near 220.
      features: { acpi: '', apic: '', ...(!kvm && { tcg: { 'tb-cache': { '@unit': 'MiB', '#text': 64 } } }) },
      cpu: kvm
        ? { '@mode': 'host-model', '@check': 'partial' }
        : { '@mode': 'custom', '@match': 'exact', model: { '@fallback': 'allow', '#text': 'qemu64' } },
      clock: {
        '@offset': 'utc',
        timer: [
          { '@name': 'pit', '@tickpolicy': 'delay' },
          { '@name': 'rtc', '@tickpolicy': 'catchup' },
          { '@name': 'hpet', '@present': 'no' },
        ],
      },
      on_poweroff: 'destroy',
      on_reboot: 'restart',
      on_crash: 'destroy',
      devices: {
        disk: disks.map((disk) => ({
          '@type': 'file',
          '@device': 'disk',
          driver: { '@name': 'qemu', '@type': disk.format, '@cache': 'none', ...(!disk.readonly && { '@discard': 'unmap' }) },
          source: { '@file': disk.path },
          target: { '@dev': disk.target, '@bus': diskBus },
          serial: disk.serial,
          ...(disk.readonly && { readonly: '' }),
        })),
        interface: server.nics.map((nic) => ({
          '@type': 'ethernet',
          mac: { '@address': nic.mac },
          target: { '@dev': tapName(machine.tag, nic.port_id), '@managed': 'no' },
          model: { '@type': nicModel },
          mtu: { '@size': nic.mtu },
        })),
        serial: { '@type': 'pty', log: { '@file': consoleLog, '@append': 'on' }, target: { '@type': 'isa-serial', '@port': '0' } },
        console: { '@type': 'pty', target: { '@type': 'serial', '@port': '0' } },
        // A Unix socket that libvirt makes: nobody else on the machine can open a guest's screen.
        graphics: { '@type': 'vnc', listen: { '@type': 'socket' } },
        video: { model: { '@type': properties['hw_video_model'] ?? 'cirrus' } },
        input: { '@type': 'tablet', '@bus': 'usb' },
        rng: { '@model': 'virtio', backend: { '@model': 'random', '#text': '/dev/urandom' } },
        memballoon: { '@model': 'virtio', stats: { '@period': '10' } },
      },
    },
  }) as string
}
