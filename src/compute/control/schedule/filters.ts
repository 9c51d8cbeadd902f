// Filters: may this host carry this server? Pure functions with Nova's names; a rejection says what was wanted and what there is, because
// that is what the user reads when no host remains.
import { architectureOf } from '../../architecture.ts'
import { defaultZone } from '../facts.ts'

/** What a filter knows of a host. Amounts are what is left after reservations, overcommit and allocations. */
export interface Candidate {
  id: string
  name: string
  disabled: boolean
  disabled_reason: string | null
  up: boolean
  arch: string
  hypervisor: string
  free: { vcpus: number; memory_mb: number; disk_gb: number }
  capacity: { vcpus: number; memory_mb: number; disk_gb: number }
  /** The largest amounts that one server may have here. */
  largest: { vcpus: number; memory_mb: number; disk_gb: number }
  traits: string[]
}

export interface Request {
  vcpus: number
  memory_mb: number
  disk_gb: number
  availability_zone: string | null
  requested_host: string | null
  extra_specs: Record<string, string>
  image_properties: Record<string, string>
  tried: { host: string; message: string }[]
}

/** Why not, or null if the host will do. */
export type Filter = (host: Candidate, request: Request) => string | null

export const filters: Record<string, Filter> = {
  RetryFilter: (host, { tried }) => {
    const before = tried.find((one) => one.host === host.name)
    return before ? `tried already: ${before.message}` : null
  },
  HostFilter: (host, { requested_host }) =>
    requested_host === null || requested_host === host.name ? null : `host ${requested_host} was asked for`,
  ComputeFilter: (host) => {
    if (host.disabled)
      return host.disabled_reason ? `the compute service is disabled: ${host.disabled_reason}` : 'the compute service is disabled'
    return host.up ? null : 'the compute service is down'
  },
  AvailabilityZoneFilter: (_host, { availability_zone }) =>
    availability_zone === null || availability_zone === defaultZone ? null : `wanted zone ${availability_zone}, is in ${defaultZone}`,
  RamFilter: (host, { memory_mb }) => amount(memory_mb, host.free.memory_mb, host.largest.memory_mb, 'MB'),
  CoreFilter: (host, { vcpus }) => amount(vcpus, host.free.vcpus, host.largest.vcpus, 'VCPUs'),
  DiskFilter: (host, { disk_gb }) => amount(disk_gb, host.free.disk_gb, host.largest.disk_gb, 'GB of disk'),
  ImagePropertiesFilter: (host, { image_properties }) => {
    const arch = image_properties.hw_architecture ?? image_properties.architecture
    if (arch && architectureOf(arch) !== architectureOf(host.arch)) return `the image is for ${arch}, the host is ${host.arch}`
    const type = image_properties.img_hv_type ?? image_properties.hypervisor_type
    return !type || host.hypervisor === 'simulated' || ['qemu', 'kvm'].includes(type.toLowerCase())
      ? null
      : `the image is for hypervisor ${type}, the host has ${host.hypervisor}`
  },
  ComputeCapabilitiesFilter: (host, { extra_specs }) => {
    for (const [key, value] of Object.entries(extra_specs)) {
      const [, trait] = /^trait:(\w+)$/.exec(key) ?? []
      if (trait && value === 'required' && !host.traits.includes(trait)) return `the flavor requires the trait ${trait}`
      if (trait && value === 'forbidden' && host.traits.includes(trait)) return `the flavor forbids the trait ${trait}`
      if (key === 'capabilities:hypervisor_type' && value.toLowerCase() !== host.hypervisor.toLowerCase())
        return `the flavor wants hypervisor ${value}, the host has ${host.hypervisor}`
    }
    return null
  },
}

function amount(wanted: number, free: number, largest: number, unit: string): string | null {
  if (wanted > largest) return `wanted ${wanted} ${unit}, one server may have ${largest}`
  return wanted <= free ? null : `wanted ${wanted} ${unit}, ${Math.max(0, Math.floor(free))} ${unit} free`
}

/** The first filter that rejects the host, with its reason; null if all let it pass. */
export function rejection(host: Candidate, request: Request): { filter: string; reason: string } | null {
  for (const [filter, check] of Object.entries(filters)) {
    const reason = check(host, request)
    if (reason !== null) return { filter, reason }
  }
  return null
}
