// The compute service: Nova's API v2.1 with microversions up to 2.96.
import { envelopes } from '../http/envelope.ts'
import type { Service } from '../http/table.ts'
import { deprecated } from './api/deprecated.ts'
import { flavorExtras } from './api/flavor-extras.ts'
import { flavors } from './api/flavors.ts'
import { hypervisors } from './api/hypervisors.ts'
import { keypairs } from './api/keypairs.ts'
import { notBuiltYet } from './api/not-built.ts'
import { policies } from './api/policies.ts'
import { limits, quotaSets } from './api/quota-sets.ts'
import { securityGroups } from './api/security-groups.ts'
import { serverActions } from './api/server-actions.ts'
import { serverAddresses } from './api/server-addresses.ts'
import { serverConsoles } from './api/server-consoles.ts'
import { serverCreate } from './api/server-create.ts'
import { serverInstanceActions } from './api/server-instance-actions.ts'
import { serverLists } from './api/server-list.ts'
import { serverMetadata, serverTags } from './api/server-metadata.ts'
import { servers } from './api/servers.ts'
import { availabilityZones, services } from './api/services.ts'
import { tenantUsage } from './api/tenant-usage.ts'
import { max, min, versionList, versions } from './api/versions.ts'

export const compute = (): Service => ({
  type: 'compute',
  prefixes: ['/compute/v2.1', '/compute/v2'],
  microversion: { header: 'compute', legacyHeader: 'X-OpenStack-Nova-API-Version', min, max },
  envelope: envelopes.compute,
  requestIdHeader: 'x-compute-request-id',
  strictSlash: true,
  policies,
  scopes: ['project'],
  rows: [
    ...versions,
    ...serverLists,
    ...serverCreate,
    ...servers,
    ...serverActions,
    ...serverMetadata,
    ...serverTags,
    ...serverAddresses,
    ...serverConsoles,
    ...serverInstanceActions,
    ...flavors,
    ...flavorExtras,
    ...keypairs,
    ...hypervisors,
    ...services,
    ...availabilityZones,
    ...quotaSets,
    ...limits,
    ...tenantUsage,
    ...securityGroups,
    ...notBuiltYet,
    ...deprecated,
  ],
})

/** What clients find at /compute itself: the list of versions. */
export const computeVersions = (): Service => ({
  type: 'compute',
  prefixes: ['/compute'],
  envelope: envelopes.compute,
  policies: {},
  rows: versionList,
})
