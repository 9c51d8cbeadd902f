// The placement service: what hosts have, and who holds what of it. For other services and for operators.
import type { Config } from '../config.ts'
import type { Database } from '../database/connect.ts'
import { envelopes } from '../http/envelope.ts'
import { row, type Service } from '../http/table.ts'
import { aggregates } from './api/aggregates.ts'
import { allocationCandidates } from './api/allocation-candidates.ts'
import { allocations } from './api/allocations.ts'
import { inventories } from './api/inventories.ts'
import { policies } from './api/policies.ts'
import { resourceClasses } from './api/resource-classes.ts'
import { resourceProviders } from './api/resource-providers.ts'
import { traits } from './api/traits.ts'
import { usages } from './api/usages.ts'

const versions = { min: '1.0', max: '1.39' }

const root = row({
  route: 'GET /',
  policy: null,
  reply: 200,
  summary: 'Show the versions of the API',
  run: () => ({
    versions: [{ id: 'v1.0', min_version: versions.min, max_version: versions.max, status: 'CURRENT', links: [{ rel: 'self', href: '' }] }],
  }),
})

export const placement = (_deps: { db: Database; config: Pick<Config, 'home'> }): Service => ({
  type: 'placement',
  prefixes: ['/placement'],
  microversion: { header: 'placement', ...versions },
  envelope: envelopes.errors,
  policies,
  scopes: ['project'],
  rows: [
    root,
    ...resourceProviders,
    ...inventories,
    ...aggregates,
    ...traits,
    ...resourceClasses,
    ...allocations,
    ...allocationCandidates,
    ...usages,
  ],
})
