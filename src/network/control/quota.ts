// How much a project may have of each resource, under Neutron's names. Rows are counted by triggers (schema.sql: identity.count_row), so the
// functions here only look, after the row was made and before the transaction ends.
import type { Tx } from '../../database/connect.ts'
import { Fault } from '../../http/fault.ts'
import { over, type Quota } from '../../identity/control/quota.ts'
import { quotaExceeded } from './faults.ts'

/** Neutron's own defaults. */
export const quota = {
  service: 'network',
  resources: {
    network: { limit: 100 },
    subnet: { limit: 100 },
    port: { limit: 500 },
    security_group: { limit: 10 },
    security_group_rule: { limit: 100 },
  },
} satisfies Quota
export type QuotaResource = keyof typeof quota.resources
export const quotaResources = Object.keys(quota.resources) as QuotaResource[]

/** For compute, which asks for ports and servers in one statement. */
export const portQuota = { quota, names: ['port'] as const }
/** As Nova says it (nova/network/neutron.py). */
export const portsExceeded = () => new Fault(403, 'Maximum number of ports exceeded')

/** After something of it was made. @throws Fault 409 OverQuota */
export async function mustHaveRoom(tx: Tx, project: string, resource: QuotaResource): Promise<void> {
  const exceeded = await over(tx, project, { quota, names: [resource] })
  if (exceeded.length > 0) throw quotaExceeded([resource])
}
