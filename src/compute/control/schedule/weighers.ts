// Weighers: of the hosts that will do, which one is best? As Nova's defaults: the most room left, spread over processors, memory and disk.
import type { Candidate } from './filters.ts'

/** Share of each resource that is free, each weighing the same. */
export const weight = ({ free, capacity }: Candidate): number =>
  share(free.vcpus, capacity.vcpus) + share(free.memory_mb, capacity.memory_mb) + share(free.disk_gb, capacity.disk_gb)

const share = (free: number, capacity: number) => (capacity > 0 ? free / capacity : 0)

/** Best first; equal ones keep their order, which the query made random, so that launches at the same moment don't queue at one host. */
export const byWeight = (hosts: Candidate[]): Candidate[] => [...hosts].sort((a, b) => weight(b) - weight(a))
