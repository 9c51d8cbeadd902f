/** Neutron's API v2.0 as a service for the table: where it is mounted, how it speaks, and its rows. */
import { envelopes } from '../http/envelope.ts'
import type { Service } from '../http/table.ts'
import { agents } from './api/agents.ts'
import { extensions } from './api/extensions.ts'
import { ipAvailability } from './api/ip-availability.ts'
import { networks } from './api/networks.ts'
import { notBuiltYet } from './api/not-built.ts'
import { policies } from './api/policies.ts'
import { ports } from './api/ports.ts'
import { quotas } from './api/quotas.ts'
import { securityGroupRules } from './api/security-group-rules.ts'
import { securityGroups } from './api/security-groups.ts'
import { subnets } from './api/subnets.ts'
import { tags } from './api/tags.ts'

export const network = (): Service => ({
  type: 'network',
  prefixes: ['/network'],
  envelope: envelopes.network,
  policies,
  scopes: ['project'],
  rows: [
    ...extensions,
    ...networks,
    ...subnets,
    ...ports,
    ...securityGroups,
    ...securityGroupRules,
    ...tags,
    ...quotas,
    ...agents,
    ...ipAvailability,
    ...notBuiltYet,
  ],
})
