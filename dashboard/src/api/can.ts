// What may be done to an object in its present state, so that a button can be disabled and say why. The rules are nova's check_instance_state
// (nova/compute/api.py), glance's and neutron's; the service decides in the end.
import type { Server } from './compute.ts'
import type { Image } from './image.ts'
import type { Network, Port, SecurityGroup } from './network.ts'
import type { Domain, Project } from './projects.ts'
import { administersPeople, isAdmin, type Session } from './session.ts'
import type { User } from './users.ts'

export type Why =
  | 'serverBusy'
  | 'serverLocked'
  | 'serverMustBeStopped'
  | 'serverMustRun'
  | 'serverMustRunForSoftReboot'
  | 'serverNotBuilt'
  | 'serverBeingDeleted'
  | 'needsAdmin'
  | 'needsMember'
  | 'imageProtected'
  | 'imageOfAnotherProject'
  | 'imageNotReady'
  | 'imageNotQueued'
  | 'imageNotActive'
  | 'imageNotDeactivated'
  | 'imageDeactivated'
  | 'projectInUse'
  | 'projectHasProjects'
  | 'userIsYou'
  | 'domainEnabled'
  | 'domainDefault'
  | 'networkInUse'
  | 'networkOfAnotherProject'
  | 'securityGroupDefault'

/** undefined = yes; otherwise the reason why not, a key of the dictionary's `why`. */
export type Verdict = Why | undefined

/** Is it one's role that does not allow it, whatever the state of the object? Then it is not offered at all. */
export const isForbidden = (no: Verdict): boolean => no === 'needsMember' || no === 'needsAdmin'

const taskOf = (server: Server) => server['OS-EXT-STS:task_state']
const stateOf = (server: Server) => server['OS-EXT-STS:vm_state']

/** Is the server on its way to another state, so that it will change without anyone doing anything? */
export function isTransitional(server: Server): boolean {
  return taskOf(server) !== null || ['BUILD', 'REBOOT', 'HARD_REBOOT', 'RESIZE', 'MIGRATING', 'REBUILD'].includes(server.status)
}

function common(server: Server, session: Session): Verdict {
  const no = roleCan.change(session)
  if (no !== undefined) return no
  if (taskOf(server) === 'deleting' || stateOf(server) === 'deleted') return 'serverBeingDeleted'
  if (server.locked === true) return 'serverLocked'
  if (stateOf(server) === 'building') return 'serverNotBuilt'
  return undefined
}

export const serverCan = {
  start: (server: Server, session: Session): Verdict => {
    const no = common(server, session)
    if (no !== undefined) return no
    if (taskOf(server) !== null) return 'serverBusy'
    return stateOf(server) === 'stopped' ? undefined : 'serverMustBeStopped'
  },
  stop: (server: Server, session: Session): Verdict => {
    const no = common(server, session)
    if (no !== undefined) return no
    if (taskOf(server) !== null) return 'serverBusy'
    return ['active', 'error'].includes(stateOf(server)) ? undefined : 'serverMustRun'
  },
  'soft-reboot': (server: Server, session: Session): Verdict => {
    const no = common(server, session)
    if (no !== undefined) return no
    if (taskOf(server) !== null) return 'serverBusy'
    return stateOf(server) === 'active' ? undefined : 'serverMustRunForSoftReboot'
  },
  'hard-reboot': (server: Server, session: Session): Verdict => {
    const no = common(server, session)
    if (no !== undefined) return no
    const task = taskOf(server)
    // A hard reboot is the way out of a soft one that the guest ignores.
    if (task !== null && !task.startsWith('reboot')) return 'serverBusy'
    return ['active', 'stopped', 'paused', 'suspended', 'error', 'rescued'].includes(stateOf(server)) ? undefined : 'serverNotBuilt'
  },
  delete: (server: Server, session: Session): Verdict => {
    const no = roleCan.change(session)
    if (no !== undefined) return no
    if (taskOf(server) === 'deleting') return 'serverBeingDeleted'
    return server.locked === true ? 'serverLocked' : undefined
  },
  console: (server: Server, session: Session): Verdict =>
    roleCan.change(session) ?? (['active', 'rescued', 'paused'].includes(stateOf(server)) ? undefined : 'serverMustRun'),
}

