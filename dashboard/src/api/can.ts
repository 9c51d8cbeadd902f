// What may be done to an object in its present state, so that a button can be disabled and say why. The rules are nova's check_instance_state
// (nova/compute/api.py), glance's and neutron's; the service decides in the end.
import type { Server } from './compute.ts'
import type { Image } from './image.ts'
import type { Network, Port, SecurityGroup } from './network.ts'

export type Why =
  | 'serverBusy'
  | 'serverLocked'
  | 'serverMustBeStopped'
  | 'serverMustRun'
  | 'serverMustRunForSoftReboot'
  | 'serverNotBuilt'
  | 'serverBeingDeleted'
  | 'imageProtected'
  | 'imageOfAnotherProject'
  | 'networkInUse'
  | 'networkOfAnotherProject'
  | 'securityGroupDefault'

/** undefined = yes; otherwise the reason why not, a key of the dictionary's `why`. */
export type Verdict = Why | undefined

const taskOf = (server: Server) => server['OS-EXT-STS:task_state']
const stateOf = (server: Server) => server['OS-EXT-STS:vm_state']

/** Is the server on its way to another state, so that it will change without anyone doing anything? */
export function isTransitional(server: Server): boolean {
  return taskOf(server) !== null || ['BUILD', 'REBOOT', 'HARD_REBOOT', 'RESIZE', 'MIGRATING', 'REBUILD'].includes(server.status)
}

function common(server: Server): Verdict {
  if (taskOf(server) === 'deleting' || stateOf(server) === 'deleted') return 'serverBeingDeleted'
  if (server.locked === true) return 'serverLocked'
  if (stateOf(server) === 'building') return 'serverNotBuilt'
  return undefined
}

export const serverCan = {
  start: (server: Server): Verdict => {
    const no = common(server)
    if (no !== undefined) return no
    if (taskOf(server) !== null) return 'serverBusy'
    return stateOf(server) === 'stopped' ? undefined : 'serverMustBeStopped'
  },
  stop: (server: Server): Verdict => {
    const no = common(server)
    if (no !== undefined) return no
    if (taskOf(server) !== null) return 'serverBusy'
    return ['active', 'error'].includes(stateOf(server)) ? undefined : 'serverMustRun'
  },
  'soft-reboot': (server: Server): Verdict => {
    const no = common(server)
    if (no !== undefined) return no
    if (taskOf(server) !== null) return 'serverBusy'
    return stateOf(server) === 'active' ? undefined : 'serverMustRunForSoftReboot'
  },
  'hard-reboot': (server: Server): Verdict => {
    const no = common(server)
    if (no !== undefined) return no
    const task = taskOf(server)
    // A hard reboot is the way out of a soft one that the guest ignores.
    if (task !== null && !task.startsWith('reboot')) return 'serverBusy'
    return ['active', 'stopped', 'paused', 'suspended', 'error', 'rescued'].includes(stateOf(server)) ? undefined : 'serverNotBuilt'
  },
  delete: (server: Server): Verdict => {
    if (taskOf(server) === 'deleting') return 'serverBeingDeleted'
    return server.locked === true ? 'serverLocked' : undefined
  },
  console: (server: Server): Verdict => (['active', 'rescued', 'paused'].includes(stateOf(server)) ? undefined : 'serverMustRun'),
}

export const imageCan = {
  delete: (image: Image, projectId: string, admin: boolean): Verdict => {
    if (image.protected) return 'imageProtected'
    return image.owner === projectId || admin ? undefined : 'imageOfAnotherProject'
  },
}

export const networkCan = {
  delete: (network: Network, ports: Port[] | undefined, projectId: string, admin: boolean): Verdict => {
    if (network.project_id !== projectId && !admin) return 'networkOfAnotherProject'
    // DHCP and metadata ports go with the network; anything else holds it.
    return ports?.some(({ device_owner }) => !device_owner.startsWith('network:dhcp') && !device_owner.startsWith('network:distributed'))
      ? 'networkInUse'
      : undefined
  },
}

export const securityGroupCan = {
  delete: (group: SecurityGroup): Verdict => (group.name === 'default' ? 'securityGroupDefault' : undefined),
}
