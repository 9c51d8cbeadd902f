// A server as libvirt's XML. Pure: a document in, a text out; the library escapes what users wrote.
import { XMLBuilder } from 'fast-xml-parser'
import type { Machine } from '../../agent/machine.ts'
import { tapName } from '../../network/host/names.ts'
import type { ServerDocument } from '../../wire/documents.ts'
import { architectureOf } from '../architecture.ts'
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

/** What differs between boards: the rest of a server is the same on all. `emulated` = without KVM. */
function boardOf(arch: string, emulated: boolean) {
  if (arch === 'aarch64')
    return {
      machine: 'virt',
      // There is no BIOS on ARM. libvirt finds the firmware by its descriptor, and keeps the server's EFI variables.
      firmware: { '@firmware': 'efi' },
      features: { acpi: '' },
      cpu: emulated ? model('cortex-a57') : { '@mode': 'host-passthrough', '@check': 'none' },
      clock: {},
      serial: { '@type': 'system-serial', '@port': '0', model: { '@name': 'pl011' } },
      video: 'virtio',
      // Nor are there a PS/2 keyboard and a USB controller that come by themselves.
      usb: { controller: { '@type': 'usb', '@index': '0', '@model': 'qemu-xhci' } },
      input: [
        { '@type': 'tablet', '@bus': 'usb' },
        { '@type': 'keyboard', '@bus': 'usb' },
      ],
    }
  return {
    machine: 'pc',
    firmware: {},
    features: { acpi: '', apic: '' },
    cpu: emulated ? model('qemu64') : { '@mode': 'host-model', '@check': 'partial' },
    clock: {
      timer: [
        { '@name': 'pit', '@tickpolicy': 'delay' },
        { '@name': 'rtc', '@tickpolicy': 'catchup' },
        { '@name': 'hpet', '@present': 'no' },
      ],
    },
    serial: { '@type': 'isa-serial', '@port': '0' },
    video: 'cirrus',
    usb: {},
    input: [{ '@type': 'tablet', '@bus': 'usb' }],
  }
}

const model = (name: string) => ({ '@mode': 'custom', '@match': 'exact', model: { '@fallback': 'allow', '#text': name } })

/** An image's `hw_emulation_architecture` is emulated whatever the machine is, where QEMU for it is installed (as in Nova). */
export function domainXml(
  machine: Pick<Machine, 'tag' | 'virtType' | 'arch'>,
  server: ServerDocument,
  disks: Disk[],
  consoleLog: string,
): string {
  const properties = server.image.properties
  const arch = architectureOf(properties.hw_emulation_architecture ?? properties.hw_architecture ?? machine.arch)
  const kvm = machine.virtType === 'kvm' && arch === machine.arch
  const board = boardOf(arch, !kvm)
  const diskBus = properties.hw_disk_bus ?? 'virtio'
  const nicModel = properties.hw_vif_model ?? 'virtio'
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
        ...board.firmware,
        type: { '@arch': arch, '@machine': properties.hw_machine_type ?? board.machine, '#text': 'hvm' },
        boot: { '@dev': 'hd' },
        smbios: { '@mode': 'sysinfo' },
      },
      // Without a limit the translation cache of an emulated guest grows to some 400 MB; with this one it stays near 220.
      features: { ...board.features, ...(!kvm && { tcg: { 'tb-cache': { '@unit': 'MiB', '#text': 64 } } }) },
      cpu: board.cpu,
      clock: { '@offset': 'utc', ...board.clock },
      on_poweroff: 'destroy',
      on_reboot: 'restart',
      on_crash: 'destroy',
      devices: {
        ...board.usb,
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
        serial: { '@type': 'pty', log: { '@file': consoleLog, '@append': 'on' }, target: board.serial },
        console: { '@type': 'pty', target: { '@type': 'serial', '@port': '0' } },
        // A Unix socket that libvirt makes: nobody else on the machine can open a guest's screen.
        graphics: { '@type': 'vnc', listen: { '@type': 'socket' } },
        video: { model: { '@type': properties.hw_video_model ?? board.video } },
        input: board.input,
        rng: { '@model': 'virtio', backend: { '@model': 'random', '#text': '/dev/urandom' } },
        memballoon: { '@model': 'virtio', stats: { '@period': '10' } },
      },
    },
  }) as string
}
