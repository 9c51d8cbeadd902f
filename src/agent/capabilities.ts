// What this machine can carry, as it tells control when it says hello.
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import type { Hello } from '../wire/documents.ts'
import { diskSpace } from './files.ts'
import type { Machine } from './machine.ts'

const GiB = 1 << 30

export async function capabilities({
  config,
  libvirt,
  virtType,
  arch,
  tunnelIp,
}: Machine): Promise<Pick<Hello, 'hypervisor' | 'inventory' | 'traits' | 'host_ip'>> {
  const disk = await diskSpace(config.home)
  const cpuinfo = fs.readFileSync('/proc/cpuinfo', 'utf8')
  const flags = new Set(/^flags\s*:\s*(.*)$/m.exec(cpuinfo)?.[1]?.split(' ') ?? [])
  return {
    hypervisor: {
      type: virtType === 'kvm' ? 'KVM' : 'QEMU',
      version: Number(await libvirt.connectGetVersion({})),
      cpu_model: /^model name\s*:\s*(.*)$/m.exec(cpuinfo)?.[1] ?? 'unknown',
      arch,
    },
    inventory: {
      vcpus: os.availableParallelism(),
      memory_mb: Math.floor(os.totalmem() / (1 << 20)),
      disk_gb: Math.floor(disk.totalBytes / GiB),
      reserved_memory_mb: config.reservedMemory,
      reserved_disk_gb: config.reservedDisk,
      cpu_ratio: config.cpuRatio,
      ram_ratio: config.ramRatio,
      disk_ratio: config.diskRatio,
    },
    traits: ['COMPUTE_NODE', ...(flags.has('vmx') ? ['HW_CPU_X86_VMX'] : []), ...(flags.has('svm') ? ['HW_CPU_X86_SVM'] : [])],
    host_ip: tunnelIp ?? '127.0.0.1',
  }
}

/** The address from which this machine reaches a controller: that of the interface whose network holds it. Null on the controller's own machine. */
export function tunnelAddress(controller: string): string | null {
  if (controller.startsWith('unix:')) return null
  const target = new URL(controller).hostname.replace(/^\[|\]$/g, '')
  if (!net.isIP(target)) return null
  for (const address of Object.values(os.networkInterfaces()).flatMap((all) => all ?? [])) {
    const family = address.family === 'IPv4' ? 'ipv4' : 'ipv6'
    if (!address.cidr || address.internal) continue
    const network = new net.BlockList()
    network.addSubnet(address.address, Number(address.cidr.split('/')[1]), family)
    if (network.check(target, net.isIPv6(target) ? 'ipv6' : 'ipv4')) return address.address
  }
  return null
}
