// Neutron's exceptions by their own names, with the messages that its clients know; src/http writes them as a NeutronError.
import { badRequest, conflict, Fault, notFound, overQuota } from '../../http/fault.ts'

export const networkNotFound = (id: string) => notFound(`Network ${id} could not be found.`, { type: 'NetworkNotFound' })
export const subnetNotFound = (id: string) => notFound(`Subnet ${id} could not be found.`, { type: 'SubnetNotFound' })
export const portNotFound = (id: string) => notFound(`Port ${id} could not be found.`, { type: 'PortNotFound' })
export const groupNotFound = (id: string) => notFound(`Security group ${id} does not exist`, { type: 'SecurityGroupNotFound' })
export const ruleNotFound = (id: string) => notFound(`Security group rule ${id} does not exist`, { type: 'SecurityGroupRuleNotFound' })
export const agentNotFound = (id: string) => notFound(`Agent ${id} could not be found.`, { type: 'AgentNotFound' })

/** 400 for a value that has the right form and still makes no sense. */
export const invalidInput = (reason: string) => badRequest(`Invalid input for operation: ${reason}.`, { type: 'InvalidInput' })
/** 400 that names the field, as Neutron's attribute validation says it. */
export const invalidField = (field: string, reason: string) =>
  badRequest(`Invalid input for ${field}. Reason: ${reason}.`, { type: 'HTTPBadRequest' })
export const badResource = (resource: string, reason: string) => badRequest(`Bad ${resource} request: ${reason}.`, { type: 'BadRequest' })

export const networkInUse = (id: string) =>
  conflict(`Unable to complete operation on network ${id}. There are one or more ports still in use on the network.`, {
    type: 'NetworkInUse',
  })
export const tunnelIdInUse = (id: number) =>
  conflict(`Unable to create the network. The tunnel ID ${id} is in use.`, { type: 'TunnelIdInUse' })
export const flatNetworkInUse = (physical: string) =>
  conflict(`Unable to create the flat network. Physical network ${physical} is in use.`, { type: 'FlatNetworkInUse' })
export const noNetworkAvailable = () =>
  new Fault(503, 'Unable to create the network. No project network is available for allocation.', { type: 'NoNetworkAvailable' })
export const sharedInUse = (id: string) =>
  conflict(`Unable to reconfigure sharing settings for network ${id}. Multiple projects are using it.`, { type: 'InvalidSharedSetting' })

export const subnetInUse = (id: string) =>
  conflict(`Unable to complete operation on subnet ${id}: One or more ports have an IP allocation from this subnet.`, {
    type: 'SubnetInUse',
  })
export const subnetOverlaps = (cidr: string, network: string) =>
  invalidInput(`Requested subnet with cidr: ${cidr} for network: ${network} overlaps with another subnet`)
export const poolOutOfBounds = (pool: string, cidr: string) =>
  badRequest(`The allocation pool ${pool} spans beyond the subnet cidr ${cidr}.`, { type: 'OutOfBoundsAllocationPool' })
export const poolInvalid = (pool: string) => badRequest(`The allocation pool ${pool} is not valid.`, { type: 'InvalidAllocationPool' })
export const poolsOverlap = (one: string, two: string, cidr: string) =>
  conflict(`Found overlapping allocation pools: ${one} ${two} for subnet ${cidr}.`, { type: 'OverlappingAllocationPools' })
export const gatewayInPool = (gateway: string, pool: string) =>
  conflict(`Gateway ip ${gateway} conflicts with allocation pool ${pool}.`, { type: 'GatewayConflictWithAllocationPools' })
export const gatewayInUse = (gateway: string, port: string) =>
  conflict(`Current gateway ip ${gateway} already in use by port ${port}. Unable to update.`, { type: 'GatewayIpInUse' })

export const noAddressLeft = (network: string) =>
  conflict(`No more IP addresses available on network ${network}.`, { type: 'IpAddressGenerationFailure' })
export const addressAllocated = (ip: string, subnet: string) =>
  conflict(`IP address ${ip} already allocated in subnet ${subnet}`, { type: 'IpAddressAlreadyAllocated' })
export const addressNotOnNetwork = (ip: string) =>
  badRequest(`IP address ${ip} is not a valid IP for any of the subnets on the specified network.`, { type: 'InvalidIpForNetwork' })
export const addressNotOnSubnet = (ip: string) =>
  badRequest(`IP address ${ip} is not a valid IP for the specified subnet.`, { type: 'InvalidIpForSubnet' })
export const addressIsAutomatic = (ip: string, subnet: string) =>
  badRequest(
    `IPv6 address ${ip} cannot be directly assigned to a port on subnet ${subnet} as the subnet is configured for automatic addresses`,
    { type: 'AllocationOnAutoAddressSubnet' },
  )
export const macInUse = (network: string, mac: string) =>
  conflict(`Unable to complete operation for network ${network}. The mac address ${mac} is in use.`, { type: 'MacAddressInUse' })
export const portInUse = (id: string, network: string, device: string) =>
  conflict(`Unable to complete operation on port ${id} for network ${network}. Port already has an attached device ${device}.`, {
    type: 'PortInUse',
  })
export const portBound = (id: string, host: string) =>
  conflict(`Unable to complete operation on port ${id}: it belongs to a server and is bound to host ${host}.`, { type: 'PortBound' })
export const pairsNeedSecurity = () =>
  conflict('Port Security must be enabled in order to have allowed address pairs on a port.', {
    type: 'AddressPairAndPortSecurityRequired',
  })
export const groupsNeedSecurity = () =>
  badRequest('Port security must be enabled and port must have an IP address in order to use security groups.', {
    type: 'PortSecurityAndIPRequiredForSecurityGroups',
  })
export const portHasGroups = () =>
  conflict('Port has security group associated. Cannot disable port security or IP address until security group is removed.', {
    type: 'PortSecurityPortHasSecurityGroup',
  })

export const groupInUse = (id: string) => conflict(`Security Group ${id} in use.`, { type: 'SecurityGroupInUse' })
export const defaultGroupExists = () => conflict('Default security group already exists.', { type: 'SecurityGroupDefaultAlreadyExists' })
export const defaultGroupStays = () =>
  conflict('Insufficient rights for removing default security group.', { type: 'SecurityGroupCannotRemoveDefault' })
export const defaultGroupKeepsName = () =>
  conflict('Updating default security group not allowed.', { type: 'SecurityGroupCannotUpdateDefault' })
export const ruleExists = (id: string) =>
  conflict(`Security group rule already exists. Rule id is ${id}.`, { type: 'SecurityGroupRuleExists' })
export const ruleTwice = () => conflict('Duplicate Security Group Rule in POST.', { type: 'DuplicateSecurityGroupRuleInPost' })

export const quotaExceeded = (resources: string[]) =>
  overQuota(`Quota exceeded for resources: [${resources.map((name) => `'${name}'`).join(', ')}].`, 409)

/** 412: the object has changed since the revision that `If-Match` names. */
export const revisionMismatch = (wanted: number) =>
  new Fault(412, `Constrained to ${wanted}, but current revision has changed.`, { type: 'RevisionNumberConstraintFailed' })
