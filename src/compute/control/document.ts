// A server as its host is told of it: everything that the host needs to make it, so that it can go on without asking.
import type { Nic } from '../../network/control/server-ports.ts'
import type { ServerDocument } from '../../wire/documents.ts'
import { defaultZone, type Server } from './facts.ts'

export function serverDocument(server: Server, nics: Nic[]): ServerDocument {
  const { flavor, image, wanted } = server
  return {
    v: 1,
    id: server.id,
    name: server.name,
    hostname: server.hostname,
    project_id: server.project_id,
    user_id: server.user_id,
    power: wanted === 'gone' ? 'stopped' : wanted,
    starts: server.starts,
    reboots: server.reboots,
    reboot_type: server.reboot_type === 'HARD' ? 'HARD' : 'SOFT',
    vcpus: flavor.vcpus,
    memory_mb: flavor.memory_mb,
    root_gb: flavor.root_gb,
    ephemeral_gb: flavor.ephemeral_gb,
    swap_mb: flavor.swap_mb,
    extra_specs: flavor.extra_specs,
    image: {
      id: server.image_id ?? '',
      name: image.name ?? '',
      disk_format: image.disk_format ?? '',
      size: image.size ?? 0,
      hash: image.os_hash_value ?? '',
      properties: image.properties ?? {},
    },
    nics,
    config_drive: server.config_drive,
    metadata: {
      project_id: server.project_id,
      availability_zone: server.availability_zone ?? defaultZone,
      launch_index: server.launch_index,
      reservation_id: server.reservation_id,
      keys: server.key_name && server.key_data ? [{ name: server.key_name, type: 'ssh', data: server.key_data }] : [],
      meta: server.metadata,
      user_data: server.user_data,
      security_groups: server.security_groups,
      flavor: flavor.name,
    },
  }
}
