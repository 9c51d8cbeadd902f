// Block storage (Cinder v3): for now its place in the catalog, empty lists, quotas of nothing, and 501 for the rest.
import { envelopes } from '../http/envelope.ts'
import type { Service } from '../http/table.ts'
import { listRows, policies } from './api/lists.ts'
import { notBuiltOfAll, notBuiltRows } from './api/not-built.ts'
import { quotaRows } from './api/quotas.ts'
import { microversions, versionRows } from './api/versions.ts'

export const blockStorage = (): Service[] => {
  const aliases = ['volumev3', 'volume', 'block-store']
  const shared = { type: 'block-storage', aliases, microversion: microversions, envelope: envelopes.blockStorage, policies }
  return [
    { ...shared, prefixes: ['/volume/v3/:project_id'], rows: [...listRows, ...quotaRows, ...notBuiltRows] },
    { ...shared, prefixes: ['/volume/v3'], rows: notBuiltOfAll },
    { type: 'block-storage-versions', prefixes: ['/volume'], envelope: envelopes.blockStorage, rows: versionRows, policies: {} },
  ]
}
