import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Candidate, type Request, rejection } from './filters.ts'
import { byWeight, weight } from './weighers.ts'

const host = (more: Partial<Candidate> = {}): Candidate => ({
  id: 'id',
  name: 'h1',
  disabled: false,
  disabled_reason: null,
  up: true,
  arch: 'x86_64',
  hypervisor: 'QEMU',
  free: { vcpus: 4, memory_mb: 4096, disk_gb: 100 },
  capacity: { vcpus: 8, memory_mb: 8192, disk_gb: 100 },
  largest: { vcpus: 4, memory_mb: 8192, disk_gb: 100 },
  traits: [],
  ...more,
})
const request = (more: Partial<Request> = {}): Request => ({
  vcpus: 1,
  memory_mb: 512,
  disk_gb: 1,
  availability_zone: null,
  requested_host: null,
  extra_specs: {},
  image_properties: {},
  tried: [],
  ...more,
})

describe('filters', () => {
  it('let a host pass that has everything', () => {
    assert.equal(
      rejection(host(), request({ availability_zone: 'nova', requested_host: 'h1', image_properties: { hw_architecture: 'amd64' } })),
      null,
    )
  })

  it('say what was wanted and what there is', () => {
    const table: [Partial<Candidate>, Partial<Request>, string, string][] = [
      [{ free: { vcpus: 4, memory_mb: 1200, disk_gb: 9 } }, { memory_mb: 4096 }, 'RamFilter', 'wanted 4096 MB, 1200 MB free'],
      [{}, { memory_mb: 9000 }, 'RamFilter', 'wanted 9000 MB, one server may have 8192'],
      [{ free: { vcpus: -1, memory_mb: 4096, disk_gb: 9 } }, {}, 'CoreFilter', 'wanted 1 VCPUs, 0 VCPUs free'],
      [{}, { vcpus: 5 }, 'CoreFilter', 'wanted 5 VCPUs, one server may have 4'],
      [{ free: { vcpus: 4, memory_mb: 4096, disk_gb: 0.5 } }, {}, 'DiskFilter', 'wanted 1 GB of disk, 0 GB of disk free'],
      [{ up: false }, {}, 'ComputeFilter', 'the compute service is down'],
      [{ disabled: true, disabled_reason: 'new fan' }, {}, 'ComputeFilter', 'the compute service is disabled: new fan'],
      [{}, { requested_host: 'h2' }, 'HostFilter', 'host h2 was asked for'],
      [{}, { availability_zone: 'mars' }, 'AvailabilityZoneFilter', 'wanted zone mars, is in nova'],
      [{}, { image_properties: { hw_architecture: 'aarch64' } }, 'ImagePropertiesFilter', 'the image is for aarch64, the host is x86_64'],
      [{}, { image_properties: { img_hv_type: 'xen' } }, 'ImagePropertiesFilter', 'the image is for hypervisor xen, the host has QEMU'],
      [{}, { extra_specs: { 'trait:HW_GPU': 'required' } }, 'ComputeCapabilitiesFilter', 'the flavor requires the trait HW_GPU'],
      [
        { traits: ['HW_GPU'] },
        { extra_specs: { 'trait:HW_GPU': 'forbidden' } },
        'ComputeCapabilitiesFilter',
        'the flavor forbids the trait HW_GPU',
      ],
      [{}, { tried: [{ host: 'h1', message: 'disk full' }] }, 'RetryFilter', 'tried already: disk full'],
    ]
    for (const [candidate, wanted, filter, reason] of table)
      assert.deepEqual(rejection(host(candidate), request(wanted)), { filter, reason })
  })
})

describe('weighers', () => {
  it('prefer the host with the largest share of room, and keep the order of equals', () => {
    const roomy = host({ name: 'roomy', free: { vcpus: 8, memory_mb: 8192, disk_gb: 100 } })
    const same = host({ name: 'same' })
    assert.ok(weight(roomy) > weight(host()))
    assert.deepEqual(
      byWeight([host(), same, roomy]).map(({ name }) => name),
      ['roomy', 'h1', 'same'],
    )
    assert.equal(weight(host({ capacity: { vcpus: 0, memory_mb: 0, disk_gb: 0 } })), 0)
  })
})
