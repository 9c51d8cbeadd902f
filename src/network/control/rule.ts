// What makes a security group rule sensible, and when two rules are the same. Pure; messages are Neutron's.

import { badRequest } from '../../http/fault.ts'
import { protocolNumber, protocols } from '../../wire/protocols.ts'
import { formatCidr, parseCidr } from './address.ts'

export interface RuleInput {
  direction: 'ingress' | 'egress'
  ethertype?: string | null
  protocol?: string | number | null
  port_range_min?: string | number | null
  port_range_max?: string | number | null
  remote_ip_prefix?: string | null
  remote_group_id?: string | null
  description?: string
}

export interface Rule {
  direction: 'ingress' | 'egress'
  ethertype: 'IPv4' | 'IPv6'
  protocol: string | null
  port_range_min: number | null
  port_range_max: number | null
  remote_ip_prefix: string | null
  remote_group_id: string | null
  description: string
}

const withPorts = new Set([6, 17, 33, 132, 136])
const onlyIPv6 = new Set(['icmpv6', 'ipv6-icmp', 'ipv6-encap', 'ipv6-route', 'ipv6-frag', 'ipv6-nonxt', 'ipv6-opts'])

/** @throws Fault 400 that names what is wrong */
export function checkRule(input: RuleInput): Rule {
  const ethertype = ethertypeOf(input.ethertype ?? 'IPv4')
  const protocol = protocolOf(input.protocol ?? null)
  if (protocol !== null && onlyIPv6.has(protocol) && ethertype === 'IPv4') {
    throw badRequest(`Invalid ethertype ${ethertype} for protocol ${protocol}.`, { type: 'SecurityGroupEthertypeConflictWithProtocol' })
  }
  const rule: Rule = {
    direction: input.direction,
    ethertype,
    protocol,
    port_range_min: portOf(input.port_range_min),
    port_range_max: portOf(input.port_range_max),
    remote_ip_prefix: prefixOf(input.remote_ip_prefix ?? null, ethertype),
    remote_group_id: input.remote_group_id ?? null,
    description: input.description ?? '',
  }
  if (rule.remote_ip_prefix !== null && rule.remote_group_id !== null) {
    throw badRequest('Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.', {
      type: 'SecurityGroupMultipleRemoteEntites',
    })
  }
  checkPorts(rule)
  return rule
}

function ethertypeOf(text: string): 'IPv4' | 'IPv6' {
  const lower = text.toLowerCase()
  if (lower === 'ipv4') return 'IPv4'
  if (lower === 'ipv6') return 'IPv6'
  throw badRequest(`Security group rule for ethertype '${text}' not supported. Allowed values are ['IPv4', 'IPv6'].`, {
    type: 'SecurityGroupRuleInvalidEtherType',
  })
}

function protocolOf(given: string | number | null): string | null {
  if (given === null) return null
  const protocol = String(given).toLowerCase()
  if (protocol === 'any' || protocol === '') return null
  if (protocolNumber(protocol) !== undefined) return protocol
  throw badRequest(
    `Security group rule protocol ${protocol} not supported. Only protocol values [${Object.keys(protocols).join(', ')}] and integer representations [0 to 255] are supported.`,
    { type: 'SecurityGroupRuleInvalidProtocol' },
  )
}

function portOf(given: string | number | null | undefined): number | null {
  if (given === null || given === undefined || given === '') return null
  const port = Number(given)
  if (Number.isInteger(port) && port >= 0 && port <= 65535) return port
  throw badRequest(`Invalid value for port ${given}`, { type: 'SecurityGroupInvalidPortValue' })
}

function prefixOf(given: string | null, ethertype: 'IPv4' | 'IPv6'): string | null {
  if (given === null || given === '') return null
  const range = parseCidr(given)
  if (!range) throw badRequest(`Invalid CIDR ${given} given as IP prefix.`, { type: 'InvalidCIDR' })
  if (range.version !== (ethertype === 'IPv4' ? 4 : 6)) {
    throw badRequest(`Conflicting value ethertype ${ethertype} for CIDR ${given}`, { type: 'SecurityGroupRuleParameterConflict' })
  }
  return formatCidr(range)
}

function checkPorts({ protocol, port_range_min: min, port_range_max: max }: Rule): void {
  if (min === null && max === null) return
  if (protocol === null) {
    throw badRequest('Must also specify protocol if port range is given.', { type: 'SecurityGroupProtocolRequiredWithPorts' })
  }
  const number = protocolNumber(protocol)!
  if (withPorts.has(number)) {
    if (min === 0 || max === 0) throw badRequest('Invalid value for port 0', { type: 'SecurityGroupInvalidPortValue' })
    if (min === null || max === null || min > max) {
      throw badRequest('For TCP/UDP protocols, port_range_min must be <= port_range_max', { type: 'SecurityGroupInvalidPortRange' })
    }
  } else if (number === 1 || number === 58) {
    for (const [field, attribute, value] of [
      ['type', 'port_range_min', min],
      ['code', 'port_range_max', max],
    ] as const) {
      if (value !== null && value > 255) {
        throw badRequest(`Invalid value for ICMP ${field} (${attribute}) ${value}. It must be 0 to 255.`, {
          type: 'SecurityGroupInvalidIcmpValue',
        })
      }
    }
    if (min === null) {
      throw badRequest(`ICMP code (port-range-max) ${max} is provided but ICMP type (port-range-min) is missing.`, {
        type: 'SecurityGroupMissingIcmpType',
      })
    }
  } else {
    throw badRequest(
      `Ports cannot be specified for protocol ${protocol}. Ports are only supported for tcp, udp, sctp, dccp, udplite, icmp.`,
      {
        type: 'SecurityGroupInvalidProtocolForPort',
      },
    )
  }
}

/** Two rules of a group with the same key do the same: 'tcp' is '6', 'icmp' over IPv6 is ICMPv6, and a description changes nothing. */
export const ruleKey = (rule: Rule) =>
  JSON.stringify([
    rule.direction,
    rule.ethertype,
    rule.ethertype === 'IPv6' && protocolNumber(rule.protocol) === 1 ? 58 : protocolNumber(rule.protocol),
    rule.port_range_min,
    rule.port_range_max,
    rule.remote_ip_prefix,
    rule.remote_group_id,
  ])

/** What a new group lets through: everything out, nothing in. */
export const egressRules: Rule[] = (['IPv4', 'IPv6'] as const).map((ethertype) => blank('egress', ethertype, null))

/** A project's default group also lets its own members in. */
export const defaultRules = (groupId: string): Rule[] => [
  ...egressRules,
  ...(['IPv4', 'IPv6'] as const).map((ethertype) => blank('ingress', ethertype, groupId)),
]

function blank(direction: Rule['direction'], ethertype: Rule['ethertype'], remote_group_id: string | null): Rule {
  return {
    direction,
    ethertype,
    protocol: null,
    port_range_min: null,
    port_range_max: null,
    remote_ip_prefix: null,
    remote_group_id,
    description: '',
  }
}
