// Answers the few questions that control asks a host about a server: its console log, its diagnostics, a way to its screen or serial port.
import fs from 'node:fs'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { XMLParser } from 'fast-xml-parser'
import { type DomainRef, plainParams } from '../../agent/libvirt.ts'
import type { Machine } from '../../agent/machine.ts'
import { type Back, dialBack } from '../../wire/dial-back.ts'
import type { Question } from '../../wire/documents.ts'
import { consoleLog } from './disks.ts'
import { serverIdOf } from './domain.ts'
import { joinSerialPort } from './serial-port.ts'

interface Answer {
  status: number
  body: unknown
}

/** As much of a console log as Nova gives. */
const maxConsoleBytes = 100 * 1024
const xml = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  isArray: (name) => ['graphics', 'interface', 'disk', 'serial'].includes(name),
})

export async function answer(machine: Machine, question: Question, back: Back): Promise<Answer> {
  const domain = await machine.libvirt.findDomain(question.server_id)
  if (!domain || serverIdOf(machine.tag, domain.name) !== question.server_id)
    return { status: 404, body: { message: `Server ${question.server_id} is not on this host.` } }
  if (question.what === 'console-log')
    return { status: 200, body: { output: tail(consoleLog(machine, question.server_id), question.lines) } }
  if (question.what === 'diagnostics') return { status: 200, body: await diagnostics(machine, domain) }
  const guest = question.protocol === 'vnc' ? await openScreen(machine, domain) : await openSerialPort(machine, domain, question.server_id)
  if (!guest) {
    const what = question.protocol === 'vnc' ? 'screen' : 'serial port'
    return { status: 409, body: { message: `The server has no ${what} now: it is not running.` } }
  }
  return dialBack(guest, question, back)
}

/** The last `lines` of a file (null = all of it), at most 100 KB. */
export function tail(file: string, lines: number | null): string {
  if (!fs.existsSync(file)) return ''
  const handle = fs.openSync(file, 'r')
  try {
    const { size } = fs.fstatSync(handle)
    const length = Math.min(size, maxConsoleBytes)
    const bytes = Buffer.alloc(length)
    fs.readSync(handle, bytes, 0, length, size - length)
    const text = bytes.toString('utf8').replaceAll('\0', '')
    if (lines === null || lines < 0) return text
    if (lines === 0) return ''
    const all = text.split('\n')
    const ending = all.at(-1) === '' ? 1 : 0
    return all.slice(-(lines + ending)).join('\n')
  } finally {
    fs.closeSync(handle)
  }
}

interface Described {
  domain?: {
    devices?: {
      graphics?: { '@type': string; '@socket'?: string; listen?: { '@socket'?: string } }[]
      interface?: { mac: { '@address': string }; target: { '@dev': string } }[]
      disk?: { target: { '@dev': string } }[]
      serial?: { '@type': string; source?: { '@path'?: string } }[]
    }
  }
}

const describe = async ({ libvirt }: Machine, dom: DomainRef): Promise<Described> =>
  xml.parse(await libvirt.domainGetXmlDesc({ dom })) as Described

/** In the shape of Nova's diagnostics from microversion 2.48 on. */
async function diagnostics(machine: Machine, dom: DomainRef): Promise<Record<string, unknown>> {
  const { libvirt } = machine
  const [info, described] = await Promise.all([libvirt.domainGetInfo({ dom }), describe(machine, dom)])
  const [stats] = await libvirt.connectGetAllDomainStats({ domains: [dom], stats: 0 })
  const all = stats ? plainParams(stats.params) : {}
  const number = (name: string) => Number(all[name] ?? 0)
  const devices = described.domain?.devices
  return {
    state: { 1: 'running', 3: 'paused', 5: 'shutdown' }[info.state] ?? 'crashed',
    driver: 'libvirt',
    hypervisor: machine.virtType,
    hypervisor_os: 'linux',
    uptime: null,
    config_drive: false,
    num_cpus: info.vcpus,
    num_disks: devices?.disk?.length ?? 0,
    num_nics: devices?.interface?.length ?? 0,
    cpu_details: Array.from({ length: info.vcpus }, (_, id) => ({ id, time: number(`vcpu.${id}.time`), utilisation: null })),
    memory_details: { maximum: Math.round(Number(info.maxMemoryKiB) / 1024), used: Math.round(number('balloon.rss') / 1024) },
    disk_details: (devices?.disk ?? []).map((_, index) => ({
      read_bytes: number(`block.${index}.rd.bytes`),
      read_requests: number(`block.${index}.rd.reqs`),
      write_bytes: number(`block.${index}.wr.bytes`),
      write_requests: number(`block.${index}.wr.reqs`),
      errors_count: 0,
    })),
    nic_details: (devices?.interface ?? []).map((nic, index) => ({
      mac_address: nic.mac['@address'],
      rx_octets: number(`net.${index}.rx.bytes`),
      rx_packets: number(`net.${index}.rx.pkts`),
      rx_errors: number(`net.${index}.rx.errs`),
      rx_drop: number(`net.${index}.rx.drop`),
      rx_rate: null,
      tx_octets: number(`net.${index}.tx.bytes`),
      tx_packets: number(`net.${index}.tx.pkts`),
      tx_errors: number(`net.${index}.tx.errs`),
      tx_drop: number(`net.${index}.tx.drop`),
      tx_rate: null,
    })),
  }
}

async function openScreen(machine: Machine, dom: DomainRef): Promise<Duplex | undefined> {
  const screen = (await describe(machine, dom)).domain?.devices?.graphics?.find((graphics) => graphics['@type'] === 'vnc')
  const socketPath = screen?.['@socket'] ?? screen?.listen?.['@socket']
  if (!socketPath) return undefined
  const guest = net.connect({ path: socketPath })
  await new Promise<void>((connected, failed) => guest.once('connect', connected).once('error', failed))
  return guest
}

const openSerialPort = (machine: Machine, dom: DomainRef, serverId: string): Promise<Duplex | undefined> =>
  joinSerialPort(serverId, async () => {
    const ports = (await describe(machine, dom)).domain?.devices?.serial
    return ports?.find((port) => port['@type'] === 'pty')?.source?.['@path']
  })
