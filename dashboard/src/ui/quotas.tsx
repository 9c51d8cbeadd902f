// How much of everything a project uses and may use, as bars: the quotas of compute, network and images, and identity's limits. Administrators
// change them here.
import { Button } from '@patternfly/react-core'
import { type UseQueryResult, useQuery } from '@tanstack/react-query'
import { type ReactNode, useState } from 'react'
import { isNotOffered } from '../api/explain.ts'
import { computeQuotasQuery } from '../api/identity-queries.ts'
import type { ImageUsage } from '../api/image.ts'
import type { Quota } from '../api/network.ts'
import { imageUsageQuery, networkQuotasQuery } from '../api/queries.ts'
import { isAdmin, useSession } from '../api/session.ts'
import { QuotaEdit } from '../forms/quota-edit.tsx'
import { useText } from '../i18n/index.ts'
import { bytes, mebibytes } from './format.ts'
import { Panel, QuotaBar, Waiting } from './pieces.tsx'
import { Problem } from './problem.tsx'

const plain = (count: number) => String(count)
const mebibytesOf = (mib: number) => bytes(mib * 1024 * 1024)

/** How the amounts of a resource are written. */
export const units = new Map<string, (count: number) => string>([
  ['ram', mebibytes],
  ['image_size_total', mebibytesOf],
  ['image_stage_total', mebibytesOf],
])

const orders = new Map([
  ['compute', ['instances', 'cores', 'ram', 'key_pairs', 'server_groups', 'server_group_members', 'metadata_items']],
  ['network', ['network', 'subnet', 'port', 'router', 'floatingip', 'security_group', 'security_group_rule', 'subnetpool', 'rbac_policy']],
])

/** How many each of something may have: nothing that a project uses up, so no bar, but a field of the form. */
const perThing = new Set(['server_group_members', 'metadata_items'])

/** In the usual order; what this page doesn't know comes last. */
function ordered(quotas: Record<string, Quota>, of: string): [string, Quota][] {
  const order = orders.get(of) ?? []
  const at = (name: string) => (order.includes(name) ? order.indexOf(name) : order.length)
  return Object.entries(quotas).toSorted(([a], [b]) => at(a) - at(b) || a.localeCompare(b))
}

export function Bars({ quotas, of }: { quotas: Record<string, Quota>; of: string }) {
  const t = useText()
  return (
    <div className="wisp-quotas">
      {ordered(quotas, of)
        .filter(([name]) => !perThing.has(name))
        .map(([name, { used, limit }]) => (
          <QuotaBar key={name} name={t.resources[name] ?? name} used={used} limit={limit} show={units.get(name) ?? plain} />
        ))}
    </div>
  )
}

type PartProps<T> = { title: string; query: UseQueryResult<T>; action?: ReactNode; children: (data: T) => ReactNode }

/** One service's share; a service that has no quotas says nothing. */
function Part<T>({ title, query, action, children }: PartProps<T>) {
  if (query.isError && isNotOffered(query.error)) return null
  return (
    <Panel title={title} wide actions={query.isSuccess ? action : undefined}>
      {query.isPending && <Waiting />}
      {query.isError && <Problem error={query.error} retry={() => void query.refetch()} />}
      {query.isSuccess && children(query.data)}
    </Panel>
  )
}

const asQuotas = (usage: ImageUsage): Record<string, Quota> =>
  Object.fromEntries(Object.entries(usage).map(([name, { usage: used, limit }]) => [name, { used, limit }]))

export function Quotas({ projectId }: { projectId: string }) {
  const t = useText()
  const session = useSession()
  const compute = useQuery(computeQuotasQuery(projectId))
  const network = useQuery(networkQuotasQuery(projectId))
  const image = useQuery({ ...imageUsageQuery, enabled: projectId === session.project.id })
  const [editing, setEditing] = useState<'compute' | 'network'>()
  const change = (service: 'compute' | 'network') =>
    isAdmin(session) ? (
      <Button variant="secondary" size="sm" onClick={() => setEditing(service)} aria-label={`${t.limits.change}: ${t.limits[service]}`}>
        {t.limits.change}
      </Button>
    ) : undefined
  const edited = { compute: compute.data, network: network.data }[editing ?? 'compute']
  return (
    <div className="wisp-panels">
      <Part title={t.limits.compute} query={compute} action={change('compute')}>
        {(quotas) => <Bars quotas={quotas} of="compute" />}
      </Part>
      <Part title={t.limits.network} query={network} action={change('network')}>
        {(quotas) => <Bars quotas={quotas} of="network" />}
      </Part>
      {image.data !== undefined && Object.keys(image.data).length > 0 && (
        <Panel title={t.limits.image} wide>
          <Bars quotas={asQuotas(image.data)} of="image" />
        </Panel>
      )}
      {editing !== undefined && edited !== undefined && (
        <QuotaEdit service={editing} projectId={projectId} quotas={ordered(edited, editing)} close={() => setEditing(undefined)} />
      )}
    </div>
  )
}