/** What the roles in the token allow at all: readers look, members change what their project has, administrators do the rest. */
export const roleCan = {
  change: ({ roles }: Session): Verdict =>
    roles.some((role) => ['member', 'manager', 'admin'].includes(role)) ? undefined : 'needsMember',
  administer: (session: Session): Verdict => (isAdmin(session) ? undefined : 'needsAdmin'),
  /** Anything at all, in the scope that is chosen. */
  anything: (session: Session): Verdict => (session.scope.kind === 'project' ? roleCan.change(session) : roleCan.administerPeople(session)),
  /** Users, groups, projects and who has which role: also those who administer one domain. */
  administerPeople: (session: Session): Verdict => (administersPeople(session) ? undefined : 'needsAdmin'),
}

/** May the caller change this image's record? Its project's members and administrators may. */
function ownImage({ owner }: Image, session: Session): Verdict {
  const no = roleCan.change(session)
  if (no !== undefined) return no
  return owner === session.project.id || isAdmin(session) ? undefined : 'imageOfAnotherProject'
}

export const imageCan = {
  change: ownImage,
  delete: (image: Image, session: Session): Verdict => ownImage(image, session) ?? (image.protected ? 'imageProtected' : undefined),
  upload: (image: Image, session: Session): Verdict =>
    ownImage(image, session) ?? (['queued', 'uploading'].includes(image.status) ? undefined : 'imageNotQueued'),
  deactivate: (image: Image, session: Session): Verdict =>
    ownImage(image, session) ?? (image.status === 'active' ? undefined : 'imageNotActive'),
  reactivate: (image: Image, session: Session): Verdict =>
    ownImage(image, session) ?? (image.status === 'deactivated' ? undefined : 'imageNotDeactivated'),
  download: ({ status }: Image, session: Session): Verdict => {
    const no = roleCan.change(session)
    if (no !== undefined || status === 'active') return no
    if (status !== 'deactivated') return 'imageNotReady'
    return isAdmin(session) ? undefined : 'imageDeactivated'
  },
  launch: ({ status }: Image, session: Session): Verdict => {
    const no = roleCan.change(session)
    if (no !== undefined || status === 'active') return no
    return status === 'deactivated' ? 'imageDeactivated' : 'imageNotReady'
  },
}

export const projectCan = {
  /** `all` are the projects that are known, to see whether some are below this one. */
  delete: ({ id }: Project, all: Project[], session: Session): Verdict => {
    const no = roleCan.administerPeople(session)
    if (no !== undefined) return no
    if (id === session.project.id) return 'projectInUse'
    return all.some(({ parent_id }) => parent_id === id) ? 'projectHasProjects' : undefined
  },
  disable: ({ id }: Project, session: Session): Verdict =>
    roleCan.administerPeople(session) ?? (id === session.project.id ? 'projectInUse' : undefined),
}

export const userCan = {
  /** Disabling or deleting: nobody locks themselves out. */
  remove: ({ id }: User, session: Session): Verdict =>
    roleCan.administerPeople(session) ?? (id === session.user.id ? 'userIsYou' : undefined),
}

export const domainCan = {
  disable: ({ id }: Domain, session: Session): Verdict => roleCan.administer(session) ?? (id === 'default' ? 'domainDefault' : undefined),
  delete: ({ id, enabled }: Domain, session: Session): Verdict =>
    roleCan.administer(session) ?? (id === 'default' ? 'domainDefault' : enabled ? 'domainEnabled' : undefined),
}

export const networkCan = {
  /** Its name, its subnets. */
  change: (network: Network, session: Session): Verdict =>
    roleCan.change(session) ?? (network.project_id === session.project.id || isAdmin(session) ? undefined : 'networkOfAnotherProject'),
  delete: (network: Network, ports: Port[] | undefined, session: Session): Verdict => {
    const no = networkCan.change(network, session)
    if (no !== undefined) return no
    // DHCP and metadata ports go with the network; anything else holds it.
    return ports?.some(({ device_owner }) => !device_owner.startsWith('network:dhcp') && !device_owner.startsWith('network:distributed'))
      ? 'networkInUse'
      : undefined
  },
}

export const securityGroupCan = {
  delete: (group: SecurityGroup, session: Session): Verdict =>
    roleCan.change(session) ?? (group.name === 'default' ? 'securityGroupDefault' : undefined),
}
