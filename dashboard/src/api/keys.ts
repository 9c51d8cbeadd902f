// The names under which answers are cached. Live events name objects; these say which answers an object is part of.
import type { ServerListQuery } from './compute.ts'

export const keys = {
  serverLists: ['server', 'list'],
  serverList: (query: ServerListQuery) => ['server', 'list', query] as const,
  server: (id: string) => ['server', 'one', id] as const,
  serverActions: (id: string) => ['server', 'actions', id] as const,
  consoleLog: (id: string) => ['console-log', id] as const,
  limits: ['limits'],
  flavors: ['flavor'],
  keyPairs: ['key-pair'],
  hypervisors: ['hypervisor'],
  projects: ['project'],
  images: ['image'],
  imageList: ['image', 'list'],
  image: (id: string) => ['image', 'one', id] as const,
  networks: ['network'],
  networkList: ['network', 'list'],
  network: (id: string) => ['network', 'one', id] as const,
  subnets: ['subnet'],
  ports: ['port'],
  portsOf: (of: { network_id?: string; device_id?: string }) => ['port', of] as const,
  securityGroups: ['security-group'],
  securityGroupList: (projectId: string) => ['security-group', 'list', projectId] as const,
  securityGroup: (id: string) => ['security-group', 'one', id] as const,
  networkQuotas: ['network-quota'],
} as const
